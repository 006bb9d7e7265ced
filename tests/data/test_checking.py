from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.data.checking import MOST_NAMED, check_data
from clearair.errors import DataError
from clearair.image import Photo, write_photo


def write(path: Path, height: int = 24) -> Path:
    """A grey picture 32 px wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(Photo(np.full((height, 32, 3), 128, np.uint8)), path)
    return path


def write_pair(folder: Path, name: str, heights: tuple[int, int] = (24, 24)) -> None:
    for half, height in zip(("input", "target"), heights, strict=True):
        write(folder / half / name, height)


def problems(data: Path) -> tuple[str, ...]:
    """All but that a set is not complete."""
    report = check_data(data, leaks=False)
    return tuple(line for line in report.problems if not line.endswith("pictures or pairs are here."))


def test_a_missing_half_hides_neither_an_unequal_pair_nor_a_leak(tmp_path):
    hazy = [write(tmp_path / f"OTS/haze/part1/{scene}_0.8_0.2.png") for scene in range(4)]
    write(tmp_path / "OTS/clear/1.png", height=28)
    clear, shown = tmp_path / "OTS/clear/2.png", tmp_path / "test/Kodak24/target/a.png"
    for path, pixels in (
        (hazy[2], skimage.data.astronaut()[:200, :300]),
        (clear, skimage.data.astronaut()[:200, :300]),
        (shown, skimage.data.astronaut()[:200, 299::-1]),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(np.ascontiguousarray(pixels)), path, overwrite=True)
    report = check_data(tmp_path)
    assert report.sets["OTS"] == (2, 72135)
    assert [line.split(": ")[0] for line in report.problems[:3]] == [str(hazy[n]) for n in (0, 1, 3)]
    assert "needs exactly one picture" in report.problems[0]
    assert "differ: 32 x 24 and 32 x 28 px" in report.problems[1]
    assert [(leak.train, leak.test) for leak in report.leaks] == [(clear, shown)]


def test_a_set_of_which_no_input_has_a_target_is_counted_and_every_input_named(tmp_path):
    paths = [write(tmp_path / f"eval15/low/{number}.png") for number in range(2)]
    assert check_data(tmp_path).sets["LOLv1"] == (0, 15)
    assert [line.split(": ")[0] for line in problems(tmp_path)] == [str(path) for path in paths]


@pytest.mark.parametrize("folder", ["train/lowlight/A", "train/rain/A", "test/SETX", "test/GoPro"])
def test_pairs_of_unequal_size_are_named_in_folders_of_ones_own(tmp_path, folder):
    write_pair(tmp_path / folder, "a.png")
    write_pair(tmp_path / folder, "b.png", heights=(24, 28))
    (line,) = problems(tmp_path)
    assert line.startswith(str(tmp_path / folder / "input/b.png"))
    assert line.endswith("differ: 32 x 24 and 32 x 28 px.")


@pytest.mark.parametrize(("half", "other"), [("input", "target"), ("target", "input")])
@pytest.mark.parametrize("folder", ["train/lowlight/A", "test/SETX", "test/RESIDE-OTS"])
def test_a_folder_without_its_other_half_is_named(tmp_path, folder, half, other):
    write(tmp_path / folder / half / "a.png")
    (line,) = problems(tmp_path)
    assert line == f"{tmp_path / folder / half}: has no folder `{other}` beside it."


@pytest.mark.parametrize(
    "names",
    [
        ["test/CBSD68/target/a.png"],  # clean photographs, to which noise is added
        ["train/clean/mine/target/a.png"],  # below train/clean everything is
        ["test/Outdoor-Rain/test1/input/im_1_s80_a04.png", "test/Outdoor-Rain/test1/gt/im_1.png"],
    ],
)
def test_folders_that_need_no_other_half_are_left_alone(tmp_path, names):
    for name in names:
        write(tmp_path / name)
    assert problems(tmp_path) == ()


def test_files_without_their_other_half_are_named_each(tmp_path):
    write_pair(tmp_path / "test/SETX", "a.png")
    lonely = [write(tmp_path / f"test/SETX/{name}.png") for name in ("input/b", "target/c", "target/d")]
    found = problems(tmp_path)
    assert [line.split(": ")[0] for line in found[:3]] == [str(path) for path in lonely]
    assert found[3:] == (f"{tmp_path / 'test/SETX'}: 2 inputs but 3 targets.",)


def test_targets_without_input_are_named_where_a_set_is_not_complete(tmp_path):
    for number in range(15):
        write(tmp_path / f"eval15/high/{number}.png")
        write(tmp_path / f"eval15/low/{number}.png")
    more = write(tmp_path / "eval15/high/more.png")
    assert problems(tmp_path) == ()
    (tmp_path / "eval15/low/7.png").unlink()
    assert [line.split(": ")[0] for line in problems(tmp_path)] == [
        str(tmp_path / "eval15/high/7.png"),
        str(more),
    ]


def test_a_folder_that_lacks_every_half_does_not_bury_the_rest(tmp_path):
    source = write(tmp_path / "eval15/low/000.png")
    for number in range(1, MOST_NAMED + 7):
        source.with_name(f"{number:03}.png").write_bytes(source.read_bytes())
    *named, rest = problems(tmp_path)
    assert len(named) == MOST_NAMED
    assert rest == f"{tmp_path / 'eval15/low'}: 7 more of its files have problems."


def test_a_picture_that_cannot_be_read_is_named_once(tmp_path):
    write_pair(tmp_path / "train/lowlight/A", "a.png")
    broken = tmp_path / "train/lowlight/A/input/a.png"
    broken.write_bytes(b"broken")
    (line,) = problems(tmp_path)
    assert line.startswith(f"{broken}: ")


def test_a_folder_with_nothing_in_it_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no known data set"):
        check_data(tmp_path)


def test_the_command_counts_what_it_names(tmp_path):
    write_pair(tmp_path / "train/rain/A", "a.png", heights=(24, 28))
    write(tmp_path / "train/rain/B/target/a.png")
    done = CliRunner().invoke(cli, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.count("problem: ") == 2
    assert "2 problems, 0 leaks" in done.output


def test_a_listed_picture_that_is_not_there_is_a_problem(tmp_path):
    write(tmp_path / "train/clean/night/here.png")
    names = '["night/here.jpg", "night/renamed.jpg"]'
    (tmp_path / "train/held_out.toml").write_text(f"[unusual]\ndark = {names}\n")
    (line,) = problems(tmp_path)
    assert "list of held-out pictures" in line
    assert "night/renamed.jpg" in line
    assert "here.jpg" not in line
