"""`clearair batch`: look at runs with a journal, and go on with them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import click

from clearair.apps.cli.lines import say, say_error
from clearair.apps.cli.options import LocalPath, cluster_option

_JOURNAL = click.argument("journal", metavar="RUN", type=LocalPath(path_type=Path))


@click.group()
def batch() -> None:
    """See, go on with and check runs that keep a journal.

    `clearair restore --journal RUN` begins one.
    """


@batch.command()
@_JOURNAL
@click.option("--shard", metavar="I/N", help="Do the I-th of N parts only, which has a journal of its own.")
@cluster_option
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def resume(ctx: click.Context, journal: Path, shard: str | None, cluster: str | None, quiet: bool) -> None:
    """Do what is not done yet, with the options of the run."""
    from clearair.apps.cli.journaled import go_on

    ctx.exit(go_on(journal, shard, cluster, quiet=quiet))


@batch.command()
@_JOURNAL
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.option("--failed", is_flag=True, help="List what failed, and why.")
def status(journal: Path, as_json: bool, failed: bool) -> None:
    """Say how far a run is, its parts included."""
    from clearair.apps.cli.journaled import in_words
    from clearair.files.journal import Journal, State
    from clearair.files.journaled import overview

    with closing(Journal.open(journal)) as run:
        counts = overview(run)
        if as_json:
            click.echo(json.dumps({state.word: count for state, count in counts.items()}))
        else:
            say(f"{journal}: {in_words(counts)}")
        if failed:
            for entry in run.entries(State.FAILED):
                say(entry.note or str(entry.source))


@batch.command()
@_JOURNAL
def retry(journal: Path) -> None:
    """Let what failed be done again by the next resume."""
    from clearair.files.journal import Journal, State

    with closing(Journal.open(journal)) as run:
        failed = [entry.id for entry in run.entries(State.FAILED)]
        run.requeue(failed, forgive=True)
    say(f"{journal}: {len(failed):,} to be done again: clearair batch resume {journal}")


@batch.command()
@_JOURNAL
@click.option("--repair", is_flag=True, help="Let what does not hold be done again by the next resume.")
@click.pass_context
def verify(ctx: click.Context, journal: Path, repair: bool) -> None:
    """Check that every result is there, whole and unchanged.

    It is decoded and compared with what was written, and its input with what was read.
    """
    from clearair.files.journal import DONE, Journal
    from clearair.files.journaled import repair as let_be_repeated
    from clearair.files.journaled import verify as find_wrong

    with closing(Journal.open(journal)) as run:
        done = sum(run.counts()[state] for state in DONE)
        wrong = []
        for entry, what in find_wrong(run):
            say_error(what)
            wrong.append(entry)
        again = let_be_repeated(run, wrong) if repair else 0
    say(f"{journal}: {done:,} results checked, {len(wrong):,} wrong")
    if again:
        say(f"{journal}: {again:,} to be done again: clearair batch resume {journal}")
    ctx.exit(1 if wrong else 0)
