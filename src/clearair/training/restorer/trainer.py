"""Trains a restorer by a recipe, from start or checkpoint to the saved model."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from clearair.data.photos import TrainingPhotos
from clearair.data.validation import OWN_STEP
from clearair.errors import ConfigError, ModelError, UsageError
from clearair.evaluation.held_out import HeldOutViews
from clearair.evaluation.summary import Summary
from clearair.evaluation.validation import Score, mean_score
from clearair.models.saved import load_model, save_model
from clearair.models.stamp import PerceiverStamp
from clearair.models.stored import holds_model
from clearair.network import ClearAIR
from clearair.training.loop.log import LOG, append
from clearair.training.loop.loop import Interrupted, run
from clearair.training.loop.trainer import Setup, Trainer
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.task import RestorerTask
from clearair.training.restorer.watcher import ValidationWatcher


class RestorerTrainer(Trainer):
    """Trains a restorer; the run is validated by kind of damage."""

    def __init__(self, recipe: Recipe, setup: Setup) -> None:
        """Raises UsageError, ConfigError or ModelError for what cannot be trained or compared."""
        super().__init__(setup)
        machine, validation = setup.machine, setup.validation
        self.task = RestorerTask(
            recipe,
            setup.data,
            perceiver=setup.perceiver,
            device=machine.device,
            compiled=machine.compiles,
            own=[pair for index, pair in enumerate(setup.pairs) if index % OWN_STEP],
            report=setup.report,
            processes=machine.processes,
        )
        self.watcher: ValidationWatcher | None = None
        if not machine.processes.leads:
            return
        if validation.views and self.task.perceiver is not None:
            self.watcher = ValidationWatcher(
                setup.out,
                setup.data,
                self.task.perceiver,
                views=validation.views,
                minutes=validation.minutes,
                at_start=validation.at_start or setup.saving.if_better,
                own=setup.pairs[::OWN_STEP],
                report=setup.report,
                notice=setup.notice,
            )
        elif setup.saving.if_better:
            raise UsageError("--save-if-better cannot validate a restorer that nothing guides.")
        self._check_reference()

    def share(self, photos: TrainingPhotos, held_out_views: HeldOutViews) -> None:
        """Use photographs and held-out views that are shared with other runs, instead of reading them.

        Raises ConfigError for a recipe that is not validated.
        """
        if self.watcher is None:
            raise ConfigError("Only a restorer that is guided can be compared: guided_from < steps.")
        self.task.photos = photos
        self.watcher.held_out_views = held_out_views

    def train(self) -> None:
        """Train, validate and save, also after the first Ctrl-C. Raises Interrupted then."""
        setup, interrupt = self.setup, None
        network: nn.Module
        if setup.machine.compiles:
            setup.notice("the network is compiled in the first step, which may take a minute")
        try:
            network = run(
                self.task,
                setup.out,
                setup.options,
                report=setup.report,
                notice=setup.notice,
                watcher=self.watcher,
            )
        except Interrupted as caught:
            network, interrupt = caught.network, caught
        assert isinstance(network, ClearAIR)
        if setup.machine.processes.leads:
            self._summarise(network, worth=setup.validation.worth and interrupt is None)
            self._save(network)
        if interrupt is not None:
            raise interrupt

    def _check_reference(self) -> None:
        """Raise ModelError for a model to compare with that these perceivers cannot guide."""
        saving = self.setup.saving
        if saving.folder is not None and saving.if_better and holds_model(saving.folder):
            assert self.task.perceiver is not None
            try:
                load_model(saving.folder).perceivers.check(PerceiverStamp.of(self.task.perceiver))
            except ModelError as error:
                raise ModelError(f"{saving.folder}: cannot be compared with: {error}.") from error

    def _summarise(self, network: ClearAIR, *, worth: bool) -> None:
        """Report the PSNR by kind of damage, and log what each percept contributes."""
        watcher = self.watcher
        if watcher is None or not self.setup.validation.table:
            return
        assert watcher.final is not None
        summary = Summary(watcher.final, watcher.start)
        if worth:
            contributions = watcher.held_out_views.contributions(network)
            summary = replace(summary, contributions=tuple(contributions))
            append(self.setup.out / LOG, {"worth": summary.to_dict()["worth"]})
        self.setup.report(summary.table())

    def _save(self, network: ClearAIR) -> None:
        saving, report = self.setup.saving, self.setup.report
        if saving.folder is None:
            return
        comparison = ""
        if saving.if_better:
            reference, against = self._reference()
            assert self.watcher is not None
            assert self.watcher.final is not None
            before, after = mean_score(reference).psnr, mean_score(self.watcher.final).psnr
            better = after > before
            record = {"saved": better, "against": against, "gain": round(after - before, 3)}
            append(self.setup.out / LOG, record)
            comparison = f" (mean PSNR {after:.3f} dB, {after - before:+.3f} against {against})"
            if not better:
                report(f"not saved{comparison}; the weights are in {self.setup.out}.")
                return
        save_model(network, saving.folder, perceivers=self.task.perceiver, overwrite=saving.may_replace)
        self._report_saved("model", comparison)

    def _reference(self) -> tuple[dict[str, Score], str]:
        """Return the scores to beat, and their source: the model in the folder, or the start of the run."""
        folder = self.setup.saving.folder
        assert folder is not None
        assert self.watcher is not None
        if holds_model(folder):
            network = load_model(folder).build().to(self.task.device)
            return self.watcher.held_out_views.validate(network).scores, str(folder)
        assert self.watcher.start is not None
        return self.watcher.start, "the start"
