"""`clearair export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import LocalPath


@click.command()
@click.argument("model")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "openvino"]),
    default="onnx",
    show_default=True,
    help="onnx runs in every installation of clearair, openvino in programs of your own.",
)
@click.option(
    "--output",
    "-o",
    type=LocalPath(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Folder for the files.",
)
@click.option("--overwrite", is_flag=True, help="Replace files in FOLDER.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors and the result only.")
def export(model: str, format_: Any, output: Path, overwrite: bool, quiet: bool) -> None:
    """Export a model or perceivers, to run without PyTorch.

    MODEL is the name or the folder of a restorer, `perceivers` for the shipped perceivers, or the folder of
    your own. The command compares the outputs of PyTorch and of the exported model, and writes nothing if
    they differ. It takes minutes. Needs PyTorch and more: pip install 'clearair[export]'.
    """
    from clearair.exporting.package import export_model

    found = export_model(
        model,
        output,
        format=format_,
        overwrite=overwrite,
        on_step=lambda step: None if quiet else say(f"clearair: {step}", err=True),
    )
    for difference in found:
        say(str(difference))
    say(f"model -> {output}")
