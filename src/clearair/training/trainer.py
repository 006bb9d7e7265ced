"""The one way to train: a trainer for any recipe, for the command line, ablations and benchmarks alike."""

from __future__ import annotations

from pathlib import Path

from clearair.data.layouts import pair_folders
from clearair.errors import DataError
from clearair.training.loop.trainer import Setup, Trainer
from clearair.training.perceivers.recognition import RecognizerRecipe
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.perceivers.trainer import PerceiverTrainer, RecognizerTrainer
from clearair.training.recipes import AnyRecipe
from clearair.training.restorer.trainer import RestorerTrainer


def trainer_for(recipe: AnyRecipe, setup: Setup) -> Trainer:
    """Return what trains by a recipe. Raises ClearAirError when that is not possible with this setup."""
    if isinstance(recipe, PerceiverRecipe):
        return PerceiverTrainer(recipe, setup)
    if isinstance(recipe, RecognizerRecipe):
        return RecognizerTrainer(recipe, setup)
    return RestorerTrainer(recipe, setup)


def find_own_pairs(folders: tuple[Path, Path] | None) -> list[tuple[Path, Path]]:
    """Return (damaged, clean) files of two folders, none without folders. Raises DataError."""
    if folders is None:
        return []
    items = pair_folders(*folders)
    if len(items) < 2:
        raise DataError(f"{folders[0]}: needs at least 2 pairs, one of them to validate with.")
    return [(item.damaged, item.clean) for item in items if item.damaged and item.clean]
