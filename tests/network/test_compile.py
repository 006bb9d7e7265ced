"""`torch.compile` accepts the parts of the network and changes nothing."""

import copy
import shutil
from dataclasses import replace

import pytest
import torch

from clearair.network import TINY
from clearair.network.blocks import ChannelAttention
from clearair.network.compiling import compile_parts
from clearair.network.regions import attend
from tests.network.conftest import random_guidance, random_network

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@needs_compiler
@quietly
@pytest.mark.parametrize("biased", [False, True])
def test_attention_with_one_head_compiles_to_the_same(biased):
    query = torch.randn(2, 8, 6, 7).to(memory_format=torch.channels_last).requires_grad_()
    key, value = torch.randn(2, 5, 8, requires_grad=True), torch.randn(2, 5, 8, requires_grad=True)
    bias = torch.randn(2, 5) if biased else None
    plain = attend(query, key, value, 1, bias)
    compiled = torch.compile(attend, fullgraph=True)(query, key, value, 1, bias)
    assert torch.allclose(compiled, plain, atol=1e-5)
    gradients = [torch.autograd.grad(out.square().sum(), (query, key, value)) for out in (plain, compiled)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@quietly
@pytest.mark.parametrize("heads", [1, 2])
def test_channel_attention_is_one_graph(heads):
    block = ChannelAttention(8, heads, bias=False, padding="zeros")
    features = torch.randn(2, 8, 6, 7)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(features), block(features), atol=1e-6)


@quietly
def test_a_network_of_compiled_parts_learns_the_same_and_keeps_its_names():
    config = replace(TINY, tone=True, stem=2, resampling="bilinear", padding="replicate")
    network = random_network(config)
    image, guidance = torch.rand(2, 3, 32, 32), random_guidance(config, (32, 32), batch=2)
    names = list(network.state_dict())

    def gradients() -> list[torch.Tensor]:
        network.zero_grad()
        network(image, guidance).square().mean().backward()
        return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    plain = gradients()
    compile_parts(network, backend="aot_eager")
    for one, other in zip(plain, gradients(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert list(network.state_dict()) == names
    assert any(module._compiled_call_impl is not None for module in network.modules())
    # The average of the weights is a copy, which validation may use at any size.
    assert all(module._compiled_call_impl is None for module in copy.deepcopy(network).modules())
