"""One look at an image of any size: valid percepts, the same every time, and the same as in a batch."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.perception.conftest import same_percepts

from clearair.errors import ImageError
from clearair.network.guidance import to_tensors
from clearair.perception.compact.arrays import as_planes
from clearair.perception.compact.judging import pooled_by_region

SIZES = [(1, 1), (1, 50), (50, 1), (3, 5), (64, 64), (97, 31), (24, 960)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_valid(percepts, height: int, width: int) -> None:
    assert 1 <= percepts.score <= 5
    assert percepts.levels.sum() == pytest.approx(1, abs=1e-5)
    assert percepts.labels.shape == (height, width)
    assert percepts.labels.dtype == np.uint8
    assert percepts.labels.max() < percepts.guidance.regions
    guidance = percepts.guidance
    for vectors in (guidance.quality, guidance.content, guidance.degradation, guidance.local_degradation):
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
    for probabilities in (percepts.probabilities, percepts.local_probabilities):
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert len(percepts.names) == len(percepts.probabilities)
    np.testing.assert_allclose(np.linalg.norm(guidance.local_degradation, axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_percepts_are_valid_for_images_of_any_size(tiny_perceiver, size):
    assert_valid(tiny_perceiver.perceive_image(picture(*size)), *size)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_uniform_image_is_one_region(tiny_perceiver, value):
    percepts = tiny_perceiver.perceive_image(np.full((70, 90, 3), value, np.uint8))
    assert_valid(percepts, 70, 90)
    assert np.unique(percepts.labels).tolist() == [1]


def test_the_same_image_gives_the_same_percepts(tiny_perceiver, astronaut):
    first, second = (tiny_perceiver.perceive_image(astronaut) for _ in range(2))
    assert same_percepts(first, second)


def test_depth_and_kind_of_numbers_do_not_matter(tiny_perceiver, astronaut):
    reference = tiny_perceiver.perceive_image(astronaut)
    for same in (astronaut.astype(np.uint16) * 257, astronaut / 255.0):
        np.testing.assert_allclose(
            tiny_perceiver.perceive_image(same).guidance.quality, reference.guidance.quality, atol=1e-5
        )


def test_one_image_is_perceived_as_in_a_batch(tiny_perceiver, astronaut):
    images = [astronaut, astronaut[::-1].copy(), 255 - astronaut]
    batch = tiny_perceiver.perceive(torch.cat([torch.from_numpy(as_planes(image)) for image in images]))
    for index, image in enumerate(images):
        alone = to_tensors(tiny_perceiver.perceive_image(image).guidance)
        torch.testing.assert_close(batch.quality[index], alone.quality[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(batch.degradation[index], alone.degradation[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(batch.content[index], alone.content[0], atol=1e-4, rtol=1e-4)
        assert (batch.labels[index] == alone.labels[0]).float().mean() > 0.98


def test_labels_are_numbered_by_area(tiny_perceiver, astronaut):
    areas = np.bincount(tiny_perceiver.perceive_image(astronaut).labels.ravel())[1:]
    assert (np.diff(areas) <= 0.01 * areas.sum()).all()  # counted before the map is refined to full size


def test_nan_and_infinity_do_not_reach_the_percepts(tiny_perceiver):
    image = np.full((40, 40, 3), 0.5)
    image[3, 4], image[5, 6] = np.nan, np.inf
    assert_valid(tiny_perceiver.perceive_image(image), 40, 40)


def test_perception_leaves_the_weights_without_gradients(tiny_perceiver):
    guidance = tiny_perceiver.perceive(torch.rand(2, 3, 32, 32))
    assert not guidance.quality.requires_grad
    assert not guidance.local_degradation.requires_grad


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_an_array_that_is_no_rgb_image_is_refused(tiny_perceiver, shape):
    with pytest.raises(ImageError, match="RGB"):
        tiny_perceiver.perceive_image(np.zeros(shape, np.uint8))


def test_integers_of_unknown_range_are_refused(tiny_perceiver):
    with pytest.raises(ImageError, match="int64"):
        tiny_perceiver.perceive_image(np.zeros((4, 4, 3), np.int64))


def test_a_region_without_pixels_gets_the_embedding_of_the_whole(tiny_eyes):
    sight = tiny_eyes(torch.rand(1, 3, 64, 64))
    local = pooled_by_region(sight, torch.full((1, 64, 64), 2, dtype=torch.uint8), 4)
    torch.testing.assert_close(local[0, 0], sight.degradation[0])
    torch.testing.assert_close(local[0, 3], sight.degradation[0])
    mean = torch.nn.functional.normalize(sight.dense_degradation.mean(dim=(2, 3)), dim=1)
    torch.testing.assert_close(local[:, 2], mean)


def test_each_half_has_the_mean_embedding_of_that_half(tiny_eyes):
    sight = tiny_eyes(torch.rand(1, 3, 64, 64))
    labels = torch.ones(1, 64, 64, dtype=torch.uint8)
    labels[:, :, 32:] = 2
    local = pooled_by_region(sight, labels, 3)
    half = torch.nn.functional.normalize(sight.dense_degradation[..., 2:].mean(dim=(2, 3)), dim=1)
    torch.testing.assert_close(local[:, 2], half)


def test_percepts_as_json_name_every_region_with_pixels(tiny_perceiver, astronaut):
    percepts = tiny_perceiver.perceive_image(astronaut)
    found = json.loads(json.dumps(percepts.to_dict()))
    assert [region["label"] for region in found["regions"]] == np.unique(percepts.labels).tolist()
    assert sum(region["area"] for region in found["regions"]) == pytest.approx(1, abs=0.01)
    assert list(found["degradations"]) == list(percepts.names)
