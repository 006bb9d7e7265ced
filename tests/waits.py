"""Counts what makes the processor wait for a graphics card: asking for a value it must know to go on."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}


class Waits(TorchDispatchMode):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket._qualified_op_name
        if name in WAITING or (name.startswith("aten::index") and _by_mask(args)):
            self.count[name] += 1
        return function(*args, **(kwargs or {}))


def _by_mask(args: Any) -> bool:
    """Whether places are chosen by a mask: how many they are is then asked of the card."""
    places = next((arg for arg in args if isinstance(arg, list | tuple)), ())
    return any(place is not None and place.dtype == torch.bool for place in places)
