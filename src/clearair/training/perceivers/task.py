"""Train the compact perceivers, and write them in the form that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clearair.data.degradations import KINDS
from clearair.data.pairs import generator_for
from clearair.errors import DataError, TrainingError
from clearair.perception.compact.eyes import CompactEyes, Sight, folded, unfolded
from clearair.perception.compact.views import sampled
from clearair.perception.compact.weights import load_perceiver, save_perceiver
from clearair.runtime.precision import learning_in
from clearair.training.loop.checkpoint import Checkpoint, save_checkpoint, unlike
from clearair.training.loop.optimizer import Muon
from clearair.training.loop.processes import ALONE
from clearair.training.loop.task import Terms
from clearair.training.perceivers.calibration import calibrate
from clearair.training.perceivers.calibration_set import draw_calibration_set, importance
from clearair.training.perceivers.losses import losses, region_loss
from clearair.training.perceivers.samples import Batch, PerceiverRecipe, draw_batch, draw_views, load_photos


class PerceiverTask:
    """Trains the eyes to recognise kinds and strengths of damage, and the borders of regions."""

    architecture = "eyes"
    processes = ALONE

    def __init__(self, recipe: PerceiverRecipe, data: Path, *, device: str = "cpu") -> None:
        self.plan = recipe
        self.updates = recipe.looks
        self.data = data
        self.device = device
        torch.manual_seed(recipe.seed)
        self.network = CompactEyes(recipe.eyes, normed=True).to(device)
        if recipe.only_regions:
            self.network.requires_grad_(False)
            self.network.to_regions.requires_grad_(True)
            self.network.affinity.requires_grad_(True)

    def settings(self) -> dict[str, Any]:
        """The recipe."""
        return self.plan.to_dict()

    def load(self) -> tuple[str, ...]:
        """Read the photographs. Raises DataError without any."""
        left_out: list[str] = []
        self.photos, self.pairs = load_photos(self.data, tell=left_out.append)
        if self.plan.only_regions:
            self.photos, self.pairs = [photo for photo in self.photos if photo.maps is not None], []
            if not self.photos:
                raise DataError(
                    f"{self.data}: only_regions needs photographs of BSD400 in train/clean and their maps in "
                    "train/regions/BSDS500."
                )
        return tuple(left_out)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for convolutions, AdamW for the rest."""
        rate, decay = self.plan.learning_rate, self.plan.weight_decay
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        kernels = [weight for weight in trained if weight.ndim == 4]
        others = [weight for weight in trained if weight.ndim != 4]
        return [Muon(kernels, rate, decay), torch.optim.AdamW(others, lr=rate, weight_decay=decay)]

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """Damaged pictures."""
        return draw_batch(self.photos, self.pairs, self.plan, generator).to(self.device)

    def split(self, batch: Batch) -> list[Batch]:
        """The whole batch: batch normalisation and ranked pairs need all of it."""
        return [batch]

    def describe(self, batch: Batch) -> str:
        """The kinds of damage, and how many pictures have them."""
        count = {kind: int(batch.kinds[:, index].sum()) for index, kind in enumerate(KINDS)}
        return ", ".join(f"{number} x {kind}" for kind, number in count.items() if number)

    def compare(self, batch: Batch, generator: torch.Generator) -> Terms:
        """Perceive new views of a batch, and compare with its labels."""
        eyes = self.network
        eyes.train(not self.plan.only_regions)
        if self.plan.only_regions:
            eyes.to_regions.train()
        far, near, grid = draw_views(batch, self.plan.eyes, generator)
        with learning_in(far.device):
            far = far.contiguous(memory_format=torch.channels_last)
            sight = eyes.see(far, near, grid, sampled(batch.images))
        sight = Sight(**{name: value.float() for name, value in vars(sight).items()})
        if self.plan.only_regions:
            return Terms({"regions": region_loss(eyes, sight.regions, batch.maps, generator)})
        return Terms(losses(eyes, sight, batch, generator))


def reopen(weights: Path, recipe: PerceiverRecipe, data: Path, checkpoint: Path, *, batches: int = 6) -> None:
    """Make a checkpoint to start from of published weights, which have no normalisation any more.

    Raises ModelError where there are none, TrainingError when they are of other eyes than the recipe's.
    """
    eyes = CompactEyes(recipe.eyes).eval()
    published = load_perceiver(weights)[0].state_dict()
    if difference := unlike(eyes, published):
        raise TrainingError(f"{weights}: are other eyes than the recipe's: {difference}.")
    eyes.load_state_dict(published)
    photos, pairs = load_photos(data)
    drawn = [draw_batch(photos, pairs, recipe, generator_for(recipe.seed, step)) for step in range(batches)]
    normed = unfolded(eyes, [batch.images for batch in drawn])
    tensors = {f"average.{name}": value for name, value in normed.state_dict().items()}
    save_checkpoint(Checkpoint(0, recipe.to_dict(), tensors, 0.0), checkpoint)


def publish(
    eyes: CompactEyes, recipe: PerceiverRecipe, folder: Path, data: Path | None = None, *, batches: int = 60
) -> None:
    """Write trained eyes in the form that ships: folded, half precision.

    With data, the kind head is fitted to whole pictures and to batches that training has not drawn.
    """
    plain = folded(eyes.eval())
    if data is not None:
        _fit_kind_heads(plain, recipe, data, batches)
    save_perceiver(plain, folder)


def _fit_kind_heads(eyes: CompactEyes, recipe: PerceiverRecipe, data: Path, batches: int) -> None:
    photos, pairs = load_photos(data)
    steps = range(recipe.steps, recipe.steps + batches)
    calibrate(eyes, draw_calibration_set(photos, pairs, replace(recipe, ranked=0.0), steps), importance())
