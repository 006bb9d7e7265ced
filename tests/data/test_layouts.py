from pathlib import Path

import numpy as np
import pytest

from clearair.data.layouts import DATA_SETS, find_set, pair_folders
from clearair.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(0).bytes(8))


@pytest.mark.parametrize(
    ("name", "damaged", "clean"),
    [
        ("SOTS-outdoor", "SOTS/outdoor/hazy/0001_0.8_0.2.jpg", "SOTS/outdoor/gt/0001.png"),
        ("OTS", "OTS_ALPHA/haze/OTS/0005_1_0.2.jpg", "OTS_ALPHA/clear/clear_images/0005.jpg"),
        (
            "Rain100L",
            "rain_data_test_Light/rain/X2/norain-1x2.png",
            "rain_data_test_Light/norain/norain-1.png",
        ),
        ("Rain100L", "Rain100L/rain-001.png", "Rain100L/norain-001.png"),
        ("GoPro", "GOPRO_Large/test/G_1/blur/000001.png", "GOPRO_Large/test/G_1/sharp/000001.png"),
        ("LOLv1", "LOLdataset/eval15/low/1.png", "LOLdataset/eval15/high/1.png"),
        ("LOLv1-train", "LOLdataset/our485/low/2.png", "LOLdataset/our485/high/2.png"),
        ("Snow100K-L", "test/Snow100K-L/synthetic/a_1.jpg", "test/Snow100K-L/gt/a_1.jpg"),
        ("Outdoor-Rain", "test1/in/im_0001_s80_a04.png", "test1/gt/im_0001.png"),
        ("RainDrop", "test_a/data/0_rain.png", "test_a/gt/0_clean.png"),
        ("CDD-11", "CDD-11_test/haze_rain/00001.png", "CDD-11_test/clear/00001.png"),
        ("RainDS", "RainDS_real/test_set/raindrop/rd-7.png", "RainDS_real/test_set/gt/norain-7.png"),
    ],
)
def test_pairs_are_found_where_the_authors_put_them(tmp_path, name, damaged, clean):
    touch(tmp_path, damaged, clean)
    (item,) = find_set(tmp_path, DATA_SETS[name])
    assert (item.damaged, item.clean) == (tmp_path / damaged, tmp_path / clean)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("CBSD68", "CBSD68/original_png/0000.png"),
        ("Urban100", "Urban100/img_001.png"),
        ("Kodak24", "test/Kodak24/kodim01.png"),
        ("WED", "WED/00001.bmp"),
        ("BSD400", "train/BSD400/1.jpg"),
    ],
)
def test_clean_photographs_are_found_where_the_authors_put_them(tmp_path, name, file):
    touch(tmp_path, file)
    (item,) = find_set(tmp_path, DATA_SETS[name])
    assert item.clean == tmp_path / file


def test_two_inputs_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "L/a.png", "L/b.png", "L/b.jpg", "R/a.png", "R/b.png")
    with pytest.raises(DataError, match=r"b\.\w+: is one of 2 pictures of that name in its folder; keep one"):
        pair_folders(tmp_path / "L", tmp_path / "R")


def test_all_kinds_of_a_composite_set_are_found_under_their_own_names(tmp_path):
    for kind in ("haze", "low_snow", "clear"):
        touch(tmp_path, f"CDD-11_test/{kind}/1.png")
    assert [item.name for item in find_set(tmp_path, DATA_SETS["CDD-11"])] == ["haze/1", "low_snow/1"]


def test_an_input_without_target_is_named(tmp_path):
    touch(tmp_path, "eval15/low/1.png", "eval15/low/2.png", "eval15/high/1.png")
    with pytest.raises(DataError, match=r"2\.png"):
        find_set(tmp_path, DATA_SETS["LOLv1"])


def test_any_two_folders_pair_by_name_and_refuse_unequal_counts(tmp_path):
    touch(tmp_path, "low/a.png", "high/a.jpg")
    assert [item.name for item in pair_folders(tmp_path / "low", tmp_path / "high")] == ["a"]
    touch(tmp_path, "high/b.jpg")
    with pytest.raises(DataError, match="1 inputs but 2 targets; b has no input"):
        pair_folders(tmp_path / "low", tmp_path / "high")
