"""Recipes: complete, frozen descriptions of a training run. A variant replaces fields of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

from clearair.data.degradations import CDD11
from clearair.data.layouts import DATA_SETS
from clearair.data.pairs import Mix
from clearair.errors import ConfigError
from clearair.network import BASE, COMPACT, TINY, NetworkConfig
from clearair.training.losses import ClueReuse
from clearair.training.overrides import meant
from clearair.training.schedule import warmup_stay_decay
from clearair.training.variants import FAMILIES, slug


@dataclass(frozen=True)
class Stage:
    """Larger windows, or others: many small steps gain more at first, larger windows later."""

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
    """Published training sets whose pairs are taken instead of damage that is drawn, where they are there."""
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
    """Windows that are restored of each view, so many times `batch` a step."""
    scales: tuple[float, float] = (0.4, 1.0)
    """Photographs are resized by a factor in this range."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    clip: float = 1.0
    """Largest norm of the gradient."""
    mask_dropout: float = 0.1
    """Probability with which each region is merged into the background."""
    pool: int = 0
    """So many steps' damaged views are drawn, then the same ones again; 0 draws new ones for ever. With
    percepts kept on disk, costly perceivers so look at each view once."""
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
    """ICRM counts differences in units of what can just be noticed at their place."""
    tone_weight: float = 0.5
    """Weight of the tone stage's own L1, on thumbnails of the whole views."""
    only_tone: bool = False
    """Train the tone stage alone, on those thumbnails: nothing is restored, so a step costs a fraction."""
    fft: float = 0.0
    """Weight of the L1 between the spectra of restoration and clean picture."""
    stages: tuple[Stage, ...] = ()
    """What follows `batch`, `patch` and `view`, by the step from which on it holds."""
    seed: int = 0
    accumulate: int = 1
    """So many parts of a batch are learned from one after the other before a step is made, to save memory.
    Not part of a run's identity: the sum is the same."""
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
                    f"Recipe.sets: there is no training set {name!r}{meant(name, known)}; known are "
                    f"{', '.join(known)}."
                )
        if self.only_tone and not self.network.tone:
            raise ConfigError("Recipe.only_tone needs a network with a tone stage.")
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


def compact() -> Recipe:
    """The model that ships inside the package: every kind of damage, made for CPUs."""
    return Recipe("compact", COMPACT, batch=16, view=160, patch=64, ema=0.995, learning_rate=1.5e-3)


def base() -> Recipe:
    """The paper's network with the embedded perceivers and the paper's optimisation (300K steps)."""
    return Recipe(
        "base", BASE, steps=300_000, decay_steps=60_000, batch=4, view=256, patch=256, learning_rate=2e-4
    )


def smoke() -> Recipe:
    """Two minutes on a CPU: shows that everything fits together, and nothing else."""
    return replace(
        compact(),
        name="smoke",
        network=replace(TINY, quality_dim=32, content_dim=64, degradation_dim=64, region_count=16),
        steps=60,
        decay_steps=20,
        warmup=5,
        batch=4,
        view=96,
        patch=64,
    )


def small() -> Recipe:
    """The paper's guidance and loss on a network that a CPU trains in minutes; for ablations."""
    network = replace(
        COMPACT,
        channels=(32, 64, 128),
        blocks=(1, 2, 3),
        decoder_blocks=(1, 2),
        # Both would show the perceivers a way past the guidance modules.
        tone=False,
        cautious=False,
    )
    return replace(compact(), name="small", network=network, batch=8, view=128, ema=0.98, clue_reuse="paper")


def three_task() -> Recipe:
    """The paper's Table 2: noise, haze and rain."""
    return _paper("three_task", "noise", "haze", "rain", sets=("OTS", "Rain100L-train"))


def five_task() -> Recipe:
    """The paper's Table 3: noise, haze, rain, motion blur and low light."""
    sets = ("OTS", "Rain100L-train", "GoPro-train", "LOLv1-train")
    return _paper("five_task", "noise", "haze", "rain", "blur", "lowlight", sets=sets)


def all_weather() -> Recipe:
    """The paper's Table 4: snow, rain with haze, raindrops."""
    sets = ("Snow100K-train", "Outdoor-Rain-train", "RainDrop-train")
    recipe = _paper("all_weather", "snow", "raindrop", sets=sets)
    return replace(recipe, mix=replace(recipe.mix, mixture=1.0, mixtures=("haze+rain",)))


def composite() -> Recipe:
    """The paper's Table 5: four kinds of damage and their seven mixtures."""
    recipe = _paper("composite", "haze", "rain", "lowlight", "snow", sets=("CDD-11-train",))
    mixtures = tuple("+".join(kinds) for kinds in CDD11 if len(kinds) > 1)
    return replace(recipe, mix=replace(recipe.mix, mixture=float(len(mixtures)), mixtures=mixtures))


def single_denoise() -> Recipe:
    """The paper's Table 9."""
    return _paper("single_denoise", "noise")


def single_dehaze() -> Recipe:
    """The paper's Table 10, haze."""
    return _paper("single_dehaze", "haze", sets=("OTS",))


def single_derain() -> Recipe:
    """The paper's Table 10, rain."""
    return _paper("single_derain", "rain", sets=("Rain100L-train",))


def single_deblur() -> Recipe:
    """Motion blur alone."""
    return _paper("single_deblur", "blur", sets=("GoPro-train",))


def single_lowlight() -> Recipe:
    """Low light alone."""
    return _paper("single_lowlight", "lowlight", sets=("LOLv1-train",))


def ablation() -> Recipe:
    """The setting of the paper's Tables 6 and 7: rain alone, 100K steps."""
    return replace(single_derain(), name="ablation", steps=100_000, decay_steps=20_000)


def _paper(name: str, *kinds: str, sets: tuple[str, ...] = ()) -> Recipe:
    """The paper's network, optimisation and loss on these kinds of damage, as often as each other."""
    mix = Mix(single=dict.fromkeys(kinds, 1.0), clean=0.0, looks=0.0, mixture=0.0, partial=0.0)
    return replace(base(), name=name, mix=mix, sets=sets, clue_reuse="paper")


@dataclass(frozen=True)
class Listed:
    """A recipe as the command line offers it."""

    about: str
    """In one line."""
    make: Callable[[], Recipe]


def _listed() -> dict[str, Listed]:
    named = (
        compact,
        base,
        small,
        smoke,
        three_task,
        five_task,
        all_weather,
        composite,
        single_denoise,
        single_dehaze,
        single_derain,
        single_deblur,
        single_lowlight,
        ablation,
    )
    found = {make.__name__: Listed((make.__doc__ or "").splitlines()[0], make) for make in named}
    for family_name, family in FAMILIES.items():
        for variant, recipe in family.variants(ablation()).items():
            name = f"{family_name}_{slug(variant)}"
            about = f"Of `ablation`: {family.question} {variant}."
            found[name] = Listed(about, partial(replace, recipe, name=name))
    return found


RECIPES = _listed()
"""By name, for the command line; the variants of every ablation among them."""


def get_recipe(name: str) -> Recipe:
    """A recipe by name. Raises ConfigError that names the nearest and lists the known ones."""
    if name not in RECIPES:
        raise ConfigError(
            f"There is no recipe {name!r}{meant(name, RECIPES)}; known are {', '.join(RECIPES)}."
        )
    return RECIPES[name].make()
