import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.evaluation import metrics
from clearair.similarity import (
    changes_visibly,
    decibels,
    just_noticeable,
    luma,
    luminance_adaptation,
    psnr_each,
    structural_similarity,
)


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


def flat(level, size=(40, 40)):
    return np.full((*size, 3), level / 255, np.float32)


@pytest.mark.parametrize(("level", "least"), [(0, 20), (127, 3), (255, 6)])
def test_what_is_just_noticeable_on_a_flat_ground_follows_its_light(level, least):
    np.testing.assert_allclose(just_noticeable(flat(level)) * 255, least, atol=1e-4)


def test_an_edge_hides_more_than_a_flat_ground():
    image = flat(100)
    image[:, 20:] = 200 / 255
    least = just_noticeable(image) * 255
    assert least[20, 19] > 100 * 0.115
    assert least[20, 19] == pytest.approx(least[20, 20], rel=0.02)
    np.testing.assert_allclose(just_noticeable(image.swapaxes(0, 1)) * 255, least.T, atol=1e-4)
    np.testing.assert_allclose(just_noticeable(image[:, ::-1]) * 255, least[:, ::-1], atol=1e-4)
    np.testing.assert_allclose(least[:, :17], just_noticeable(flat(100))[0, 0] * 255, atol=1e-4)


def test_a_change_is_visible_that_is_strong_somewhere_or_faint_everywhere():
    image, spot = flat(127), flat(0)
    assert not changes_visibly(image, spot)
    assert not changes_visibly(image, flat(0.5))
    assert changes_visibly(image, flat(1))
    spot[20, 20, 1] = 3.5 / 255
    assert not changes_visibly(image, spot)  # one pixel in 1,600
    spot[20, 21, 1] = -3.5 / 255
    assert changes_visibly(image, spot)


def test_texture_hides_a_change_that_is_visible_on_a_flat_ground():
    noise = np.random.default_rng(0).normal(0, 80 / 255, (40, 40, 1)).astype(np.float32)
    assert changes_visibly(flat(127), flat(1))
    assert not changes_visibly((flat(127) + noise).clip(0, 1), flat(1))


@given(level=st.floats(0, 255))
def test_no_background_shows_smaller_differences_than_mid_grey(level):
    background = torch.tensor(level)
    assert luminance_adaptation(background) >= luminance_adaptation(torch.tensor(127.0))


@given(nearer=st.floats(0, 1), farther=st.floats(0, 1), end=st.sampled_from([0.0, 255.0]))
def test_the_darker_or_brighter_the_background_the_more_it_hides(nearer, farther, end):
    nearer, farther = sorted((nearer, farther))
    levels = torch.tensor([127 + share * (end - 127) for share in (nearer, farther)])
    found = luminance_adaptation(levels)
    assert found[0] <= found[1] + 1e-4
