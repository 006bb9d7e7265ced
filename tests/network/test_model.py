from dataclasses import replace
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from clearair.network import BASE, TINY, ClearAIR, Guidance, count_parameters
from tests.network.conftest import random_guidance, random_network


def run(network: ClearAIR, image: torch.Tensor, guidance: Guidance) -> torch.Tensor:
    with torch.no_grad():
        return network(image, guidance)


@settings(max_examples=15)
@given(height=st.integers(1, 21), width=st.integers(1, 21))
def test_any_size_comes_out_as_it_went_in(height, width):
    image = torch.rand(1, 3, height, width)
    restored = run(random_network(TINY), image, random_guidance(TINY, (height, width)))
    assert restored.shape == image.shape
    assert torch.isfinite(restored).all()


@pytest.mark.parametrize(
    "dims", [{}, {"quality_dim": 4096, "content_dim": 512, "degradation_dim": 512}], ids=["embedded", "paper"]
)
def test_the_base_preset_has_the_papers_31_million_parameters(dims):
    with torch.device("meta"):
        network = ClearAIR(replace(BASE, **dims))
    assert abs(count_parameters(network) - 31e6) <= 1e6


def test_every_order_of_perception_gives_another_network():
    image, guidance = torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8))
    outputs = []
    for order in permutations(("how", "where", "what")):
        outputs.append(run(random_network(replace(TINY, order=order)), image, guidance))
    for first in range(len(outputs)):
        for second in range(first):
            assert not torch.allclose(outputs[first], outputs[second], atol=1e-6)


@pytest.mark.parametrize(
    ("component", "percepts"),
    [
        ("quality", ["quality"]),
        ("regions", ["labels", "local_degradation"]),
        ("degradation", ["content", "local_degradation"]),
    ],
)
def test_a_learned_component_ignores_what_is_perceived(component, percepts):
    config = replace(TINY, **{component: "learned"})
    network, image = random_network(config), torch.rand(1, 3, 8, 8)
    guidance = random_guidance(TINY, (8, 8))
    other = replace(guidance, **{name: getattr(guidance, name).flip(-1) for name in percepts})
    assert torch.equal(run(network, image, guidance), run(network, image, other))
    assert count_parameters(network) > count_parameters(ClearAIR(TINY))


def test_guidance_comes_before_the_blocks_of_the_encoder_and_after_those_of_the_decoder(tiny_network):
    called: list[str] = []

    def watch(name: str, module: torch.nn.Module) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(lambda *_: called.append(name))

    watched = [
        watch(f"{name} {level}", module)
        for name in ("encoder_guidance", "encoder", "decoder", "decoder_guidance")
        for level, module in enumerate(getattr(tiny_network, name))
    ]
    run(tiny_network, torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8)))
    for handle in watched:
        handle.remove()
    assert called == [
        "encoder_guidance 0",
        "encoder 0",
        "encoder_guidance 1",
        "encoder 1",
        "decoder 0",
        "decoder_guidance 0",
    ]


def test_without_local_embeddings_the_global_one_decides():
    network = random_network(replace(TINY, local_degradation=False))
    image, guidance = torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8))
    local = replace(guidance, local_degradation=guidance.local_degradation.flip(-1))
    overall = replace(guidance, degradation=guidance.degradation.flip(-1))
    assert torch.equal(run(network, image, guidance), run(network, image, local))
    assert not torch.allclose(run(network, image, guidance), run(network, image, overall), atol=1e-6)


def test_images_of_a_batch_do_not_mix(tiny_network):
    image, guidance = torch.rand(3, 3, 8, 8), random_guidance(TINY, (8, 8), batch=3)
    order = torch.tensor([2, 0, 1])
    together, turned = (
        run(tiny_network, image, guidance),
        run(tiny_network, image[order], guidance.permuted(order)),
    )
    assert torch.allclose(together[order], turned, atol=1e-5)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any result of an operation had."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("config", [TINY, replace(TINY, block=("restormer", "restormer"))])
def test_memory_grows_linearly_with_pixels(config):
    network, largest = random_network(config), []
    for side in (32, 64, 128):
        with LargestTensor() as mode:
            run(network, torch.rand(1, 3, side, side), random_guidance(config, (side, side)))
        largest.append(mode.elements)
    assert largest[1] <= 4.01 * largest[0]
    assert largest[2] <= 4.01 * largest[1]
