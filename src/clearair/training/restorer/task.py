"""A restorer as the loop trains it: its network, its batches and its loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.data.photos import TrainingPhotos, load_training_photos
from clearair.errors import ConfigError, DataError
from clearair.finishing import FinishedNetwork
from clearair.finishing.tone import Tone
from clearair.network import NetworkConfig
from clearair.network.compiling import compile_parts
from clearair.network.config import GUIDANCE_SIZES
from clearair.perception import load_compact
from clearair.perception.protocol import BatchPerceiver
from clearair.runtime.precision import learning_in
from clearair.similarity import psnr_each
from clearair.training.loop.optimizer import make_optimizers
from clearair.training.loop.processes import ALONE, Processes
from clearair.training.loop.task import Terms
from clearair.training.restorer.losses import (
    StrongView,
    clue_reuse,
    draw_strong_view,
    gradient_share,
    image_weights,
    spectrum_error,
)
from clearair.training.restorer.patches import Batch, Patches, draw_patches
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.visibility import visibility


class RestorerTask:
    """Trains a restorer guided by a perceiver, by default the shipped one."""

    architecture = "network"
    updates = 1

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        *,
        perceiver: BatchPerceiver | None = None,
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
        # Without guidance no perceiver is needed.
        guided = recipe.guided_from < recipe.steps
        self.perceiver = (perceiver or load_compact()).to(device) if guided else None
        if self.perceiver is not None:
            recipe = replace(
                recipe, network=fitted(recipe.network, self.perceiver, follow=perceiver is not None)
            )
        if own and recipe.mix.own > 0 and recipe.network.cautious:
            recipe = trusting(recipe)
            report(
                "The run trains on your own pairs, so this model will restore every photo, even where its "
                "perceivers find nothing (network.cautious=false)."
            )
        self.plan = recipe
        self.data = data
        self.device = device
        self.photos = photos
        """Given, or read by `load`; several runs in a row may share them."""
        self.own = own
        """Pairs of the user's own to learn from, (damaged, clean); the network is then never cautious."""
        self.pooled: dict[tuple[int, int, int], Patches] = {}
        """Training data of the tone stage by place in the pool, batch and view, which is small."""
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
        """The recipe, and the identity of the perceiver."""
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

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """Patches and views of them: this process's share of the batch."""
        recipe = self.plan.at(step)
        keeps = recipe.only_tone and recipe.pool > 0
        place = (step % max(1, recipe.pool), recipe.batch, recipe.view)
        if keeps and place in self.pooled:
            return Batch(self.pooled[place].of_tone(torch.float32), None)
        assert self.photos is not None, "load() comes first"
        rows = self.processes.share(recipe.batch)
        patches = draw_patches(self.plan, self.photos, self.perceiver, step, generator, self.device, rows)
        if keeps:
            # Rounded immediately, so that a resumed run trains on the same values.
            self.pooled[place] = patches.of_tone(torch.float16)
            return Batch(self.pooled[place].of_tone(torch.float32), None)
        if recipe.clue_reuse == "off" or not patches.windows:
            return Batch(patches, None)
        view = draw_strong_view(recipe.batch, recipe.patch, generator)
        return Batch(patches, view.part(rows).to(self.device))

    def split(self, batch: Batch) -> list[Batch]:
        """In as many parts as the recipe accumulates gradients of."""
        size = len(batch.patches.thumbnail) // self.plan.accumulate
        return [batch.part(slice(k * size, (k + 1) * size)) for k in range(self.plan.accumulate)]

    def describe(self, batch: Batch) -> str:
        """The kinds of damage, and how many pictures have them."""
        count = Counter(" + ".join(kinds) or "nothing" for kinds in batch.patches.kinds)
        return ", ".join(f"{number} x {kinds}" for kinds, number in count.most_common())

    def compare(self, batch: Batch, generator: torch.Generator) -> Terms:
        """L1, ICRM (eqs. 1, 15-17), other terms of the recipe, and the PSNR of the batch."""
        patches = batch.patches
        with learning_in(patches.thumbnail.device):
            judgement = self.network.judge(patches.guidance, patches.overview)
            several = [
                self.network.restore(window.damaged, window.labels, judgement, window.origin)
                for window in patches.windows
            ]
        tone: dict[str, Tensor] = {}
        if judgement.tone is not None and not self.plan.fixed_tone:
            toned = self._toned(patches, judgement.tone)
            tone["tone"] = self.plan.tone_weight * F.l1_loss(toned, patches.thumbnail)
        if not several:
            return Terms(tone, {"psnr": _psnr(toned, patches.thumbnail)})
        restored, clean = torch.cat(several).float(), patches.clean
        counted, target = restored, clean
        if self.plan.balance:
            weights = image_weights(restored, clean, self.plan.balance, fine=self.plan.balance_fine)
            weights = weights[:, None, None, None]
            counted, target = weights * restored, weights * clean
        terms = {"l1": F.l1_loss(counted, target), **tone}
        observed: dict[str, Tensor] = {}
        if batch.view is not None:
            view = batch.view.repeated(len(patches.windows))
            terms["icrm"] = self.plan.alpha * self._clue_reuse(restored, clean, view)
            observed["icrm share"] = gradient_share(terms["icrm"], restored)
        if self.plan.fft:
            terms["fft"] = self.plan.fft * spectrum_error(counted, target)
            observed["fft share"] = gradient_share(terms["fft"], restored)
        return Terms(terms, {"psnr": _psnr(restored, clean), **observed})

    def _toned(self, patches: Patches, tone: Tone) -> Tensor:
        """Return the thumbnails of whole views as the tone stage makes them, (B, 3, T / 2, T / 2).

        That stage would learn little from a window. The full change is applied, however sure the perceiver
        is: undamaged views and missed damage teach it when to do nothing.
        """
        small = F.avg_pool2d(patches.overview.thumbnail, 2)
        full = torch.ones_like(tone.share)
        toned: Tensor = self.network.tone(
            small, replace(tone, share=full, size=(small.shape[2], small.shape[3]))
        )
        return toned

    def _clue_reuse(self, restored: Tensor, clean: Tensor, view: StrongView) -> Tensor:
        assert self.plan.clue_reuse != "off"
        weight = visibility(clean) if self.plan.visible_clues else None
        return clue_reuse(restored, clean, view, self.plan.gamma, self.plan.clue_reuse, weight)


def _psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """The mean of a batch in dB, each at most 60."""
    return psnr_each(restored.detach().clamp(0, 1), clean, most=60).mean()


def fitted(config: NetworkConfig, perceiver: BatchPerceiver, *, follow: bool) -> NetworkConfig:
    """A network with the sizes of this perceiver's outputs.

    Only where it may `follow` a perceiver that was chosen; else other sizes are a ConfigError.
    """
    identity = perceiver.identity
    sizes = {name: getattr(identity, name) for name in GUIDANCE_SIZES}
    if not follow:
        for name, size in sizes.items():
            if getattr(config, name) != size:
                raise ConfigError(
                    f"NetworkConfig.{name} is {getattr(config, name)}, but the perceiver {identity.name!r} "
                    f"gives {size}."
                )
    return replace(config, **sizes)


def trusting(recipe: Recipe) -> Recipe:
    """The recipe for a network without caution, which also changes photos without detected damage.

    Perceivers do not know the damage of a user's own pairs. Caution would leave such a photo as it is:
    nothing could be learned from it, and the model would leave such photos alone.
    """
    return replace(recipe, network=replace(recipe.network, cautious=False))


def _initialise(network: FinishedNetwork) -> None:
    """Initialise as the identity: undamaged photos stay unchanged from the first step on."""
    nn.init.zeros_(network.reconstruction.weight)
    if network.reconstruction.bias is not None:
        nn.init.zeros_(network.reconstruction.bias)
