"""Looking at an array: the same views as of a tensor, and no copy of the whole picture."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from clearair.perception.compact.arrays import as_planes, enlarged, far_view_of, near_crops_of, sample_of
from clearair.perception.compact.geometry import sample_step
from clearair.perception.compact.views import far_view, near_crops

SIZES = [(1, 1), (5, 200), (300, 7), (64, 64), (61, 47), (333, 512), (900, 40)]


def image(size: tuple[int, int], dtype: str) -> np.ndarray:
    pixels = np.random.default_rng(0).random((*size, 3))
    if dtype == "float32":
        pixels[0, 0] = np.nan
        return (pixels * 1.2 - 0.1).astype(np.float32)
    return (pixels * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_both_views_are_those_of_the_tensor(size, dtype):
    pixels = image(size, dtype)
    whole = torch.from_numpy(as_planes(pixels))
    expected = far_view(whole, 48 * 48).numpy()
    np.testing.assert_allclose(far_view_of(pixels, 48 * 48), expected, atol=1e-6, rtol=1e-5)
    step = sample_step(*size)
    assert np.array_equal(sample_of(pixels), whole[:, :, ::step, ::step].numpy())
    for grid in ((1, 1), (2, 3)):
        assert np.array_equal(near_crops_of(pixels, 16, grid), near_crops(whole, 16, grid).numpy())


def test_sums_of_many_white_rows_do_not_overflow():
    for dtype in (np.uint8, np.uint16):
        white = np.full((16 * 300, 40, 3), np.iinfo(dtype).max, dtype)
        np.testing.assert_allclose(far_view_of(white, 256), np.ones((1, 3, 16, 16)))


@pytest.mark.parametrize("size", [(7, 9), (64, 33), (1000, 777)])
def test_labels_are_enlarged_as_pytorch_does(size):
    labels = np.random.default_rng(0).integers(0, 16, (48, 32), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(labels)[None, None], size, mode="nearest-exact"
    )
    assert np.array_equal(enlarged(labels, size), expected[0, 0].numpy())


def test_a_look_at_a_large_picture_takes_little_memory(tiny_perceiver):
    pixels = np.zeros((3000, 4000, 3), np.uint8)  # 36 MB, as float 144 MB
    tracemalloc.start()
    labels = tiny_perceiver.perceive_image(pixels).labels
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert labels.dtype == np.uint8
    assert labels.nbytes <= peak < 1.5 * pixels.nbytes
