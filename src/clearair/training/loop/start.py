"""The initial weights of a run, from a checkpoint or a saved model. The optimisers start fresh."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from clearair.errors import TrainingError
from clearair.models import CATALOGUE, load_model
from clearair.training.loop.checkpoint import load_checkpoint, unlike


def load_start(network: nn.Module, where: Path | str) -> None:
    """Load the average of a checkpoint, or the weights of a model given by name or folder; names come first.

    Raises TrainingError when it is another network's, ModelError when there is no such model.
    """
    if str(where) not in CATALOGUE and Path(where).is_file():
        load_checkpoint(Path(where)).load_average(network)
        return
    weights = load_model(where).weights
    if difference := unlike(network, weights):
        raise TrainingError(f"{where}: is another network than the recipe's: {difference}.")
    network.load_state_dict({name: value.float() for name, value in weights.items()})
