"""`clearair evaluate`: what a model reaches on the benchmark sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("model", default="compact")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Data folder.")
@click.option("--benchmark", "names", multiple=True, help="Only this set; may be given again.")
@click.option("--every", type=click.IntRange(1), default=1, help="Take every n-th image only.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write this file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16.")
def evaluate(
    model: str, data: Path, names: tuple[str, ...], every: int, file: Path | None, device: str, precision: str
) -> None:
    """Restore benchmark images with MODEL and print PSNR and SSIM: whole images, RGB, 8 bits."""
    from clearair.errors import OutputError
    from clearair.evaluation.benchmarks import Score, markdown_table
    from clearair.evaluation.benchmarks import evaluate as measure
    from clearair.restorer import Restorer

    if file is not None and file.exists():
        raise OutputError(f"{file}: exists already; name another file.")
    restorer = Restorer.from_pretrained(model, device=device, precision=precision)  # type: ignore[arg-type]
    progress = sys.stderr

    def on_image(benchmark: str, score: Score) -> None:
        if progress.isatty():
            click.echo(f"\r\033[K{benchmark}: {score.name} {score.psnr:.2f} dB", err=True, nl=False)

    results = list(
        measure(lambda image: restorer(image).image, data, names or None, every=every, on_image=on_image)
    )
    if progress.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    click.echo(markdown_table(results))
    if file is not None:
        from clearair.image import write_atomically

        about = {"model": model, "every": every, "results": [result.to_dict() for result in results]}
        write_atomically(file, json.dumps(about, indent=1).encode(), overwrite=False)
