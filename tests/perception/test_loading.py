"""The public door: perceivers by name, and the ones that ship with the package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import clearair.perception
from clearair.errors import ModelError, UsageError
from clearair.perception import load_compact, load_degradation, load_quality, load_regions
from clearair.perception.compact.stored import shipped_folder

LOADERS = {"deqa": load_quality, "sam2": load_regions, "daclip": load_degradation}


@pytest.mark.parametrize(("name", "load"), LOADERS.items())
def test_a_perceiver_of_the_paper_needs_weights(name, load):
    with pytest.raises(UsageError, match=f"{name}.*needs weights"):
        load(name)


@pytest.mark.parametrize("load", LOADERS.values())
def test_the_compact_perceiver_takes_no_config(load):
    with pytest.raises(UsageError, match="takes no config"):
        load("compact", config={})


@pytest.mark.parametrize("load", LOADERS.values())
def test_an_unknown_name_is_refused(load):
    with pytest.raises(UsageError, match="eagle"):
        load("eagle")


@pytest.mark.parametrize("load", LOADERS.values())
def test_weights_that_do_not_exist_are_named(load, tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        load("compact", weights=tmp_path / "nowhere")


def test_importing_the_package_does_not_import_torch():
    code = "import sys, clearair.perception; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_everything_public_can_be_imported():
    for name in clearair.perception.__all__:
        assert getattr(clearair.perception, name) is not None
    with pytest.raises(AttributeError, match="third_eye"):
        _ = clearair.perception.third_eye


def test_the_shipped_perceiver_is_small():
    assert sum(path.stat().st_size for path in shipped_folder().iterdir()) < 12e6


def test_the_shipped_perceiver_knows_the_kinds_that_can_be_made():
    from clearair.data.degradations import KINDS

    assert load_compact().config.kinds == KINDS


def test_the_three_roles_agree_with_the_one_look(astronaut):
    percepts = load_compact().perceive_image(astronaut)
    assert load_quality("compact").assess([astronaut]).score[0] == pytest.approx(percepts.score)
    np.testing.assert_array_equal(load_regions("compact").segment([astronaut])[0], percepts.labels)
    np.testing.assert_allclose(
        load_degradation("compact").identify([astronaut]).probabilities[0], percepts.probabilities
    )


def test_a_clean_photograph_is_good(astronaut):
    percepts = load_compact().perceive_image(astronaut)
    assert percepts.score > 4
    assert percepts.probabilities.max() < 0.5


def test_noise_is_found_and_worse_when_stronger(astronaut):
    perceiver, random = load_compact(), np.random.default_rng(0)
    noise = random.normal(size=astronaut.shape)
    seen = [perceiver.perceive_image(_rounded(astronaut + sigma * noise)) for sigma in (0, 15, 50)]
    assert seen[0].score > seen[1].score > seen[2].score
    for percepts in seen[1:]:
        assert percepts.names[int(np.argmax(percepts.probabilities))] == "noise"


def test_darkness_is_found(astronaut):
    percepts = load_compact().perceive_image(_rounded(astronaut * 0.12))
    assert percepts.probabilities[percepts.names.index("lowlight")] > 0.5
    assert percepts.score < 3


def test_noise_is_found_where_it_is(astronaut):
    half = astronaut.astype(float)
    half[:, 128:] += np.random.default_rng(0).normal(0, 40, half[:, 128:].shape)
    labels = np.zeros(astronaut.shape[:2], np.uint8)
    labels[:, 128:] = 1
    perceiver = load_degradation("compact")
    local = perceiver.identify([_rounded(half)], labels=[labels]).local[0]
    eyes = load_compact().eyes
    import torch

    found = eyes.kind_logits(torch.from_numpy(local)).sigmoid()[:, 0]
    assert found[1] > 0.5 > found[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 50), (480, 640)])
def test_black_images_of_any_size_are_perceived(size):
    percepts = load_compact().perceive_image(np.zeros((*size, 3), np.uint8))
    assert np.isfinite(percepts.guidance.quality).all()
    assert len(np.unique(percepts.labels)) == 1


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
