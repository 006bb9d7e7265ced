import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from clearair.errors import DataError
from clearair.evaluation.metrics import luma, psnr, ssim
from clearair.similarity import IDENTICAL


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("sigma", [2, 25])
def test_both_metrics_agree_with_scikit_image(name, sigma):
    clean = getattr(skimage.data, name)()[:131, :160]
    image = noisy(clean, sigma)
    assert psnr(image, clean) == pytest.approx(peak_signal_noise_ratio(clean, image), abs=1e-4)
    reference = structural_similarity(
        clean,
        image,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim(image, clean) == pytest.approx(reference, abs=1e-4)


@pytest.mark.parametrize("luminance", [False, True])
@pytest.mark.parametrize("sigma", [2, 25])
def test_both_metrics_agree_with_torchmetrics(sigma, luminance):
    functional = pytest.importorskip("torchmetrics.functional.image")
    clean = skimage.data.chelsea()[:131, :160]
    image = noisy(clean, sigma)
    if luminance:
        image, clean = luma(image), luma(clean)

    def batch(picture: np.ndarray) -> Tensor:
        return torch.from_numpy(picture.astype(np.float64)).reshape(1, 131, 160, -1).permute(0, 3, 1, 2)

    reference = functional.peak_signal_noise_ratio(batch(image), batch(clean), data_range=255.0)
    assert psnr(image, clean) == pytest.approx(float(reference), abs=1e-4)
    # Its mean counts a border for which it mirrors the pictures; scikit-image and we leave that out.
    _, everywhere = functional.structural_similarity_index_measure(
        batch(image), batch(clean), sigma=1.5, kernel_size=11, data_range=255.0, return_full_image=True
    )
    reference = everywhere[..., 5:-5, 5:-5].mean()
    assert ssim(image, clean) == pytest.approx(float(reference), abs=1e-4)


def test_equal_images_are_perfect():
    image = skimage.data.coffee()[:40, :40]
    assert psnr(image, image) == IDENTICAL
    assert ssim(image, image) == pytest.approx(1.0)


@given(step=st.integers(1, 255))
def test_psnr_of_a_known_error(step):
    black, grey = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), step, np.uint8)
    assert psnr(grey, black) == pytest.approx(20 * np.log10(255 / step))


def test_images_of_different_shapes_are_refused():
    with pytest.raises(DataError, match="shapes"):
        psnr(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(DataError, match="11 x 11"):
        ssim(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("sigma", [2, 25])
def test_both_metrics_agree_with_scikit_image_on_luma(sigma):
    clean = skimage.data.astronaut()[:131, :160]
    image, reference = luma(noisy(clean, sigma)), luma(clean)
    assert psnr(image, reference) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=255), abs=1e-4
    )
    expected = structural_similarity(
        reference, image, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(image, reference) == pytest.approx(expected, abs=1e-4)


def test_luma_spans_16_to_235():
    assert luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)) == pytest.approx(np.array([[16, 235]]))
    expected = skimage.color.rgb2ycbcr(skimage.data.coffee()[:9, :9])[..., 0]
    assert luma(skimage.data.coffee()[:9, :9]) == pytest.approx(expected, abs=1e-6)
