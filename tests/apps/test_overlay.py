from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skimage.data

from clearair.apps.overlay import draw_percepts, draw_regions, lines_of
from clearair.percepts import LEVELS, Guidance, Percepts


def guidance(labels: np.ndarray) -> Guidance:
    unit = np.array([[1, 0]], np.float32)
    tone, sure = np.zeros(1, np.float32), np.ones(1, np.float32)
    return Guidance(unit, labels[None], unit, unit, np.stack([unit] * 3, axis=1), tone, sure, sure)


@pytest.fixture
def percepts() -> Percepts:
    labels = np.zeros((60, 80), np.uint8)
    labels[:, :20] = 1
    return Percepts(
        score=2.25,
        levels=np.array([0.0, 0.1, 0.2, 0.3, 0.4], np.float32),
        guidance=guidance(labels),
        names=("noise", "haze"),
        probabilities=np.array([0.9, 0.1], np.float32),
        local_probabilities=np.array([[0.1, 0.1], [0.9, 0.4], [0.9, 0.9]], np.float32),
    )


def test_it_says_the_score_its_levels_and_what_is_wrong_in_each_region(percepts):
    lines = lines_of(percepts)
    assert lines[0].words == "quality 2.2 of 5"
    assert [line.words.split()[0] for line in lines[1:6]] == list(LEVELS)
    assert [line.bar for line in lines[1:6]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [line.words for line in lines[6:]] == [
        "whole picture: noise 90%",
        "elsewhere (75%): nothing",
        "region 1 (25%): noise 90%, haze 40%",
    ]


def test_a_region_has_the_colour_of_its_line(percepts):
    pixels = np.zeros((60, 80, 3), np.uint8)
    tinted = draw_regions(pixels, percepts.labels).pixels
    (line,) = [line for line in lines_of(percepts) if line.colour]
    np.testing.assert_allclose(tinted[0, 0], np.array(line.colour) / 2, atol=1)
    assert not tinted[:, 20:].any()


@pytest.mark.parametrize("size", [(60, 80), (1, 1), (2000, 50)])
def test_the_picture_lies_above_the_panel(percepts, size):
    pixels = np.resize(skimage.data.astronaut(), (*size, 3))
    drawn = draw_percepts(pixels, replace(percepts, guidance=guidance(np.zeros(size, np.uint8)))).pixels
    np.testing.assert_array_equal(drawn[: size[0], : size[1]], pixels)
    panel = drawn[size[0] :]
    assert (panel > 200).any()  # words
    bars = [(panel == 110).all(axis=2)[row].sum() for row in range(len(panel))]
    assert max(bars) > 0.3 * panel.shape[1]


def test_without_words_it_says_so(percepts):
    nothing = np.zeros((3, 0), np.float32)
    wordless = replace(percepts, names=(), probabilities=nothing[0], local_probabilities=nothing)
    assert "names no damage" in lines_of(wordless)[-1].words
