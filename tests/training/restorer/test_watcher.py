"""A run that is followed: validated at its start, on the way and at its end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import skimage.data
import torch

from clearair.data.validation import OWN
from clearair.errors import DataError
from clearair.image import Photo, write_photo
from clearair.perception import load_compact
from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.loop import run
from clearair.training.loop.resume import LATEST
from clearair.training.restorer.recipes import smoke
from clearair.training.restorer.samples import load_samples
from clearair.training.restorer.task import RestorerTask
from clearair.training.restorer.tensorboard import TensorBoardWriter
from clearair.training.restorer.watcher import ValidationWatcher


@pytest.fixture(scope="module")
def recipe():
    return replace(smoke(), steps=4, decay_steps=0, warmup=1, batch=2, view=64, patch=32, learning_rate=3e-3)


def silent(line: str) -> None:
    pass


def follow(recipe, data, out, *, minutes=None, start=True, **options):
    watcher = ValidationWatcher(
        out, data, load_compact(), views=1, minutes=minutes, at_start=start, report=silent
    )
    run(RestorerTask(recipe, data), out, watcher=watcher, report=silent, **options)
    return watcher


def records(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "validation" in line]


@pytest.fixture(scope="module")
def followed(recipe, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("followed")
    return out, follow(recipe, data, out, minutes=0, interval=1, max_minutes=0), recipe


def test_the_log_has_every_kind_at_the_start_and_at_the_end(followed):
    out, watcher, _ = followed
    assert [(record["of"], record["step"]) for record in records(out)] == [
        ("start", 0),
        ("run", 1),
        ("end", 1),
    ]
    for record in records(out):
        assert set(record["validation"]) == set(record["input"]) == {"mean", *watcher.held_out_views.kinds}
    # The network begins as the identity, and one step moves it.
    assert all(abs(score.gain) < 0.1 for kind, score in watcher.start.items() if kind != "clean")
    assert watcher.final != watcher.start


def test_samples_show_the_start_and_the_end(followed):
    out, watcher, _ = followed
    samples = load_samples(out)
    assert samples.kinds == watcher.held_out_views.kinds
    assert samples.now.shape == samples.start.shape == (len(samples.kinds), 3, 128, 128)
    assert not torch.equal(samples.damaged, samples.clean)
    assert not torch.equal(samples.now, samples.start)


def test_a_resumed_run_reads_its_start_from_the_log(followed, data):
    out, first, recipe = followed
    before = len(records(out))
    again = follow(recipe, data, out, resume=True)
    assert [record["of"] for record in records(out)[before:]] == ["end"]
    assert again.start.keys() == first.start.keys()
    for kind, score in again.start.items():
        assert score.psnr == pytest.approx(first.start[kind].psnr, abs=1e-3)
    samples = load_samples(out)
    assert not torch.equal(samples.now, samples.start)


def test_a_resumed_run_with_pairs_to_validate_on_measures_its_start_anew(followed, data, tmp_path):
    first, _, recipe = followed
    out = tmp_path / "run"
    shutil.copytree(first, out)
    photo = next((data / "train" / "clean").glob("*.png"))
    watcher = ValidationWatcher(out, data, load_compact(), views=1, own=[(photo, photo)], report=silent)
    run(RestorerTask(recipe, data), out, watcher=watcher, report=silent, resume=True)
    assert watcher.start.keys() == watcher.final.keys()
    assert OWN in watcher.start


def test_pairs_that_cannot_be_used_end_a_run_before_it_begins(recipe, data, tmp_path):
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    write_photo(Photo(skimage.data.coffee()[:90, :140]), small)
    write_photo(Photo(skimage.data.coffee()[:100, :140]), large)
    watcher = ValidationWatcher(
        tmp_path, data, load_compact(), views=1, at_start=False, own=[(small, large)], report=silent
    )
    with pytest.raises(DataError, match=r"small\.png: its size and that of .*large\.png differ"):
        run(RestorerTask(recipe, data), tmp_path / "run", watcher=watcher, report=silent)
    assert not (tmp_path / "run" / LATEST).exists()


def test_a_run_that_is_followed_learns_what_one_alone_learns(followed, recipe, data, tmp_path):
    run(RestorerTask(recipe, data), tmp_path, report=silent, max_minutes=0)
    follow(recipe, data, tmp_path / "followed", start=False, interval=1, minutes=0, max_minutes=0)
    alone, watched = (load_checkpoint(out / LATEST).tensors for out in (tmp_path, tmp_path / "followed"))
    assert all(torch.equal(alone[name], watched[name]) for name in alone)
    assert [record["of"] for record in records(tmp_path / "followed")] == ["run", "end"]


def test_tensorboard_gets_scores_and_pictures(followed, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, watcher, _ = followed
    board = TensorBoardWriter.open(tmp_path)
    board.scalars({"step": 25, "loss": 0.5})
    board.validation(25, {"mean": 20.0, "noise": 21.0})
    board.samples(25, watcher.held_out_views, watcher.held_out_views.damaged)
    told = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    values = {
        name: (event.step, event.value) for name in told.Tags()["scalars"] for event in told.Scalars(name)
    }
    assert values == {
        "training/loss": (25, 0.5),
        "validation/mean": (25, 20.0),
        "validation/noise": (25, 21.0),
    }
    (picture,) = told.Images("samples/noise")
    assert (picture.step, picture.height, picture.width) == (25, 128, 3 * 128)
