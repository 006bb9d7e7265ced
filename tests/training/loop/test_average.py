import pytest
import torch
from torch import nn

from clearair.training.loop.average import decay_at, update_average


def test_the_average_moves_by_one_minus_the_decay():
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        average.weight.fill_(1.0)
        network.weight.fill_(3.0)
    update_average(average, network, 0.75)
    assert float(average.weight.detach()) == pytest.approx(1.5)
    assert float(network.weight.detach()) == 3.0


def test_running_statistics_are_averaged_and_counters_left_alone():
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    network(torch.tensor([[2.0], [4.0]]))
    update_average(average, network, 0.5)
    assert float(average.running_mean) == pytest.approx(float(network.running_mean) / 2)
    assert int(average.num_batches_tracked) == 0


def test_the_first_weights_are_forgotten_soon():
    assert decay_at(1, 0.998) == pytest.approx(1 / 11)
    assert decay_at(10**6, 0.998) == 0.998
