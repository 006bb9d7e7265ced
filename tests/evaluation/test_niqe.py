from pathlib import Path

import numpy as np
import pytest
import skimage.data
from pristine import fit_pristine, save_pristine

from clearair.errors import DataError
from clearair.evaluation.niqe import (
    Pristine,
    block_features,
    halved,
    load_pristine,
    niqe,
    own_pristine,
)
from clearair.image import read_photo

METRICS = Path(__file__).parents[3] / "shared" / "data" / "metrics"


def shared(name: str) -> Path:
    path = METRICS / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


@pytest.mark.data
def test_the_authors_model_gives_the_authors_value():
    model = load_pristine(shared("niqe_pris_params.npz"))
    assert model.name == "niqe"
    assert niqe(read_photo(shared("baboon.png")).pixels, model) == pytest.approx(5.7296, abs=1e-4)


def test_damage_makes_it_larger():
    model, image = own_pristine(), skimage.data.astronaut()[:288, :384]
    noise = np.random.default_rng(0).normal(0, 40, image.shape)
    assert niqe(np.clip(image + noise, 0, 255), model) > niqe(image, model) + 1


def test_a_model_fitted_here_never_carries_the_name_of_the_authors(tmp_path):
    photos = [np.random.default_rng(seed).integers(0, 256, (288, 288, 3)) for seed in range(5)]
    fitted = fit_pristine(photos)
    assert fitted.name == own_pristine().name == "niqe-own"
    save_pristine(tmp_path / "model.npz", fitted)
    assert load_pristine(tmp_path / "model.npz").fingerprint == fitted.fingerprint


def test_halving_keeps_a_ramp_and_removes_the_finest_stripes():
    ramp = np.tile(np.arange(40.0), (8, 1))
    assert np.allclose(halved(ramp)[:, 3:-3], (0.5 + 2 * np.arange(20))[3:-3])
    stripes = np.tile([0.0, 255.0], (8, 20))
    assert np.abs(halved(stripes)[:, 3:-3] - 127.5).max() < 1


def test_each_block_has_two_scales_of_eighteen_features():
    features, sharpness = block_features(skimage.data.astronaut()[:200, :300])
    assert features.shape == (6, 36)
    assert sharpness.shape == (6,)
    assert np.isfinite(features).all()


def test_small_and_flat_images_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="96 x 96"):
        niqe(np.zeros((95, 200, 3), np.uint8), own_pristine())
    with pytest.raises(DataError, match="flat"):
        niqe(np.full((200, 200, 3), 90, np.uint8), own_pristine())
    with pytest.raises(DataError, match="36 features"):
        fit_pristine([skimage.data.astronaut()[:200, :300]])
    with pytest.raises(DataError, match=r"\(36,\)"):
        Pristine(np.zeros(35), np.zeros((36, 36)))
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(DataError, match=r"text\.npz"):
        load_pristine(tmp_path / "text.npz")
