"""`clearair evaluate`: what a model reaches, what each percept is worth to it, and what harm it does."""

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
    "On the validation sets, or those that --benchmark names.",
)
@click.option(
    "--harm",
    is_flag=True,
    help="How well undamaged and unusual photographs are left alone, and which damaged ones get worse.",
)
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write this file.")
@click.option("--overwrite", is_flag=True, help="Replace that file when it exists.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16.")
def evaluate(
    model: str,
    data: Path,
    names: tuple[str, ...],
    every: int,
    percepts: str | None,
    harm: bool,
    file: Path | None,
    overwrite: bool,
    device: str,
    precision: str,
) -> None:
    """Restore benchmark images with MODEL, a name or a folder, and print PSNR and SSIM.

    Of whole images, in RGB, rounded to 8 bits.
    """
    from clearair.files.outputs import check_file
    from clearair.restorer import Restorer

    if harm and percepts is not None:
        raise click.UsageError("--harm and --shuffle are two measurements; ask for one.")
    if file is not None:
        check_file(file, overwrite=overwrite, inputs=_inputs(file, data, model))
    restorer = Restorer.from_pretrained(model, device=device, precision=precision)  # type: ignore[arg-type]
    if percepts is not None:
        table, found = _shuffle(restorer, data, names, every, percepts)
    elif harm:
        table, found = _harm(restorer, data, names, every)
    else:
        table, found = _measure(restorer, data, names, every)
    _progress("")
    click.echo(table)
    if file is not None:
        from clearair.image import write_atomically

        about = {"model": model, "every": every, **found}
        write_atomically(file, (json.dumps(about, indent=1) + "\n").encode(), overwrite=overwrite)


def _inputs(file: Path, data: Path, model: str) -> list[Path]:
    """`file` itself where it lies in a folder that is read, which may be too large to list."""
    place = file.resolve()
    return [file] if place.exists() and {data.resolve(), Path(model).resolve()} & set(place.parents) else []


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


def _harm(restorer: Restorer, data: Path, names: tuple[str, ...], every: int) -> tuple[str, dict[str, Any]]:
    from clearair.evaluation.harm import harm_report, measure_harm
    from clearair.evaluation.validation import named_sets

    harm = measure_harm(
        lambda image: restorer(image).image,
        data,
        named_sets(data, names or None, every=every),
        every=every,
        on_image=lambda group, name, reached: _progress(f"{group}: {name} {reached:.2f} dB"),
    )
    return harm_report(harm), {"harm": harm.to_dict()}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)
