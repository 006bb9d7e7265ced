"""The head of a Markdown table, printed."""

from __future__ import annotations


def print_head(*columns: str) -> None:
    """Print a blank line and the head of a table; a column may hold several, divided by bars."""
    names = " | ".join(columns)
    print(f"\n| {names} |\n|{' --- |' * (names.count('|') + 1)}", flush=True)
