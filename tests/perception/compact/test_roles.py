"""The three roles on lists of images of differing sizes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from clearair.errors import ImageError
from clearair.perception.compact.roles import CompactDegradation, CompactQuality, CompactRegions


@pytest.fixture
def images(astronaut):
    return [astronaut, Image.fromarray(astronaut[:50, :70]).convert("L"), astronaut[:1, :1]]


def test_quality_has_a_row_an_image(tiny_perceiver, images):
    quality = CompactQuality(tiny_perceiver).assess(images)
    assert quality.score.shape == (3,)
    assert quality.levels.shape == (3, 5)
    assert quality.embedding.shape == (3, tiny_perceiver.config.quality_dim)
    np.testing.assert_allclose(quality.levels @ [5, 4, 3, 2, 1], quality.score, atol=1e-5)


def test_regions_are_maps_of_the_size_of_each_image(tiny_perceiver, images):
    maps = CompactRegions(tiny_perceiver).segment(images)
    assert [labels.shape for labels in maps] == [(256, 256), (50, 70), (1, 1)]
    assert all(labels.dtype == np.uint8 for labels in maps)


def test_degradation_has_a_row_an_image_and_no_local_part_unless_asked(tiny_perceiver, images):
    found = CompactDegradation(tiny_perceiver).identify(images)
    assert found.degradation.shape == (3, tiny_perceiver.config.degradation_dim)
    np.testing.assert_allclose(np.linalg.norm(found.content, axis=1), 1, atol=1e-5)
    assert found.probabilities.shape == (3, len(found.names))
    assert found.local is None


def test_given_label_maps_each_region_has_an_embedding(tiny_perceiver, astronaut):
    labels = np.zeros((256, 256), np.uint8)
    labels[:, 128:] = 3
    found = CompactDegradation(tiny_perceiver).identify([astronaut], labels=[labels])
    assert found.local[0].shape == (4, tiny_perceiver.config.degradation_dim)
    np.testing.assert_allclose(found.local[0][1], found.degradation[0], atol=1e-5)


def test_a_label_map_of_another_size_is_refused(tiny_perceiver, astronaut):
    with pytest.raises(ImageError, match="does not fit"):
        CompactDegradation(tiny_perceiver).identify([astronaut], labels=[np.zeros((5, 5), np.uint8)])


def test_label_maps_must_be_as_many_as_images(tiny_perceiver, astronaut):
    with pytest.raises(ImageError, match="as many"):
        CompactDegradation(tiny_perceiver).identify([astronaut], labels=[])


def test_no_images_give_empty_answers(tiny_perceiver):
    assert CompactQuality(tiny_perceiver).assess([]).levels.shape == (0, 5)
    assert CompactRegions(tiny_perceiver).segment([]) == []
    assert len(CompactDegradation(tiny_perceiver).identify([]).degradation) == 0
