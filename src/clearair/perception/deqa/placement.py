"""Which part of the model lives on which device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from clearair.errors import ModelError, UsageError
from clearair.perception.deqa.memory import QUANTISED, announce, free_bytes
from clearair.perception.deqa.quantised import check_can_quantise

_NEVER_SPLIT = ["VisionTower", "VisualAbstractor", "DecoderLayer"]
"""Modules whose tensors stay together on one device."""


@dataclass(frozen=True)
class Placement:
    """Devices of all tensors."""

    devices: Mapping[str, torch.device]
    """A device for each module name; "" is the whole model."""

    def device_of(self, tensor: str) -> torch.device:
        """The device of a tensor, by the longest module name its own begins with."""
        while tensor not in self.devices:
            tensor = tensor.rpartition(".")[0]
        return self.devices[tensor]

    @property
    def words(self) -> dict[str, str]:
        """The same as accelerate knows devices: what waits on the "cpu" is computed on the first GPU.

        For a torch.device, accelerate would also compute on the CPU.
        """
        return {name: str(device) for name, device in self.devices.items()}

    def finish(self, network: nn.Module) -> None:
        """Let accelerate move tensors between the devices in forward passes, once the network is loaded."""
        if set(self.devices) == {""}:
            return
        from accelerate import dispatch_model

        first = next((word for word in self.words.values() if word != "cpu"), None)
        dispatch_model(network, self.words, main_device=first)


def place(network: nn.Module, device: str, precision: str, weights: int, work: int) -> Placement:
    """Choose devices for a network without memory, and say on stderr what it needs there.

    "auto" shares it among several GPUs and leaves the rest with the CPU where accelerate is installed; else
    it takes the GPU when all fits, or the CPU. Raises ModelError when there is too little memory, UsageError
    when there is no such device.
    """
    if device == "auto":
        if torch.cuda.is_available() and precision not in QUANTISED and _has_accelerate():
            return _shared(network, precision, weights, work)
        device = "cuda" if _fits_on_gpu(weights + work) else "cpu"
    chosen = _checked(device)
    check_can_quantise(precision, chosen)
    announce("DeQA-Score", weights, work, free_bytes(chosen), precision=precision, where=str(chosen))
    return Placement({"": chosen})


def _checked(device: str) -> torch.device:
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"There is no device {device!r} here; use cpu, cuda, mps or auto.") from error
    return chosen


def _fits_on_gpu(need: int) -> bool:
    return torch.cuda.is_available() and need <= free_bytes(torch.device("cuda"))


def _has_accelerate() -> bool:
    try:
        import accelerate  # noqa: F401
    except ImportError:
        return False
    return True


def _shared(network: nn.Module, precision: str, weights: int, work: int) -> Placement:
    gpus = range(torch.cuda.device_count())
    rooms: dict[int | str, int] = {"cpu": _cpu_room()}
    for index in gpus:
        rooms[index] = max(int(free_bytes(torch.device("cuda", index))) - work, 0)
    free = float(sum(rooms.values()))
    where = f"{len(gpus)} GPUs and the CPU"
    announce("DeQA-Score", weights, work, free, precision=precision, where=where)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    from accelerate.utils import get_balanced_memory

    found = share(network, get_balanced_memory(network, rooms, _NEVER_SPLIT, dtype=kind), kind)
    if found is None:
        raise ModelError(f"DeQA-Score does not fit in {precision} into {where}.")
    return found


def share(network: nn.Module, rooms: Mapping[int | str, int], kind: torch.dtype) -> Placement | None:
    """Devices for a network's parts: of `rooms` (bytes by number of the GPU, and "cpu") the GPUs come first.

    None when they do not suffice.
    """
    from accelerate import infer_auto_device_map

    found = infer_auto_device_map(network, dict(rooms), _NEVER_SPLIT, dtype=kind)
    if "disk" in found.values():
        return None
    return Placement({name: torch.device(device) for name, device in found.items()})


def _cpu_room() -> int:
    room = free_bytes(torch.device("cpu"))
    return int(min(room, 2.0**50))  # a finite number, even if the system does not report it
