import numpy as np
import pytest
import torch

from clearair.data.blur_kernels import load_blur_kernels
from clearair.data.degradations.blur import draw_blur
from clearair.errors import DataError


def write_kernels(root, **kernels):
    folder = root / "train" / "blur" / "kernels"
    folder.mkdir(parents=True)
    np.savez(folder / "measured.npz", **kernels)


def test_without_kernels_there_are_no_kernels(tmp_path):
    assert load_blur_kernels(tmp_path) is None


def test_a_kernel_becomes_centred_points_of_unit_extent_with_its_weights(tmp_path):
    line, corner = np.zeros((9, 9)), np.zeros((5, 5))
    line[4, 1:8] = 2.0
    corner[1, 1], corner[1, 3] = 1.0, 3.0
    write_kernels(tmp_path, a=line, b=corner)
    kernels = load_blur_kernels(tmp_path)
    assert kernels.shape == (2, 7, 3)
    weights = kernels[..., 2]
    assert weights.sum(1).tolist() == pytest.approx([1, 1])
    assert (kernels[..., :2] * weights[..., None]).sum(1).abs().max() < 1e-6
    reach = torch.linalg.vector_norm(kernels[..., :2], dim=2) * (weights > 0)
    assert reach.amax(1).tolist() == pytest.approx([0.5, 0.5])
    assert kernels[0, :, 1].abs().max() < 1e-6
    assert weights[1, :2].tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("kernel", [np.zeros((5, 5)), np.ones(7), np.full((3, 3), np.nan)])
def test_what_is_no_kernel_is_refused(tmp_path, kernel):
    write_kernels(tmp_path, a=kernel)
    with pytest.raises(DataError, match=r"measured\.npz.*not a blur kernel"):
        load_blur_kernels(tmp_path)


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\3\4junk", b"\x93NUMPY"])
def test_a_damaged_file_of_kernels_is_named(tmp_path, data):
    write_kernels(tmp_path, a=np.eye(5))
    (path,) = (tmp_path / "train" / "blur" / "kernels").iterdir()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"\.npz: damaged"):
        load_blur_kernels(tmp_path)


def test_an_array_that_is_named_like_a_file_of_several_is_refused(tmp_path):
    folder = tmp_path / "train" / "blur" / "kernels"
    folder.mkdir(parents=True)
    with (folder / "k.npz").open("wb") as file:
        np.save(file, np.eye(5))
    with pytest.raises(DataError, match=r"k\.npz: damaged, or not an \.npz file"):
        load_blur_kernels(tmp_path)


def test_whatever_byte_is_damaged_the_file_is_named(tmp_path):
    folder = tmp_path / "train" / "blur" / "kernels"
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "k.npz", a=np.random.default_rng(0).random((5, 5)))
    whole = (folder / "k.npz").read_bytes()
    refused = 0
    for place in range(len(whole)):
        (folder / "k.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            load_blur_kernels(tmp_path)
        except DataError as error:
            refused += "k.npz: " in str(error)
    assert refused > len(whole) / 2


def test_some_of_the_blur_follows_a_measured_shake(tmp_path):
    dots = np.zeros((11, 11))
    dots[5, 0] = dots[5, 10] = 1.0
    write_kernels(tmp_path, a=dots)
    generator = torch.Generator().manual_seed(0)
    kernels = draw_blur(torch.ones(64), (64, 64), generator, load_blur_kernels(tmp_path)).kernels[:, 0]
    middle = kernels.shape[-1] // 2
    hollow = kernels[:, middle - 2 : middle + 3, middle - 2 : middle + 3].sum((1, 2)) < 0.01
    assert 0.15 < hollow.float().mean() < 0.45
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(64), atol=1e-5)
