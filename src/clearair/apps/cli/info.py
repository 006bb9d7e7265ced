"""`clearair info`."""

from __future__ import annotations

import os
import platform

import click

from clearair.errors import ClearAirError


@click.command()
def info() -> None:
    """Print versions, devices and folders, for bug reports."""
    import numpy

    import clearair
    from clearair.graphs import onnx_runtime, usable_cores
    from clearair.image.libvips import libvips
    from clearair.models.catalogue import CATALOGUE
    from clearair.optional import has_pytorch
    from clearair.runtime.loading import usual_backend

    vips = libvips()
    try:
        backend: str = usual_backend()
    except ClearAirError as error:
        backend = str(error)
    rows = {
        "clearair": clearair.__version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "NumPy": numpy.__version__,
        "ONNX Runtime": onnx_runtime().__version__,
        "PyTorch": "not installed: pip install 'clearair[torch]'",
        "spandrel": "not installed: pip install 'clearair[spandrel]'",
        "libvips": ".".join(str(vips.version(part)) for part in range(3)),
        "backend": backend,
        "device": f"cpu ({_processor()}), computes in fp32",
        "threads": f"{usable_cores()} of {os.cpu_count()} cores",
        "models": ", ".join(f"{entry.name} in {entry.folder}" for entry in CATALOGUE.values()),
    }
    if has_pytorch():
        rows |= _of_pytorch()
    for label, value in rows.items():
        click.echo(f"{label:<12} {value}")


def _of_pytorch() -> dict[str, str]:
    import torch

    from clearair.errors import MissingExtraError, ModelError
    from clearair.models.public import load_spandrel, version_of
    from clearair.runtime.precision import choose_precision
    from clearair.runtime.pytorch import choose_device

    try:
        spandrel = f"{version_of('spandrel')}, knows {len(load_spandrel().MAIN_REGISTRY)} networks"
    except (MissingExtraError, ModelError) as error:
        spandrel = str(error)
    device = choose_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "PyTorch": torch.__version__,
        "spandrel": spandrel,
        "device": f"{device.type} ({name}), computes in {choose_precision('auto', device)}",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
    }


def _processor() -> str:
    return platform.processor() or platform.machine()
