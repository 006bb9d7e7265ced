"""The initial weights of a run, from a checkpoint or a saved model. The optimisers start fresh."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from clearair.errors import ModelError, TrainingError
from clearair.models import CATALOGUE, load_model
from clearair.training.loop.checkpoint import load_checkpoint, unlike


def load_start(network: nn.Module, where: Path | str) -> None:
    """Load the average of a checkpoint, or the weights of a model given by name or folder; names come first.

    Raises ModelError when there is none, it is damaged, or it is another network's.
    """
    if str(where) not in CATALOGUE and Path(where).is_file():
        try:
            load_checkpoint(Path(where)).load_average(network)
        except TrainingError as error:
            raise ModelError(str(error)) from error
        return
    weights = load_model(where).weights
    if difference := unlike(network, weights):
        raise ModelError(f"{where}: is another network than the recipe's: {difference}.")
    network.load_state_dict({name: value.float() for name, value in weights.items()})
