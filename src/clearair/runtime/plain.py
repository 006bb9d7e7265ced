"""Runs a network without guidance, such as one of another project.

Shapes: H x W pixels of a picture, h x w of a window of it.
"""

from __future__ import annotations

import math
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import ModelError, UsageError
from clearair.finishing.coarse import coarse_part
from clearair.image import to_depth
from clearair.memory import is_shortage
from clearair.models.public import PublicModel
from clearair.perception.protocol import Perceiver
from clearair.percepts import Percepts
from clearair.runtime.precision import choose_precision, computing_in
from clearair.runtime.protocol import Device, Precision
from clearair.runtime.pytorch import choose_device, pytorch_memory_errors
from clearair.tiling import Window

GRID = 32
"""Windows are widened to multiples of this, so that a network that halves the resolution five times sees
every tile in the same alignment; otherwise its results differ, and tiles do not match."""
CONTEXT = 16
"""Least number of context pixels around a window."""
_TRIAL = 64


class PlainRuntime:
    """A network on its device, which restores every picture in full, regardless of its percepts.

    `auto` is fp32, in which such networks were measured. Raises UsageError when the device is not there or
    the network is not made for the precision, ModelError when it does not run.
    """

    def __init__(self, model: PublicModel, *, device: Device = "auto", precision: Precision = "auto") -> None:
        self.model = model
        self.device = choose_device(device)
        self.precision: Precision = "fp32"
        if precision != "auto":
            self.precision = choose_precision(precision, self.device)
        if self.precision not in model.precisions:
            raise UsageError(
                f"{model.name}: {model.architecture} is not made for {self.precision}; "
                f"use {' or '.join(model.precisions)}."
            )
        self.network = model.network.eval().requires_grad_(False).to(self.device).float()
        self._grid = math.lcm(GRID, model.multiple)
        with self.memory_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries older than this PyTorch; they say it once
            self._run(torch.full((1, 3, _TRIAL, _TRIAL), 0.5, device=self.device))

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda" or "mps"."""
        return self.device.type

    @property
    def is_cautious(self) -> bool:
        """No: it changes a picture regardless of its percepts."""
        return False

    @property
    def corrects_tone(self) -> bool:
        """No: it has no separate stage for exposure and colour."""
        return False

    @property
    def sees_whole(self) -> bool:
        """Whether its network uses statistics of its whole input."""
        return self.model.sees_whole

    def save(self, folder: Path | str, perceiver: Perceiver, *, overwrite: bool = False) -> None:
        """Raise ModelError: a model of clearair is another network."""
        raise ModelError(
            f"{self.model.name}: {self.model.architecture} cannot be saved as a model of clearair; "
            "copy the file itself."
        )

    def memory_errors(self) -> AbstractContextManager[None]:
        """Turn PyTorch's own out-of-memory errors into MemoryError."""
        return pytorch_memory_errors()

    def judge(self, pixels: NDArray[Any], percepts: Percepts) -> NDArray[Any]:
        """The picture (H, W, 3) itself, since each window also needs the pixels around it."""
        return pixels

    @torch.inference_mode()
    def restore(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: NDArray[Any],
        window: Window,
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """A window (h, w, 3) in [0, 1] of the picture (H, W, 3) in `judgement` -> (h, w, 3).

        With `keep_tone` the mean colour of every place stays as it is.
        """
        seen = widened(window, judgement.shape[:2], self._grid)
        damaged = to_depth(judgement[seen.slices], np.dtype(np.float32))
        image = torch.from_numpy(damaged)[None].permute(0, 3, 1, 2).contiguous().to(self.device)
        restored = self._run(image)
        if keep_tone:
            change = restored - image
            restored = image + change - coarse_part(change)
        values: NDArray[np.float32] = restored[0].permute(1, 2, 0).cpu().numpy()
        top, left = window.top - seen.top, window.left - seen.left
        return values[top : top + window.height, left : left + window.width]

    def _run(self, image: Tensor) -> Tensor:
        """(1, 3, h, w) -> (1, 3, h, w), float32; a grey network takes one channel after the other."""
        if self.model.channels == 3:
            return self._answer(image)
        first = self._answer(image[:, :1])
        if torch.equal(image, image[:, :1].expand_as(image)):
            return first.expand_as(image)
        return torch.cat([first, self._answer(image[:, 1:2]), self._answer(image[:, 2:])], dim=1)

    def _answer(self, image: Tensor) -> Tensor:
        """The output of the network for (1, C, h, w), float32. Raises ModelError when it fails."""
        height, width = image.shape[2:]
        try:
            with computing_in(self.precision, self.device):
                restored: Tensor = self.network(image)
        except Exception as error:  # raised by third-party code
            if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or is_shortage(error):
                raise
            raise ModelError(
                f"{self.model.name}: {self.model.architecture} does not run on {width} x {height} px in "
                f"{self.precision}: {' '.join(str(error).split())[:160]}"
            ) from error
        if restored.shape != image.shape:
            raise ModelError(
                f"{self.model.name}: {self.model.architecture} makes {tuple(restored.shape)} of "
                f"{tuple(image.shape)}; only networks that keep the size can be used."
            )
        return restored.float()


def widened(window: Window, size: tuple[int, int], grid: int) -> Window:
    """The window with at least `CONTEXT` pixels around it and sides on a grid, within a picture (H, W)."""
    top, bottom = _widened(window.top, window.height, size[0], grid)
    left, right = _widened(window.left, window.width, size[1], grid)
    return Window(top, left, bottom - top, right - left)


def _widened(start: int, length: int, end: int, grid: int) -> tuple[int, int]:
    if length == end:
        return 0, end
    first = max(0, start - CONTEXT) // grid * grid
    last = -(-(start + length + CONTEXT) // grid) * grid
    return first, min(last, end)
