"""Output of the command for a batch: a line for each file, and a final count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clearair.apps.cli.lines import print_line, say_error

if TYPE_CHECKING:
    from clearair.files.planning import Plan
    from clearair.files.record import Record
    from clearair.outcome import Outcome


def tell(record: Record, *, quiet: bool) -> None:
    """Print the result of a file; with `quiet`, only errors."""
    if record.error:
        say_error(record.error)
    elif not quiet:
        remark(record.input, record.notes)
        tell_outcome(f"{record.input} -> {record.output}", record.outcome)


def tell_outcome(name: str, outcome: Outcome | None, *, err: bool = False) -> None:
    """Print what was found and done; nothing for results that already existed."""
    done = "there already" if outcome is None else str(outcome)
    hint = f"; {outcome.hint}" if outcome is not None and outcome.hint else ""
    print_line(f"{name}: {done}{hint}", err=err)


def sum_up(records: Sequence[Record]) -> None:
    """Print how many files there were of each kind."""
    from clearair.files.record import counted

    print_line(f"clearair: {counted(records)}", err=True)


def tell_how_to_go_on(plan: Plan, records: Sequence[Record]) -> None:
    """Print how far an interrupted run came, and how to finish it."""
    how = "--resume instead of --overwrite" if plan.overwrite else "--resume"
    if len(records) < len(plan.jobs):
        done = f"{len(records):,} of {len(plan.jobs):,} done"
        print_line(f"clearair: {done}; the same command with {how} does the rest.", err=True)


def remark(name: str, notes: Iterable[str]) -> None:
    """Print what was converted or left out."""
    for note in notes:
        print_line(f"{name}: {note}", err=True)
