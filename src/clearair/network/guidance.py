"""Guidance as tensors, the form in which a network takes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clearair.percepts import Guidance


def to_tensors(guidance: Guidance) -> Guidance:
    """The same with NumPy arrays as tensors on the CPU, which share memory where possible."""
    return guidance.map(lambda value: torch.from_numpy(np.ascontiguousarray(value)))


def to_arrays(guidance: Guidance) -> Guidance:
    """The same with tensors as NumPy arrays, float32 but for the label map."""
    return guidance.map(lambda value: _array(value))


def joined(parts: Sequence[Guidance]) -> Guidance:
    """Guidance of images of one size, by perceivers of one kind, as one batch of tensors."""
    return Guidance(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def _array(value: Tensor) -> np.ndarray:
    value = value.detach()
    return (value.float() if value.is_floating_point() else value).cpu().numpy()
