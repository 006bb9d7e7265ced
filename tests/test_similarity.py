import numpy as np
import pytest
import skimage.data
import torch

from clearair.evaluation import metrics
from clearair.similarity import decibels, luma, psnr_each, structural_similarity


def photos():
    clean = skimage.data.chelsea()[:40, :60]
    damaged = np.clip(clean.astype(int) + 12, 0, 255).astype(np.uint8)
    return damaged, clean


def as_tensor(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 255


def test_psnr_is_one_number_for_arrays_and_tensors():
    damaged, clean = photos()
    (of_tensors,) = psnr_each(as_tensor(damaged), as_tensor(clean)).tolist()
    assert of_tensors == pytest.approx(metrics.psnr(damaged, clean))


def test_equal_images_reach_the_most_there_is():
    image = torch.rand(2, 3, 4, 4)
    assert psnr_each(image, image, most=60).tolist() == pytest.approx([60, 60])
    assert decibels(0, most=60) == 60


def test_decibels_count_the_peak():
    assert decibels(0.01) == pytest.approx(20)
    assert decibels(255**2 / 100, peak=255) == pytest.approx(20)


def test_luma_of_a_tensor_is_that_of_papers_at_full_range():
    _, clean = photos()
    grey = luma(as_tensor(clean))[0, 0].numpy()
    assert 16 + 219 * grey == pytest.approx(metrics.luma(clean))


def test_an_image_resembles_itself_fully_and_a_brighter_one_less():
    damaged, clean = (as_tensor(photo) for photo in photos())

    def window(values):
        return torch.nn.functional.avg_pool2d(values, 7)

    assert structural_similarity(clean, clean, window).min() == pytest.approx(1)
    assert structural_similarity(damaged, clean, window).mean() < 0.998
