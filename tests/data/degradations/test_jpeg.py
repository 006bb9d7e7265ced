import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clearair.data.degradations.jpeg import Jpeg, draw_jpeg, quantisation_factor


def pillow_jpeg(photo: Tensor, quality: int, *, subsampled: bool) -> Tensor:
    pixels = (photo * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 255


def psnr(first: Tensor, second: Tensor) -> float:
    return -10 * torch.log10((first - second).square().mean()).item()


@pytest.mark.parametrize("subsampled", [False, True])
@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90])
def test_the_loss_is_that_of_libjpeg(photos, quality, subsampled):
    ours = Jpeg(torch.full((3,), float(quality)), torch.full((3,), subsampled))(photos)
    for photo, mine in zip(photos, ours, strict=True):
        theirs = pillow_jpeg(photo, quality, subsampled=subsampled)
        assert psnr(mine, photo) == pytest.approx(psnr(theirs, photo), abs=0.15)
        assert psnr(mine, theirs) > psnr(mine, photo) + 5


@pytest.mark.parametrize(("quality", "percent"), [(1, 5000), (10, 500), (49, 102), (50, 100), (100, 0)])
def test_the_tables_are_scaled_as_libjpeg_does(quality, percent):
    assert quantisation_factor(torch.tensor([float(quality)])).item() == percent


def test_an_image_is_compressed_alike_whatever_its_neighbours(photos):
    quality, subsampled = torch.tensor([20.0, 60.0, 85.0]), torch.tensor([True, False, True])
    together = Jpeg(quality, subsampled)(photos)
    for row in range(3):
        alone = Jpeg(quality[row : row + 1], subsampled[row : row + 1])(photos[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1.01 / 255)


def test_blocks_begin_at_the_offset(photos):
    image = Jpeg(torch.full((3,), 5.0), torch.zeros(3, dtype=torch.bool), offset=(0, 3))(photos)
    steps = image.diff(dim=-1).abs().mean((0, 1, 2))
    assert steps[4::8].mean() > 1.5 * steps[0::8].mean()  # 8 - 3 columns belong to the first block


def test_a_flat_grey_picture_survives():
    flat = torch.full((1, 3, 20, 20), 128 / 255)
    assert torch.allclose(Jpeg(torch.tensor([50.0]), torch.tensor([True]))(flat), flat)


def test_drawn_qualities_fall_with_strength(generator):
    quality = draw_jpeg(torch.linspace(0, 1, 9), generator).quality
    assert quality[0] == 90
    assert quality[-1] == 8
    assert (quality.diff() < 0).all()
