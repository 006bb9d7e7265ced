"""Measure the cost of a journal: its size, and the time of listing, counting and updating entries.

    python benchmarks/journal.py --entries 1000000

The entries are made up; no picture is read. Counting is timed in a new process, as `clearair batch status`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from command_line import parser_of

from clearair.files.journal import Journal, State
from clearair.files.outputs import Job


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--noted", type=int, default=2000, help="pictures that are noted from start to end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.db"
        began = time.perf_counter()
        jobs = (job(number) for number in range(options.entries))
        with closing(Journal.create(path, jobs, {})) as journal:
            print(f"{options.entries:,} entries listed in {time.perf_counter() - began:.1f} s")
            began = time.perf_counter()
            for number in range(1, options.noted + 1):
                journal.claim(number, 1_000_000, 10**18, bytes(16))
                journal.note_result(number, bytes(16))
                journal.finish(number, State.RESTORED, "rain 92 %, haze 41 %: restored", 1.0)
            each = (time.perf_counter() - began) / options.noted
            print(f"claimed, noted and finished: {1000 * each:.2f} ms a picture")
            for number in range(options.noted + 1, options.entries + 1):
                journal._database.execute(
                    "UPDATE entry SET state = 3, attempts = 1, size = 1, modified = 1, input = ?, "
                    "output = ?, seconds = 1, note = 'rain 92 %, haze 41 %: restored' WHERE id = ?",
                    (bytes(16), bytes(16), number),
                )
            journal._database.commit()
        size = path.stat().st_size / options.entries
        print(f"all done: {size:.0f} bytes an entry")
        command = [sys.executable, "-m", "clearair", "batch", "status", str(path)]
        began = time.perf_counter()
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"clearair batch status: {time.perf_counter() - began:.2f} s, {told.partition(': ')[2]}")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


def job(number: int) -> Job:
    """Names as archives have them."""
    place = f"{1990 + number % 35}/{number % 12 + 1:02}/{number % 28 + 1:02}/IMG_{number:08}.jpg"
    return Job(Path(f"/archive/originals/{place}"), Path(f"/archive/restored/{place}"))


if __name__ == "__main__":
    main()
