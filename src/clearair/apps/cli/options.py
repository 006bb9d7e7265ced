"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MAX_PIXELS = 300_000_000
"""The library's own limit, repeated here so that --help need not load what reads pictures."""


def model_option(command: Command) -> Command:
    """--model."""
    return click.option(
        "--model", default="compact", show_default=True, metavar="NAME|FOLDER", help="Which model to use."
    )(command)


def device_option(command: Command) -> Command:
    """--device."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Where to compute; auto takes a GPU when there is one.",
    )(command)


def max_pixels_option(command: Command) -> Command:
    """--max-pixels."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        show_default=True,
        metavar="N",
        help="Refuse larger pictures before decoding them.",
    )(command)


def salvage_option(command: Command) -> Command:
    """--salvage."""
    return click.option(
        "--salvage", is_flag=True, help="Take what can be decoded of damaged files instead of refusing them."
    )(command)
