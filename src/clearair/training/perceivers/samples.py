"""Training samples of the compact perceivers: photographs with known synthetic damage.

Shapes: B images, H x W pixels, K kinds, h' x w' places of the map of cover, M human region maps of a photo.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations import KINDS, degrade_in_parts
from clearair.data.mixtures import draw_mixture
from clearair.data.pairfiles import load_pair
from clearair.data.photos import find_pairs, find_photos, lines_of_unreadable, readable
from clearair.data.pixels import load_pixels, quantized
from clearair.data.splits import held_out as held_out_of
from clearair.data.styles import draw_style
from clearair.errors import ConfigError
from clearair.kinds import REGISTRY, listed
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.geometry import near_grid
from clearair.perception.compact.views import far_view, near_crops
from clearair.similarity import luma, psnr_each, structural_similarity
from clearair.training.loop.fields import check_not_negative, check_seed
from clearair.training.loop.schedule import warmup_cosine
from clearair.training.perceivers.lookalikes import is_dark, is_pale


def check_kinds(eyes: EyesConfig) -> None:
    """Raise ConfigError for eyes that do not know exactly the kinds of damage that are drawn."""
    if eyes.kinds != KINDS:
        raise ConfigError(
            f"These perceivers know {', '.join(eyes.kinds)}, but training draws {listed()}. "
            "Train new ones with `clearair train perceivers`."
        )


@dataclass(frozen=True)
class PerceiverRecipe:
    """Everything that decides what is learned. Raises ConfigError when a field makes no sense."""

    eyes: EyesConfig = field(default_factory=EyesConfig)
    steps: int = 1500
    """Batches drawn."""
    batch: int = 32
    """Pictures of 224 x 224 a batch; fewer of larger ones, more of smaller ones: all steps cost the same."""
    looks: int = 2
    """Updates per batch, each with other views of it, since drawing damage takes time."""
    crops: tuple[int, ...] = (160, 192, 224, 256, 320, 384, 448)
    """Sides of the training pictures in pixels; a batch has one."""
    scales: tuple[float, float] = (0.4, 1.1)
    """Photos are resized by a factor in this range before a crop is taken."""
    clean: float = 0.18
    """Share of pictures left as they are."""
    mixed: float = 0.28
    """Share of pictures with two or more degradations."""
    partial: float = 0.3
    """Share of damaged pictures in which a part is damaged in one way, the rest in another or not at all."""
    varied: float = 0.5
    """Share of photos that first get another style, which is not damage."""
    shares: tuple[float, ...] = tuple(kind.perceiver_share for kind in REGISTRY)
    """How often each of KINDS is drawn alone."""
    ranked: float = 0.5
    """Share of batches whose second half repeats the first with the same kinds of damage at other strengths:
    ranking is learnt from such pairs."""
    real_dark: float = 0.05
    """Share of pictures really taken in low light."""
    lookalikes: float = 0.0
    """Share of pictures of nights and mists that only look damaged, and are left as they are."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 50
    """Steps until the full learning rate; it then falls to zero along a cosine."""
    ema: float = 0.997
    clip: float = 1.0
    """Largest norm of the gradient."""
    seed: int = 1
    only_regions: bool = False
    """Train the region decoder alone and leave every other output as it is."""

    def __post_init__(self) -> None:
        check_kinds(self.eyes)
        if len(self.shares) != len(KINDS):
            raise ConfigError(f"shares needs {len(KINDS)} numbers, one a kind; got {len(self.shares)}.")
        if not self.crops or min(self.steps, self.batch, self.looks, *self.crops) < 1:
            raise ConfigError("PerceiverRecipe: steps, batch, looks and crops are 1 or more.")
        if not 0 < self.scales[0] <= self.scales[1] < math.inf:
            raise ConfigError(
                f"PerceiverRecipe.scales are the smallest and the largest factor, got {self.scales}."
            )
        check_not_negative(self, ("learning_rate", "weight_decay", "warmup"))
        if min(self.shares) < 0 or not 0 < sum(self.shares) < math.inf:
            raise ConfigError(f"PerceiverRecipe.shares are 0 or more, and one is above 0; got {self.shares}.")
        for name in ("clean", "mixed", "partial", "varied", "ranked", "real_dark", "lookalikes"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"PerceiverRecipe.{name} must lie in [0, 1], got {getattr(self, name)}.")
        if not 0 <= self.ema < 1 or not self.clip > 0:
            raise ConfigError(
                f"PerceiverRecipe: ema lies in [0, 1), clip above 0; got {self.ema}, {self.clip}."
            )
        check_seed(self)

    @property
    def decay_start(self) -> None:
        """The cosine falls from the first step on: a run cannot be made longer."""
        return

    def rate(self, step: int) -> float:
        """Learning rate of a step, relative to `learning_rate`."""
        return warmup_cosine(step, self.steps, self.warmup)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Photo:
    """A photograph in memory."""

    clean: Tensor
    """(3, H, W) uint8."""
    maps: Tensor | None = None
    """(M, H, W) uint8 human region maps."""
    dark: Tensor | None = None
    """(3, H, W) uint8, the same scene really taken in low light."""

    @cached_property
    def is_lookalike(self) -> bool:
        """Whether it shows a night or a mist, which only looks damaged."""
        return is_dark(self.clean) or is_pale(self.clean)


@dataclass(frozen=True)
class Batch:
    """Damaged pictures with their labels."""

    images: Tensor
    """(B, 3, H, W) in [0, 1], damaged."""
    clean: Tensor
    """(B, 3, H, W) in [0, 1]."""
    kinds: Tensor
    """(B, K) bool."""
    strength: Tensor
    """(B, K) in 0..1; 0 where a kind is absent, NaN where it is unknown."""
    cover: Tensor
    """(B, K, h', w') in 0..1: how much of each kind there is at each place."""
    maps: Tensor
    """(B, 3, H, W) uint8 region maps; those of a photo without any are all zero."""
    mapped: Tensor
    """(B,) bool: has region maps; always on the CPU, so that no GPU is waited for."""
    ranked: bool = False
    """Whether the second half shows the pictures of the first, with damage of the same kinds."""

    def to(self, device: torch.device | str) -> Batch:
        """Copy to a device."""
        return replace(
            self,
            images=self.images.to(device),
            clean=self.clean.to(device),
            kinds=self.kinds.to(device),
            strength=self.strength.to(device),
            cover=self.cover.to(device),
            maps=self.maps.to(device),
        )


def load_photo(path: Path, data: Path) -> Photo:
    """A clean photograph with its human region maps, where there are any."""
    maps = sorted((data / "train" / "regions" / "BSDS500").glob(f"{glob.escape(path.stem)}_*.png"))
    if path.parent.name != "BSD400" or not maps:
        return Photo(load_pixels(path))
    return Photo(load_pixels(path), maps=torch.stack([load_pixels(m)[0] for m in maps]))


def load_photos(
    data: Path, *, held_out: bool = False, tell: Callable[[str], None] | None = None
) -> tuple[list[Photo], list[Photo]]:
    """Clean photographs, and scenes in low and normal light: those to train on, or those held out.

    Unreadable ones are left out; `tell` receives a line for each. Raises DataError when no clean photograph
    can be read, when more than 1 % of those to train on are unreadable, and when the halves of a scene differ
    in size.
    """
    part, apart = 1 if held_out else 0, held_out_of(data)
    clean = apart.split(find_photos(data / "train" / "clean"), "clean")[part]
    dark = apart.split(find_pairs(data, "lowlight"), "lowlight")[part]
    bad: list[str] = []
    photos = readable(clean, lambda path: load_photo(path, data), bad)
    nights = readable(dark, load_pair, bad)
    count = None if held_out else len(clean) + len(dark)  # of few pictures one is more than 1 %
    lines = lines_of_unreadable(bad, len(photos), count, data)
    if tell is not None:
        for line in lines:
            tell(line)
    return photos, [Photo(night.clean, dark=night.damaged) for night in nights]


def draw_kinds(recipe: PerceiverRecipe, generator: torch.Generator) -> tuple[str, ...]:
    """What to do to a picture: nothing, one kind, or a mixture."""
    chance = float(torch.rand((), generator=generator))
    if chance < recipe.clean:
        return ()
    if chance < recipe.clean + recipe.mixed:
        return draw_mixture(generator)
    return (KINDS[int(torch.multinomial(torch.tensor(recipe.shares), 1, generator=generator))],)


def draw_batch(
    photos: Sequence[Photo], pairs: Sequence[Photo], recipe: PerceiverRecipe, generator: torch.Generator
) -> Batch:
    """Pictures of one random size, damaged at random."""
    side = recipe.crops[_integer(len(recipe.crops), generator)]
    clean, maps, dark, mapped, ready = [], [], [], [], []
    misleading = [photo for photo in photos if photo.is_lookalike] if recipe.lookalikes else []
    count = max(4, min(round(recipe.batch * (224 / side) ** 2), 2 * recipe.batch))
    ranked = _uniform(generator) < recipe.ranked
    for _ in range(count // 2 if ranked else count):
        chance = _uniform(generator)
        real = bool(pairs) and chance < recipe.real_dark
        undamaged = bool(misleading) and chance >= 1 - recipe.lookalikes
        pool = pairs if real else misleading if undamaged else photos
        pieces = random_crop(pool[_integer(len(pool), generator)], side, recipe.scales, generator)
        clean.append(pieces.clean)
        maps.append(torch.zeros(3, side, side, dtype=torch.uint8) if pieces.maps is None else pieces.maps)
        mapped.append(pieces.maps is not None)
        dark.append(pieces.dark)
        ready.append(real or undamaged)
    here = [() if done else draw_kinds(recipe, generator) for done in ready]
    there = [_draw_other_part(recipe, generator) if kinds else None for kinds in here]
    if ranked:
        clean, maps, dark, mapped = 2 * clean, 2 * maps, 2 * dark, 2 * mapped
        here, there = 2 * here, 2 * there
    truth = torch.stack(clean).float().div_(255)
    if not ranked:
        truth = draw_style(truth, generator, recipe.varied)(truth)
    else:
        half = truth[: len(truth) // 2]
        truth = draw_style(half, generator, recipe.varied)(half).repeat(2, 1, 1, 1)
    truth = quantized(truth)
    damaged = degrade_in_parts(truth, here, there, generator)
    images, present, strength = damaged.image.clone(), damaged.kinds.clone(), damaged.strength.clone()
    cover = damaged.cover.clone()
    for index, night in enumerate(dark):
        if night is not None:
            column = KINDS.index("lowlight")
            images[index] = night.float() / 255
            truth[index] = clean[index].float() / 255
            present[index, column], strength[index, column], cover[index, column] = True, math.nan, 1.0
    # What a file can hold: values between its levels would give damage away.
    images = quantized(images.clamp(0, 1))
    return Batch(images, truth, present, strength, cover, torch.stack(maps), torch.tensor(mapped), ranked)


def _draw_other_part(recipe: PerceiverRecipe, generator: torch.Generator) -> tuple[str, ...] | None:
    """Damage for the rest of a picture: None if there is no rest, nothing half the time, or one kind."""
    if _uniform(generator) >= recipe.partial:
        return None
    if _uniform(generator) < 0.5:
        return ()
    return (KINDS[int(torch.multinomial(torch.tensor(recipe.shares), 1, generator=generator))],)


def random_crop(photo: Photo, side: int, scales: tuple[float, float], generator: torch.Generator) -> Photo:
    """A square of `side` px of a photo resized by a factor in `scales`, mirrored at random; its maps too."""
    height, width = photo.clean.shape[1:]
    low = max(scales[0], side / min(height, width))
    scale = low if low >= scales[1] else low + (scales[1] - low) * _uniform(generator)
    span = min(round(side / scale), height, width)
    top, left = _integer(height - span + 1, generator), _integer(width - span + 1, generator)
    flip = [axis for axis in (1, 2) if _integer(2 if axis == 2 else 8, generator) == 1]

    def taken(image: Tensor | None, *, labels: bool = False) -> Tensor | None:
        if image is None:
            return None
        window = image[:, top : top + span, left : left + span].float()[None]
        if labels:
            resized = F.interpolate(window, (side, side), mode="nearest-exact")
        else:
            resized = F.interpolate(window, (side, side), mode="bilinear", antialias=True)
        return resized[0].round_().clamp_(0, 255).to(torch.uint8).flip(flip)

    clean = taken(photo.clean)
    maps = taken(photo.maps, labels=True)
    assert clean is not None
    if maps is not None:
        maps = maps[torch.arange(3) % len(maps)]
    return Photo(clean, maps, taken(photo.dark))


def quality_score(images: Tensor, clean: Tensor) -> Tensor:
    """Full-reference quality 1..5 of (B, 3, H, W) in [0, 1], (B,): the mean of mapped PSNR and SSIM.

    12 dB and 0 are bad, 42 dB and 1 excellent. SSIM (Wang et al., 2004) is on luma, its window 7 x 7 and
    uniform.
    """
    peak = ((psnr_each(images, clean, most=60) - 12) / 30).clamp(0, 1)
    return 1 + 2 * peak + 2 * _ssim(images, clean).clamp(0, 1)


def severity_score(batch: Batch) -> Tensor:
    """The score to be learned, 1..5, (B,): fidelity, and how strong the damage was drawn.

    Fidelity alone depends on the content: the same blur costs a meadow more than a sky. Several degradations
    reduce the score multiplicatively. With an unknown strength, fidelity decides.
    """
    fidelity = quality_score(batch.images, batch.clean)
    share = batch.cover.mean(dim=(2, 3))
    left = (1 - share * batch.strength).prod(dim=1)  # NaN where a strength is unknown
    return torch.where(left.isnan(), fidelity, 0.6 * fidelity + 0.4 * (1 + 4 * left))


def _ssim(first: Tensor, second: Tensor) -> Tensor:
    def local(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, 7, stride=2)

    return structural_similarity(luma(first), luma(second), local).mean(dim=(1, 2, 3))


def draw_views(
    batch: Batch, eyes: EyesConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Far and near view of a batch, at random as poor as those of a much larger photo."""
    shrink = (1.0, 1.0, 0.5, 0.25)[_integer(4, generator)]
    height, width = batch.images.shape[2:]
    rows, columns = near_grid(height, width, eyes.near_crops, eyes.near_spacing)
    fewer = _integer(4, generator)
    grid = (max(2, rows - fewer), max(2, columns - fewer))
    return (
        far_view(batch.images, int(eyes.far_pixels * shrink)),
        near_crops(batch.images, eyes.near_side, grid),
        grid,
    )


def _integer(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
