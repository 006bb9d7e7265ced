"""What the shipped weights must not do: leave marks, come apart in tiles, change what is right.

The stored pictures are what they make of small damaged ones: `python -m tests.test_shipped` writes them anew,
which is to be done, and looked at, whenever the weights change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from artifacts import frame, lattice

from clearair import Restorer
from clearair.data.degradations import degrade
from clearair.evaluation.metrics import psnr
from clearair.image import Photo, read_photo, write_photo

CLEAN = {
    "astronaut": lambda: skimage.data.astronaut(),
    "coffee": lambda: skimage.data.coffee(),
    "chelsea": lambda: skimage.data.chelsea(),
}

STORED = Path(__file__).parent / "stored"
SAMPLES = {"noise": "coffee", "rain": "chelsea", "lowlight": "astronaut"}
"""Pictures to damage, by the kind of damage, which is the name of the stored result."""


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.from_pretrained("compact", device="cpu", tile="off")


def damaged(pixels: np.ndarray, kinds: tuple[str, ...], strength: float, seed: int = 0) -> np.ndarray:
    clean = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    image = degrade(clean, [kinds], torch.Generator().manual_seed(seed), strength).image
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels: photographs have lattices of their own, of their sensor and of JPEG."""
    height, width = (side // 2 for side in pixels.shape[:2])
    blocks = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def added(restorer: Restorer, picture: np.ndarray) -> np.ndarray:
    return (restorer(picture).image.astype(np.float32) - picture.astype(np.float32))[None] / 255


def no_lattice(residuals: np.ndarray) -> bool:
    """Whether no period stands out of its neighbourhood."""
    return all(found.prominence < 3 for found in lattice(residuals).values())


def test_a_strong_change_of_natural_pictures_leaves_no_lattice_and_no_frame(restorer):
    residuals = np.concatenate(
        [
            added(restorer, damaged(halved(picture())[:144, :224], (kind,), 0.7))
            for picture in CLEAN.values()
            for kind in ("lowlight", "haze")
        ]
    )
    assert np.abs(residuals).mean() > 0.05  # there is something to find marks in
    assert no_lattice(residuals), lattice(residuals)
    assert 0.8 < frame(residuals).ratio < 1.25


def test_a_flat_picture_has_no_lattice(restorer):
    noise = np.random.default_rng(0).normal(40, 12, (256, 256, 3))
    residual = added(restorer, noise.clip(0, 255).astype(np.uint8))
    assert no_lattice(residual), lattice(residual)


@pytest.mark.parametrize("kinds", [("lowlight",), ("haze", "rain"), ("noise",)])
def test_tiles_agree_with_the_whole(restorer, kinds):
    picture = damaged(np.tile(CLEAN["coffee"]()[:384, :400], (1, 2, 1)), kinds, 0.6)
    whole = restorer(picture).image
    tiled = Restorer.from_pretrained("compact", device="cpu", tile=256)(picture).image
    assert psnr(tiled, whole) >= 50
    assert np.abs(tiled.astype(int) - whole.astype(int)).max() <= 3


@pytest.mark.parametrize("name", list(CLEAN))
def test_a_clean_photograph_is_left_as_it_is(restorer, name):
    picture = CLEAN[name]()
    assert psnr(restorer(picture).image, picture) >= 40


@pytest.mark.parametrize("name", list(CLEAN))
@pytest.mark.parametrize("kind", ["noise", "haze", "rain", "lowlight"])
def test_a_damaged_photograph_gets_better(restorer, name, kind):
    clean = CLEAN[name]()[:256, :256]
    picture = damaged(clean, (kind,), 0.6)
    assert psnr(restorer(picture).image, clean) > psnr(picture, clean) + 0.5


def test_keep_tone_restores_a_dark_picture_and_leaves_it_dark(restorer):
    picture = damaged(halved(CLEAN["astronaut"]()), ("lowlight",), 0.6)
    brightened, kept = (restorer(picture, keep_tone=keep).image.astype(float) for keep in (False, True))
    assert brightened.mean() > 1.5 * picture.mean()
    assert 0.8 < kept.mean() / picture.mean() < 1.25
    assert not np.array_equal(kept, picture)


def sample(kind: str) -> np.ndarray:
    return damaged(halved(CLEAN[SAMPLES[kind]]())[40:136, 60:188], (kind,), 0.5)


@pytest.mark.parametrize("kind", list(SAMPLES))
def test_results_are_the_stored_ones(restorer, kind):
    stored = read_photo(STORED / f"{kind}.png").pixels
    assert psnr(restorer(sample(kind)).image, stored) >= 50


if __name__ == "__main__":
    for name in SAMPLES:
        result = Restorer.from_pretrained("compact", device="cpu", tile="off", precision="fp32")(sample(name))
        write_photo(Photo(result.image), STORED / f"{name}.png", overwrite=True)
