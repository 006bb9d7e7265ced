"""A recipe: the complete, frozen description of a training run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from clearair.data.layouts import DATA_SETS
from clearair.data.pairs import Mix
from clearair.errors import ConfigError
from clearair.network import NetworkConfig
from clearair.training.loop.fields import check_not_negative, check_seed, suggestion
from clearair.training.loop.optimizer import Optimization
from clearair.training.loop.schedule import warmup_stay_decay
from clearair.training.restorer.losses import ClueReuse


@dataclass(frozen=True)
class Stage:
    """A stage with other sizes: many small steps gain more at first, larger windows later."""

    start: int
    """The first step that it holds for."""
    batch: int
    patch: int
    view: int

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 < self.patch <= self.view:
            raise ConfigError(
                f"Stage needs at least 1 pair and a patch that fits into its view; got {self.batch} x "
                f"{self.patch} and {self.view}."
            )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run learns; nothing about the machine it runs on."""

    name: str
    network: NetworkConfig
    mix: Mix = field(default_factory=Mix)
    sets: tuple[str, ...] = ()
    """Published training sets whose pairs replace synthetic damage, if they are present."""
    steps: int = 20_000
    """Length of the run. Not part of its identity: a run may be resumed with another length."""
    decay_steps: int = 600
    """The last steps, over which the learning rate falls to zero (1 - sqrt)."""
    warmup: int = 100
    batch: int = 16
    view: int = 192
    """Side in pixels of the damaged picture that the perceivers look at."""
    patch: int = 128
    """Side in pixels of the window of it that the network restores."""
    windows: int = 1
    """Windows restored of each view; a step restores `batch` times as many."""
    scales: tuple[float, float] = (0.4, 1.0)
    """Photographs are resized by a factor in this range."""
    optimizer: Optimization = "muon"
    """Muon, with AdamW for everything but matrices, or AdamW alone."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    clip: float = 1.0
    """Largest norm of the gradient."""
    mask_dropout: float = 0.1
    """Probability with which each region is merged into the background."""
    told: float = 0.0
    """Share of views whose damage is named for the network, as with `--damage`; only with the embedded
    perceivers."""
    pool: int = 0
    """Number of steps whose damaged views are drawn once and then reused; 0 always draws new ones. With a
    percept cache, costly perceivers then see each view only once. With `only_tone` the views are also drawn
    once."""
    guided_from: int = 0
    """Until this step every image gets neutral guidance, and nothing is perceived."""
    clue_reuse: ClueReuse | Literal["off"] = "anchored"
    """ICRM (eqs. 15-17): as in the paper, with the weak view as a target that takes no gradient, or anchored
    to the clean picture."""
    alpha: float = 0.25
    """Weight of ICRM in the loss (eq. 1)."""
    gamma: float = 0.05
    """Weight inside ICRM (eq. 17)."""
    visible_clues: bool = False
    """ICRM measures differences in units of the local just noticeable difference."""
    tone_weight: float = 0.5
    """Weight of the tone stage's own L1, on thumbnails of the whole views."""
    only_tone: bool = False
    """Train the tone stage alone, on those thumbnails: nothing is restored, so a step costs a fraction."""
    fixed_tone: bool = False
    """Freeze the tone stage, such as one that was trained separately and longer."""
    balance: float = 0.0
    """How much more images with a small error count, from 0, each the same, to 1, each by the inverse of its
    error: a kind of damage that leaves large errors, such as haze, then outweighs no other."""
    balance_fine: bool = False
    """Balance by the fine part of each error, without its means over 16 x 16 pixels, so that an image with a
    veil left counts in full."""
    fft: float = 0.0
    """Weight of the L1 between the spectra of restoration and clean picture."""
    stages: tuple[Stage, ...] = ()
    """What follows `batch`, `patch` and `view`, by the step from which on it holds."""
    seed: int = 0
    accumulate: int = 1
    """Number of parts of a batch whose gradients are accumulated before a step, to save memory. Not part of a
    run's identity: the sum is the same."""
    shares: int = 0
    """Shares of equal size that a batch is drawn in, each from its own seed, so that several processes
    draw only their own; 0 draws it whole, and every process cuts its share out of that."""

    def __post_init__(self) -> None:
        if self.patch > self.view:
            raise ConfigError(f"Recipe.patch {self.patch} must fit into Recipe.view {self.view}.")
        for name in self.sets:
            known = [each.name for each in DATA_SETS.values() if each.part == "train" and each.paired]
            if name not in known:
                raise ConfigError(
                    f"Recipe.sets: there is no training set {name!r}{suggestion(name, known)}; known are "
                    f"{', '.join(known)}."
                )
        for name in ("only_tone", "fixed_tone"):
            if getattr(self, name) and not self.network.tone:
                raise ConfigError(f"Recipe.{name} needs a network with a tone stage.")
        if self.only_tone and self.fixed_tone:
            raise ConfigError("Recipe.only_tone and Recipe.fixed_tone together leave nothing to learn.")
        if self.balance_fine and not self.balance:
            raise ConfigError("Recipe.balance_fine needs a Recipe.balance above 0.")
        self._check_ranges()
        if self.pool < 0:
            raise ConfigError(f"Recipe.pool is a number of steps or 0, got {self.pool}.")
        if min(self.steps, self.batch, self.windows) < 1:
            raise ConfigError(
                f"Recipe needs at least 1 step, 1 pair and 1 window; got {self.steps}, {self.batch} and "
                f"{self.windows}."
            )
        if self.accumulate < 1 or self.shares < 0:
            raise ConfigError(
                f"Recipe.accumulate is 1 or more and Recipe.shares 0 or more; got {self.accumulate} and "
                f"{self.shares}."
            )
        for batch in (self.batch, *(stage.batch for stage in self.stages)):
            for name, parts in (("accumulate", self.accumulate), ("shares", self.shares)):
                if batch % (parts or 1):
                    raise ConfigError(f"Recipe.{name} {parts} must divide the batch of {batch}.")
        starts = [0, *(stage.start for stage in self.stages)]
        if sorted(set(starts)) != starts:
            raise ConfigError(
                f"Recipe.stages must start one after the other, after step 0; got {starts[1:]}."
            )

    def _check_ranges(self) -> None:
        """Raises ConfigError for a number that makes training impossible."""
        if not self.patch > 0:
            raise ConfigError(f"Recipe.patch is a side in pixels, got {self.patch}.")
        low, high = self.scales
        if not 0 < low <= high < math.inf:
            raise ConfigError(f"Recipe.scales are the smallest and the largest factor, got {low}, {high}.")
        if not self.clip > 0:
            raise ConfigError(f"Recipe.clip must be above 0, got {self.clip}.")
        rates = ("learning_rate", "weight_decay", "warmup", "decay_steps")
        check_not_negative(self, (*rates, "alpha", "gamma", "tone_weight", "fft"))
        check_seed(self)
        if not 0 <= self.ema < 1:
            raise ConfigError(f"Recipe.ema must lie in [0, 1), got {self.ema}.")
        for name in ("mask_dropout", "told", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"Recipe.{name} must lie between 0 and 1, got {getattr(self, name)}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def at(self, step: int) -> Recipe:
        """The recipe with the batch, patch and view of a step."""
        begun = [stage for stage in self.stages if stage.start <= step]
        if not begun:
            return self
        stage = begun[-1]
        return replace(self, batch=stage.batch, patch=stage.patch, view=stage.view)

    @property
    def decay_start(self) -> int:
        """The step at which the learning rate begins to fall."""
        return max(0, self.steps - self.decay_steps)

    def rate(self, step: int) -> float:
        """Learning rate of a step, relative to `learning_rate`: warm up, stay, decay (WSD)."""
        return warmup_stay_decay(step, self.steps, self.warmup, self.decay_start)
