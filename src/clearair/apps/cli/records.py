"""What the command says of a batch: a line for each file, and how many there were of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clearair.apps.cli.lines import say_error, say_to_whoever_reads

if TYPE_CHECKING:
    from clearair.files.planning import Plan
    from clearair.files.record import Record
    from clearair.outcome import Outcome


def tell(record: Record, *, quiet: bool) -> None:
    """Print what became of a file; with `quiet`, only what went wrong."""
    if record.error:
        say_error(record.error)
    elif not quiet:
        remark(record.input, record.notes)
        tell_outcome(f"{record.input} -> {record.output}", record.outcome)


def tell_outcome(name: str, outcome: Outcome | None, *, err: bool = False) -> None:
    """Print what was found and done; None is said of what was there already."""
    done = "there already" if outcome is None else str(outcome)
    hint = f"; {outcome.hint}" if outcome is not None and outcome.hint else ""
    say_to_whoever_reads(f"{name}: {done}{hint}", err=err)


def sum_up(records: Sequence[Record]) -> None:
    """Print how many files there were of each kind."""
    from clearair.files.record import counted

    say_to_whoever_reads(f"clearair: {counted(records)}", err=True)


def tell_how_to_go_on(plan: Plan, records: Sequence[Record]) -> None:
    """Print how far a run came that was broken off, and what does the rest."""
    how = "--resume instead of --overwrite" if plan.overwrite else "--resume"
    if len(records) < len(plan.jobs):
        done = f"{len(records):,} of {len(plan.jobs):,} done"
        say_to_whoever_reads(f"clearair: {done}; the same command with {how} does the rest.", err=True)


def remark(name: str, notes: Iterable[str]) -> None:
    """Print what was converted or left out."""
    for note in notes:
        say_to_whoever_reads(f"{name}: {note}", err=True)
