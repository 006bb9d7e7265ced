"""Measured blur kernels of camera shake, as weighted points of a trajectory.

Layout: `train/blur/kernels/*.npz`, each array one kernel.

Shapes: N kernels, T points of each.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from clearair.errors import DataError

FAINTEST = 0.02
"""Share of a kernel's peak below which a pixel of it counts as noise."""


def load_blur_kernels(data: Path) -> Tensor | None:
    """(N, T, 3) right, down, share of the time, of unit extent about their centre; None when there are none.

    Paths of fewer points are filled up with points of no weight. Raises DataError for an invalid kernel.
    """
    paths = []
    for file in sorted((data / "train" / "blur" / "kernels").glob("*.npz")):
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kernels:
                arrays = [np.asarray(kernels[name], dtype=np.float64) for name in kernels.files]
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or 'damaged'}.") from error
        except (EOFError, NotImplementedError, TypeError, ValueError, BadZipFile, zlib.error) as error:
            raise DataError(f"{file}: damaged, or not an .npz file of blur kernels.") from error
        paths += [_as_path(kernel, file) for kernel in arrays]
    if not paths:
        return None
    return torch.nn.utils.rnn.pad_sequence(paths, batch_first=True)


def _as_path(kernel: np.ndarray, file: Path) -> Tensor:
    if kernel.ndim != 2 or not np.isfinite(kernel).all() or kernel.max(initial=0) <= 0:
        raise DataError(f"{file}: holds an array that is not a blur kernel.")
    rows, columns = np.nonzero(kernel > FAINTEST * kernel.max())
    weights = kernel[rows, columns] / kernel[rows, columns].sum()
    points = np.stack([columns, rows], axis=1) - weights @ np.stack([columns, rows], axis=1)
    extent = 2 * max(1.0, float(np.linalg.norm(points, axis=1).max()))
    return torch.from_numpy(np.concatenate([points / extent, weights[:, None]], axis=1)).float()
