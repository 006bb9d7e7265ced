"""Test images that leak into the training images: turned, mirrored, resized, recompressed or cropped copies.

Two searches propose pairs. Thumbnails, compared under all eight symmetries, find whole copies, also of images
with few features. Matching SIFT features find crops; RANSAC keeps those that agree on one similarity (turn,
scale and shift). A proposal is believed only when the two images, laid over each other, show the same fine
structure.

Coordinates are x and y in pixels; a 3 x 3 matrix maps those of the training image to those of the test image.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.feature import match_descriptors
from skimage.filters import difference_of_gaussians, gaussian
from skimage.measure import ransac
from skimage.transform import SimilarityTransform, warp

from clearair.data.fingerprints import Array, Features, Fingerprint

Matrix = npt.NDArray[np.floating]

ALIKE = 0.93
"""Correlation of thumbnails that proposes a pair."""
RATIO = 0.7
"""Of the distances to the best and the second best descriptor: a match is closer than that (Lowe, 2004)."""
AGREEING = 4
"""Matches that must agree on one similarity to propose a pair."""
NEAR = 2.0
"""Pixels by which a match may miss the place that the similarity gives."""
TRIALS = 40
"""Similarities that RANSAC tries, each from two matches."""
LARGEST_SCALE = 5.0
SAME = 0.6
"""Correlation of the fine structure that makes two images one."""
BAND = (1.0, 4.0)
"""Pixels: deviations of the two Gaussians whose difference is the fine structure."""
OVERLAP = 0.4
"""Share of the smaller image that both must show."""
WHOLE = 0.88
"""Share of what either image shows that both show, from which on neither is a crop of the other."""


@dataclass(frozen=True)
class Leak:
    """Two images that show the same."""

    train: Path
    test: Path
    how: str
    """What the training image is of the test image, such as "mirrored, cropped"; "" for a plain copy."""
    agreement: float
    """Correlation of their fine structure, at most 1."""


def find_leaks(
    train: Sequence[Fingerprint],
    test: Sequence[Fingerprint],
    on_done: Callable[[int, int], None] | None = None,
) -> list[Leak]:
    """Return the training images that are copies or crops of test images, or contain them.

    All pairs are compared. `on_done` receives the number of finished training images and the total.
    """
    leaks = []
    for done, ours in enumerate(train, 1):
        for theirs in test:
            proposals = (*_alike(ours, theirs), *_matching(ours, theirs))
            verified = (_verified(ours, theirs, matrix) for matrix in proposals)
            if leak := next(filter(None, verified), None):
                leaks.append(leak)
        if on_done:
            on_done(done, len(train))
    return sorted(leaks, key=lambda leak: (leak.train, leak.test))


def _alike(ours: Fingerprint, theirs: Fingerprint) -> Iterator[Matrix]:
    """Yield how one image lies on the other when their thumbnails are alike."""
    for turns in range(4):
        for mirrored in (False, True):
            thumbnail = np.rot90(ours.thumbnail, turns)
            if mirrored:
                thumbnail = thumbnail[:, ::-1]
            if float((thumbnail * theirs.thumbnail).sum()) > ALIKE:
                yield _whole(ours.image.shape, theirs.image.shape, turns, mirrored)


def _whole(ours: tuple[int, ...], theirs: tuple[int, ...], turns: int, mirrored: bool) -> Matrix:
    """Return the matrix that turns an image of one size by quarters, mirrors it and lays it on the other."""
    (height, width), (tall, wide) = ours, theirs
    to_unit = np.diag([1 / (width - 1), 1 / (height - 1), 1.0])
    quarter = np.array([[0.0, 1, 0], [-1, 0, 1], [0, 0, 1]])  # counterclockwise, as np.rot90
    flip = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    from_unit = np.diag([wide - 1.0, tall - 1.0, 1.0])
    return np.asarray(from_unit @ flip @ np.linalg.matrix_power(quarter, turns) @ to_unit)


def _matching(ours: Fingerprint, theirs: Fingerprint) -> Iterator[Matrix]:
    """Yield how one image lies on the other when enough of their features match."""
    similarity = _similarity(ours.features, theirs.features)
    if similarity is not None:
        yield similarity
    similarity = _similarity(ours.features, theirs.mirrored)
    if similarity is not None:
        flip = np.array([[-1.0, 0, theirs.image.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        yield flip @ similarity


def _similarity(ours: Features, theirs: Features) -> Matrix | None:
    """Return the similarity on which at least `AGREEING` matches agree; None without one."""
    if min(len(ours.places), len(theirs.places)) < AGREEING:
        return None
    a, b = match_descriptors(ours.descriptors, theirs.descriptors, max_ratio=RATIO).T
    if len(a) < AGREEING:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no similarity fits, which the result says as well
        found, agreeing = ransac(
            (ours.places[a], theirs.places[b]),
            SimilarityTransform,
            min_samples=2,
            residual_threshold=NEAR,
            max_trials=TRIALS,
            rng=0,
        )
    if agreeing is None or agreeing.sum() < AGREEING or not 1 / LARGEST_SCALE < found.scale < LARGEST_SCALE:
        return None
    return np.asarray(found.params)


def _verified(ours: Fingerprint, theirs: Fingerprint, matrix: Matrix) -> Leak | None:
    """Return the leak if the two images, laid over each other, show the same."""
    # The finer image is laid over the coarser one: no detail has to be made up.
    if _scale(matrix) > 1:
        over, under, laid = theirs.image, ours.image, np.linalg.inv(matrix)
    else:
        over, under, laid = ours.image, theirs.image, matrix
    back = np.linalg.inv(laid)
    both = warp(np.ones_like(over), back, output_shape=under.shape) > 0.99
    area = over.size * _scale(laid) ** 2
    if both.sum() < OVERLAP * min(area, under.size):
        return None
    blurred = gaussian(over, max(0.0, (1 / _scale(laid) - 1) / 2))
    agreement = _correlation(warp(blurred, back, output_shape=under.shape), under, both)
    if agreement < SAME:
        return None
    whole = both.sum() > WHOLE * (area + under.size - both.sum())
    return Leak(ours.path, theirs.path, _how(matrix, bool(whole)), round(agreement, 3))


def _correlation(first: Array, second: Array, both: npt.NDArray[np.bool_]) -> float:
    """Return the correlation of the fine structure of two (H, W) images where both show something."""
    bands = []
    for image in (np.where(both, first, second), second):
        band = difference_of_gaussians(image, *BAND)[both]
        limit = 3 * band.std() + 1e-3  # so that no single edge decides
        bands.append(band.clip(-limit, limit))
    a, b = bands
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-6))


def _scale(matrix: Matrix) -> float:
    return float(abs(np.linalg.det(matrix[:2, :2])) ** 0.5)


def _how(matrix: Matrix, whole: bool) -> str:
    """Return in words what the matrix does: it turns first and mirrors then."""
    mirrored = np.linalg.det(matrix[:2, :2]) < 0
    x, y = matrix[:2, 0] * (-1 if mirrored else 1, 1)
    turn = round(np.degrees(np.arctan2(-y, x)))  # counterclockwise; y points down
    words = ["mirrored"] if mirrored else []
    words += [f"turned by {turn % 360} degrees"] if abs(turn) > 1 else []
    words += [] if whole else ["cropped"]
    return ", ".join(words)
