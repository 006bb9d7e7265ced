"""NIQE: how far an image's local statistics are from those of pristine photographs; lower is better.

Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", 2013. There are no
references and no opinions in it, only a model of pristine photographs, and values of two models cannot be
compared. Hence the name `niqe` belongs to the authors' model, and `niqe-own` to every other.

Shapes: H x W pixels, N blocks, 36 features a block (18 at each of two scales).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clearair.errors import DataError
from clearair.evaluation.metrics import Values, luma

Floats = NDArray[np.float64]

BLOCK = 96
"""Side in pixels of a block at full size."""
FEATURES = 36

OFFICIAL = "240bf849625e97c1"
"""Fingerprint of the authors' parameters."""


@dataclass(frozen=True, eq=False)
class Pristine:
    """What pristine photographs look like: a Gaussian over the features of their blocks."""

    mean: Floats
    """(36,)."""
    covariance: Floats
    """(36, 36)."""

    def __post_init__(self) -> None:
        if self.mean.shape != (FEATURES,) or self.covariance.shape != (FEATURES, FEATURES):
            raise DataError(
                f"A model for NIQE needs a mean (36,) and a covariance (36, 36); "
                f"got {self.mean.shape} and {self.covariance.shape}."
            )

    @property
    def fingerprint(self) -> str:
        """Of the numbers, to 9 digits."""
        text = ",".join(f"{value:.8e}" for value in (*self.mean, *self.covariance.ravel()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> Literal["niqe", "niqe-own"]:
        """What values of this model are called: `niqe` is the authors' model and no other."""
        return "niqe" if self.fingerprint == OFFICIAL else "niqe-own"


def load_pristine(path: Path | str) -> Pristine:
    """Read `mu_pris_param` and `cov_pris_param` of an .npz file. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Pristine(
                stored["mu_pris_param"].ravel().astype(np.float64),
                stored["cov_pris_param"].astype(np.float64),
            )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(
            f"{path}: not an .npz file with NIQE's mu_pris_param and cov_pris_param; copy it again."
        ) from error


def own_pristine() -> Pristine:
    """The model that was fitted here and ships with the package; its values are called `niqe-own`."""
    with (files("clearair.evaluation") / "niqe_own.npz").open("rb") as file, np.load(file) as stored:
        return Pristine(stored["mu_pris_param"].ravel(), stored["cov_pris_param"])


def niqe(image: Values, pristine: Pristine) -> float:
    """The distance of an image from pristine photographs; lower is better.

    (H, W, 3) in 0..255. Of the Y channel, rounded, in whole blocks of 96 px; what exceeds them at the right
    and the bottom is left out. Raises DataError below 96 px.
    """
    features, _ = block_features(image)
    complete = features[np.isfinite(features).all(1)]
    if len(complete) < 2:
        raise DataError("NIQE needs at least two blocks of 96 x 96 px that are not flat.")
    mean = np.nanmean(features, axis=0)  # also of what is known of incomplete ones, as the authors do
    covariance = (pristine.covariance + np.cov(complete, rowvar=False)) / 2
    difference = pristine.mean - mean
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def block_features(image: Values) -> tuple[Floats, Floats]:
    """(H, W, 3) in 0..255 -> features (N, 36), and the sharpness (N,): the mean local deviation."""
    height, width = image.shape[0] // BLOCK * BLOCK, image.shape[1] // BLOCK * BLOCK
    if not height or not width:
        raise DataError(f"NIQE needs images of at least 96 x 96 px, got {image.shape[1]} x {image.shape[0]}.")
    y = np.rint(luma(image[:height, :width]))
    scales = []
    for side in (BLOCK, BLOCK // 2):
        mean = _blurred(y)
        deviation = np.sqrt(np.abs(_blurred(y * y) - mean**2))
        blocks = _blocks((y - mean) / (deviation + 1), side)
        scales.append(np.stack([_features(block) for block in blocks]))
        if side == BLOCK:
            sharpness = _blocks(deviation, side).mean((1, 2))
            y = halved(y)
    return np.concatenate(scales, 1), sharpness


def halved(image: Floats) -> Floats:
    """Half of each side as MATLAB's imresize does it: cubic, antialiased, (H, W) -> (H / 2, W / 2)."""
    return _halved_rows(_halved_rows(image).T).T


def _halved_rows(image: Floats) -> Floats:
    # Row i of the result lies at 2 i + 0.5, so 8 rows count: those at distances 0.5 to 3.5.
    taps = _cubic(np.arange(-3.5, 4) / 2)
    taps /= taps.sum()
    padded = np.pad(image, ((3, 3), (0, 0)), mode="symmetric")
    rows = len(image) // 2
    total: Floats = np.sum([tap * padded[k : k + 2 * rows : 2] for k, tap in enumerate(taps)], axis=0)
    return total


def _cubic(x: Floats) -> Floats:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _blurred(image: Floats) -> Floats:
    """Gaussian of 7 x 7 and sigma 7/6, borders repeated, (H, W) -> (H, W)."""
    kernel = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    kernel /= kernel.sum()
    height, width = image.shape
    padded = np.pad(image, 3, mode="edge")
    rows = sum(weight * padded[k : k + height] for k, weight in enumerate(kernel))
    total: Floats = sum(weight * rows[:, k : k + width] for k, weight in enumerate(kernel))
    return total


def _blocks(image: Floats, side: int) -> Floats:
    """(H, W) -> (N, side, side)."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    return image.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _features(block: Floats) -> Floats:
    """(side, side) -> (18,): the block's own distribution, and that of its products with four neighbours."""
    alpha, left, right = _asymmetric_gaussian(block)
    values = [alpha, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        alpha, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        values += [alpha, (right - left) * _moment(alpha), left, right]
    return np.array(values)


_SHAPES = np.arange(0.2, 10.001, 0.001)


def _gamma(values: Any) -> Any:
    return np.vectorize(math.gamma)(values)


_RATIOS = _gamma(2 / _SHAPES) ** 2 / (_gamma(1 / _SHAPES) * _gamma(3 / _SHAPES))
"""Rises with the shape."""


def _moment(alpha: float) -> float:
    return math.gamma(2 / alpha) / math.gamma(1 / alpha) if math.isfinite(alpha) else math.nan


def _asymmetric_gaussian(values: Floats) -> tuple[float, float, float]:
    """Shape, left and right scale of a generalised Gaussian, by its moments; NaN for a flat block."""
    negative, positive = values[values < 0], values[values > 0]
    if not negative.size or not positive.size:
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(negative**2)), math.sqrt(np.mean(positive**2))
    skew = left / right
    ratio = float(np.mean(np.abs(values)) ** 2 / np.mean(values**2))
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    after = min(int(np.searchsorted(_RATIOS, ratio)), len(_SHAPES) - 1)
    before = max(after - 1, 0)
    nearer = before if ratio - _RATIOS[before] <= _RATIOS[after] - ratio else after
    alpha = float(_SHAPES[nearer])
    scale = math.sqrt(math.gamma(1 / alpha) / math.gamma(3 / alpha))
    return alpha, left * scale, right * scale
