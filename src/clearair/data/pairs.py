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

from clearair.data.appearance import draw_appearance
from clearair.data.degradations import KINDS, degrade_in_parts
from clearair.data.degradations.draws import happening
from clearair.data.mixtures import draw_mixture
from clearair.data.pairfiles import Pair
from clearair.data.photos import TrainingPhotos
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
    """Share of photographs that are given another look first, such as low-key or pale, which is to stay."""
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
    """Damaged views and what they were, both (B, 3, V, V) in [0, 1]."""

    damaged: Tensor
    clean: Tensor
    kinds: tuple[tuple[str, ...], ...]
    """What is wrong with each, anywhere."""
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
        # Of a larger number PyTorch's generator would use 32 bits alone, so these must be mixed well.
        digest = hashlib.blake2b(f"{number} {share}".encode(), digest_size=4).digest()
        number = int.from_bytes(digest, "big")
    return torch.Generator(device).manual_seed(number)


def draw_pairs(
    photos: TrainingPhotos,
    mix: Mix,
    batch: int,
    view: int,
    scales: tuple[float, float],
    generator: torch.Generator,
) -> PairBatch:
    """B views of random photographs at a random scale, mirrored and turned at random, then damaged.

    Everything is made on the photographs' device. `generator` is the processor's and decides which pictures,
    windows and kinds; where the device is another one, damage comes from a generator there, seeded by it.
    """
    clean: list[Tensor] = []
    damaged: list[Tensor] = []
    kinds: list[tuple[str, ...]] = []
    here: list[tuple[str, ...]] = []
    there: list[tuple[str, ...] | None] = []
    depths: dict[int, Tensor] = {}
    for _ in range(batch):
        wanted = _draw_kinds(mix, generator)
        wanted, pair = _draw_real(photos, mix, wanted, generator)
        if pair is not None:
            both = _view(torch.cat([pair.clean, pair.damaged]), view, (scales[1], scales[1]), mix, generator)
            both = _on_grid(both)
            clean.append(both[:3])
            damaged.append(both[3:])
            here.append(())
            there.append(None)
        else:
            scenes = photos.scenes if wanted == ("haze",) else ()
            if scenes and _uniform(generator) < mix.measured:
                scene = scenes[_index(len(scenes), generator)]
                span = (min(scales[0], SCENE_SCALE), min(scales[1], SCENE_SCALE))
                both = _view(torch.cat([scene.photo, scene.depth]), view, span, mix, generator)
                depths[len(clean)] = both[3:]
                clean.append(_on_grid(both[:3]))
            else:
                photo = photos.clean[_index(len(photos.clean), generator)]
                clean.append(
                    _on_grid(_view(photo, view, _scales(wanted, mix, scales, generator), mix, generator))
                )
            damaged.append(clean[-1])
            here.append(wanted)
            there.append(_draw_other_part(mix, generator) if wanted else None)
        kinds.append(tuple(dict.fromkeys((*wanted, *(there[-1] or ())))))
    truth, base = torch.stack(clean), torch.stack(damaged)
    really = torch.tensor([bool(names) and not wanted for names, wanted in zip(kinds, here, strict=True)])
    really = really.to(truth.device, non_blocking=True)[:, None, None, None]
    source = _source_on(truth.device, generator)
    looking, changed = truth.clone(), happening(source, mix.looks, like=truth)
    if len(changed):
        looking[changed] = draw_appearance(truth[changed], source, 1.0)(truth[changed])
    looking.mul_(255).round_().div_(255)
    truth, base = torch.where(really, truth, looking), torch.where(really, base, looking)
    depth = torch.zeros_like(base[:, :1]) if depths else None
    for index, distance in depths.items():
        assert depth is not None
        depth[index] = distance
    made = degrade_in_parts(base, here, there, source, depth, photos.blur_kernels, mix.sigmas)
    everywhere = [[kind in names for kind in KINDS] for names in kinds]  # of what is really damaged
    whole = torch.tensor(everywhere, dtype=made.cover.dtype).to(truth.device, non_blocking=True)
    cover = torch.where(really, whole[:, :, None, None], made.cover)
    # What a file can hold: perceivers and network will meet nothing finer.
    return PairBatch((made.image * 255).round_().div_(255), truth, tuple(kinds), cover)


def _draw_real(
    photos: TrainingPhotos, mix: Mix, wanted: tuple[str, ...], generator: torch.Generator
) -> tuple[tuple[str, ...], Pair | None]:
    """A pair that is taken instead of drawing the wanted damage, and what is wrong with it; mostly None."""
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
    """What is wrong with the rest of a picture: None when there is no rest, and half the time nothing."""
    if _uniform(generator) >= mix.partial:
        return None
    if _uniform(generator) < 0.5:
        return ()
    names = list(mix.single)
    return (names[int(torch.multinomial(torch.tensor([*mix.single.values()]), 1, generator=generator))],)


def _draw_kinds(mix: Mix, generator: torch.Generator) -> tuple[str, ...]:
    names = list(mix.single)
    shares = torch.tensor([*mix.single.values(), mix.clean, mix.mixture])
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


def _on_grid(picture: Tensor) -> Tensor:
    """Values in [0, 1] that an 8-bit file can hold."""
    return picture.mul(255).round_().div_(255)


def _index(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
