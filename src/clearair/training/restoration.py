"""What a restorer learns from: damaged patches, and what the perceivers say of the picture around them.

Shapes: B pairs, V = side of the view that is perceived, P = side of the patch that is restored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.data.pairs import PairBatch, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos, load_training_photos
from clearair.errors import ConfigError
from clearair.network import ClearAIR, Guidance, NetworkConfig
from clearair.network.compiling import compile_parts
from clearair.network.overview import THUMBNAIL, Overview, survey
from clearair.network.regions import drop_regions
from clearair.perception import load_compact
from clearair.perception.protocol import Perceiver
from clearair.perception.visibility import visibility
from clearair.training.loop import Terms
from clearair.training.losses import (
    StrongView,
    clue_reuse,
    draw_strong_view,
    gradient_share,
    spectrum_error,
)
from clearair.training.optimizer import make_optimizers
from clearair.training.recipe import Recipe

SIZES = ("quality_dim", "content_dim", "degradation_dim", "region_count")
"""What of a network follows from its perceiver."""


@dataclass(frozen=True)
class Patches:
    """What one step trains on."""

    damaged: Tensor
    """(B, 3, P, P) in [0, 1]."""
    clean: Tensor
    """(B, 3, P, P) in [0, 1]."""
    guidance: Guidance
    """Of the whole views; `labels` are those of the windows."""
    overview: Overview
    """Of the whole views, the pictures that the windows are cut from."""
    thumbnail: Tensor
    """(B, 3, T / 2, T / 2) the clean views, averaged."""
    origin: tuple[int, int]
    """Where in its view each window begins: down, right."""


@dataclass(frozen=True)
class Lesson:
    """Patches, and the two views of them that ICRM compares; None where it is off."""

    patches: Patches
    view: StrongView | None


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
    ) -> None:
        # Without guidance nothing needs to see.
        guided = recipe.guided_from < recipe.steps
        self.perceiver = (perceiver or load_compact()).to(device) if guided else None
        if self.perceiver is not None:
            recipe = replace(
                recipe, network=fitted(recipe.network, self.perceiver, follow=perceiver is not None)
            )
        self.plan = recipe
        self.data = data
        self.device = device
        self.photos = photos
        """Given, or read by `load`; several runs in a row may share them."""
        torch.manual_seed(recipe.seed)
        network = ClearAIR(recipe.network)
        _initialise(network)
        self.network: ClearAIR = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            compile_parts(self.network)

    def settings(self) -> dict[str, Any]:
        """The recipe, and whose guidance is learned from."""
        if self.perceiver is None:
            return self.plan.to_dict()
        identity = self.perceiver.identity
        return {**self.plan.to_dict(), "perceiver": f"{identity.name} {identity.fingerprint[:12]}"}

    def load(self) -> None:
        """Read the photographs, onto the device, unless they were given. Raises DataError without any."""
        if self.photos is None:
            self.photos = load_training_photos(self.data).to(self.device)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon and AdamW."""
        return make_optimizers(self.network, self.plan.learning_rate, self.plan.weight_decay)

    def draw(self, step: int, generator: torch.Generator) -> Lesson:
        """Patches and views of them."""
        assert self.photos is not None, "load() comes first"
        patches = draw_patches(self.plan, self.photos, self.perceiver, step, generator, self.device)
        if self.plan.clue_reuse == "off":
            return Lesson(patches, None)
        batch, _, _, side = patches.damaged.shape
        return Lesson(patches, draw_strong_view(batch, side, generator).to(self.device))

    def compare(self, batch: Lesson, generator: torch.Generator) -> Terms:
        """L1, ICRM (eqs. 1, 15-17) and what else the recipe asks for, and the PSNR of the batch."""
        patches = batch.patches
        with torch.autocast(patches.damaged.device.type, torch.bfloat16):
            judgement = self.network.judge(patches.guidance, patches.overview)
            labels = patches.guidance.labels
            restored = self.network.restore(patches.damaged, labels, judgement, patches.origin)
        restored = restored.float()
        terms = {"l1": F.l1_loss(restored, patches.clean)}
        if judgement.tone is not None:
            # The thumbnail shows the tone stage the whole view, of which a window would teach little.
            small = F.avg_pool2d(patches.overview.thumbnail, 2)
            toned = self.network.tone(small, replace(judgement.tone, size=(small.shape[2], small.shape[3])))
            terms["tone"] = self.plan.tone_weight * F.l1_loss(toned, patches.thumbnail)
        observed = {}
        if batch.view is not None:
            assert self.plan.clue_reuse != "off"
            weight = visibility(patches.clean) if self.plan.visible_clues else None
            clues = clue_reuse(
                restored, patches.clean, batch.view, self.plan.gamma, self.plan.clue_reuse, weight
            )
            terms["icrm"] = self.plan.alpha * clues
            observed["icrm share"] = gradient_share(terms["icrm"], restored)
        if self.plan.fft:
            terms["fft"] = self.plan.fft * spectrum_error(restored, patches.clean)
            observed["fft share"] = gradient_share(terms["fft"], restored)
        error = (restored.detach().clamp(0, 1) - patches.clean).square().mean(dim=(1, 2, 3)).clamp_min(1e-6)
        return Terms(terms, {"psnr": -10 * error.log10().mean(), **observed})


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


def draw_patches(
    recipe: Recipe,
    photos: TrainingPhotos,
    perceiver: Perceiver | None,
    step: int,
    generator: torch.Generator,
    device: str = "cpu",
) -> Patches:
    """Damaged views, perceived whole, and the window of each that is restored.

    Views of a pool come again; their windows are new ones.
    """
    recipe = recipe.at(step)
    views = generator_for(recipe.seed, step % recipe.pool) if recipe.pool else generator
    pairs = draw_pairs(photos, recipe.mix, recipe.batch, recipe.view, recipe.scales, views)
    damaged, clean = pairs.damaged.to(device), pairs.clean.to(device)
    if perceiver is None or step < recipe.guided_from:
        guidance = neutral_guidance(recipe.network, damaged)
    else:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            guidance = perceiver.perceive(damaged)
        labels = drop_regions(guidance.labels, guidance.regions, recipe.mask_dropout, generator)
        guidance = replace(guidance, labels=labels)
    overview = survey(damaged, guidance.labels, recipe.network.region_count, recipe.network.stem)
    window = _draw_window(recipe, pairs, generator)
    return Patches(
        _cut(damaged, *window),
        _cut(clean, *window),
        guidance.window(*window),
        overview,
        F.adaptive_avg_pool2d(clean, THUMBNAIL // 2),
        window[:2],
    )


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
    )


def _initialise(network: ClearAIR) -> None:
    """Begin as the identity: what is not damaged stays as it is from the first step on."""
    nn.init.zeros_(network.reconstruction.weight)
    if network.reconstruction.bias is not None:
        nn.init.zeros_(network.reconstruction.bias)
