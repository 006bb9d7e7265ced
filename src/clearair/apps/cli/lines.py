"""Output of one line a record, whatever is in a file's name."""

from __future__ import annotations

import click


def one_line(text: str) -> str:
    """Escape what would break or disguise a line: line ends, control characters, broken Unicode."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )


def say(text: str, *, err: bool = False) -> None:
    """Print `text` as one line, to standard error with `err`."""
    click.echo(one_line(text), err=err)
