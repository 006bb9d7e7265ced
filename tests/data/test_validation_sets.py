import numpy as np
import pytest
import torch

from clearair.data.validation import VALIDATION_KINDS, validation_sets
from clearair.errors import DataError, UsageError
from clearair.image import Photo, write_photo


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    write_photo(Photo(coarse.repeat(12, 0).repeat(12, 1)), path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(41):
        write(root / "train" / "clean" / "here" / f"{index:02}.png", index)
    for index in range(9):
        for side in ("input", "target"):
            seed = index if side == "target" else 50 + index
            write(root / "train" / "lowlight" / "here" / side / f"{index}.png", seed)
            camera = "Canon80D" if index % 3 else "NikonD800"
            write(root / "train" / "noise" / "here" / side / f"{camera}_{index}.png", seed)
    (root / "train" / "held_out.toml").write_text('[cameras]\nnoise = ["Canon80D"]\n')
    return root


def test_the_same_files_give_the_same_pixels_again(data):
    first, again = (validation_sets(data, views=2, side=64, kinds=["noise", "mixture"]) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.damaged, other.damaged)
        assert torch.equal(one.clean, other.clean)
        assert one.names == other.names


def test_only_held_out_pictures_are_seen(data):
    made, real = validation_sets(data, views=6, side=64, kinds=["blur", "real lowlight"])
    assert set(made.names) == {f"clean/here/{index}.png" for index in ("00", "20", "40")}
    assert real.names == ("lowlight/here/input/0.png", "lowlight/here/input/8.png")


def test_real_noise_is_of_a_camera_that_is_not_trained_on(data):
    (noise,) = validation_sets(data, side=64, kinds=["real noise"])
    assert noise.names == tuple(f"noise/here/input/Canon80D_{index}.png" for index in (1, 2, 4, 5, 7, 8))


def test_strengths_rise_over_the_views(data):
    (noise,) = validation_sets(data, views=6, side=64, kinds=["noise"])
    error = (noise.damaged - noise.clean).square().mean(dim=(1, 2, 3))
    assert torch.equal(error.argsort(), torch.arange(6))
    assert error[5] > 10 * error[0]


def test_values_are_those_a_file_can_hold_and_small_photos_are_enlarged(data):
    for views in validation_sets(data, views=2, side=96, kinds=["haze", "real lowlight", "clean"]):
        for image in (views.damaged, views.clean):
            assert image.shape == (2, 3, 96, 96)
            assert torch.allclose(image * 255, (image * 255).round(), atol=1e-3)


def test_clean_views_are_undamaged_and_all_others_are_damaged(data):
    for views in validation_sets(data, views=3, side=64):
        changed = [not torch.equal(*pair) for pair in zip(views.damaged, views.clean, strict=True)]
        assert set(changed) == {views.kind != "clean"}, views.kind


def test_a_kind_without_pairs_is_left_out(data):
    kinds = [views.kind for views in validation_sets(data, views=1, side=64)]
    assert kinds == [kind for kind in VALIDATION_KINDS if kind != "real rain"]
    with pytest.raises(DataError, match="real rain"):
        validation_sets(data, kinds=["real rain"])


def test_an_unknown_kind_is_named(data):
    with pytest.raises(UsageError, match="fog"):
        validation_sets(data, kinds=["fog"])
