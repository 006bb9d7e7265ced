"""Sharing DeQA-Score among devices, planned by accelerate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.perception.deqa.checkpoint import TINY, official_weights

from clearair.perception.deqa.config import read_config
from clearair.perception.deqa.network import DeqaNetwork
from clearair.perception.deqa.perceiver import load_deqa
from clearair.perception.deqa.placement import Placement, share

accelerate = pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def network() -> DeqaNetwork:
    shapes = {name: tuple(weight.shape) for name, weight in official_weights(TINY).items()}
    with torch.device("meta"):
        return DeqaNetwork(read_config(TINY, shapes))


def size(network: DeqaNetwork) -> int:
    return sum(4 * weight.numel() for weight in network.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="accelerate leaves out GPUs that are not there")
def test_what_the_gpu_cannot_hold_is_left_with_the_cpu_and_layers_stay_whole(network):
    whole = size(network)
    room = whole // 2
    placement = share(network, {0: room, "cpu": whole}, torch.float32)
    assert placement is not None
    devices = {name: placement.device_of(name) for name, _ in network.named_parameters()}
    assert {str(device) for device in devices.values()} == {"cuda:0", "cpu"}
    for layer in range(3):
        parts = {device for name, device in devices.items() if name.startswith(f"model.layers.{layer}.")}
        assert len(parts) == 1
    held = [4 * weight.numel() for name, weight in network.named_parameters() if devices[name].type == "cuda"]
    assert 0 < sum(held) <= room


def test_without_a_gpu_all_is_the_cpus(network):
    placement = share(network, {"cpu": 2 * size(network)}, torch.float32)
    assert placement is not None
    assert {placement.device_of(name) for name, _ in network.named_parameters()} == {torch.device("cpu")}


@pytest.mark.filterwarnings("ignore:Current model requires")
def test_too_little_room_is_said(network):
    assert share(network, {"cpu": size(network) // 4}, torch.float32) is None


def test_what_waits_on_the_cpu_is_told_to_accelerate_in_its_own_word():
    devices = {"model": torch.device("cuda", 0), "lm_head": torch.device("cpu")}
    assert Placement(devices).words == {"model": "cuda:0", "lm_head": "cpu"}


def test_weights_may_wait_elsewhere_between_the_looks(folder, photos):
    expected = load_deqa(folder).assess(photos)
    deqa = load_deqa(folder)
    accelerate.cpu_offload(deqa.network, torch.device("cpu"))  # the hooks that a GPU would have
    for _ in range(2):
        assert {weight.device.type for weight in deqa.network.parameters()} == {"meta"}
        found = deqa.assess(photos)
        np.testing.assert_array_equal(found.embedding, expected.embedding)
        np.testing.assert_array_equal(found.score, expected.score)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_layers_that_wait_on_the_cpu_are_computed_on_the_gpu(folder, photos):
    expected = load_deqa(folder).assess(photos)
    deqa = load_deqa(folder)
    parts = ["model.embed_tokens", "model.vision_model", "model.visual_abstractor", "model.norm", "lm_head"]
    devices = {name: torch.device("cuda", 0) for name in [*parts, "model.layers.0"]}
    waiting = {f"model.layers.{number}": torch.device("cpu") for number in (1, 2)}
    deqa.network.to("cuda:0")
    for name in waiting:
        deqa.network.get_submodule(name).to("cpu")
    Placement({**devices, **waiting}).finish(deqa.network)
    found = deqa.assess(photos)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-3)
