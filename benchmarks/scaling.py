"""Measure the overhead per photo of a Ray cluster on this machine, and how it scales with its actors.

    python benchmarks/scaling.py --small 60 --large 6

Restores small photos with and without the cluster, one core each: the difference is the overhead per photo.
Then restores larger ones with one actor, with as many as there are cores, and without a cluster. Prints the
cost of the engine as a share of a photo of one megapixel, throughputs as multiples of the first, and what
they come to for a million photos of 12 megapixels. Loading the model is not counted.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from command_line import parser_of
from sample_pictures import noisy_ramp

from clearair import Restorer
from clearair.cluster import Cluster
from clearair.files.journal import Journal
from clearair.files.journaled import run_journal
from clearair.files.planning import plan_batch
from clearair.graphs import limit_cores, usable_cores
from clearair.image import Photo, write_photo

LOADING = {"backend": "onnx"}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--small", type=int, default=60)
    parser.add_argument("--large", type=int, default=6)
    parser.add_argument("--width", type=int, default=1224)
    parser.add_argument("--height", type=int, default=816)
    options = parser.parse_args()
    cores = usable_cores()
    limit_cores(1)
    restorer = Restorer.from_pretrained(**LOADING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "small", options.small, 24, 32)
        make(folder / "large", options.large, options.height, options.width)
        with Cluster("local", LOADING, {}, cores=1) as cluster:
            warm_up(folder, restorer, cluster)
            alone = alone_on(folder, "small", restorer) / options.small
            spare, cluster.actors[1:] = cluster.actors[1:], []
            with_engine = on_cluster(folder, "small", cluster) / options.small
            plain = alone_on(folder, "large", restorer) / options.large
            one = on_cluster(folder, "large", cluster) / options.large
            cluster.actors += spare
            several = on_cluster(folder, "large", cluster) / options.large
    pixels = options.width * options.height
    engine = max(0.0, with_engine - alone)
    print(
        f"engine: {1000 * engine:.1f} ms a photo, {engine / (plain / pixels * 1e6):.2%} of one of a megapixel"
    )
    print(f"{'':<28} photos a minute   times")
    for what, seconds in (
        ("no cluster, one core", plain),
        ("one actor of one core", one),
        (f"{cores} actors of one core", several),
    ):
        print(f"{what:<28} {60 / seconds:15.1f} {plain / seconds:7.2f}")
    hours = 1e6 * 12e6 * (plain / pixels) / 3600
    for nodes in (1, 10, 100):
        print(
            f"a million photos of 12 megapixels on {nodes:3} nodes of 16 such cores: "
            f"{hours / 16 / nodes / (plain / several / cores):,.0f} hours"
        )


def make(folder: Path, count: int, height: int, width: int) -> None:
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(count):
        write_photo(Photo(noisy_ramp(height, width, draw)), folder / f"{number:04}.jpg", quality=90)


def journal_of(folder: Path, photos: str) -> Journal:
    number = sum(1 for _ in folder.glob("*.db"))
    plan = plan_batch(folder / photos, folder / f"out{number}")
    return Journal.create(folder / f"{number}.db", plan.jobs, {"out": str(plan.out)})


def alone_on(folder: Path, photos: str, restorer: Restorer) -> float:
    with closing(journal_of(folder, photos)) as journal:
        began = time.perf_counter()
        for _ in run_journal(
            journal, lambda plan, ledger: restorer.restore_many(plan, watcher=ledger, ledger=ledger, jobs=1)
        ):
            pass
        return time.perf_counter() - began


def on_cluster(folder: Path, photos: str, cluster: Cluster) -> float:
    with closing(journal_of(folder, photos)) as journal:
        began = time.perf_counter()
        for _ in cluster.run(journal):
            pass
        return time.perf_counter() - began


def warm_up(folder: Path, restorer: Restorer, cluster: Cluster) -> None:
    alone_on(folder, "small", restorer)
    on_cluster(folder, "small", cluster)


if __name__ == "__main__":
    main()
