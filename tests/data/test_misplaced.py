from pathlib import Path

import pytest

from clearair.data.layouts import DATA_SETS, search_set
from clearair.data.misplaced import find_misplaced

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "data.md"


def found_below(data: Path, *names: str) -> list[str]:
    """What is said of a folder with these files, which need no content for this."""
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    return find_misplaced(data, {name: search_set(data, each) for name, each in DATA_SETS.items()})


@pytest.mark.parametrize(
    ("file", "folder", "name"),
    [
        ("test/gopro/input/a.png", "test/gopro", "GoPro"),
        ("test/GoPro/Input/a.png", "test/GoPro/Input", "input"),
        ("train/lolv1-Train/input/a.png", "train/lolv1-Train", "LOLv1-train"),
        ("train/Lowlight/A/input/a.png", "train/Lowlight", "lowlight"),
        ("train/rain/A/Target/a.png", "train/rain/A/Target", "target"),
        ("Train/clean/a.png", "Train", "train"),
        ("gopro_large/test/G_1/blur/1.png", "gopro_large", "GOPRO_Large"),
        ("more/SOTS/Outdoor/hazy/1_1.png", "more/SOTS/Outdoor", "outdoor"),
        ("bsd400/1.jpg", "bsd400", "BSD400"),
    ],
)
def test_a_folder_that_is_called_otherwise_by_case_alone_is_named(tmp_path, file, folder, name):
    (line,) = found_below(tmp_path, file)
    assert line == f"{tmp_path / folder}: is not read, since upper and lower case count; call it `{name}`."


@pytest.mark.parametrize("folder", ["gopro", "GoPro"])
def test_a_set_in_a_folder_of_no_known_layout_is_told_where_it_is_looked_for(tmp_path, folder):
    (line,) = found_below(tmp_path, f"{folder}/train/GOPR0372_07_00/blur/1.png")
    assert line.startswith(f"{tmp_path / folder}: nothing in it is read. GoPro is looked for as ")
    for way in ("test/GoPro/{input,target}", "train/GoPro-train/{input,target}", "GOPRO_Large/test/*/blur/*"):
        assert f"`{way}`" in line


@pytest.mark.parametrize("folder", ["Rain100L", "rain100l"])
def test_pairs_below_train_in_a_folder_of_a_test_set_are_not_sent_below_test_alone(tmp_path, folder):
    (line,) = found_below(tmp_path, f"train/{folder}/input/1.png", f"train/{folder}/target/1.png")
    assert line == (
        f"{tmp_path / 'train' / folder}: Rain100L is a set for testing. If these are pairs for training, "
        "call the folder `Rain100L-train`; if they are for testing, move it below test."
    )


def test_pairs_below_test_in_a_folder_of_a_training_set_may_be_either_too(tmp_path):
    (line,) = found_below(tmp_path, "test/LOLv1-train/input/1.png", "test/LOLv1-train/target/1.png")
    assert "If these are pairs for testing, call the folder `LOLv1`; if they are for training, move" in line


@pytest.mark.parametrize(("part", "name", "right"), [("train", "CBSD68", "test"), ("test", "OTS", "train")])
def test_a_set_of_one_part_only_belongs_there(tmp_path, part, name, right):
    (line,) = found_below(tmp_path, f"{part}/{name}/target/1.png")
    assert line.endswith(f"{name} is a set for {right}ing; it belongs below {right}.")


@pytest.mark.parametrize(
    "names",
    [
        ["train/Rain100L/train/rain-1.png", "train/Rain100L/train/norain-1.png"],
        ["test/GoPro/input/1.png", "test/GoPro/target/1.png", "train/lowlight/A/input/1.png"],
        ["OTS/haze/part1/1_1.png", "OTS/clear/1.png", "train/clean/bsd400/1.png", "train/clean/Train/1.png"],
        ["test/real/Haze/1.png", "test/real/rain/1.png"],
    ],
)
def test_what_is_read_and_what_has_a_name_of_ones_own_is_left_alone(tmp_path, names):
    assert found_below(tmp_path, *names) == []


def test_the_pages_list_the_names_of_all_folders():
    words = DOCS.read_text().split("`")
    assert [name for name in DATA_SETS if name not in words] == []
