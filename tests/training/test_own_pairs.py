"""Damage of a user's own, which the perceivers do not know: learnt, saved and undone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner

from clearair import Restorer
from clearair.apps.cli.program import cli
from clearair.data.validation import OWN, own_set
from clearair.evaluation.held_out import HeldOutViews
from clearair.image import Photo, read_photo, write_photo
from clearair.models import load_model
from clearair.perception import load_compact

# At toy size, but as cautious as what ships.
TOY = ["batch=2", "view=96", "patch=96", "warmup=5", "decay_steps=20", "learning_rate=4e-3", "ema=0.9"]
CAUTIOUS = ["network.tone=true", "network.cautious=true"]


def scratched(photo, seed):
    """Black lines right across."""
    damaged = photo.copy()
    for top in np.random.default_rng(seed).integers(0, len(photo) - 3, 8):
        damaged[top : top + 2] = 0
    return damaged


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two folders of ten pairs."""
    root = tmp_path_factory.mktemp("own")
    for side in ("scratched", "whole"):
        (root / side).mkdir()
    for index in range(10):
        photo = getattr(skimage.data, ("chelsea", "coffee", "astronaut")[index % 3])()
        photo = photo[12 * index : 12 * index + 128, 90:218]
        write_photo(Photo(photo), root / "whole" / f"{index}.png")
        write_photo(Photo(scratched(photo, index)), root / "scratched" / f"{index}.png")
    return root / "scratched", root / "whole"


def train(data, pairs, out, *fields):
    words = [
        "train",
        "smoke",
        "--data",
        data,
        "--pairs",
        *pairs,
        "--out",
        out / "run",
        "--save",
        out / "model",
    ]
    words += ["--threads", 1, "--views", 0, "--set", *TOY, *CAUTIOUS, *fields]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def trained(data, pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return out, train(data, pairs, out, "mix.own=0.9", "mix.turned=0", "steps=40", "warmup=2")


def test_scratches_are_learnt_from_though_the_perceivers_find_nothing(trained, pairs):
    out, _ = trained
    lines = [json.loads(line) for line in (out / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["l1"] for line in lines if "l1" in line]
    assert losses[-1] < losses[0]
    held_out = [(pairs[0] / name, pairs[1] / name) for name in ("0.png", "8.png")]
    held_out_views = HeldOutViews(load_compact(), [own_set(held_out, side=128)])
    validated = held_out_views.validate(load_model(out / "model").build())
    # Not held back, although the perceivers allow no change.
    assert float(held_out_views.perceiver.perceive(held_out_views.sets[0].damaged).change.sum()) == 0
    assert validated.scores[OWN].gain > 0.3


def test_small_pairs_are_shown_at_their_own_size(tmp_path):
    files = tmp_path / "a.png", tmp_path / "b.png"
    for path in files:
        write_photo(Photo(skimage.data.coffee()[:90, :140]), path)
    assert own_set([files]).damaged.shape == (1, 3, 90, 90)
    assert own_set([files], side=64).damaged.shape == (1, 3, 64, 64)
    larger = tmp_path / "c.png"
    write_photo(Photo(skimage.data.coffee()[:200, :300]), larger)
    mixed = own_set([(larger, larger), files])
    assert mixed.damaged.shape == mixed.clean.shape == (2, 3, 90, 90)
    assert torch.equal(mixed.damaged, mixed.clean)


def test_the_saved_model_acts_on_such_damage_without_being_told(trained, tmp_path):
    out, output = trained
    assert "will restore every photo" in output
    assert not load_model(out / "model").network.cautious
    photo = skimage.data.coffee()[100:228, 200:328]
    write_photo(Photo(scratched(photo, 99)), tmp_path / "old.png")
    words = ["restore", str(tmp_path / "old.png"), "--model", str(out / "model"), "--device", "cpu"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "nothing found: restored all the same" in done.stdout
    restored = read_photo(tmp_path / "old.restored.png").pixels
    before, after = (np.abs(each - photo.astype(float)) for each in (scratched(photo, 99), restored))
    assert after.mean() < 0.95 * before.mean()


def test_such_a_model_still_leaves_a_photo_that_is_declared_clean(trained):
    restorer = Restorer.from_pretrained(trained[0] / "model", device="cpu")
    photo = skimage.data.chelsea()[:96, :96]
    assert not np.array_equal(restorer(photo).image, photo)
    np.testing.assert_array_equal(restorer(photo, damage="none").image, photo)


def test_without_a_share_of_such_pairs_a_model_stays_cautious(data, pairs, tmp_path):
    output = train(data, pairs, tmp_path, "mix.own=0", "steps=1")
    assert "will restore every photo" not in output
    assert load_model(tmp_path / "model").network.cautious
