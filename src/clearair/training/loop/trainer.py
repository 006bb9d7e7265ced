"""Shared parts of all trainers: the settings of a run besides its recipe, and its progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from clearair.memory import keep_freed_memory
from clearair.models.stored import check_folder
from clearair.perception.protocol import BatchPerceiver
from clearair.placing import check_makeable
from clearair.training.loop.checkpoint import read_standing
from clearair.training.loop.loop import RunOptions, ignore
from clearair.training.loop.processes import ALONE, Processes
from clearair.training.loop.resume import LATEST
from clearair.training.loop.saved import is_saved_by, remember_saved


@dataclass(frozen=True)
class Machine:
    """The device and processes of a run."""

    device: str = "cpu"
    compiled: bool | None = None
    """Whether a restorer's network is compiled; by default on CUDA alone."""
    processes: Processes = ALONE
    """The group of processes that train together."""

    @property
    def compiles(self) -> bool:
        """Whether a restorer's network is compiled."""
        return self.device.startswith("cuda") if self.compiled is None else self.compiled

    def prepare(self, threads: int | None = None) -> None:
        """Set up this process for training, with `threads` processor cores; all of them by default."""
        if threads:
            torch.set_num_threads(threads)
        keep_freed_memory()
        torch.backends.cudnn.benchmark = True  # windows have one size for thousands of steps


@dataclass(frozen=True)
class Validation:
    """How a restorer is validated while it is trained."""

    views: int = 6
    """Held-out views of each kind of damage; 0 for no validation."""
    minutes: float | None = None
    """Time between two validations, besides those at the start and the end; None: only these."""
    at_start: bool = True
    """Validate before the first step."""
    worth: bool = False
    """Finally measure how much each percept contributes."""
    table: bool = True
    """Report the table of PSNR by kind of damage in the end."""


@dataclass(frozen=True)
class Saving:
    """Where the result is saved, and under which condition."""

    folder: Path | None = None
    """None: only checkpoints are written."""
    if_better: bool = False
    """Save only if the mean PSNR is higher than that of the existing model, or else of the start."""
    overwrite: bool = False
    """Replace a model without a comparison. A resumed run may replace the one that it saved anyway."""

    @property
    def may_replace(self) -> bool:
        """Whether an existing model may be replaced."""
        return self.overwrite or self.if_better


@dataclass(frozen=True)
class Setup:
    """Everything about a run besides its recipe."""

    data: Path
    """The data folder."""
    out: Path
    """The run folder."""
    options: RunOptions = field(default_factory=RunOptions)
    machine: Machine = field(default_factory=Machine)
    validation: Validation = field(default_factory=Validation)
    saving: Saving = field(default_factory=Saving)
    perceiver: BatchPerceiver | None = None
    """The perceiver of a restorer, unless it is the shipped one."""
    pairs: Sequence[tuple[Path, Path]] = ()
    """(damaged, clean) files of the user's own."""
    report: Callable[[str], None] = print
    """Takes results, line by line."""
    notice: Callable[[str], None] = ignore
    """Receives progress messages, line by line."""


class Trainer(ABC):
    """Runs a whole training: builds what a recipe describes, starts or resumes, trains, validates, saves."""

    def __init__(self, setup: Setup) -> None:
        """Raises OutputError when a folder cannot be written to or a model would be replaced unasked."""
        saving = setup.saving
        if saving.folder is not None and setup.options.resume and is_saved_by(setup.out, saving.folder):
            setup = replace(setup, saving=replace(saving, overwrite=True))
        self.setup = setup
        check_makeable(setup.out)
        if setup.saving.folder is not None:
            check_folder(setup.saving.folder, overwrite=setup.saving.may_replace)

    @abstractmethod
    def train(self) -> None:
        """Train, validate and save. Raises Interrupted after Ctrl-C or SIGTERM, when all of that is done."""

    def _report_saved(self, what: str, comparison: str = "") -> None:
        """Report where the result is; the run may replace it when it is resumed."""
        folder = self.setup.saving.folder
        assert folder is not None
        remember_saved(self.setup.out, folder)
        self.setup.report(f"{what} -> {folder}{comparison}")

    @property
    def has_begun(self) -> bool:
        """Whether the folder contains a run to resume."""
        return (self.setup.out / LATEST).exists()

    @property
    def standing(self) -> str:
        """The progress of the run, in words."""
        out = self.setup.out
        if not self.has_begun:
            return f"{out}: nothing is saved yet"
        step, steps = read_standing(out / LATEST)
        return f"{out}: step {step} of {steps} is saved"
