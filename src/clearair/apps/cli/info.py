"""`clearair info`."""

from __future__ import annotations

import os
import platform

import click


@click.command()
def info() -> None:
    """Print versions, devices and folders, for bug reports."""
    import numpy
    import torch

    import clearair
    from clearair.errors import ModelError
    from clearair.image.libvips import libvips
    from clearair.models.catalogue import CATALOGUE
    from clearair.models.public import load_spandrel, version_of
    from clearair.runtime.precision import choose_precision
    from clearair.runtime.pytorch import choose_device

    vips = libvips()
    device = choose_device("auto")
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    try:
        spandrel = f"{version_of('spandrel')}, knows {len(load_spandrel().MAIN_REGISTRY)} networks"
    except ModelError as error:
        spandrel = str(error)
    rows = {
        "clearair": clearair.__version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "PyTorch": torch.__version__,
        "NumPy": numpy.__version__,
        "libvips": ".".join(str(vips.version(part)) for part in range(3)),
        "spandrel": spandrel,
        "device": f"{device.type} ({name}), computes in {choose_precision('auto', device)}",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "models": ", ".join(f"{entry.name} in {entry.folder}" for entry in CATALOGUE.values()),
    }
    for label, value in rows.items():
        click.echo(f"{label:<10} {value}")
