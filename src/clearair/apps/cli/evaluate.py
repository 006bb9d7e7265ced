"""`clearair evaluate`: measure a model on benchmark sets, its harm, or what its guidance contributes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import in_options, say
from clearair.apps.cli.options import (
    LocalPath,
    cautious_option,
    chosen_batch_perceiver,
    damage_option,
    device_option,
    given_options,
    perceiver_options,
    precision_option,
)
from clearair.apps.cli.progress import Progress
from clearair.interrupts import Interrupts

if TYPE_CHECKING:
    from clearair.evaluation import Evaluation, Evaluator
    from clearair.evaluation.benchmarks import Case
    from clearair.evaluation.metrics import Image
    from clearair.evaluation.results import Score, Skipped

_OF_BENCHMARKS = frozenset(
    (
        "pairs",
        "metrics",
        "niqe_parameters",
        "musiq_weights",
        "crop",
        "noise_seed",
        "no_rounding",
        "save_images",
        "csv_file",
    )
)
"""Options that have no meaning for --harm and --shuffle."""
FILE = LocalPath(path_type=Path, dir_okay=False)
EXISTING_FILE = LocalPath(path_type=Path, dir_okay=False, exists=True)
FOLDER = LocalPath(path_type=Path, file_okay=False)
EXISTING_FOLDER = LocalPath(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("model", default="compact")
@click.option("--data", type=FOLDER, help="Read the pictures from this folder.")
@click.option("--benchmark", "sets", multiple=True, help="Measure only this set; may be given again.")
@click.option("--every", type=click.IntRange(1), default=1, help="Take every n-th image only.")
@click.option(
    "--shuffle",
    metavar="PERCEPTS",
    help="Measure how much each kind of guidance, of how,where,what, contributes.",
)
@click.option("--harm", is_flag=True, help="Measure changes to undamaged photos, and photos made worse.")
@click.option(
    "--pairs",
    nargs=2,
    type=EXISTING_FOLDER,
    metavar="INPUTS TARGETS",
    help="Measure two folders of your own, paired by name.",
)
@damage_option
@click.option(
    "--metrics",
    default="psnr,ssim",
    show_default=True,
    help="Choose of psnr, ssim, psnr-y, ssim-y (luma), niqe, musiq (no reference).",
)
@click.option("--niqe-parameters", type=EXISTING_FILE, help="Use the authors' model for NIQE.")
@click.option("--musiq-weights", type=EXISTING_FILE, help="Use the authors' weights for MUSIQ (musiq_koniq).")
@click.option(
    "--crop", type=click.IntRange(1), default=1, help="Crop to multiples of this; PromptIR uses 16."
)
@click.option("--noise-seed", type=click.IntRange(0), default=0, help="Draw the added noise from this seed.")
@click.option("--no-rounding", is_flag=True, help="Do not round results to 8 bits.")
@click.option("--save-images", type=FOLDER, help="Write the restored pictures to this folder.")
@click.option("--json", "json_file", type=FILE, help="Write the result to this file.")
@click.option("--csv", "csv_file", type=FILE, help="Write a row per image to this file.")
@click.option("--overwrite", is_flag=True, help="Replace those files when they exist.")
@perceiver_options
@cautious_option
@device_option
@precision_option
@click.pass_context
def evaluate(
    ctx: click.Context, /, model: str, cautious: bool, device: Any, precision: Any, **options: Any
) -> None:
    """Measure PSNR, SSIM and more on benchmark images.

    MODEL is a name, a folder or a file: a checkpoint of another project.

    Images are measured whole, in RGB, rounded to 8 bits, unless other options say so. An image that cannot be
    measured is named and skipped, and the exit code is 1 then; one without its other half stops the command
    before anything is measured. Ctrl-C and SIGTERM keep what was measured so far.
    """
    asked = _Asked(**options)
    asked.check(model)
    evaluator = asked.evaluator(device)
    screen = _Screen()

    def keep(evaluation: Evaluation) -> None:
        screen.clear()
        try:
            evaluation.write(asked.json_file, asked.csv_file, overwrite=asked.overwrite)
        finally:
            click.echo(evaluation.table)  # also where a file could not be written

    evaluation = evaluator.run(
        model,
        perceiver=chosen_batch_perceiver(),
        device=device,
        precision=precision,
        cautious=cautious,
        watcher=screen,
        keep=keep,
    )
    ctx.exit(0 if evaluation.complete else 1)


@dataclass(frozen=True)
class _Asked:
    """The options of one run, except those about the model."""

    data: Path | None
    sets: tuple[str, ...]
    every: int
    shuffle: str | None
    harm: bool
    pairs: tuple[Path, Path] | None
    damage: tuple[str, ...]
    metrics: str
    niqe_parameters: Path | None
    musiq_weights: Path | None
    crop: int
    noise_seed: int
    no_rounding: bool
    save_images: Path | None
    json_file: Path | None
    csv_file: Path | None
    overwrite: bool

    def check(self, model: str) -> None:
        """Refuse options that exclude each other, a missing model and outputs that cannot be written."""
        from clearair.files.outputs import check_file, is_same_file
        from clearair.models.catalogue import find_files

        if self.harm and self.shuffle is not None:
            raise click.UsageError("--harm and --shuffle are two measurements; choose one.")
        if self.shuffle is not None and self.damage:
            raise click.UsageError("--shuffle measures percepts, which --damage replaces; choose one.")
        if self.harm or self.shuffle is not None:
            _refuse_benchmark_options("--harm" if self.harm else "--shuffle")
        if not _words(self.metrics):
            raise click.UsageError("--metrics names no metric.")
        needs_data = self.pairs is None or self.sets or self.harm or self.shuffle is not None
        if self.data is None and needs_data:
            raise click.UsageError("Missing option '--data', the folder that holds the pictures.")
        if self.json_file and self.csv_file and is_same_file(self.json_file, self.csv_file):
            raise click.UsageError("--json and --csv name the same file; choose two.")
        folder = find_files(model)
        for output in (self.json_file, self.csv_file):
            if output is not None:
                read = [each for each in (self.data, folder, *(self.pairs or ())) if each is not None]
                check_file(output, overwrite=self.overwrite, inputs=_inputs(output, read))

    def evaluator(self, device: str) -> Evaluator:
        """Return the evaluator, after checking all names and finding all pictures."""
        from clearair.evaluation import Evaluator, Protocol
        from clearair.evaluation.measures import make_measures
        from clearair.evaluation.pictures import PictureSaver

        pictures = None
        if self.save_images is not None:
            base = self.json_file.parent if self.json_file else None
            pictures = PictureSaver(self.save_images, relative_to=base, overwrite=self.overwrite)
        return Evaluator(
            self.data,
            self.sets,
            pairs=self.pairs,
            every=self.every,
            damage=self.damage or "auto",
            harm=self.harm,
            shuffle=() if self.shuffle is None else tuple(map(str.strip, self.shuffle.split(","))),
            protocol=Protocol(self.crop, self.noise_seed, not self.no_rounding),
            measures=make_measures(
                _words(self.metrics),
                niqe_parameters=self.niqe_parameters,
                musiq_weights=self.musiq_weights,
                device="cpu" if device == "auto" else device,
            ),
            pictures=pictures,
        )


def _refuse_benchmark_options(measurement: str) -> None:
    """Refuse options of benchmarks, which the other measurements would ignore."""
    for name, option in given_options(click.get_current_context()).items():
        if name in _OF_BENCHMARKS:
            raise click.UsageError(f"{option} is for benchmarks; leave it out with {measurement}.")


def _words(text: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _inputs(file: Path, folders: Sequence[Path]) -> list[Path]:
    """Return `file` itself if it lies in an input folder, which may be too large to list."""
    place = file.resolve()
    read = {folder.resolve() for folder in folders}
    return [file] if place.exists() and read & {place, *place.parents} else []


class _Screen:
    """Shows the progress of an evaluation on standard error, and ends it after Ctrl-C or SIGTERM."""

    def __init__(self) -> None:
        self._progress = Progress(0, quiet=False)
        self._interrupts = Interrupts()

    def started(self, images: int) -> None:
        self._progress = Progress(images, quiet=False)

    def measured(self, benchmark: str, case: Case, restored: Image, score: Score) -> None:
        from clearair.evaluation.results import shown

        values = " ".join(f"{metric} {shown(metric, value)}" for metric, value in score.values.items())
        self._progress.done(f"{benchmark}: {score.name} {values}")
        self._interrupts.check()

    def skipped(self, benchmark: str, image: Skipped) -> None:
        self.clear()
        say(f"clearair: {benchmark}: {image.name} is skipped: {in_options(image.error)}", err=True)
        self._progress.done(f"{benchmark}: {image.name} skipped")
        self._interrupts.check()

    def progressed(self, text: str) -> None:
        self._progress.say(text)

    def measuring(self) -> AbstractContextManager[object]:
        return self._interrupts

    def restoring(self) -> AbstractContextManager[object]:
        return self._interrupts.at_once()

    def clear(self) -> None:
        """Make room for other output."""
        self._progress.clear()
