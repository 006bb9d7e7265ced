"""Where a picture shows nothing, no damage is seen in it."""

import numpy as np
import pytest
import skimage.data

from clearair.data.plain import plain_pictures
from clearair.kinds import NAMES
from clearair.perception import load_compact
from clearair.perception.compact.arrays import near_crops_of
from clearair.perception.evidence import CROP, CROPS, evidence

SMOOTH = (
    "white",
    "black",
    "grey card",
    "blank page",
    "pale wall",
    "painted wall",
    "pale product",
    "few stars",
)
SKIES = ("many stars", "soft stars", "soft stars, noisy", "soft stars above a town")


@pytest.fixture(scope="module")
def pictures():
    return plain_pictures()


def of(image: np.ndarray) -> dict[str, float]:
    """Evidence in a picture that needs no reduction."""
    values = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8].astype(np.float32) / 255
    crops = near_crops_of(image, CROP, CROPS)[0]
    return dict(zip(NAMES, evidence(NAMES, values, values, crops).tolist(), strict=True))


def test_a_photograph_shows_every_kind():
    assert of(skimage.data.astronaut()[::4, ::4]) == dict.fromkeys(NAMES, 1.0)


def test_a_smooth_picture_shows_noise_but_neither_weather_nor_darkness():
    seen = of(np.full((64, 64, 3), 200, np.uint8))
    assert seen == {name: float(name in ("noise", "jpeg", "blur")) for name in NAMES}


def test_a_slope_is_no_structure():
    slope = np.broadcast_to(np.linspace(150, 220, 64)[None, :, None], (64, 64, 3)).astype(np.uint8)
    assert of(slope)["haze"] == 0


def test_isolated_points_are_no_scene_that_snow_falls_in_front_of():
    sky = np.full((64, 64, 3), 10, np.uint8)
    sky[4::8, 4::8] = 255
    assert of(sky)["snow"] == 0


@pytest.mark.parametrize("width", [0.5, 0.8, 1.0])
def test_stars_with_wings_are_no_scene_either_and_show_no_darkness(width):
    down, across = np.mgrid[:64, :64]
    stars = sum(
        np.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * width**2))
        for y, x in np.random.default_rng(0).uniform(0, 64, (25, 2))
    )
    sky = (0.05 + 0.7 * stars)[..., None] * np.array([0.8, 0.9, 1.3])
    seen = of((sky.clip(0, 1) * 255).round().astype(np.uint8))
    assert (seen["snow"], seen["lowlight"]) == (0, 0)


def test_flakes_in_front_of_a_scene_leave_the_scene():
    photo = skimage.data.astronaut()[::4, ::4].copy()
    photo[2::6, 2::6] = 255
    assert of(photo)["snow"] == 1


def test_much_white_is_paper_and_not_fog():
    page = np.full((128, 128, 3), 255, np.uint8)
    page[:, :50] = skimage.data.astronaut()[:128, :50]
    assert of(page)["haze"] == pytest.approx(0.27, abs=0.1)
    page[:, 20:] = 255
    assert of(page)["haze"] == 0


def test_two_levels_are_print_and_a_dark_or_a_bright_picture_is_none(pictures):
    assert set(of(pictures["fine halftone"]).values()) == {0.0}
    dots = np.zeros((64, 64, 3), np.uint8)
    dots[::16, ::16] = 255  # hot pixels, not print
    assert of(dots)["noise"] == 1


@pytest.mark.parametrize("pitch", [3, 4, 6, 9])
@pytest.mark.parametrize("angle", [0, 15, 45])
def test_dots_of_one_ink_at_any_angle_are_print(pitch, angle):
    down, across = np.mgrid[:128, :128]
    along, beside = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    waves = [
        2 * np.pi * way / pitch for way in (across * along + down * beside, down * along - across * beside)
    ]
    page = np.full((128, 128, 3), 128, np.uint8)
    page[..., 1] = np.where(np.cos(waves[0]) + np.cos(waves[1]) > 0.4, 255, 0)
    assert of(page)["noise"] == 0


def test_strong_noise_is_not_print():
    photo = skimage.data.astronaut()[:256, :256] / 255
    noisy = photo + 0.35 * np.random.default_rng(0).standard_normal(photo.shape)
    assert of((noisy.clip(0, 1) * 255).astype(np.uint8))["noise"] == 1


@pytest.mark.parametrize("name", [*SMOOTH, "fine halftone", "fine colour halftone", "coarse colour halftone"])
def test_the_embedded_perceiver_leaves_plain_pictures_alone(name, pictures):
    percepts = load_compact().perceive_image(pictures[name])
    assert (percepts.change, percepts.tone) == (0, 0)
    haze = percepts.names.index("haze")
    assert percepts.local_probabilities[:, haze].max() == 0


@pytest.mark.parametrize("name", SKIES)
def test_the_embedded_perceiver_leaves_starry_skies_alone(name, pictures):
    percepts = load_compact().perceive_image(pictures[name])
    assert (percepts.change, percepts.tone) == (0, 0)
