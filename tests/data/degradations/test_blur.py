import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearair.data.degradations.blur import Blur, draw_blur


def kernels_of(kernel: torch.Tensor, batch: int) -> torch.Tensor:
    return kernel.expand(batch, 2, *kernel.shape).clone()


@pytest.mark.parametrize("linear", [False, True])
def test_a_centred_point_leaves_the_image_unchanged(photos, linear):
    point = torch.zeros(9, 9)
    point[4, 4] = 1
    blur = Blur(kernels_of(point, 3), torch.rand(3, 1, 192, 256), torch.full((3,), linear))
    assert torch.allclose(blur(photos), photos, atol=2e-3 if linear else 1e-5)


def test_each_picture_is_convolved_with_its_own_kernel(photos):
    kernels = torch.rand(3, 2, 7, 7)
    kernels = kernels / kernels.sum((2, 3), keepdim=True)
    blurred = Blur(kernels, torch.zeros(3, 1, 192, 256), torch.zeros(3, dtype=torch.bool))(photos)
    for photo, kernel, ours in zip(photos, kernels[:, 0], blurred, strict=True):
        padded = torch.nn.functional.pad(photo[None], (3, 3, 3, 3), mode="replicate")
        flipped = kernel.flip(0, 1).expand(3, 1, 7, 7)  # conv2d correlates
        expected = torch.nn.functional.conv2d(padded, flipped, groups=3)[0]
        assert torch.allclose(ours, expected, atol=1e-5)


def test_the_map_chooses_between_the_kernels(photos):
    kernels = torch.zeros(3, 2, 5, 5)
    kernels[:, 0, 2, 2] = 1
    kernels[:, 1] = 1 / 25
    mix = torch.zeros(3, 1, 192, 256)
    mix[..., 128:] = 1
    image = Blur(kernels, mix, torch.zeros(3, dtype=torch.bool))(photos)
    assert torch.allclose(image[..., :128], photos[..., :128], atol=1e-5)
    assert image[..., 128:].diff(dim=-1).abs().mean() < 0.8 * photos[..., 128:].diff(dim=-1).abs().mean()


def test_highlights_spread_in_linear_light():
    lamp = torch.zeros(2, 3, 21, 21)
    lamp[..., 10, 10] = 1
    box = torch.full((5, 5), 1 / 25)
    plain, linear = Blur(kernels_of(box, 2), torch.zeros(2, 1, 21, 21), torch.tensor([False, True]))(lamp)
    assert linear[0, 10, 10] > 3 * plain[0, 10, 10]


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_drawn_kernels_are_centred_and_keep_the_light(seed, strength):
    kernels = draw_blur(torch.tensor([strength]), (64, 64), torch.Generator().manual_seed(seed)).kernels[0]
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(2), atol=1e-5)
    assert (kernels >= 0).all()
    axis = torch.arange(kernels.shape[-1]) - kernels.shape[-1] // 2.0
    assert (kernels.sum(1) * axis).sum(1).abs().max() < 0.5
    assert (kernels.sum(2) * axis).sum(1).abs().max() < 0.5


def test_kernels_lengthen_with_strength_and_picture_size(generator):
    def spread(strength: float, side: int) -> float:
        kernels = draw_blur(
            torch.full((8,), strength), (side, side), torch.Generator().manual_seed(2)
        ).kernels
        axis = torch.arange(kernels.shape[-1]) - kernels.shape[-1] // 2.0
        return ((kernels[:, 0].sum(1) + kernels[:, 0].sum(2)) * axis**2).sum(1).sqrt().mean().item()

    assert spread(1.0, 64) > 2 * spread(0.2, 64)
    assert spread(0.5, 1024) == pytest.approx(2 * spread(0.5, 512), rel=0.1)


def test_lights_that_the_file_clipped_leave_brighter_trails():
    lamp = torch.zeros(2, 3, 21, 21)
    lamp[..., 10, 10] = 1
    box = torch.full((5, 5), 1 / 25)
    mix, linear = torch.zeros(2, 1, 21, 21), torch.tensor([True, True])
    plain, glaring = Blur(kernels_of(box, 2), mix, linear, highlights=torch.tensor([0.0, 4.0]))(lamp)
    assert glaring[0, 10, 10] > 1.8 * plain[0, 10, 10]
    assert glaring.max() <= 1
