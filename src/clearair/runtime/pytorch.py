"""Run the network with PyTorch: NumPy tiles in, NumPy tiles out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import UsageError
from clearair.finishing import FinishedJudgement, FinishedNetwork
from clearair.finishing.tone import Origin
from clearair.image import to_depth
from clearair.memory import is_shortage
from clearair.models import save_model
from clearair.network.compiling import compile_parts, require_compiler
from clearair.network.guidance import to_tensors
from clearair.network.overview import survey_rows
from clearair.perception.protocol import Perceiver
from clearair.percepts import Percepts
from clearair.runtime.precision import choose_precision, computing_in
from clearair.runtime.protocol import Device, Precision
from clearair.tiling import Window

if hasattr(os, "register_at_fork"):
    # A forked child has no copy of the parent's threads and would wait for them forever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class PyTorchRuntime:
    """A network on its device. Raises UsageError when the device is not there, or cannot be compiled for.

    With `compile` the network is compiled when it first restores, which takes a minute or more, and PyTorch
    keeps the result for other processes. That pays on a GPU and for many pictures.
    """

    def __init__(
        self,
        network: FinishedNetwork,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        compile: bool = False,
    ) -> None:
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self._short = False  # of memory for several tiles at once
        # float32 even if torch.set_default_dtype made it with another type.
        self.network = network.eval().requires_grad_(False).to(self.device, torch.float32)
        # Convolutions run up to twice as fast with the channels innermost.
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._compiled = compile
        if compile:
            require_compiler(self.device.type)
            compile_parts(self.network, any_size=True)

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda" or "mps"."""
        return self.device.type

    @property
    def is_cautious(self) -> bool:
        """Whether the network changes a picture only as far as its percepts allow."""
        return self.network.config.cautious

    @property
    def corrects_tone(self) -> bool:
        """Whether the network has a tone stage."""
        return self.network.config.tone

    @property
    def tile_pixel_bytes(self) -> int:
        """Bytes of the computer's memory, not of a GPU's, that it takes for a pixel of a tile."""
        return 1450 if self.device.type == "cpu" else 64

    @property
    def runs_side_by_side(self) -> bool:
        """No: each thread would start as many threads as there are cores."""
        return False

    @property
    def tiles_at_once(self) -> int:
        """Four on CUDA, where launching the kernels of one tile can take longer than their work; else one.

        One also where the network is compiled, which fuses the kernels: several would be compiled for apart.
        """
        return 1 if self._short or self._compiled or self.device.type != "cuda" else 4

    def save(self, folder: Path | str, perceiver: Perceiver, *, overwrite: bool = False) -> None:
        """Write the network as a model. Raises OutputError, and ModelError where the two do not fit."""
        save_model(self.network, folder, perceivers=perceiver, overwrite=overwrite)

    def memory_errors(self) -> AbstractContextManager[None]:
        """Turn PyTorch's own out-of-memory errors into MemoryError."""
        return pytorch_memory_errors()

    @torch.inference_mode()
    def judge(self, pixels: NDArray[Any], percepts: Percepts) -> FinishedJudgement:
        """The judgement of a picture (H, W, 3), uint8, uint16 or float in [0, 1], for all its windows.

        The picture is read in strips, so that memory grows with its width alone.
        """
        guidance = to_tensors(percepts.guidance).to(self.device)

        def rows(top: int, bottom: int) -> tuple[Tensor, Tensor]:
            strip = to_depth(pixels[top:bottom], np.dtype(np.float32))
            image = torch.from_numpy(strip)[None].permute(0, 3, 1, 2).to(self.device)
            return image, guidance.labels[:, top:bottom]

        overview = survey_rows(rows, pixels.shape[:2], self.network.config)
        with self._autocast():
            return self.network.judge(guidance, overview)

    def restore(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: FinishedJudgement,
        window: Window,
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """A window (h, w, 3) in [0, 1] of the judged picture -> (h, w, 3), not clipped.

        The input and what the network adds to it are summed in float32, whatever the precision."""
        restored: NDArray[np.float32] = self._restore(
            pixels[None], percepts, judgement, [window], keep_tone=keep_tone
        )[0]
        return restored

    def restore_batch(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: FinishedJudgement,
        windows: Sequence[Window],
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """Several windows (B, h, w, 3) of one size and one judged picture, at once: what `restore` gives.

        One after the other, from now on, where a GPU has too little memory for them.
        """
        if not self._short:
            try:
                return self._restore(pixels, percepts, judgement, windows, keep_tone=keep_tone)
            except RuntimeError as error:
                if not is_shortage(error):
                    raise
                self._short = True
        single = [
            self.restore(tile, percepts, judgement, window, keep_tone=keep_tone)
            for tile, window in zip(pixels, windows, strict=True)
        ]
        return np.stack(single)

    @torch.inference_mode()
    def _restore(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: FinishedJudgement,
        windows: Sequence[Window],
        *,
        keep_tone: bool,
    ) -> NDArray[np.float32]:
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
        labels = torch.from_numpy(np.stack([percepts.labels[window.slices] for window in windows]))
        with self._autocast():
            restored = self.network.restore(
                image.contiguous(memory_format=torch.channels_last),
                labels.to(self.device),
                judgement if len(windows) == 1 else judgement.repeated(len(windows)),
                self._origin(windows),
                keep_tone=keep_tone,
            )
        values: NDArray[np.float32] = restored.float().permute(0, 2, 3, 1).cpu().numpy()
        return values

    def _origin(self, windows: Sequence[Window]) -> Origin:
        if len(windows) == 1:
            return windows[0].top, windows[0].left
        corners = torch.tensor([(window.top, window.left) for window in windows], device=self.device)
        return corners[:, :1], corners[:, 1:]

    def _autocast(self) -> AbstractContextManager[object]:
        return computing_in(self.precision, self.device)


@contextmanager
def pytorch_memory_errors() -> Iterator[None]:
    """Turn PyTorch's own out-of-memory errors into MemoryError."""
    try:
        with warnings.catch_warnings():
            # When oneDNN runs out of memory, PyTorch multiplies without it, and prints a two-line warning.
            warnings.filterwarnings("ignore", message="mkldnn_matmul failed")
            yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError("the GPU has too little memory") from error
    except RuntimeError as error:
        if is_shortage(error):
            raise MemoryError("there is too little memory") from error
        raise


def choose_device(asked: str) -> torch.device:
    """The device for a request, such as `cuda:1`; `auto` takes an accelerator when there is one.

    Raises UsageError for a device that is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if not isinstance(asked, str):
        raise UsageError(f"There is no device {asked!r}; use one of {', '.join(get_args(Device))}.")
    if asked == "auto":
        return torch.device(next(name for name, is_there in present.items() if is_there))
    name, colon, number = asked.partition(":")
    if name not in present or (colon and not (name == "cuda" and number.isdecimal())):
        raise UsageError(f"There is no device {asked!r}; use one of {', '.join(get_args(Device))}.")
    if not present[name] or (number and int(number) >= torch.cuda.device_count()):
        raise UsageError(f"PyTorch finds no {asked} device on this machine; use device=auto or cpu.")
    return torch.device(asked)
