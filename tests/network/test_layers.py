import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearair.network.layers import Conv2d, LayerNorm, to_maps, to_pixels


def test_with_a_bias_it_is_the_usual_layer_norm():
    x = torch.randn(2, 6, 3, 5)
    norm = LayerNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias).permute(0, 3, 1, 2)
    assert torch.allclose(norm(x), expected, atol=1e-6)


def test_without_a_bias_the_mean_stays():
    x = torch.tensor([10.0, 12.0]).reshape(1, 2, 1, 1)  # mean 11, standard deviation 1
    assert LayerNorm(2, bias=False)(x).flatten().tolist() == pytest.approx([10, 12], rel=1e-4)
    assert LayerNorm(2, bias=True)(x).flatten().tolist() == pytest.approx([-1, 1], rel=1e-4)


def test_each_position_is_normalised_by_itself():
    x = torch.randn(1, 8, 4, 4)
    changed = x.clone()
    changed[..., 0, 0] *= 100
    for bias in (True, False):
        before, after = LayerNorm(8, bias)(x), LayerNorm(8, bias)(changed)
        assert torch.equal(before[..., 1:, :], after[..., 1:, :])


def test_maps_to_pixels_and_back():
    x = torch.randn(2, 3, 4, 5)
    pixels = to_pixels(x)
    assert torch.equal(pixels[1, 2 * 5 + 3], x[1, :, 2, 3])
    assert torch.equal(to_maps(pixels, 4, 5), x)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4, "bias": False}])
def test_a_border_is_repeated_in_half_precision_as_pytorch_does_in_float32(options):
    ours, theirs = (
        kind(4, 8, 3, padding=1, padding_mode="replicate", **options) for kind in (Conv2d, nn.Conv2d)
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 7, 6)
    assert torch.equal(ours(x), theirs(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x.bfloat16()), theirs(x.bfloat16()))
