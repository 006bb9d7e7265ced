"""The interface between a restorer and the runtime of its network. Needs no PyTorch.

Shapes: H x W pixels of a picture, h x w of a window of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clearair.perception.protocol import Perceiver
from clearair.percepts import Percepts
from clearair.tiling import Window

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Backend = Literal["auto", "onnx", "torch"]


class Runtime(Protocol):
    """Runs one network on arrays."""

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda" or "mps"."""

    @property
    def precision(self) -> Precision:
        """What it computes in, "auto" resolved."""

    @property
    def is_cautious(self) -> bool:
        """Whether the network changes a picture only as far as its percepts allow."""

    @property
    def corrects_tone(self) -> bool:
        """Whether the network has a tone stage."""

    def judge(self, pixels: NDArray[Any], percepts: Percepts) -> Any:
        """The judgement of a picture (H, W, 3), uint8, uint16 or float in [0, 1], for all its windows."""

    def restore(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: Any,
        window: Window,
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """A window (h, w, 3) in [0, 1] of the judged picture -> (h, w, 3), not clipped."""

    def memory_errors(self) -> AbstractContextManager[None]:
        """Raise MemoryError when the runtime, or a perceiver that uses it, runs out of memory."""

    def save(self, folder: Path | str, perceiver: Perceiver, *, overwrite: bool = False) -> None:
        """Write the network as a model. Raises OutputError, and ModelError where the two do not fit."""


@runtime_checkable
class SeesWhole(Protocol):
    """Optional interface of a runtime."""

    @property
    def sees_whole(self) -> bool:
        """Whether its network uses statistics of its whole input, so that larger tiles suit it better."""


@runtime_checkable
class RestoresSeveral(Protocol):
    """Optional interface of a runtime."""

    @property
    def tiles_at_once(self) -> int:
        """How many windows of one picture are best restored at once."""

    def restore_batch(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: Any,
        windows: Sequence[Window],
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """Windows (B, h, w, 3) of one size in [0, 1] of the judged picture -> the same shape, not clipped."""


@runtime_checkable
class CountsMemory(Protocol):
    """Optional interface of a runtime."""

    @property
    def tile_pixel_bytes(self) -> int:
        """Bytes of the computer's memory that it takes for a pixel of a tile at most."""

    @property
    def runs_side_by_side(self) -> bool:
        """Whether several threads restore more pictures in the same time than one that has all cores."""
