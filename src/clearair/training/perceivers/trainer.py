"""Trains the perceivers and fits their recognizer, from start or checkpoint to the shipped form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from clearair.errors import TrainingError, UsageError
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.stored import shipped_folder
from clearair.placing import make_folder
from clearair.training.loop.loop import Interrupted, run
from clearair.training.loop.resume import LATEST
from clearair.training.loop.trainer import Setup, Trainer
from clearair.training.perceivers.recognition import RecognizerRecipe, publish_recognizer, train_recognizer
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.perceivers.task import PerceiverTask, publish, reopen

START = "start.safetensors"
"""File of the run folder: published perceivers, made ready for more training."""


def published_folder(start: Path | str) -> Path:
    """The folder of published perceivers: "compact" are those that ship."""
    return shipped_folder() if str(start) == "compact" else Path(start)


class _AloneTrainer(Trainer):
    """Shared by both: one process trains, and no models are compared."""

    def __init__(self, setup: Setup) -> None:
        """Raises UsageError for several processes, and for a comparison of models."""
        super().__init__(setup)
        if setup.saving.if_better:
            raise UsageError("--save-if-better compares restorers; this recipe trains none.")
        if setup.machine.processes.count > 1:
            raise UsageError("Perceivers and their recognizer are trained by one process.")


class PerceiverTrainer(_AloneTrainer):
    """Trains the eyes of the restorer."""

    def __init__(self, recipe: PerceiverRecipe, setup: Setup) -> None:
        super().__init__(setup)
        self.recipe = recipe
        self.task = PerceiverTask(recipe, setup.data, device=setup.machine.device)

    def train(self) -> None:
        """Train, and write the perceivers in the form that ships, also after the first Ctrl-C.

        Raises Interrupted then.
        """
        setup = self.setup
        options = setup.options
        if options.start is not None and not Path(options.start).is_file() and not self.has_begun:
            start = setup.out / START
            make_folder(setup.out)
            reopen(published_folder(options.start), self.recipe, setup.data, start)
            options = replace(options, start=start)
        interrupt = None
        eyes: nn.Module
        try:
            eyes = run(self.task, setup.out, options, report=setup.report, notice=setup.notice)
        except Interrupted as caught:
            eyes, interrupt = caught.network, caught
        assert isinstance(eyes, CompactEyes)
        if setup.saving.folder is not None:
            setup.notice("fitting the heads that name kinds, to be saved; this takes minutes")
            publish(eyes, self.recipe, setup.saving.folder, setup.data)
            self._report_saved("perceivers")
        if interrupt is not None:
            raise interrupt


class RecognizerTrainer(_AloneTrainer):
    """Fits the recognizer; the examples that it has looked at are saved in the run folder."""

    def __init__(self, recipe: RecognizerRecipe, setup: Setup) -> None:
        super().__init__(setup)
        self.recipe = recipe

    def train(self) -> None:
        """Fit, and write the perceivers in the form that ships, unless the time did not suffice."""
        setup = self.setup
        if (setup.out / LATEST).exists():
            raise TrainingError(f"{setup.out}: holds a run of another recipe; name another folder.")
        start = setup.options.start
        setup.notice("perceiving the training pictures; the features are saved every few minutes")
        fitted = train_recognizer(
            self.recipe,
            setup.data,
            setup.out,
            start=None if start is None else published_folder(start),
            max_minutes=setup.options.max_minutes,
            report=setup.report,
        )
        if fitted is not None and setup.saving.folder is not None:
            publish_recognizer(fitted, setup.saving.folder)
            self._report_saved("perceivers")

    @property
    def has_begun(self) -> bool:
        """Whether features of examples were saved."""
        return any(self.setup.out.glob("seen-*.safetensors"))

    @property
    def standing(self) -> str:
        """How far the run is, in words."""
        count = len(list(self.setup.out.glob("seen-*.safetensors")))
        return f"{self.setup.out}: {count} parts of the examples are perceived and saved"
