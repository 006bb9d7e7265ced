"""The kinds of damage, one entry each: everything that differs between kinds, except how they are drawn.

The module `clearair.data.degradations.NAME` draws the damage. These two places define a kind; mixes,
validation sets, thresholds, perceivers and help texts are derived from them. To add one, see
`docs/how-to/adding-a-kind.md`. Saved perceivers keep the kinds they were trained with in their `config.json`.

Imports nothing, so that `--help` and the perceivers can read it without PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Signs = Literal["contrast", "scene", "shadows"]


@dataclass(frozen=True)
class Kind:
    """The properties of a kind of damage."""

    name: str
    """As users type it, and as the module that draws it is called."""
    adjective: str
    """Adjective for a picture with it; DA-CLIP's word where DA-CLIP knows the kind."""
    share: float
    """Share of training pairs with this kind alone, relative to other kinds, clean pictures and mixtures."""
    perceiver_share: float = 1.0
    """How often perceivers are trained on this kind alone, relative to other kinds; more if it is hard to
    gauge."""
    recognizer_share: float = 1.0
    """The same for the recognizer."""
    restoring_gains: float = 1.0
    """About how many decibels restoring gains on validation views in which it is found. The recognizer spends
    false alarms where they gain most."""
    importance: float = 1.0
    """Cost of a miss relative to a false alarm, for kinds with faint forms."""
    trust: float = 0.0
    """In [0, 1]: how far embeddings move to those of the kind when the user names it."""
    steer: float = 0.0
    """In [0, 1]: how far they move when the recognizer is sure of it and the eyes overlooked it."""
    ramp: float = 1.0
    """Length in logits of the ramp from the detection of the kind to the full change."""
    tone: tuple[float, float] | None = None
    """For a kind that changes exposure, colour or contrast as a whole: the probability up to which nothing is
    done about the tone, and the one from which on everything is. New perceivers begin with it."""
    only_tone: bool = False
    """It changes the tone and nothing else."""
    signs: Signs | None = None
    """What a picture must show before this kind can be told from its absence (`perception.evidence`):
    contrast that haze may have reduced, a scene behind falling rain or snow, or shadows. None when every
    picture shows it."""
    coarse: bool = False
    """It changes the mean colour of a place, not only its detail."""
    from_camera: bool = False
    """A camera or file adds it to whatever else is wrong."""
    partners: tuple[str, ...] = ()
    """Kinds that it is mixed with in training, besides the mixtures of the data set CDD-11."""
    may_show: tuple[str, ...] | None = None
    """Other kinds that real photographs of this kind, in `train/named/NAME`, may show without a label, not
    counting what cameras add; None where such photographs are not used."""
    real_share: float = 0.0
    """Share of its draws that take a real pair from `train/NAME/*/{input,target}`; 0 where there are none."""
    held_out_every: int = 20
    """Every n-th of these pairs is held out, unless a list says otherwise."""
    enlarged_share: float = 0.0
    """Share of its draws on enlarged photographs, for kinds whose restoration asks for no fine detail."""
    validation_strengths: tuple[float, ...] = (0.25, 0.5, 0.8)
    """Strengths in [0, 1] at which the recognizer is validated."""


REGISTRY = (
    # Coarse, because strong noise is clipped at black and white.
    Kind("noise", "noisy", 0.24, coarse=True, from_camera=True, real_share=0.15),
    Kind("jpeg", "jpeg-compressed", 0.06, recognizer_share=0.7, from_camera=True),
    Kind(
        "haze",
        "hazy",
        0.14,
        recognizer_share=1.3,
        restoring_gains=6.0,
        importance=2.0,
        trust=0.3,
        steer=0.5,
        ramp=0.6,  # the network itself hardly changes a clear photo that is called hazy
        tone=(0.63, 0.66),
        only_tone=True,
        may_show=("blur", "lowlight"),
        enlarged_share=0.2,
        signs="contrast",
    ),
    Kind(
        "rain",
        "rainy",
        0.14,
        recognizer_share=1.5,
        restoring_gains=5.0,
        importance=1.3,
        trust=0.5,
        tone=(0.8, 0.95),  # by its veil
        coarse=True,
        may_show=("blur", "lowlight", "haze", "raindrop"),
        real_share=0.12,
        signs="scene",
    ),
    Kind(
        "raindrop",
        "raindrop",
        0.10,
        perceiver_share=2.0,
        recognizer_share=1.5,
        restoring_gains=2.0,
        trust=0.8,
        steer=0.8,
        coarse=True,
        may_show=("blur", "lowlight", "haze", "rain"),
        signs="scene",
    ),
    Kind(
        "snow",
        "snowy",
        0.07,
        recognizer_share=1.2,
        ramp=2.0,  # few real photos teach it, so its threshold is low and lets undamaged ones pass
        restoring_gains=5.0,
        trust=0.8,
        tone=(0.8, 0.95),  # by its veil
        coarse=True,
        may_show=("blur", "lowlight", "haze"),
        signs="scene",
    ),
    Kind(
        "blur",
        "motion-blurry",
        0.09,
        perceiver_share=3.0,
        recognizer_share=1.2,
        restoring_gains=0.4,
        importance=2.0,
        may_show=("lowlight",),
    ),
    # Coarse, because darkness hides unevenly.
    Kind(
        "lowlight",
        "low-light",
        0.10,
        restoring_gains=12.0,
        tone=(0.74, 0.77),
        only_tone=True,
        coarse=True,
        real_share=0.6,
        held_out_every=8,
        enlarged_share=0.2,
        signs="shadows",
    ),
)
"""Every kind of damage, in the order of masks, logits and tables."""

NAMES = tuple(kind.name for kind in REGISTRY)
BY_NAME = {kind.name: kind for kind in REGISTRY}
ONLY_TONE = tuple(kind.name for kind in REGISTRY if kind.only_tone)
"""Kinds that change exposure, colour or contrast as a whole and nothing else."""

PAIRED = tuple(kind.name for kind in reversed(REGISTRY) if kind.real_share)
"""Kinds of which there may be real pairs, each in the folder of its name below `train`. The last comes first:
validation tables and cached observations are in this order."""


def shares(
    trait: Literal["share", "real_share", "enlarged_share", "trust", "steer", "ramp"], *, zeros: bool = False
) -> dict[str, float]:
    """A property of the kinds by name, for those in which it is not 0, or for all."""
    values = {kind.name: float(getattr(kind, trait)) for kind in REGISTRY}
    return {name: value for name, value in values.items() if value or zeros}


def listed() -> str:
    """The names in one line, for help texts and messages."""
    return ", ".join(NAMES)
