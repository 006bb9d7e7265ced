"""A saved model and its perceivers, ready to run."""

from __future__ import annotations

from pathlib import Path

from clearair.errors import ModelError
from clearair.models.catalogue import find_checkpoint
from clearair.perception.protocol import Perceiver
from clearair.runtime.protocol import Device, Precision, Runtime


def load_runtime(
    name: str | Path,
    perceiver: Perceiver | None = None,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
) -> tuple[Runtime, Perceiver]:
    """A model by name or path, and what guides it: by default the perceivers that ship.

    A file is a checkpoint of another project, which nothing guides. Raises ModelError when the model is
    unknown, damaged or was trained with other perceivers, UsageError for a device that is not there.
    """
    checkpoint = find_checkpoint(name)
    if checkpoint is not None:
        return _load_public(checkpoint, perceiver, device, precision)
    from clearair.models import load_model
    from clearair.models.stamp import PerceiverStamp
    from clearair.perception import load_compact
    from clearair.runtime.pytorch import PyTorchRuntime

    saved = load_model(name)
    perceiver = perceiver or load_compact()
    try:
        saved.perceivers.check(PerceiverStamp.of(perceiver))
    except ModelError as error:
        raise ModelError(f"{name}: {error}.") from error
    runtime = PyTorchRuntime(saved.build(), device=device, precision=precision)
    return runtime, perceiver.to(runtime.device)


def _load_public(
    checkpoint: Path, perceiver: Perceiver | None, device: Device, precision: Precision
) -> tuple[Runtime, Perceiver]:
    """A checkpoint of another project, and perceivers that only report what they find."""
    from clearair.models.public import open_public
    from clearair.perception import load_compact
    from clearair.runtime.plain import PlainRuntime

    runtime = PlainRuntime(open_public(checkpoint), device=device, precision=precision)
    return runtime, (perceiver or load_compact()).to(runtime.device)
