"""Output of one line a record, whatever is in a file's name."""

from __future__ import annotations

import os
import re
import sys

import click

_ARGUMENT = re.compile(
    r"\b(overwrite|resume|salvage|max_pixels|device|format|suffix|trust_pickle)=(\S*\w['\"]?)"
)
"""An option as the library's messages name it."""


def one_line(text: str) -> str:
    """Escape what would break or disguise a line: line ends, control characters, broken Unicode."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )


def say(text: str, *, err: bool = False) -> None:
    """Print `text` as one line, to standard error with `err`."""
    click.echo(one_line(text), err=err)


def say_notice(text: str) -> None:
    """Print `text` as one line to standard error."""
    say(text, err=True)


def print_line(text: str, *, err: bool = False) -> None:
    """Print a line; continue silently if the reader is gone, as behind `| head -1`."""
    try:
        say(text, err=err)
    except BrokenPipeError:
        forget_output(err=err)


def in_options(message: str) -> str:
    """The same message with Python's arguments, such as `overwrite=True`, as options of the command."""

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        return f"--{name.replace('_', '-')}{'' if value == 'True' else f' {value}'}"

    return _ARGUMENT.sub(option, message)


def say_error(error: object) -> None:
    """Print an error of the library in the words of the command line."""
    print_line(f"clearair: {in_options(str(error))}", err=True)


def forget_output(*, err: bool = False) -> None:
    """Redirect a broken stream to the null device; otherwise Python complains again when it closes it."""
    stream = sys.stderr if err else sys.stdout
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
