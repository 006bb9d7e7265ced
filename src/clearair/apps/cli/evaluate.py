"""`clearair evaluate`: what a model reaches, what each percept is worth to it, and what harm it does."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.progress import Progress
from clearair.interrupts import Interrupts

if TYPE_CHECKING:
    from clearair.evaluation.benchmarks import Case, Restore, Result, Score, Skipped
    from clearair.evaluation.metrics import Image
    from clearair.restorer import Restorer

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("model", default="compact")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
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
@click.option(
    "--pairs",
    nargs=2,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="INPUTS TARGETS",
    help="Two folders of your own, paired by name.",
)
@click.option(
    "--damage",
    multiple=True,
    metavar="KIND,...",
    default=("auto",),
    help="Tell the model what is wrong with every image, such as haze,rain.  [default: auto]",
)
@click.option(
    "--metrics",
    default="psnr,ssim",
    show_default=True,
    help="Of psnr, ssim (RGB), psnr-y, ssim-y (luma), niqe, musiq (without a clean version).",
)
@click.option("--niqe-parameters", type=FILE, help="The authors' model for NIQE; otherwise niqe-own.")
@click.option("--musiq-weights", type=FILE, help="The authors' weights for MUSIQ (musiq_koniq).")
@click.option("--crop", type=click.IntRange(1), default=1, help="Crop to multiples of this; PromptIR has 16.")
@click.option("--noise-seed", type=click.IntRange(0), default=0, help="Of the noise that is added.")
@click.option("--no-rounding", is_flag=True, help="Do not round what is restored to 8 bits.")
@click.option("--save-images", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write this file.")
@click.option("--csv", "sheet", type=click.Path(path_type=Path, dir_okay=False), help="A row per image.")
@click.option("--overwrite", is_flag=True, help="Replace those files when they exist.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    model: str,
    data: Path | None,
    names: tuple[str, ...],
    every: int,
    percepts: str | None,
    harm: bool,
    pairs: tuple[Path, Path] | None,
    damage: tuple[str, ...],
    metrics: str,
    niqe_parameters: Path | None,
    musiq_weights: Path | None,
    crop: int,
    noise_seed: int,
    no_rounding: bool,
    save_images: Path | None,
    file: Path | None,
    sheet: Path | None,
    overwrite: bool,
    device: str,
    precision: str,
) -> None:
    """Restore benchmark images with MODEL, a name or a folder, and print PSNR and SSIM.

    Of whole images, in RGB, rounded to 8 bits, unless other options say so. An image that cannot be measured
    is named and skipped, and the exit code is 1 then; Ctrl-C and SIGTERM keep what was measured so far.
    """
    from clearair.evaluation.benchmarks import pairs_benchmark
    from clearair.evaluation.measures import make_measures
    from clearair.evaluation.protocol import Protocol
    from clearair.files.outputs import check_file
    from clearair.restorer import Restorer

    if harm and percepts is not None:
        raise click.UsageError("--harm and --shuffle are two measurements; ask for one.")
    if percepts is not None and damage != ("auto",):
        raise click.UsageError("--shuffle measures what is perceived, --damage replaces it; ask for one.")
    if data is None and (pairs is None or names or harm or percepts is not None):
        raise click.UsageError("Missing option '--data', the folder that holds the pictures.")
    folder = data or Path()
    for output in (file, sheet):
        if output is not None:
            check_file(output, overwrite=overwrite, inputs=_inputs(output, folder, model))
    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    place = "cpu" if device == "auto" else device
    measures = make_measures(
        asked, niqe_parameters=niqe_parameters, musiq_weights=musiq_weights, device=place
    )
    extra = [] if pairs is None else [pairs_benchmark(*pairs)]
    restorer = Restorer.from_pretrained(model, device=device, precision=precision)  # type: ignore[arg-type]
    restorer.check_damage(damage)
    # Of the weights and the code that measure, before anybody can change them.
    about = {"model": model, "weights": _weights(model), "every": every, **_version()}
    about |= {} if damage == ("auto",) else {"damage": ",".join(damage)}
    writer = _Writer(file, sheet, overwrite, about)
    if percepts is not None:
        writer(*_shuffle(restorer, folder, names, every, percepts))
    elif harm:
        writer(*_harm(restorer, folder, names, every, damage))
    else:
        protocol = Protocol(crop, noise_seed, not no_rounding)
        saver = None if save_images is None else _Saver(save_images, file, overwrite)
        options = {"extra": extra, "protocol": protocol, "measures": measures, "every": every}

        def restore(image: Any) -> Any:
            return restorer(image, damage=damage).image

        with Interrupts() as interrupts:
            results = _measure(restore, folder, names, saver, writer, interrupts, options)
        ctx.exit(0 if all(result.complete for result in results) else 1)


def _inputs(file: Path, data: Path, model: str) -> list[Path]:
    """`file` itself where it lies in a folder that is read, which may be too large to list."""
    place = file.resolve()
    return [file] if place.exists() and {data.resolve(), Path(model).resolve()} & set(place.parents) else []


class _Writer:
    """Prints a table, and writes what was found with what is `about` the model into the files asked for."""

    def __init__(
        self, json_file: Path | None, sheet: Path | None, overwrite: bool, about: dict[str, Any]
    ) -> None:
        self.json_file, self.sheet, self.overwrite, self.about = json_file, sheet, overwrite, about

    def __call__(self, table: str, found: dict[str, Any], rows: str | None = None) -> None:
        """Write each file whole; `rows` is CSV."""
        from clearair.image import write_atomically

        try:
            if self.json_file is not None:
                text = json.dumps({**self.about, **found}, indent=1) + "\n"
                write_atomically(self.json_file, text.encode(), overwrite=self.overwrite)
            if self.sheet is not None and rows is not None:
                write_atomically(self.sheet, rows.encode(), overwrite=self.overwrite)
        finally:
            _progress("")
            click.echo(table)  # also where a file could not be written


class _Saver:
    """Writes restored pictures, and noisy ones that are in no file: `DIR/BENCHMARK/NAME.png`."""

    def __init__(self, folder: Path, json_file: Path | None, overwrite: bool) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.base = (json_file.parent if json_file else Path()).absolute()
        self.saved: dict[tuple[str, str], dict[str, str]] = {}

    def __call__(self, benchmark: str, case: Case, restored: Image) -> None:
        """Keep one picture."""
        from clearair.files.outputs import make_folder
        from clearair.image import Photo, write_photo

        target = self.folder / benchmark.replace("/", "_") / f"{case.name}.png"
        make_folder(target.parent)
        write_photo(Photo(restored), target, overwrite=self.overwrite)
        paths = {"restored": target}
        if case.synthetic:
            paths["input"] = target.with_name(f"{target.stem}.input.png")
            write_photo(Photo(case.damaged), paths["input"], overwrite=self.overwrite)
        self.saved[benchmark, case.name] = {
            what: os.path.relpath(path.absolute(), self.base) for what, path in paths.items()
        }

    def note(self, result: dict[str, Any]) -> None:
        """Say in a result where its pictures are, relative to the file it goes to."""
        for score in result["scores"]:
            score["saved"] = self.saved.get((result["benchmark"], score["name"]), {})


def _measure(
    restore: Restore,
    data: Path,
    names: tuple[str, ...],
    saver: _Saver | None,
    writer: _Writer,
    interrupts: Interrupts,
    options: dict[str, Any],
) -> list[Result]:
    """Measure benchmarks, and write what was measured also when something ends it early."""
    from clearair.evaluation.benchmarks import evaluate, markdown_table, shown

    progress = Progress(0, quiet=True)
    results: list[Result] = []
    finished = False

    def on_start(images: int) -> None:
        nonlocal progress
        progress = Progress(images, quiet=False)

    def on_image(benchmark: str, case: Case, restored: Image, score: Score) -> None:
        values = " ".join(f"{metric} {shown(metric, value)}" for metric, value in score.values.items())
        progress.done(f"{benchmark}: {score.name} {values}")
        if saver:
            saver(benchmark, case, restored)
        interrupts.check()

    def on_skipped(benchmark: str, image: Skipped) -> None:
        progress.clear()
        say(f"clearair: {benchmark}: {image.name} is skipped: {image.error}", err=True)
        progress.done(f"{benchmark}: {image.name} skipped")
        interrupts.check()

    def restore_at_once(image: Any) -> Any:
        with interrupts.at_once():
            return restore(image)

    measured = evaluate(
        restore_at_once,
        data,
        names or None,
        on_start=on_start,
        on_image=on_image,
        on_skipped=on_skipped,
        **options,
    )
    try:
        results.extend(measured)
        finished = True
    finally:
        progress.clear()
        if results:
            found = [result.to_dict() for result in results]
            if saver:
                for result in found:
                    saver.note(result)
            complete = finished and all(result.complete for result in results)
            table = f"{markdown_table(results)}\n\nProtocol: {options['protocol']}."
            writer(table, {"complete": complete, "results": found}, _sheet(results))
    return results


def _sheet(results: Sequence[Result]) -> str:
    """CSV with a row per image."""
    metrics = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "image", *(f"{side}{m}" for m in metrics for side in ("input_", ""))])
    for result in results:
        for score in result.scores:
            cells = [side.get(m, "") for m in metrics for side in (score.inputs, score.values)]
            writer.writerow([result.benchmark, score.name, *cells])
    return text.getvalue()


def _version() -> dict[str, str]:
    """The version, and in a checkout the commit, with `+` where files have changed since."""
    from clearair import __version__

    about = {"version": __version__}
    here = Path(__file__).parent
    with suppress(OSError, subprocess.CalledProcessError):
        # Only when this file is tracked: an installed package may lie inside somebody else's repository.
        git = ["git", "-C", str(here)]
        quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], **quiet)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], **quiet).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **quiet).stdout
        about["commit"] = commit + ("+" if changed.strip() else "")
    return about


def _weights(model: str) -> str:
    """Fingerprint of the model's weights."""
    from clearair.evaluation.benchmarks import fingerprint
    from clearair.models import find_model

    return fingerprint([find_model(model) / "model.safetensors"])


def _shuffle(
    restorer: Restorer, data: Path, names: tuple[str, ...], every: int, percepts: str
) -> tuple[str, dict[str, Any]]:
    from clearair.evaluation.shuffle import shuffle, shuffle_table
    from clearair.evaluation.validation import named_sets
    from clearair.runtime.pytorch import PyTorchRuntime

    assert isinstance(restorer.runtime, PyTorchRuntime)
    worths = shuffle(
        restorer.runtime.network,
        restorer.perceiver,
        named_sets(data, names or None, every=every),
        [percept.strip() for percept in percepts.split(",")],
        on_set=lambda percept, kind: _progress(f"{percept}: {kind}"),
    )
    return shuffle_table(worths), {"shuffle": [worth.to_dict() for worth in worths]}


def _harm(
    restorer: Restorer, data: Path, names: tuple[str, ...], every: int, damage: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    from clearair.evaluation.harm import harm_report, measure_harm
    from clearair.evaluation.validation import named_sets

    harm = measure_harm(
        lambda image: restorer(image, damage=damage).image,
        data,
        named_sets(data, names or None, every=every),
        every=every,
        on_image=lambda group, name, reached: _progress(f"{group}: {name} {reached:.2f} dB"),
    )
    return harm_report(harm), {"harm": harm.to_dict()}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)
