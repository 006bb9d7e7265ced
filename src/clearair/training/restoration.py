"""What a restorer learns from: damaged patches, and what the perceivers say of the picture around them.

Shapes: B pairs, V = side of the view that is perceived, P = side of the W windows of it that are restored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.data.pairs import PairBatch, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos, load_training_photos
from clearair.errors import ConfigError, DataError
from clearair.finishing import FinishedNetwork
from clearair.network import Guidance, NetworkConfig
from clearair.network.compiling import compile_parts
from clearair.network.overview import THUMBNAIL, Overview, survey
from clearair.network.regions import drop_regions
from clearair.perception import load_compact
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.protocol import Perceiver
from clearair.runtime.precision import learning_in
from clearair.training.loop import Terms
from clearair.training.losses import (
    StrongView,
    clue_reuse,
    draw_strong_view,
    gradient_share,
    spectrum_error,
)
from clearair.training.optimizer import make_optimizers
from clearair.training.processes import ALONE, Processes
from clearair.training.recipe import Recipe
from clearair.training.visibility import visibility

SIZES = ("quality_dim", "content_dim", "degradation_dim", "region_count")
"""What of a network follows from its perceiver."""


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
    """What one step trains on."""

    windows: tuple[Window, ...]
    guidance: Guidance
    """Of the whole views."""
    overview: Overview
    """Of the whole views, the pictures that the windows are cut from."""
    thumbnail: Tensor
    """(B, 3, T / 2, T / 2) the clean views, averaged."""
    kinds: tuple[tuple[str, ...], ...] = ()
    """What is wrong with each view, anywhere."""

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
class Lesson:
    """Patches, and the two views of them that ICRM compares; None where it is off."""

    patches: Patches
    view: StrongView | None

    def part(self, rows: slice) -> Lesson:
        """Of some of the views."""
        return Lesson(self.patches.part(rows), None if self.view is None else self.view.part(rows))


class RestorerTask:
    """A restorer learns to undo damage that a perceiver tells it about, by default the one that ships."""

    architecture = "network"
    looks = 1

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        *,
        perceiver: Perceiver | None = None,
        device: str = "cpu",
        compiled: bool = False,
        photos: TrainingPhotos | None = None,
        own: Sequence[tuple[Path, Path]] = (),
        report: Callable[[str], None] = print,
        processes: Processes = ALONE,
    ) -> None:
        for batch in (recipe.batch, *(stage.batch for stage in recipe.stages)):
            rows = processes.share(batch)
            if (rows.stop - rows.start) % recipe.accumulate:
                raise ConfigError(
                    f"A batch of {batch} cannot be divided into {recipe.accumulate} parts in each of "
                    f"{processes.count} processes."
                )
        self.processes = processes
        # Without guidance nothing needs to see.
        guided = recipe.guided_from < recipe.steps
        self.perceiver = (perceiver or load_compact()).to(device) if guided else None
        if self.perceiver is not None:
            recipe = replace(
                recipe, network=fitted(recipe.network, self.perceiver, follow=perceiver is not None)
            )
        if own and recipe.mix.own > 0 and recipe.network.cautious:
            recipe = trusting(recipe)
            report(
                "Pairs of your own are learned from, so this model will restore every photo, also where its "
                "perceivers find nothing (network.cautious=false)."
            )
        self.plan = recipe
        self.data = data
        self.device = device
        self.photos = photos
        """Given, or read by `load`; several runs in a row may share them."""
        self.own = own
        """Pairs of the user's own to learn from, (damaged, clean); the network is then never cautious."""
        self.kept: dict[tuple[int, int, int], Patches] = {}
        """By place in the pool, batch and view: what the tone stage alone learns from, which is small."""
        self.report = report
        torch.manual_seed(recipe.seed)
        network = FinishedNetwork(recipe.network)
        _initialise(network)
        if recipe.only_tone:
            network.requires_grad_(False)
            network.tone.requires_grad_(True)
        if recipe.fixed_tone:
            network.tone.requires_grad_(False)
        self.network: FinishedNetwork = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            compile_parts(self.network)

    def settings(self) -> dict[str, Any]:
        """The recipe, and whose guidance is learned from."""
        if self.perceiver is None:
            return self.plan.to_dict()
        identity = self.perceiver.identity
        return {**self.plan.to_dict(), "perceiver": f"{identity.name} {identity.fingerprint[:12]}"}

    def load(self) -> tuple[str, ...]:
        """Read the photographs, onto the device, unless they were given. Raises DataError without any."""
        if self.photos is None:
            photos = load_training_photos(self.data, self.plan.sets, self.own, self.report)
            pairs = [pair.clean for kind in sorted(photos.pairs) for pair in photos.pairs[kind]]
            sums = [float(photo[:, ::8, ::8].sum()) for photo in (*photos.clean, *pairs)]
            sums += [float(len(files)) for files in photos.published.values()] + [float(len(self.own))]
            if not self.processes.alike(math.fsum(sums)):
                raise DataError(f"{self.data}: not all processes find the same pictures here.")
            self.photos = photos.to(self.device)
        return self.photos.left_out

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of the recipe."""
        return make_optimizers(
            self.network, self.plan.learning_rate, self.plan.weight_decay, self.plan.optimizer
        )

    def draw(self, step: int, generator: torch.Generator) -> Lesson:
        """Patches and views of them: this process's share of the batch."""
        recipe = self.plan.at(step)
        keeps = recipe.only_tone and recipe.pool > 0
        place = (step % max(1, recipe.pool), recipe.batch, recipe.view)
        if keeps and place in self.kept:
            return Lesson(self.kept[place].of_tone(torch.float32), None)
        assert self.photos is not None, "load() comes first"
        rows = self.processes.share(recipe.batch)
        patches = draw_patches(self.plan, self.photos, self.perceiver, step, generator, self.device, rows)
        if keeps:
            # Rounded at once, so that a run that is resumed learns from the same.
            self.kept[place] = patches.of_tone(torch.float16)
            return Lesson(self.kept[place].of_tone(torch.float32), None)
        if recipe.clue_reuse == "off" or not patches.windows:
            return Lesson(patches, None)
        view = draw_strong_view(recipe.batch, recipe.patch, generator)
        return Lesson(patches, view.part(rows).to(self.device))

    def split(self, batch: Lesson) -> list[Lesson]:
        """In as many parts as the recipe accumulates gradients of."""
        size = len(batch.patches.thumbnail) // self.plan.accumulate
        return [batch.part(slice(k * size, (k + 1) * size)) for k in range(self.plan.accumulate)]

    def describe(self, batch: Lesson) -> str:
        """The kinds of damage, and how many pictures have them."""
        count = Counter(" + ".join(kinds) or "nothing" for kinds in batch.patches.kinds)
        return ", ".join(f"{number} x {kinds}" for kinds, number in count.most_common())

    def compare(self, batch: Lesson, generator: torch.Generator) -> Terms:
        """L1, ICRM (eqs. 1, 15-17) and what else the recipe asks for, and the PSNR of the batch."""
        patches = batch.patches
        with learning_in(patches.thumbnail.device):
            judgement = self.network.judge(patches.guidance, patches.overview)
            several = [
                self.network.restore(window.damaged, window.labels, judgement, window.origin)
                for window in patches.windows
            ]
        terms = {}
        if judgement.tone is not None and not self.plan.fixed_tone:
            # The thumbnail shows the whole view, of which a window would teach that stage little. In full,
            # however sure the perceiver is: what it overlooks and what is right teach restraint.
            small = F.avg_pool2d(patches.overview.thumbnail, 2)
            full = torch.ones_like(judgement.tone.share)
            whole = replace(judgement.tone, share=full, size=(small.shape[2], small.shape[3]))
            toned = self.network.tone(small, whole)
            terms["tone"] = self.plan.tone_weight * F.l1_loss(toned, patches.thumbnail)
        if not several:
            return Terms(terms, {"psnr": _psnr(toned, patches.thumbnail)})
        restored, clean = torch.cat(several).float(), patches.clean
        terms = {"l1": F.l1_loss(restored, clean), **terms}
        observed = {}
        if batch.view is not None:
            assert self.plan.clue_reuse != "off"
            weight = visibility(clean) if self.plan.visible_clues else None
            view = batch.view.repeated(len(patches.windows))
            clues = clue_reuse(restored, clean, view, self.plan.gamma, self.plan.clue_reuse, weight)
            terms["icrm"] = self.plan.alpha * clues
            observed["icrm share"] = gradient_share(terms["icrm"], restored)
        if self.plan.fft:
            terms["fft"] = self.plan.fft * spectrum_error(restored, clean)
            observed["fft share"] = gradient_share(terms["fft"], restored)
        return Terms(terms, {"psnr": _psnr(restored, clean), **observed})


def _psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """The mean of a batch in dB, each at most 60."""
    error = (restored.detach().clamp(0, 1) - clean).square().mean(dim=(1, 2, 3)).clamp_min(1e-6)
    return -10 * error.log10().mean()


def fitted(config: NetworkConfig, perceiver: Perceiver, *, follow: bool) -> NetworkConfig:
    """A network with the sizes of what this perceiver says.

    Only where it may `follow` a perceiver that was chosen; else other sizes are a ConfigError.
    """
    identity = perceiver.identity
    sizes = {name: getattr(identity, name) for name in SIZES}
    if not follow:
        for name, size in sizes.items():
            if getattr(config, name) != size:
                raise ConfigError(
                    f"NetworkConfig.{name} is {getattr(config, name)}, but the perceiver {identity.name!r} "
                    f"gives {size}."
                )
    return replace(config, **sizes)


def trusting(recipe: Recipe) -> Recipe:
    """The recipe for a network without caution: it changes photos whether perceivers find damage or not.

    Perceivers do not know the damage of a user's own pairs. Caution would leave such a photo as it is:
    nothing could be learned from it, and the model would leave such photos alone.
    """
    return replace(recipe, network=replace(recipe.network, cautious=False))


def draw_patches(
    recipe: Recipe,
    photos: TrainingPhotos,
    perceiver: Perceiver | None,
    step: int,
    generator: torch.Generator,
    device: str = "cpu",
    rows: slice = slice(None),
) -> Patches:
    """Damaged views, perceived whole, and the windows of each that are restored: some rows of the batch.

    Views of a pool come again; their windows are new ones.
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
            guidance = _told(guidance, perceiver, pairs.kinds, recipe, generator, rows)
    overview = survey(damaged, guidance.labels, recipe.network)
    count = 0 if recipe.only_tone else recipe.windows
    places = [_draw_window(recipe, pairs, generator) for _ in range(count)]
    windows = [
        Window(_cut(damaged, *place), _cut(clean, *place), guidance.window(*place).labels, place[:2])
        for place in places
    ]
    thumbnail = F.adaptive_avg_pool2d(clean, THUMBNAIL // 2)
    return Patches(tuple(windows), guidance, overview, thumbnail, pairs.kinds)


def _told(
    guidance: Guidance,
    perceiver: CompactPerceiver,
    kinds: Sequence[Sequence[str]],
    recipe: Recipe,
    generator: torch.Generator,
    rows: slice,
) -> Guidance:
    """Guidance in which a share of the damaged views is said to have the damage that they have."""
    known = perceiver.config.kinds
    chosen = (torch.rand(recipe.batch, generator=generator)[rows] < recipe.told).tolist()
    # Of the user's own damage there is no word.
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
    """What says nothing: zero embeddings and one region, for (B, 3, H, W)."""
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


def _initialise(network: FinishedNetwork) -> None:
    """Begin as the identity: what is not damaged stays as it is from the first step on."""
    nn.init.zeros_(network.reconstruction.weight)
    if network.reconstruction.bias is not None:
        nn.init.zeros_(network.reconstruction.bias)
