"""The recognizer is fitted, calibrated and given thresholds; what was seen is saved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearair.data.degradations import KINDS
from clearair.errors import ConfigError
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.compact.weights import load_perceiver
from clearair.training.perceivers.examples import draw_unit, load_sources, units, validation
from clearair.training.perceivers.recognition import (
    RecognizerRecipe,
    publish_recognizer,
    train_recognizer,
)

NAN = float("nan")
TINY = RecognizerRecipe(views=5, looks=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"views": -1},
        {"looks": 0},
        {"ridge": 0.0},
        {"ridge": NAN},
        {"named": -1.0},
        {"lookalikes": NAN},
        {"faint": NAN},
        {"all_alarms": 0.001},
        {"trust": {"haze": 2.0}},
        {"ramps": {"snow": 0.0}},
        {"ramps": {"snow": float("inf")}},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ConfigError):
        replace(TINY, **fields)


@pytest.fixture(scope="module")
def data_with_names(data, tmp_path_factory) -> Path:
    """The training folder with named photographs, of which one source is held out."""
    root = tmp_path_factory.mktemp("named") / "data"
    shutil.copytree(data, root)
    photo = next((root / "train" / "clean").glob("*.png"))
    for source in ("haze/there", "haze/NatHaze", "clean/there"):
        (root / "train" / "named" / source).mkdir(parents=True)
        shutil.copy(photo, root / "train" / "named" / source / "a.png")
    for half in ("input", "target"):
        (root / "train" / "noise" / "there" / half).mkdir(parents=True)
        for name in ("Mine_1", "Mine_2", "Other_1"):
            shutil.copy(photo, root / "train" / "noise" / "there" / half / f"{name}.png")
    (root / "train" / "held_out.toml").write_text(
        '[named]\nsources = ["haze/NatHaze"]\n[cameras]\nnoise = ["Other"]\n'
    )
    return root


def test_every_part_can_be_drawn_by_itself_and_comes_out_the_same(data_with_names):
    sources = load_sources(data_with_names)
    assert [photo.source for photo in sources.known] == ["clean/there", "haze/there"]
    count = units(sources, TINY.views)
    for number in range(count):
        first, again = (list(draw_unit(sources, number, 2, 77)) for _ in range(2))
        assert first
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one.images, other.images)
            assert one.label.shape == one.weight.shape == (len(one.images), len(KINDS))
            assert one.images.min() >= 0
            assert one.images.max() <= 1


def test_noise_of_cameras_is_also_seen_from_close_up(data_with_names):
    sources = load_sources(data_with_names)
    first = len(sources.known)
    assert [(kind, path.stem) for kind, path, _ in sources.pairs] == [
        ("noise", "Mine_1"),
        ("noise", "Mine_2"),
    ]
    halves = list(draw_unit(sources, first, 2, 77))
    noise = [float(example.label[0, KINDS.index("noise")]) for example in halves]
    assert noise == [1, 1, 0, 0, *([1, 0] * 5)]
    assert all(example.label[0, KINDS.index("lowlight")] == 0 for example in halves)
    assert {tuple(example.images.shape) for example in halves[4:]} == {(1, 3, 240, 256)}  # of 240 x 320
    assert torch.equal(halves[4].images, halves[5].images)  # the same place of what are two equal files here
    assert not torch.equal(halves[4].images, halves[6].images)
    groups = [example.group for example in validation(data_with_names)]
    assert groups.count("noise, close-ups") == groups.count("undamaged close-ups") == 2


def test_what_is_examined_was_held_out(data_with_names):
    groups = [example.group for example in validation(data_with_names)]
    assert "haze/NatHaze" in groups
    assert not any(group.endswith("there") for group in groups)
    assert any(group.startswith("undamaged") for group in groups)


def test_photographs_that_cannot_be_read_are_named_and_left_out(data_with_names, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data_with_names, root)
    for place in ("named/haze/there/a.png", "named/haze/NatHaze/a.png", "noise/there/input/Mine_2.png"):
        (root / "train" / place).write_bytes(b"junk")
    said: list[str] = []
    sources = load_sources(root)
    drawn = [
        example.group
        for number in range(len(sources.known) + len(sources.pairs))
        for example in draw_unit(sources, number, 1, 77, said.append)
    ]
    assert "haze/there" not in drawn
    assert "noise pairs" in drawn  # the other pair
    groups = {example.group for example in validation(root, said.append)}
    assert "haze/NatHaze" not in groups
    assert "noise, real pairs" in groups
    assert [line.partition(str(root))[2].partition(":")[0] for line in said] == [
        "/train/named/haze/there/a.png",
        "/train/noise/there/input/Mine_2.png",
        "/train/named/haze/NatHaze/a.png",
    ]


def test_a_run_goes_on_where_it_stopped_and_makes_perceivers(data_with_names, tmp_path):
    said: list[str] = []
    run = tmp_path / "run"
    assert train_recognizer(TINY, data_with_names, run, max_minutes=1e-9, report=said.append) is None
    assert "run this again" in said[-1]
    trained = train_recognizer(TINY, data_with_names, run, report=said.append)
    assert trained is not None
    assert any(line.startswith("| pictures") for line in said)
    looked = sum(line.startswith("looked at") for line in said)
    again = train_recognizer(TINY, data_with_names, run, report=said.append)
    assert sum(line.startswith("looked at") for line in said) == looked
    assert again is not None
    assert torch.equal(again[1].head.weight, trained[1].head.weight)
    publish_recognizer(trained, tmp_path / "made")
    perceiver = CompactPerceiver(*load_perceiver(tmp_path / "made"))
    percepts = perceiver.perceive_image(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy())
    assert percepts.names == KINDS
    with pytest.raises(ConfigError, match="another recipe"):
        train_recognizer(replace(TINY, seed=1), data_with_names, run, report=said.append)
