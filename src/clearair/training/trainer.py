"""Makes the trainer for any recipe or series, for commands, ablations and benchmarks."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from clearair.data.layouts import pair_folders
from clearair.errors import DataError, TrainingError, UsageError
from clearair.models import load_model, save_model
from clearair.models.stored import CONFIG, WEIGHTS
from clearair.perception import load_compact
from clearair.placing import make_folder, write_atomically
from clearair.training.loop.average import mean_weights
from clearair.training.loop.checkpoint import read_standing
from clearair.training.loop.resume import LATEST
from clearair.training.loop.trainer import Saving, Setup, Trainer
from clearair.training.perceivers.recognition import RecognizerRecipe
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.perceivers.trainer import PerceiverTrainer, RecognizerTrainer
from clearair.training.recipes import AnyRecipe
from clearair.training.restorer.trainer import RestorerTrainer
from clearair.training.series.series import Mean, Planned, Series

MODEL = "model"
"""Name of the folder for the result, inside that of each run of a series."""


def trainer_for(recipe: AnyRecipe | Series, setup: Setup) -> Trainer:
    """Return the trainer for a recipe or series. Raises ClearAirError when this setup does not allow it."""
    if isinstance(recipe, Series):
        return SeriesTrainer(recipe, setup)
    if isinstance(recipe, PerceiverRecipe):
        return PerceiverTrainer(recipe, setup)
    if isinstance(recipe, RecognizerRecipe):
        return RecognizerTrainer(recipe, setup)
    return RestorerTrainer(recipe, setup)


class SeriesTrainer(Trainer):
    """Trains the runs of a series, each in its own folder; resumed, it skips those that are complete."""

    def __init__(self, series: Series, setup: Setup) -> None:
        """Raises UsageError for what a series decides itself, TrainingError for a folder that holds a run."""
        super().__init__(setup)
        options = setup.options
        if options.start is not None or options.anneal_minutes or setup.saving.if_better:
            raise UsageError(
                "A series says what its runs start from and how they end: leave out --start, "
                "--anneal-minutes and --save-if-better."
            )
        if setup.machine.processes.count > 1:
            raise UsageError("A series is trained by one process.")
        self.series = series
        if self.has_begun and not options.resume:
            raise TrainingError(
                f"{setup.out}: holds a series already; --resume continues it, or name another folder."
            )

    def train(self) -> None:
        """Train the unfinished runs in order, and copy the result of the last one to its destination."""
        setup = self.setup
        minutes = setup.options.max_minutes
        end = None if minutes is None else time.monotonic() + 60 * minutes
        for number, run in enumerate(self.series.runs, 1):
            if self._is_done(run):
                setup.notice(f"{run.name}: is done")
                continue
            left = None if end is None else (end - time.monotonic()) / 60
            if left is None or left > 0:
                setup.report(f"run {number} of {len(self.series.runs)}: {run.name}")
                self._train(run, left)
            if not self._is_done(run):
                setup.report(f"{self.standing}; the same command with --resume continues.")
                return
        if setup.saving.folder is not None:
            _copy(self._made(self.series.runs[-1].name), setup.saving.folder)
            self._report_saved(self.series.runs[-1].name)

    @property
    def has_begun(self) -> bool:
        """Whether the folder holds one of the runs."""
        return any((self.setup.out / run.name).exists() for run in self.series.runs)

    @property
    def standing(self) -> str:
        """How many runs are finished."""
        done = sum(map(self._is_done, self.series.runs))
        return f"{self.setup.out}: {done} of {len(self.series.runs)} runs are done"

    def _train(self, run: Planned | Mean, minutes: float | None) -> None:
        if isinstance(run, Mean):
            self._average(run)
            return
        setup = self.setup
        start = run.start
        if start in {each.name for each in self.series.runs}:
            assert start is not None
            start = str(self._made(start))
        perceiver = setup.perceiver
        if run.perceivers is not None:
            perceiver = load_compact(self._made(run.perceivers))
        # What it had when its time was up must not pass for the result if it is killed before it saves that.
        shutil.rmtree(self._made(run.name), ignore_errors=True)
        options = replace(setup.options, start=start, max_minutes=minutes)
        trainer_for(
            run.recipe,
            replace(
                setup,
                out=setup.out / run.name,
                options=options,
                perceiver=perceiver,
                saving=Saving(self._made(run.name), overwrite=True),
            ),
        ).train()

    def _average(self, run: Mean) -> None:
        """Write the mean of earlier restorers. Raises TrainingError where their networks differ."""
        models = {name: load_model(self._made(name)) for name in run.shares}
        first, *others = models.values()
        if any(other.perceivers != first.perceivers for other in others):
            raise TrainingError(f"{run.name}: is a mean of restorers that other perceivers guide.")
        weights = mean_weights({name: (model.weights, run.shares[name]) for name, model in models.items()})
        network = first.build()
        network.load_state_dict(weights)
        save_model(network, self._made(run.name), perceivers=first.perceivers, overwrite=True)

    def _is_done(self, run: Planned | Mean) -> bool:
        """Whether a run finished, instead of only saving its state when its time was up."""
        if not all((self._made(run.name) / name).exists() for name in (CONFIG, WEIGHTS)):
            return False
        latest = self.setup.out / run.name / LATEST
        if not latest.exists():  # a mean or a recognizer, which are written only when complete
            return True
        step, steps = read_standing(latest)
        return step >= steps

    def _made(self, name: str) -> Path:
        return self.setup.out / name / MODEL


def find_own_pairs(folders: tuple[Path, Path] | None) -> list[tuple[Path, Path]]:
    """Return (damaged, clean) files of two folders, none without folders. Raises DataError."""
    if folders is None:
        return []
    items = pair_folders(*folders)
    if len(items) < 2:
        raise DataError(f"{folders[0]}: needs at least 2 pairs, one of them to validate with.")
    return [(item.damaged, item.clean) for item in items if item.damaged and item.clean]


def _copy(model: Path, to: Path) -> None:
    make_folder(to)
    for name in (WEIGHTS, CONFIG):
        write_atomically(to / name, (model / name).read_bytes(), overwrite=True)
