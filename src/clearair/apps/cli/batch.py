"""`clearair batch`: show and resume runs that have a journal."""

from __future__ import annotations

import json
from pathlib import Path

import click

from clearair.apps.cli.lines import in_options, say, say_error
from clearair.apps.cli.options import LocalPath, cluster_option

_JOURNAL = click.argument("journal", metavar="RUN", type=LocalPath(path_type=Path))


@click.group()
def batch() -> None:
    """Show, resume, retry and verify runs that keep a journal.

    `clearair restore --journal RUN` begins one.
    """


@batch.command()
@_JOURNAL
@click.option("--shard", metavar="I/N", help="Process the I-th of N parts only, which has its own journal.")
@cluster_option
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def resume(ctx: click.Context, journal: Path, shard: str | None, cluster: str | None, quiet: bool) -> None:
    """Restore what is not done yet, with the options of the run."""
    from clearair.apps.cli.journaled import go_on

    ctx.exit(go_on(journal, shard, cluster, quiet=quiet))


@batch.command()
@_JOURNAL
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.option("--failed", is_flag=True, help="List what failed, and why.")
def status(journal: Path, as_json: bool, failed: bool) -> None:
    """Show the progress of a run, including its parts."""
    from clearair.apps.cli.journaled import in_words
    from clearair.files.journal import State
    from clearair.files.journaled import overview, with_parts

    with with_parts(journal) as runs:
        counts = overview(runs[0])
        if as_json:
            click.echo(json.dumps({state.word: count for state, count in counts.items()}))
        else:
            say(f"{journal}: {in_words(counts)}")
        if failed:
            for entry in (each for run in runs for each in run.entries(State.FAILED)):
                say(in_options(entry.note or str(entry.source)))


@batch.command()
@_JOURNAL
def retry(journal: Path) -> None:
    """Mark failed photos to be restored by the next resume.

    If the run has parts, this covers the failed photos of each part.
    """
    from clearair.files.journal import State
    from clearair.files.journaled import with_parts

    with with_parts(journal) as runs:
        for run in runs[1:] or runs:  # once there are parts, the run as a whole cannot be resumed
            failed = [entry.id for entry in run.entries(State.FAILED)]
            run.requeue(failed, forgive=True)
            _say_what_is_next(run.path, len(failed))


@batch.command()
@_JOURNAL
@click.option("--repair", is_flag=True, help="Mark bad results to be restored by the next resume.")
@click.pass_context
def verify(ctx: click.Context, journal: Path, repair: bool) -> None:
    """Check that every result is there, whole and unchanged.

    Each result is decoded and compared with its checksum, and so is its input. If the run has parts, the
    results of each part are checked.
    """
    from clearair.files.journal import DONE
    from clearair.files.journaled import repair as let_be_repeated
    from clearair.files.journaled import verify as find_wrong
    from clearair.files.journaled import with_parts

    done, bad = 0, 0
    again: dict[Path, int] = {}
    with with_parts(journal) as runs:
        for run in runs:
            done += sum(run.counts()[state] for state in DONE)
            wrong = []
            for entry, what in find_wrong(run):
                say_error(what)
                wrong.append(entry)
            bad += len(wrong)
            again[run.path] = let_be_repeated(run, wrong) if repair else 0
    say(f"{journal}: {done:,} results checked, {bad:,} wrong")
    for path, count in again.items():
        if count:
            _say_what_is_next(path, count)
    ctx.exit(1 if bad else 0)


def _say_what_is_next(path: Path, count: int) -> None:
    say(f"{path}: {count:,} to be done again: clearair batch resume {path}")
