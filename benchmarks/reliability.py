"""Disturb runs with a journal, and count results that are lost, repeated or wrong.

    python benchmarks/reliability.py --kills 100

Makes small noisy pictures, restores them once undisturbed, and then again under each disturbance. Afterwards
every input must be done once or named as failed, every result must be there, open, and equal that of the
undisturbed run, and no half-written file may be left. Prints a table; exit code 1 when anything is not so.
Linux only; the full disk is a small tmpfs, for which one has to be root.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command_line import parser_of

from clearair.files.journal import DONE, Journal, State
from clearair.image import Photo, write_photo


@dataclass
class Outcome:
    """The result of a disturbed run."""

    what: str
    disturbed: int
    """How often."""
    done: int
    failed: int
    repeated: int = 0
    """Pictures that were started again because they were in progress when the run ended."""
    wrong: int = 0
    """Results that are missing, other than the undisturbed run's, or half written."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos", options.pictures)
        run(folder, begin("plain"))
        trials: list[Callable[[Path, int], Outcome]] = [
            killed,
            actors_killed,
            corrupt,
            deleted,
            changed,
            full_disk,
            clock_back,
            two_runs,
        ]
        print("| disturbance | how often | pictures | done | failed | begun again | wrong |")
        print("|---|---|---|---|---|---|---|", flush=True)
        bad = 0
        for trial in trials:
            for path in (folder / "out", folder / "run.db"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            found = trial(folder, options.kills)
            print(
                f"| {found.what} | {found.disturbed} | {found.done + found.failed} | {found.done} | "
                f"{found.failed} | {found.repeated} | {found.wrong} |",
                flush=True,
            )
            bad += found.wrong
    sys.exit(1 if bad else 0)


def make_photos(folder: Path, count: int) -> None:
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(count):
        size = int(draw.integers(40, 120)), int(draw.integers(40, 120)), 3
        pixels = draw.normal(120, 40, size).clip(0, 255).astype(np.uint8)
        write_photo(Photo(pixels), folder / f"{number:04}.jpg", quality=90)


def begin(out: str = "out", photos: str = "photos") -> list[str]:
    return ["restore", photos, "-o", out, "--journal", "run.db" if out == "out" else f"{out}.db", "-q"]


RESUME = ["batch", "resume", "run.db", "-q"]


def command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "clearair", *words]


def run(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(words), cwd=folder, capture_output=True, text=True, check=False)


def judge(folder: Path, what: str, disturbed: int, *, out: str = "out") -> Outcome:
    """Compare the results with the journal and with the undisturbed run."""
    with closing(Journal.open(folder / "run.db")) as journal:
        entries = list(journal.entries())
    done = [entry for entry in entries if entry.state in DONE]
    failed = [entry for entry in entries if entry.state is State.FAILED]
    wrong = len(entries) - len(done) - len(failed)
    plain = {path.name: path.read_bytes() for path in (folder / "plain").iterdir()}
    for entry in done:
        same = entry.target.exists() and entry.target.read_bytes() == plain.get(entry.source.name)
        wrong += not same
    names = {entry.target.name for entry in done}
    wrong += sum(path.name not in names for path in (folder / out).iterdir())
    repeated = sum(entry.attempts > 1 for entry in entries)
    return Outcome(what, disturbed, len(done), len(failed), repeated, wrong)


def killed(folder: Path, kills: int) -> Outcome:
    """End the process with SIGKILL at random moments, again and again, until the run is done."""
    count, words = 0, begin()
    while True:
        process = subprocess.Popen(
            command(words), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        words = RESUME if (folder / "run.db").exists() or count else words
        if count >= kills:
            process.wait()
            break
        try:
            process.wait(timeout=random.uniform(0.2, 2.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            count += 1
        words = RESUME if (folder / "run.db").exists() else begin()
        if not (folder / "run.db").exists():
            continue
        with closing(Journal.open(folder / "run.db")) as journal:
            left = sum(journal.counts()[state] for state in (State.PENDING, State.RUNNING, State.WRITING))
        if not left:  # the run finished before all kills: repeat some pictures
            with closing(Journal.open(folder / "run.db")) as journal:
                some = [entry for entry in journal.entries() if random.random() < 0.5]
                for entry in some:
                    entry.target.unlink()
                journal.requeue([entry.id for entry in some], forgive=True)
    return judge(folder, "SIGKILL at a random moment", count)


def actors_killed(folder: Path, kills: int) -> Outcome:
    """Actors of a Ray cluster of this machine are ended with what they have under way."""
    import ray

    from clearair.cluster import Cluster

    run(folder, [*begin(), "--list-only"])
    kills = kills // 5
    count = 0
    with Cluster("local", {}, {}, cores=1) as cluster, closing(Journal.open(folder / "run.db")) as journal:
        each = max(1, sum(journal.counts().values()) // (kills + 1))
        for number, _ in enumerate(cluster.run(journal)):
            if number % each == each - 1 and count < kills:
                ray.kill(random.choice(cluster.actors).handle)
                count += 1
    return judge(folder, "actor of a cluster killed", count)


def corrupt(folder: Path, kills: int) -> Outcome:
    """One file in fifty is damaged."""
    broken = folder / "broken"
    shutil.copytree(folder / "photos", broken, dirs_exist_ok=True)
    files = sorted(broken.iterdir())[::50]
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    run(folder, begin(photos="broken"))
    return judge(folder, "one damaged file in fifty", len(files))


def deleted(folder: Path, kills: int) -> Outcome:
    """Inputs are deleted while the run works."""
    return _meddled(folder, "input deleted meanwhile", lambda file: file.unlink())


def changed(folder: Path, kills: int) -> Outcome:
    """Inputs are replaced by text while the run works."""
    return _meddled(folder, "input replaced meanwhile", lambda file: file.write_text("no picture any more"))


def _meddled(folder: Path, what: str, meddle: Callable[[Path], object]) -> Outcome:
    copied = folder / what.replace(" ", "-")
    shutil.copytree(folder / "photos", copied)
    process = subprocess.Popen(command(begin(photos=copied.name)), cwd=folder, stderr=subprocess.DEVNULL)
    while not list(folder.glob("out/*.jpg")):
        time.sleep(0.01)
    files = sorted(copied.iterdir())[-20:]
    for file in files:
        meddle(file)
    process.wait()
    return judge(folder, what, len(files))


def full_disk(folder: Path, kills: int) -> Outcome:
    """The disk of the results is full after some of them, and has room again later."""
    out = folder / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", out], check=False).returncode:
        return Outcome("full disk: not tried, as only root can mount one", 0, 0, 0)
    try:
        count, words = 0, begin()
        for size in ("300k", "600k", "900k", "100m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", out], check=True)
            done = run(folder, words)
            words = RESUME
            count += "disk is full" in done.stderr
        return judge(folder, "full disk", count)
    finally:
        subprocess.run(["umount", out], check=True)


def clock_back(folder: Path, kills: int) -> Outcome:
    """After a part of the run all files come from the future, as after a clock that went back."""
    process = subprocess.Popen(command(begin()), cwd=folder, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("out/*.jpg"))) < 10:
        time.sleep(0.01)
    process.kill()
    process.wait()
    future = time.time() + 10**7
    for path in (*(folder / "out").iterdir(), *(folder / "photos").iterdir(), folder / "run.db"):
        os.utime(path, (future, future))
    run(folder, RESUME)
    return judge(folder, "clock set back in between", 1)


def two_runs(folder: Path, kills: int) -> Outcome:
    """A second run on the same journal, and one with another journal on the same folder, are refused."""
    process = subprocess.Popen(command(begin()), cwd=folder, stderr=subprocess.DEVNULL)
    while not list(folder.glob("out/*.jpg")):
        time.sleep(0.01)
    others = [run(folder, RESUME), run(folder, [*begin()[:5], "other.db", "-q"])]
    process.wait()
    found = judge(folder, "second run on the same journal or folder", len(others))
    found.wrong += sum(other.returncode != 2 or "another run" not in other.stderr for other in others)
    return found


if __name__ == "__main__":
    main()
