"""The recognizer is fitted, calibrated and given thresholds; what was seen is saved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.errors import ConfigError
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.compact.weights import load_perceiver
from clearair.training.perceivers.examples import draw_unit, load_sources, units, validation
from clearair.training.perceivers.observations import Observations
from clearair.training.perceivers.recognition import (
    RecognizerRecipe,
    best_blend,
    calibrate,
    calibration_error,
    fit,
    publish_recognizer,
    ramps,
    recall,
    thresholds,
    train_recognizer,
)

NAN = float("nan")
TINY = RecognizerRecipe(views=5, looks=1)


def observed(logits: Tensor, there: Tensor, groups: list[str]) -> Observations:
    """Pictures with one number seen for each kind."""
    return Observations(logits, torch.zeros_like(logits), there, torch.ones_like(logits), tuple(groups))


def test_a_fit_finds_what_tells_a_kind_and_leaves_what_nobody_knows():
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(400, 3, generator=generator) * torch.tensor([1.0, 100.0, 1e-3])
    label = torch.stack([(seen[:, 1] > 0).float(), torch.full((400,), NAN)], dim=1)
    label[:3, 0] = 1 - label[:3, 0]
    label[:3, 0] = NAN
    mean, spread, rows, bias = fit(seen, label, torch.ones(400, 2), 1e-3)
    logits = ((seen - mean) / spread) @ rows.T + bias
    known = ~label[:, 0].isnan()
    assert ((logits[known, 0] > 0) == (label[known, 0] == 1)).float().mean() > 0.97
    assert rows[0].abs().argmax() == 1
    assert rows[1].abs().max() < 1e-6


def test_calibration_undoes_certainty_that_is_too_great():
    generator = torch.Generator().manual_seed(1)
    honest = 2 * torch.randn(4000, 1, generator=generator)
    label = (torch.rand(4000, 1, generator=generator) < honest.sigmoid()).float()
    slope, offset = calibrate(5 * honest + 3, label)
    assert float(slope) == pytest.approx(0.2, abs=0.02)
    assert float(offset) == pytest.approx(-0.6, abs=0.1)
    before, after = (
        calibration_error(logits, label) for logits in (5 * honest + 3, slope * (5 * honest + 3) + offset)
    )
    assert float(after) < 0.03 < float(before)


def test_a_kind_that_is_always_told_right_does_not_become_certain_without_bound():
    logits = torch.tensor([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[:, None]
    slope, offset = calibrate(logits, (logits > 0).float())
    assert (slope * 3 + offset).sigmoid() < 0.95


def test_no_more_false_alarms_are_spent_than_there_may_be_and_where_they_help():
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(200, 2, generator=generator)
    haze, rain = torch.randn(100, 2, generator=generator), torch.randn(100, 2, generator=generator)
    haze[:, 0] += 2.5  # mixed with the highest of the clean ones
    rain[:, 1] += 20  # found without any false alarm
    there = torch.zeros(400, 2)
    there[200:300, 0] = there[300:, 1] = 1
    logits = torch.cat([clean, haze, rain])
    seen = observed(logits, there, ["undamaged"] * 200 + ["haze"] * 100 + ["rain"] * 100)
    found = thresholds(logits, seen, 0.01, 0.03)
    fired = clean > found
    assert 1 <= fired[:, 0].sum() <= 2
    assert fired[:, 1].sum() == 0
    strict = thresholds(logits, seen, 0.01, 0.01)
    assert (clean > strict).any(dim=1).sum() <= 2
    assert recall(logits[:, 0], found[0], seen, 0) >= recall(logits[:, 0], clean[:, 0].max(), seen, 0)


def test_the_eyes_are_blended_in_where_they_know_more():
    there = torch.tensor([[0.0]] * 50 + [[1.0]] * 50)
    seen = observed(torch.zeros(100, 1), there, ["undamaged"] * 50 + ["haze"] * 50)
    guess = torch.linspace(-1, 1, 100).roll(37)
    sure = 6 * there[:, 0] - 3
    assert best_blend(guess, sure, seen, 0) > 0
    assert best_blend(sure, guess, seen, 0) == 0


def test_ramps_rise_from_where_a_kind_is_found():
    caution = ramps(torch.linspace(-3, 4, len(KINDS)), TINY)
    for index, kind in enumerate(KINDS):
        doubt, sure = caution.ramp(kind)
        found = float(torch.linspace(-3, 4, len(KINDS))[index].sigmoid())
        assert found < doubt < sure < 1
        assert doubt - found < 0.02


@pytest.mark.parametrize(
    "fields", [{"views": -1}, {"looks": 0}, {"ridge": 0.0}, {"all_alarms": 0.001}, {"trust": {"haze": 2.0}}]
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
