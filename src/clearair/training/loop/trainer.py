"""What all trainers share: everything about a run besides its recipe, and where the run stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from clearair.memory import keep_freed_memory
from clearair.models.stored import check_folder
from clearair.perception.protocol import BatchPerceiver
from clearair.training.loop.checkpoint import read_standing
from clearair.training.loop.loop import RunOptions, ignore
from clearair.training.loop.processes import ALONE, Processes
from clearair.training.loop.resume import LATEST


@dataclass(frozen=True)
class Machine:
    """What a run is computed on."""

    device: str = "cpu"
    compiled: bool | None = None
    """Whether a restorer's network is compiled; by default on CUDA alone."""
    processes: Processes = ALONE
    """Those that train together, this one among them."""

    @property
    def compiles(self) -> bool:
        """Whether a restorer's network is compiled."""
        return self.device.startswith("cuda") if self.compiled is None else self.compiled

    def prepare(self, threads: int | None = None) -> None:
        """Set up this process for training, with so many processor cores; all of them by default."""
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
    """Measure in the end what each percept is worth."""
    table: bool = True
    """Report the table of PSNR by kind of damage in the end."""


@dataclass(frozen=True)
class Saving:
    """Where the result goes, and on which condition."""

    folder: Path | None = None
    """None: only checkpoints are written."""
    if_better: bool = False
    """Only when the mean PSNR rose against the model that is there, or else against the start."""
    overwrite: bool = False
    """Replace a model without a comparison."""

    @property
    def may_replace(self) -> bool:
        """Whether a model that is there may be replaced."""
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
    """What guides a restorer, unless it is the perceiver that ships."""
    pairs: Sequence[tuple[Path, Path]] = ()
    """(damaged, clean) files of the user's own."""
    report: Callable[[str], None] = print
    """Takes results, line by line."""
    notice: Callable[[str], None] = ignore
    """Takes what is being done, line by line."""


class Trainer(ABC):
    """Runs a whole training: builds what a recipe describes, starts or resumes, trains, validates, saves."""

    def __init__(self, setup: Setup) -> None:
        """Raises OutputError when a model would be replaced unasked; nothing is trained then."""
        self.setup = setup
        if setup.saving.folder is not None:
            check_folder(setup.saving.folder, overwrite=setup.saving.may_replace)

    @abstractmethod
    def train(self) -> None:
        """Train, validate and save. Raises Interrupted after Ctrl-C or SIGTERM, when all of that is done."""

    @property
    def has_begun(self) -> bool:
        """Whether there is a run in the folder, to go on with."""
        return (self.setup.out / LATEST).exists()

    @property
    def standing(self) -> str:
        """How far the run is, in words."""
        out = self.setup.out
        if not self.has_begun:
            return f"{out}: nothing is saved yet"
        step, steps = read_standing(out / LATEST)
        return f"{out}: step {step} of {steps} is saved"
