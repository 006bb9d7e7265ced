"""The fused form of the network, as modules: it restores windows as the network does."""

from dataclasses import replace

import pytest
import torch

from clearair.exporting.fused import FusedNetwork, is_supported
from clearair.exporting.restorer import _Window, window_inputs
from clearair.finishing import FinishedNetwork
from clearair.network import BASE, COMPACT, TINY
from tests.network.conftest import randomised

SMALL = replace(
    COMPACT,
    channels=(8, 16, 24),
    blocks=(1, 2, 1),
    decoder_blocks=(1, 1),
    refinement_blocks=1,
    heads=(1, 2, 3),
    quality_dim=4,
    content_dim=6,
    degradation_dim=5,
    region_count=5,
    prompts=3,
    prompt_dim=8,
    content_tokens=3,
)
"""The family of `compact`, in milliseconds."""


def both(config, sides, keep_tone=False, **given):
    """What the fused form and the network itself make of one window."""
    network = randomised(FinishedNetwork, config)
    values = (window_inputs(network, sides) | given).values()
    with torch.inference_mode():
        return (kind(network, keep_tone=keep_tone)(*values) for kind in (FusedNetwork, _Window))


@pytest.mark.parametrize("keep_tone", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (16, 24), (37, 21)])
def test_a_window_of_any_size_is_restored_as_the_network_does(size, keep_tone):
    fused, plain = both(SMALL, size, keep_tone)
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("keep_tone", [False, True])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_tone_may_be_left_alone_or_corrected_in_full(share, keep_tone):
    fused, plain = both(SMALL, (13, 18), keep_tone, share=torch.tensor([share]))
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)


def test_a_window_inside_the_picture_has_the_tone_of_its_place():
    place = {"origin": torch.tensor([30.0, 8.0]), "size": torch.tensor([90.0, 61.0])}
    fused, plain = both(SMALL, (13, 18), **place)
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(fused, next(both(SMALL, (13, 18))), atol=1e-3)


def test_regions_that_the_picture_lacks_have_no_say():
    sizes = torch.tensor([[5.0, 0.0, 3.0, 0.0, 1.0]])
    fused, plain = both(SMALL, (13, 18), sizes=sizes)
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)


def test_full_resolution_and_another_order_are_known():
    config = replace(SMALL, stem=1, order=("what", "how", "where"))
    fused, plain = both(config, (13, 18))
    assert torch.allclose(fused, plain, rtol=1e-5, atol=1e-5)


def test_other_networks_are_exported_as_they_are():
    assert is_supported(COMPACT)
    assert is_supported(SMALL)
    assert not is_supported(BASE)
    for change in (
        {"block": ("conv", "gated", "restormer")},
        {"padding": "zeros"},
        {"quality": "learned"},
        {"tone": False},
        {"cautious": False},
        {"conv_bias": False},
    ):
        assert not is_supported(replace(SMALL, **change)), change
    with pytest.raises(ValueError, match="does not know"):
        FusedNetwork(FinishedNetwork(TINY))
