"""The recipes of the restorer, by name. A variant replaces fields of another."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from clearair.data.mixtures import OF_CDD11
from clearair.data.pairs import Mix
from clearair.network import BASE, COMPACT, TINY
from clearair.training.loop.listing import Listed, listed
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.variants import FAMILIES, slug


def compact() -> Recipe:
    """The model that ships inside the package: every kind of damage, made for CPUs."""
    return Recipe(
        "compact", COMPACT, batch=16, view=160, patch=64, ema=0.995, learning_rate=1.5e-3, fft=0.1, told=0.2
    )


def base() -> Recipe:
    """The paper's network with the embedded perceivers, on every kind of damage as `compact` (300K steps)."""
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
    return replace(
        compact(), name="small", network=network, batch=8, view=128, ema=0.98, clue_reuse="paper", fft=0.0
    )


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
    mixtures = tuple("+".join(kinds) for kinds in OF_CDD11)
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
    """The paper's network, optimisation, crops and loss on these kinds of damage, as often as each other."""
    mix = Mix(
        single=dict.fromkeys(kinds, 1.0),
        clean=0.0,
        looks=0.0,
        mixture=0.0,
        partial=0.0,
        real={},
        measured=0.0,
        enlarged={},
        sigmas=(15.0, 25.0, 50.0),
        turned=0.0,
        upside_down=0.5,
    )
    return replace(
        base(), name=name, mix=mix, sets=sets, clue_reuse="paper", optimizer="adamw", scales=(1.0, 1.0)
    )


def restorers() -> dict[str, Listed[Recipe]]:
    """Return the recipes by name, the variants of every ablation among them."""
    found = listed(
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
    for family_name, family in FAMILIES.items():
        for variant, recipe in family.variants(ablation()).items():
            name = f"{family_name}_{slug(variant)}"
            about = f"Of `ablation`: {family.question} {variant}."
            found[name] = Listed(about, partial(replace, recipe, name=name))
    return found
