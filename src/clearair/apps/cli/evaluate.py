"""`clearair evaluate`: what a model reaches on the benchmark sets, and what each percept is worth to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from clearair.evaluation.benchmarks import Score
    from clearair.restorer import Restorer


@click.command()
@click.argument("model", default="compact")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Data folder.")
@click.option("--benchmark", "names", multiple=True, help="Only this set; may be given again.")
@click.option("--every", type=click.IntRange(1), default=1, help="Take every n-th image only.")
@click.option(
    "--shuffle",
    "percepts",
    metavar="PERCEPTS",
    help="Of how,where,what: what each is worth, by handing images what was perceived of others. "
    "On validation sets unless --benchmark names sets.",
)
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write this file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16.")
def evaluate(
    model: str,
    data: Path,
    names: tuple[str, ...],
    every: int,
    percepts: str | None,
    file: Path | None,
    device: str,
    precision: str,
) -> None:
    """Restore benchmark images with MODEL, a name or a folder, and print PSNR and SSIM.

    Of whole images, in RGB, rounded to 8 bits.
    """
    from clearair.errors import OutputError
    from clearair.restorer import Restorer

    if file is not None and file.exists():
        raise OutputError(f"{file}: exists already; name another file.")
    restorer = Restorer.from_pretrained(model, device=device, precision=precision)  # type: ignore[arg-type]
    if percepts is not None:
        table, found = _shuffle(restorer, data, names, every, percepts)
    else:
        table, found = _measure(restorer, data, names, every)
    _progress("")
    click.echo(table)
    if file is not None:
        from clearair.image import write_atomically

        about = {"model": model, "every": every, **found}
        write_atomically(file, json.dumps(about, indent=1).encode(), overwrite=False)


def _measure(
    restorer: Restorer, data: Path, names: tuple[str, ...], every: int
) -> tuple[str, dict[str, Any]]:
    from clearair.evaluation.benchmarks import evaluate, markdown_table

    def on_image(benchmark: str, score: Score) -> None:
        _progress(f"{benchmark}: {score.name} {score.psnr:.2f} dB")

    results = list(
        evaluate(lambda image: restorer(image).image, data, names or None, every=every, on_image=on_image)
    )
    return markdown_table(results), {"results": [result.to_dict() for result in results]}


def _shuffle(
    restorer: Restorer, data: Path, names: tuple[str, ...], every: int, percepts: str
) -> tuple[str, dict[str, Any]]:
    from clearair.evaluation.shuffle import shuffle, shuffle_table
    from clearair.evaluation.validation import named_sets

    worths = shuffle(
        restorer.runtime.network,
        restorer.perceiver,
        named_sets(data, names or None, every=every),
        [percept.strip() for percept in percepts.split(",")],
        on_set=lambda percept, kind: _progress(f"{percept}: {kind}"),
    )
    return shuffle_table(worths), {"shuffle": [worth.to_dict() for worth in worths]}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)
