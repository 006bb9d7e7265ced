"""The fused form of the paper's family restores windows as the network does, as a module and as a graph."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from clearair.exporting.fused_base import BLOCK, FusedBase, _filled, is_supported
from clearair.exporting.restorer import _Window, form_of, window_graph, window_inputs
from clearair.finishing import FinishedNetwork
from clearair.graphs import onnx_runtime
from clearair.network import BASE, COMPACT, TINY
from tests.network.conftest import randomised

SMALL = replace(
    BASE,
    channels=(8, 16, 24),
    blocks=(1, 2, 1),
    decoder_blocks=(1, 1),
    refinement_blocks=1,
    heads=(1, 2, 3),
    block=("restormer",) * 3,
    quality_dim=4,
    content_dim=6,
    degradation_dim=5,
    region_count=5,
    prompts=3,
    prompt_dim=8,
    content_tokens=3,
)
"""The family of `base`, in milliseconds; gates have 21, 42 and 63 channels, which fill no block."""
CHANGES = {
    "paper": {},
    "narrow decoder, biases": {"wide_decoder": False, "conv_bias": True},
    "half resolution": {"stem": 2},
    "another order": {"order": ("what", "how", "where")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (16, 24), (37, 21)])
def test_a_window_of_any_size_is_restored_as_the_network_does(size, change):
    network = randomised(FinishedNetwork, replace(SMALL, **change))
    inputs = window_inputs(network, size)
    with torch.inference_mode():
        fused, plain = (kind(network)(*inputs.values()) for kind in (FusedBase, _Window))
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)
    assert (plain - inputs["window"]).abs().max() > 0.1


def test_regions_that_the_picture_lacks_have_no_say():
    network = randomised(FinishedNetwork, SMALL)
    values = (
        window_inputs(network, (13, 18)) | {"sizes": torch.tensor([[5.0, 0.0, 3.0, 0.0, 1.0]])}
    ).values()
    with torch.inference_mode():
        fused, plain = (kind(network)(*values) for kind in (FusedBase, _Window))
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("channels", "filled"), [(1, BLOCK), (BLOCK, BLOCK), (BLOCK + 1, 2 * BLOCK)])
def test_blocks_are_filled_with_zeros(channels, filled):
    weight = torch.randn(4, channels, 1, 1)
    for dim, given in ((1, weight), (0, weight.transpose(0, 1))):
        result = _filled(given, dim)
        assert result.shape[dim] == filled
        assert torch.equal(result.narrow(dim, 0, channels), given)
        assert not result.narrow(dim, channels, filled - channels).any()


def test_other_networks_are_exported_as_they_are():
    assert form_of(BASE) is form_of(SMALL) is FusedBase
    assert form_of(TINY) is _Window
    assert not is_supported(COMPACT)
    for change in (
        {"block": ("conv", "restormer", "restormer")},
        {"padding": "replicate"},
        {"resampling": "bilinear"},
        {"quality": "learned"},
        {"tone": True},
        {"cautious": True},
        {"norm_bias": False},
    ):
        assert form_of(replace(SMALL, **change)) is _Window, change
    with pytest.raises(ValueError, match="does not know"):
        FusedBase(FinishedNetwork(TINY))


@pytest.mark.slow
def test_the_graph_answers_as_the_network_does():
    small = {"channels": (8, 16), "heads": (1, 2), "blocks": (1, 1), "decoder_blocks": (1,)}
    network = randomised(FinishedNetwork, replace(SMALL, block=("restormer",) * 2, **small))
    traced = window_graph(network)
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    state = network.state_dict()
    weights = [runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(state[n])) for n in traced.weights]
    options.add_external_initializers(list(traced.weights), weights)
    session = runtime.InferenceSession(traced.data, options, providers=["CPUExecutionProvider"])
    for size in ((1, 1), (7, 2), (37, 21), (64, 40)):
        inputs = window_inputs(network, size)
        with torch.inference_mode():
            expected = _Window(network)(*inputs.values())
        (restored,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        assert torch.allclose(torch.from_numpy(restored), expected, rtol=1e-4, atol=1e-4), size
