"""Training pairs, drawn from a seed: random views of photographs, damaged in batches.

Every batch is a pure function of (photographs, mix, seed, step), so a resumed run sees what an uninterrupted
one would have seen.

Shapes: B pairs, V = side of a view, what the perceivers look at, K kinds of damage, h x w places of a map of
cover.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations import KINDS, degrade_in_parts
from clearair.data.degradations.sampling import random_indices
from clearair.data.mixtures import draw_mixture
from clearair.data.pairfiles import Pair
from clearair.data.photos import TrainingPhotos
from clearair.data.pixels import quantized
from clearair.data.styles import draw_style
from clearair.errors import ConfigError
from clearair.kinds import shares

ENLARGED = 1.6
"""Largest scale of photographs that are enlarged."""
SCENE_SCALE = 0.75
"""Largest scale of photographs with measured depth: at full size they are as noisy as the cameras were."""


CHANCES = ("looks", "partial", "measured", "own", "turned", "upside_down")
"""The fields of `Mix` that are probabilities by themselves."""


@dataclass(frozen=True)
class Mix:
    """How often each kind of damage is drawn; shares are relative to their sum."""

    single: dict[str, float] = field(default_factory=lambda: shares("share"))
    clean: float = 0.08
    """Nothing is wrong: the network must learn to leave a photograph alone."""
    looks: float = 0.2
    """Share of photographs that first get another style, such as low-key or pale, which must be preserved."""
    mixture: float = 0.10
    """Two or more kinds (`draw_mixture`)."""
    mixtures: tuple[str, ...] = ()
    """Only these mixtures, such as "haze+rain", and nothing on top."""
    partial: float = 0.3
    """Share of those damaged pictures in which a part is damaged in that way, the rest in another or not at
    all."""
    real: dict[str, float] = field(default_factory=lambda: shares("real_share"))
    """Share of a kind's draws that take a really damaged photograph instead, where there are any.
    Noise of the `sigmas` asked for is always made."""
    measured: float = 0.2
    """Share of haze that is drawn on photographs whose depth was measured, where there are any."""
    own: float = 0.0
    """Share of all draws that take a pair of the user's own, where there are any."""
    enlarged: dict[str, float] = field(default_factory=lambda: shares("enlarged_share"))
    """Share of a kind's draws on enlarged photographs, as soft as large ones are; only kinds that ask for no
    detail: others would learn that clean pictures are soft."""
    sigmas: tuple[float, ...] = ()
    """Standard deviations of noise, in 1/255, white and Gaussian; none of them: any, and other sorts too."""
    turned: float = 0.25
    """Share of views that are turned by one, two or three quarters. Rain falls and haze thickens upwards."""
    upside_down: float = 0.0
    """Share of views that are mirrored top to bottom. All are mirrored left to right half the time."""

    def __post_init__(self) -> None:
        shares = {f"single.{name}": share for name, share in self.single.items()}
        shares |= {"clean": self.clean, "mixture": self.mixture}
        for name, share in shares.items():
            if not 0 <= share < math.inf:
                raise ConfigError(f"mix.{name} is a share, a number from 0 on; got {share}.")
        if sum(shares.values()) == 0:
            raise ConfigError("mix: every share is 0, so nothing can be drawn.")
        for mixture in self.mixtures:
            for part in mixture.split("+"):
                if part not in KINDS:
                    raise ConfigError(
                        f"mix.mixtures: {mixture!r} has the unknown kind of damage "
                        f"{part!r}; known are {', '.join(KINDS)}."
                    )
        chances = {name: getattr(self, name) for name in CHANCES}
        for name in ("real", "enlarged"):
            chances |= {f"{name}.{kind}": chance for kind, chance in getattr(self, name).items()}
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ConfigError(f"mix.{name} must lie between 0 and 1; got {chance}.")
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise ConfigError(f"mix.sigmas are deviations above 0, in 1/255; got {self.sigmas}.")


@dataclass(frozen=True)
class PairBatch:
    """Damaged views and their clean versions, both (B, 3, V, V) in [0, 1]."""

    damaged: Tensor
    clean: Tensor
    kinds: tuple[tuple[str, ...], ...]
    """The damage of each, anywhere."""
    cover: Tensor
    """(B, K, h, w) in [0, 1]: how much of each of KINDS there is at each place."""

    def part(self, rows: slice) -> PairBatch:
        """Some of the pairs."""
        return PairBatch(self.damaged[rows], self.clean[rows], self.kinds[rows], self.cover[rows])

    @classmethod
    def joined(cls, parts: Sequence[PairBatch]) -> PairBatch:
        """One batch of several."""
        return cls(
            torch.cat([part.damaged for part in parts]),
            torch.cat([part.clean for part in parts]),
            tuple(kinds for part in parts for kinds in part.kinds),
            torch.cat([part.cover for part in parts]),
        )


def generator_for(
    seed: int, step: int, device: torch.device | str = "cpu", share: int | None = None
) -> torch.Generator:
    """The random source of one step of a run, or of one share of its batch."""
    number = seed * 1_000_003 + step
    if share is not None:
        # PyTorch's generator uses only 32 bits of a larger number, so these must be mixed well.
        digest = hashlib.blake2b(f"{number} {share}".encode(), digest_size=4).digest()
        number = int.from_bytes(digest, "big")
    return torch.Generator(device).manual_seed(number)


@dataclass
class _View:
    """One pair before synthetic damage is added."""

    clean: Tensor
    """(3, V, V) in [0, 1]."""
    damaged: Tensor
    """(3, V, V): really damaged, or the clean view itself."""
    here: tuple[str, ...]
    """Kinds to draw on it, or on a part of it."""
    there: tuple[str, ...] | None
    """Kinds to draw on the rest of it; None if there is no rest."""
    kinds: tuple[str, ...]
    """Its damage in the end."""
    depth: Tensor | None = None
    """(1, V, V), where it was measured."""

    @property
    def is_real(self) -> bool:
        """Whether its damage is real."""
        return bool(self.kinds) and not self.here


def draw_pairs(
    photos: TrainingPhotos,
    mix: Mix,
    batch: int,
    view: int,
    scales: tuple[float, float],
    generator: torch.Generator,
) -> PairBatch:
    """Draw B views of random photographs at a random scale, mirrored and turned at random, then damaged.

    Everything is made on the photographs' device. `generator` is the CPU's and decides which pictures,
    windows and kinds; where the device is another one, damage comes from a generator there, seeded by it.
    """
    views = [_draw_view(photos, mix, view, scales, generator) for _ in range(batch)]
    truth, base = torch.stack([each.clean for each in views]), torch.stack([each.damaged for each in views])
    real = torch.tensor([each.is_real for each in views])
    real = real.to(truth.device, non_blocking=True)[:, None, None, None]
    source = _source_on(truth.device, generator)
    styled = _in_other_styles(truth, mix, source)
    truth, base = torch.where(real, truth, styled), torch.where(real, base, styled)
    depth = None
    if any(each.depth is not None for each in views):
        nowhere = torch.zeros_like(base[0, :1])
        depth = torch.stack([nowhere if each.depth is None else each.depth for each in views])
    here, there = [each.here for each in views], [each.there for each in views]
    made = degrade_in_parts(base, here, there, source, depth, photos.blur_kernels, mix.sigmas)
    everywhere = [[kind in each.kinds for kind in KINDS] for each in views]  # of what is really damaged
    whole = torch.tensor(everywhere, dtype=made.cover.dtype).to(truth.device, non_blocking=True)
    cover = torch.where(real, whole[:, :, None, None], made.cover)
    # What a file can hold: perceivers and network will meet nothing finer.
    damaged = quantized(made.image)
    return PairBatch(damaged, truth, tuple(each.kinds for each in views), cover)


def _draw_view(
    photos: TrainingPhotos, mix: Mix, view: int, scales: tuple[float, float], generator: torch.Generator
) -> _View:
    """Draw one view, and what is to be done to it."""
    wanted, pair = _draw_real(photos, mix, _draw_kinds(mix, generator), generator)
    if pair is not None:
        both = _view(torch.cat([pair.clean, pair.damaged]), view, (scales[1], scales[1]), mix, generator)
        both = quantized(both)
        return _View(both[:3], both[3:], here=(), there=None, kinds=wanted)
    depth = None
    scenes = photos.scenes if wanted == ("haze",) else ()
    if scenes and _uniform(generator) < mix.measured:
        scene = scenes[_index(len(scenes), generator)]
        span = (min(scales[0], SCENE_SCALE), min(scales[1], SCENE_SCALE))
        both = _view(torch.cat([scene.photo, scene.depth]), view, span, mix, generator)
        clean, depth = both[:3], both[3:]
    else:
        photo = photos.clean[_index(len(photos.clean), generator)]
        clean = _view(photo, view, _scales(wanted, mix, scales, generator), mix, generator)
    clean = quantized(clean)
    there = _draw_other_part(mix, generator) if wanted else None
    return _View(clean, clean, wanted, there, tuple(dict.fromkeys((*wanted, *(there or ())))), depth)


def _in_other_styles(pictures: Tensor, mix: Mix, source: torch.Generator) -> Tensor:
    """Return (B, 3, V, V), some of them in another style, with values that a file can hold."""
    styled, changed = pictures.clone(), random_indices(source, mix.looks, like=pictures)
    if len(changed):
        styled[changed] = draw_style(pictures[changed], source, 1.0)(pictures[changed])
    return quantized(styled)


def _draw_real(
    photos: TrainingPhotos, mix: Mix, wanted: tuple[str, ...], generator: torch.Generator
) -> tuple[tuple[str, ...], Pair | None]:
    """A real pair that replaces the synthetic damage, and its damage; mostly None."""
    if photos.own and _uniform(generator) < mix.own:
        return ("own",), photos.own[_index(len(photos.own), generator)]
    alike = [kinds for kinds in photos.published if kinds == wanted or min(len(kinds), len(wanted)) > 1]
    if alike:  # of mixtures any that is there
        kinds = alike[_index(len(alike), generator)]
        published = photos.published[kinds]
        return kinds, published[_index(len(published), generator)]
    real = photos.pairs.get(wanted[0], ()) if len(wanted) == 1 else ()
    if wanted == ("noise",) and mix.sigmas:
        real = ()
    if real and _uniform(generator) < mix.real.get(wanted[0], 0.0):
        return wanted, real[_index(len(real), generator)]
    return wanted, None


def _source_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator itself, or one on the device that continues it: as much a function of seed and step.

    On the device `meta`, where only shapes are computed, there is none.
    """
    if device.type in (generator.device.type, "meta"):
        return generator
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def _draw_other_part(mix: Mix, generator: torch.Generator) -> tuple[str, ...] | None:
    """The damage of the rest of a picture: None if there is no rest, and half the time nothing."""
    if _uniform(generator) >= mix.partial:
        return None
    if _uniform(generator) < 0.5:
        return ()
    names = list(mix.single)
    shares = torch.tensor([*mix.single.values()], dtype=torch.float32)
    if not shares.any():
        return ()
    return (names[int(torch.multinomial(shares, 1, generator=generator))],)


def _draw_kinds(mix: Mix, generator: torch.Generator) -> tuple[str, ...]:
    names = list(mix.single)
    shares = torch.tensor([*mix.single.values(), mix.clean, mix.mixture], dtype=torch.float32)
    drawn = int(torch.multinomial(shares, 1, generator=generator))
    if drawn < len(names):
        return (names[drawn],)
    if drawn == len(names):
        return ()
    if mix.mixtures:
        return tuple(mix.mixtures[_index(len(mix.mixtures), generator)].split("+"))
    return draw_mixture(generator)


def _view(
    photo: Tensor, side: int, scales: tuple[float, float], mix: Mix, generator: torch.Generator
) -> Tensor:
    """(C, H, W) uint8 -> (C, side, side) in [0, 1]: a window, resized by a factor within `scales`."""
    shorter = min(photo.shape[1:])
    smallest = max(scales[0], side / shorter)
    scale = smallest + max(0.0, scales[1] - smallest) * _uniform(generator) ** 0.5
    span = min(round(side / scale), shorter)
    top = _index(photo.shape[1] - span + 1, generator)
    left = _index(photo.shape[2] - span + 1, generator)
    window = photo[:, top : top + span, left : left + span].float()[None]
    if span != side:
        window = F.interpolate(window, (side, side), mode="bicubic", antialias=True).clamp_(0, 255)
    if _uniform(generator) < 0.5:
        window = window.flip(3)
    if mix.upside_down and _uniform(generator) < mix.upside_down:
        window = window.flip(2)
    if mix.turned and _uniform(generator) < mix.turned:
        window = window.rot90(1 + _index(3, generator), (2, 3))
    return window[0].div_(255)


def _scales(
    wanted: tuple[str, ...], mix: Mix, scales: tuple[float, float], generator: torch.Generator
) -> tuple[float, float]:
    """The scales to draw from, or larger ones now and then."""
    share = mix.enlarged.get(wanted[0], 0.0) if len(wanted) == 1 else 0.0
    return (scales[1], max(scales[1], ENLARGED)) if share and _uniform(generator) < share else scales


def _index(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float32))
