"""Event files for TensorBoard, when it is installed: curves, validation by kind, and sample pictures."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearair.evaluation.held_out import HeldOutViews


class TensorBoardWriter:
    """Writes event files into a run folder, or nothing without a writer."""

    def __init__(self, writer: Any = None) -> None:
        self.writer = writer

    @classmethod
    def open(cls, out: Path) -> TensorBoardWriter:
        """Return a writer for a run folder; it does nothing where TensorBoard is not installed."""
        if find_spec("tensorboard") is None:
            return cls()
        from torch.utils.tensorboard import SummaryWriter

        return cls(SummaryWriter(str(out / "tensorboard")))

    def scalars(self, record: Mapping[str, float]) -> None:
        """Write a line of the log."""
        if self.writer is not None:
            for name, value in record.items():
                if name != "step":
                    self.writer.add_scalar(f"training/{name}", value, record["step"])

    def validation(self, step: int, scores: Mapping[str, float]) -> None:
        """Write PSNR in dB by kind."""
        if self.writer is not None:
            for kind, psnr in scores.items():
                self.writer.add_scalar(f"validation/{kind}", psnr, step)
            self.writer.flush()

    def samples(self, step: int, views: HeldOutViews, restored: Tensor) -> None:
        """Write damaged, restored and clean, (K, 3, S, S) uint8, side by side for each kind."""
        if self.writer is not None:
            rows = zip(views.kinds, views.damaged, restored, views.clean, strict=True)
            for kind, *pictures in rows:
                self.writer.add_image(f"samples/{kind}", torch.cat(pictures, dim=2), step)
            self.writer.flush()
