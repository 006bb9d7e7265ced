from dataclasses import replace

import pytest
import torch

from clearair.errors import ModelError
from clearair.finishing import FinishedNetwork
from clearair.models import load_model, save_model
from clearair.network import COMPACT
from clearair.training.loop.start import load_start
from clearair.training.restorer.recipes import smoke


def same(network, weights):
    return all(torch.equal(value, weights[name].float()) for name, value in network.state_dict().items())


def test_a_run_can_start_from_the_model_that_ships():
    network = FinishedNetwork(COMPACT)
    load_start(network, "compact")
    assert same(network, load_model("compact").weights)


def test_a_run_can_start_from_a_saved_model(tmp_path):
    save_model(FinishedNetwork(smoke().network), tmp_path)
    network = FinishedNetwork(smoke().network)
    assert not same(network, load_model(tmp_path).weights)
    load_start(network, tmp_path)
    assert same(network, load_model(tmp_path).weights)


def test_the_model_of_another_network_is_refused():
    network = FinishedNetwork(replace(smoke().network, prompts=5))
    with pytest.raises(ModelError, match=r"compact: is another network.*\d+ tensors"):
        load_start(network, "compact")


def test_a_misspelt_start_lists_the_known_models():
    with pytest.raises(ModelError, match="compact"):
        load_start(FinishedNetwork(smoke().network), "compct")
