"""Embeddings, words and regions, against a naive reference in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from clearair.errors import ImageError
from clearair.perception.daclip.tokens import WORDS
from tests.perception.daclip import reference

TOLERANCE = 2e-6


@pytest.mark.parametrize("size", [(224, 224), (256, 300), (333, 225), (100, 90), (61, 403)])
def test_embeddings_are_those_of_the_reference(perceiver, state, astronaut, size):
    picture = np.asarray(Image.fromarray(astronaut).resize(size[::-1]))
    found = perceiver.identify([picture])
    content, degradation = reference.embeddings(state, reference.seen(picture))
    np.testing.assert_allclose(found.content[0], content, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(found.degradation[0], degradation, atol=TOLERANCE, rtol=0)
    assert found.content.dtype == np.float32


def test_probabilities_are_those_of_the_words(perceiver, state, noise):
    found = perceiver.identify([noise])
    _, degradation = reference.embeddings(state, reference.seen(noise))
    expected = (100 * reference.words(state) @ degradation).softmax(dim=0)
    np.testing.assert_allclose(found.probabilities[0], expected, atol=2e-4)
    assert found.names == tuple(WORDS)
    assert found.names[0] == "motion-blurry"
    assert found.probabilities.shape == (1, 10)


def test_between_two_words_their_cosines_count_a_hundredfold(perceiver):
    words = perceiver.words.double().numpy()
    between = words[0] + 0.995 * words[1]
    between /= np.linalg.norm(between)
    powers = np.exp(100 * words @ between)
    expected = powers / powers.sum()
    assert 0.5 < expected.max() < 0.9  # neither word is certain
    found = perceiver.probabilities(between.astype(np.float32)[None])
    np.testing.assert_allclose(found[0], expected, atol=2e-4)


def test_the_words_are_those_of_the_reference(perceiver, state):
    assert (perceiver.words - reference.words(state)).abs().max() < TOLERANCE


def test_a_file_without_text_tower_has_no_probabilities(blind, noise):
    found = blind.identify([noise])
    assert found.probabilities is None
    assert found.content.shape == (1, reference.EMBEDDING)


def test_images_of_differing_sizes_are_seen_each_for_itself(blind, noise):
    pictures = [noise, noise[:100], Image.fromarray(noise[:, :50])]
    together = blind.identify(pictures)
    assert together.degradation.shape == (3, reference.EMBEDDING)
    for index, picture in enumerate(pictures):
        alone = blind.identify([picture])
        np.testing.assert_allclose(together.degradation[index], alone.degradation[0], atol=TOLERANCE)
    np.testing.assert_allclose(np.linalg.norm(together.content, axis=1), 1, atol=1e-6)


def test_no_images_give_no_rows(perceiver):
    found = perceiver.identify([], labels=[])
    assert found.content.shape == (0, reference.EMBEDDING)
    assert found.probabilities.shape == (0, 10)
    assert found.local == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20, 800), (800, 20), (3, 2000)])
def test_black_pictures_of_any_shape_are_seen(perceiver, size):
    found = perceiver.identify([np.zeros((*size, 3), np.uint8)], labels=[np.zeros(size, np.uint8)])
    assert np.isfinite(found.degradation).all()
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found.local[0], found.degradation, atol=1e-4)


def test_a_panorama_is_seen_as_by_the_reference(perceiver, state):
    values = np.random.default_rng(1).integers(0, 256, (20, 800, 3), dtype=np.uint8)
    content, _ = reference.embeddings(state, reference.seen(values))
    np.testing.assert_allclose(perceiver.identify([values]).content[0], content, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
def test_other_depths_are_rounded_to_eight_bits(blind, noise, kind):
    off = np.where(noise > 0, 0.4, 0)  # of a level, which rounding undoes and truncating does not
    wide = ((noise - off) / 255).astype(kind) if kind != np.uint16 else (257 * (noise - off)).astype(kind)
    expected = blind.identify([noise]).content
    np.testing.assert_array_equal(blind.identify([wide]).content, expected)


def test_an_array_that_is_no_picture_is_refused(blind):
    with pytest.raises(ImageError, match=r"\(8, 8\)"):
        blind.identify([np.zeros((8, 8), np.uint8)])


def test_a_region_of_the_whole_square_is_the_picture(blind, noise):
    square = noise[:250, :250]
    found = blind.identify([square], labels=[np.full((250, 250), 2, np.uint8)])
    assert found.local[0].shape == (3, reference.EMBEDDING)
    np.testing.assert_allclose(found.local[0], np.repeat(found.degradation, 3, axis=0), atol=TOLERANCE)


def test_a_region_is_seen_through_a_window_of_its_own(blind):
    """Left half flat, right half striped: each row is what the half alone gives."""
    picture = np.full((300, 600, 3), 90, np.uint8)
    picture[:, 300::2] = 200
    labels = np.zeros((300, 600), np.uint8)
    labels[:, 300:] = 3
    found = blind.identify([picture], labels=[labels]).local[0]
    halves = blind.identify([picture[:, :300], picture[:, 300:]]).degradation
    np.testing.assert_allclose(found[0], halves[0], atol=TOLERANCE)
    np.testing.assert_allclose(found[3], halves[1], atol=TOLERANCE)
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[0] - found[3]).max() > 0.01


def test_label_maps_that_do_not_fit_are_refused(blind, noise):
    with pytest.raises(ImageError, match="label map"):
        blind.identify([noise], labels=[np.zeros((3, 3), np.uint8)])
    with pytest.raises(ImageError, match="1 images need as many"):
        blind.identify([noise], labels=[])


def test_moving_it_keeps_what_it_says(perceiver, noise):
    before = perceiver.identify([noise])
    after = perceiver.to(torch.device("cpu")).identify([noise])
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
