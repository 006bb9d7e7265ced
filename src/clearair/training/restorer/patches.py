"""The batches of a restorer: damaged patches, and guidance for the surrounding views.

Shapes: B pairs, V = side of the view that is perceived, P = side of the W windows of it that are restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.pairs import PairBatch, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos
from clearair.network import Guidance, NetworkConfig
from clearair.network.config import THUMBNAIL
from clearair.network.overview import Overview, survey
from clearair.network.regions import drop_regions
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.protocol import BatchPerceiver
from clearair.runtime.precision import learning_in
from clearair.training.restorer.losses import StrongView
from clearair.training.restorer.recipe import Recipe


@dataclass(frozen=True)
class Window:
    """The same place of every view, which is restored."""

    damaged: Tensor
    """(B, 3, P, P) in [0, 1]."""
    clean: Tensor
    """(B, 3, P, P) in [0, 1]."""
    labels: Tensor
    """(B, P, P) uint8, of the regions."""
    origin: tuple[int, int]
    """Where in its view it begins: down, right."""

    def part(self, rows: slice) -> Window:
        """Of some of the views."""
        return Window(self.damaged[rows], self.clean[rows], self.labels[rows], self.origin)


@dataclass(frozen=True)
class Patches:
    """Damaged and clean windows, and guidance for the views from which they are cut."""

    windows: tuple[Window, ...]
    guidance: Guidance
    """Of the whole views."""
    overview: Overview
    """Of the whole views, the pictures that the windows are cut from."""
    thumbnail: Tensor
    """(B, 3, T / 2, T / 2) the clean views, averaged."""
    kinds: tuple[tuple[str, ...], ...] = ()
    """The damage of each view, anywhere."""

    @property
    def clean(self) -> Tensor:
        """(W B, 3, P, P) in [0, 1], window by window."""
        return torch.cat([window.clean for window in self.windows])

    def part(self, rows: slice) -> Patches:
        """Some of the views."""
        return Patches(
            tuple(window.part(rows) for window in self.windows),
            self.guidance.part(rows),
            self.overview.part(rows),
            self.thumbnail[rows],
            self.kinds[rows],
        )

    def of_tone(self, dtype: torch.dtype) -> Patches:
        """What the tone stage alone learns from, a hundredth of the views, its pictures in this type."""
        overview = replace(self.overview, thumbnail=self.overview.thumbnail.to(dtype))
        corner = self.guidance.window(0, 0, 1, 1)
        guidance = replace(corner, labels=corner.labels.clone())  # or the whole map would be kept
        return Patches((), guidance, overview, self.thumbnail.to(dtype), self.kinds)


@dataclass(frozen=True)
class Batch:
    """What one step trains on: patches, and ICRM's strong view of them; None where ICRM is off."""

    patches: Patches
    view: StrongView | None

    def part(self, rows: slice) -> Batch:
        """Of some of the views."""
        return Batch(self.patches.part(rows), None if self.view is None else self.view.part(rows))


def draw_patches(
    recipe: Recipe,
    photos: TrainingPhotos,
    perceiver: BatchPerceiver | None,
    step: int,
    generator: torch.Generator,
    device: str = "cpu",
    rows: slice = slice(None),
) -> Patches:
    """Damaged views, perceived whole, and the windows of each that are restored: some rows of the batch.

    Views of a pool are reused with new windows.
    """
    recipe = recipe.at(step)
    pairs = _draw_rows(recipe, photos, step, generator, rows)
    damaged, clean = pairs.damaged.to(device), pairs.clean.to(device)
    if perceiver is None or step < recipe.guided_from:
        guidance = neutral_guidance(recipe.network, damaged)
    else:
        with learning_in(damaged.device):
            guidance = perceiver.perceive(damaged)
        dropout = recipe.mask_dropout
        labels = drop_regions(guidance.labels, guidance.regions, dropout, generator, recipe.batch, rows)
        guidance = replace(guidance, labels=labels)
        if recipe.told and isinstance(perceiver, CompactPerceiver):
            guidance = _with_declared_damage(guidance, perceiver, pairs.kinds, recipe, generator, rows)
    overview = survey(damaged, guidance.labels, recipe.network)
    count = 0 if recipe.only_tone else recipe.windows
    places = [_draw_window(recipe, pairs, generator) for _ in range(count)]
    windows = [
        Window(_cut(damaged, *place), _cut(clean, *place), guidance.window(*place).labels, place[:2])
        for place in places
    ]
    thumbnail = F.adaptive_avg_pool2d(clean, THUMBNAIL // 2)
    return Patches(tuple(windows), guidance, overview, thumbnail, pairs.kinds)


def _with_declared_damage(
    guidance: Guidance,
    perceiver: CompactPerceiver,
    kinds: Sequence[Sequence[str]],
    recipe: Recipe,
    generator: torch.Generator,
    rows: slice,
) -> Guidance:
    """Guidance in which the true damage is named for a share of the damaged views."""
    known = perceiver.config.kinds
    chosen = (torch.rand(recipe.batch, generator=generator)[rows] < recipe.told).tolist()
    # The user's own damage has no name.
    chosen = [
        choice and bool(names) and set(names) <= set(known)
        for choice, names in zip(chosen, kinds, strict=True)
    ]
    there = torch.tensor([[float(kind in names) for kind in known] for names in kinds])
    which = torch.tensor(chosen).to(guidance.change.device, non_blocking=True)
    declared = perceiver.declared(guidance, there.to(which.device, non_blocking=True))

    def either(ours: Tensor, theirs: Tensor) -> Tensor:
        return torch.where(which.view(-1, *(1,) * (ours.dim() - 1)), theirs, ours)

    return Guidance(**{name: either(value, vars(declared)[name]) for name, value in vars(guidance).items()})


def _draw_rows(
    recipe: Recipe, photos: TrainingPhotos, step: int, generator: torch.Generator, rows: slice
) -> PairBatch:
    """Some rows of a batch, the same whichever process draws them."""
    number = step % recipe.pool if recipe.pool else step
    size = recipe.batch // recipe.shares if recipe.shares else recipe.batch
    first, last, _ = rows.indices(recipe.batch)

    def draw(count: int, source: torch.Generator) -> PairBatch:
        return draw_pairs(photos, recipe.mix, count, recipe.view, recipe.scales, source)

    if not recipe.shares:
        whole = draw(size, generator_for(recipe.seed, number) if recipe.pool else generator)
        return whole.part(rows)
    begun = range(first // size, -(-last // size))  # the shares that these rows are in
    drawn = [draw(size, generator_for(recipe.seed, number, share=share)) for share in begun]
    offset = begun.start * size
    return PairBatch.joined(drawn).part(slice(first - offset, last - offset))


def _draw_window(recipe: Recipe, pairs: PairBatch, generator: torch.Generator) -> tuple[int, int, int, int]:
    room = pairs.clean.shape[-1] - recipe.patch
    top, left = (8 * int(torch.randint(room // 8 + 1, (), generator=generator)) for _ in range(2))
    return top, left, recipe.patch, recipe.patch


def _cut(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    return image[..., top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)


def neutral_guidance(config: NetworkConfig, images: Tensor) -> Guidance:
    """Return neutral guidance, zero embeddings and one region, for (B, 3, H, W)."""
    batch, _, height, width = images.shape
    zeros = images.new_zeros
    return Guidance(
        quality=zeros(batch, config.quality_dim),
        labels=torch.zeros(batch, height, width, dtype=torch.uint8, device=images.device),
        content=zeros(batch, config.content_dim),
        degradation=zeros(batch, config.degradation_dim),
        local_degradation=zeros(batch, config.region_count, config.degradation_dim),
        tone=zeros(batch),
        change=images.new_ones(batch),
        coarse=images.new_ones(batch),
    )
