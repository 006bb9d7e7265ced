"""Runs with a journal: start and resume them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import chdir, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearair.apps.cli.lines import print_line
from clearair.apps.cli.records import remark, tell
from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.apps.cli.progress import Progress
    from clearair.files.journal import Journal, State
    from clearair.files.journaled import JournalLedger
    from clearair.files.planning import Plan
    from clearair.files.record import Record


def journal_named(paths: Sequence[str]) -> Path | None:
    """The journal if it is the only path; None when there are other paths, or it is a picture."""
    from clearair.files.journal import is_journal

    return Path(paths[0]) if len(paths) == 1 and is_journal(Path(paths[0])) else None


def begin(path: Path, plan: Plan, words: Sequence[str], *, tells: bool = False) -> None:
    """Write the journal of a plan, and perhaps print how many photos it lists.

    `words` are those of `clearair restore`.
    """
    from clearair.files.journal import Journal
    from clearair.stores import absolute

    remark("clearair", plan.remarks)
    jobs = (replace(job, source=absolute(job.source), target=absolute(job.target)) for job in plan.jobs)
    options = {
        "words": list(words),
        "folder": str(Path.cwd()),
        "overwrite": plan.overwrite,
        "out": None if plan.out is None else str(absolute(plan.out)),
    }
    with closing(Journal.create(path, jobs, options)) as journal:
        if tells:
            _tell_counts(journal)


def go_on(path: Path, shard: str | None = None, cluster: str | None = None, *, quiet: bool = False) -> int:
    """Restore the pending photos of a journal or of a part of it, perhaps on a cluster; the exit code."""
    from clearair.files.journal import Journal
    from clearair.files.journaled import open_shard, open_whole, parse_shard

    path = path.absolute()
    if shard is None:
        with closing(open_whole(path)) as journal:
            return _go_on(journal, cluster, quiet=quiet)
    with closing(Journal.open(path)) as journal, closing(open_shard(journal, parse_shard(shard))) as part:
        return _go_on(part, cluster, quiet=quiet)


def _go_on(journal: Journal, cluster: str | None, *, quiet: bool) -> int:
    from clearair.apps.cli.progress import Progress
    from clearair.files.journal import OPEN, State

    options = journal.options
    words, place = options.get("words"), options.get("folder")
    if not isinstance(words, list) or not isinstance(place, str):
        raise UsageError(f"{journal.path}: was not started by `clearair restore`.")
    counts = journal.counts()
    progress = Progress(sum(counts[state] for state in OPEN), quiet=quiet, keep=False)
    folder = Path(place)
    with chdir(folder) if folder.is_dir() else nullcontext():  # paths in options are relative to it
        try:
            if progress.pictures:
                with closing(_restoring(journal, words, progress, cluster)) as records:
                    for record in records:
                        progress.clear()
                        tell(record, quiet=quiet)
        finally:
            progress.clear()
            if not quiet:
                _tell_counts(journal)
    return 1 if journal.counts()[State.FAILED] else 0


def _tell_counts(journal: Journal) -> None:
    print_line(f"clearair: {journal.path}: {in_words(journal.counts())}", err=True)


def _restoring(
    journal: Journal, words: Sequence[str], progress: Progress, cluster: str | None
) -> Generator[Record, None, None]:
    """Restore the pending photos, with the command-line words that started the run."""
    from clearair.apps.cli.options import has_own_perceivers
    from clearair.apps.cli.restore import Asked, restore
    from clearair.files.journaled import run_journal

    with restore.make_context("restore", list(words)) as context:
        for name in ("paths", "files_from", "null", "output"):
            context.params.pop(name)
        asked = Asked(**context.params)
        options = asked.batch_options()
        if cluster is not None:
            if has_own_perceivers():
                raise UsageError("--cluster: actors load only the shipped perceivers.")
            options.pop("jobs")
            yield from _on_cluster(journal, cluster, asked.loading(), options, progress)
            return
        restorer = asked.load()

        def run(plan: Plan, ledger: JournalLedger) -> Generator[Record, None, None]:
            return restorer.restore_many(plan, watcher=ledger, ledger=ledger, **options)

        yield from run_journal(journal, run, progress)


def _on_cluster(
    journal: Journal, address: str, loading: dict[str, Any], options: dict[str, Any], progress: Progress
) -> Generator[Record, None, None]:
    from clearair.cluster import Cluster

    with Cluster(address, loading, options) as cluster:
        yield from cluster.run(journal, progress)


def in_words(counts: dict[State, int]) -> str:
    """Such as "12 photos: 9 restored, 2 left, 1 pending"."""
    told = ", ".join(f"{count:,} {state.word}" for state, count in counts.items() if count)
    total = sum(counts.values())
    return f"{total:,} photo{'' if total == 1 else 's'}: {told or 'nothing to do'}"
