from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.data.pairfiles import PairFiles, load_pair
from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import find_clean, load_training_photos
from clearair.errors import DataError
from clearair.training.recipes import get_recipe

TINY = ("batch=2", "patch=32", "view=32", "warmup=1", "steps=2")


def write(path: Path, shade: int, side: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(np.full((side, side, 3), shade, np.uint8)).write_to_file(str(path))
    return path


def pairs_in(folder: Path, count: int) -> list[tuple[Path, Path]]:
    return [
        (write(folder / f"low/{n:03}.png", 10), write(folder / f"high/{n:03}.png", 200)) for n in range(count)
    ]


@pytest.fixture
def authors(tmp_path):
    """Published sets as their authors lay them out, each of one shade."""
    for index in range(3):
        write(tmp_path / f"WED/{index}.png", 100)
    write(tmp_path / "BSD400/0.png", 100)
    write(tmp_path / "OTS/haze/part1/0001_0.8_0.2.png", 150)
    write(tmp_path / "OTS/clear/0001.png", 50)
    write(tmp_path / "rain_data_train_Light/rain/norain-1x2.png", 151)
    write(tmp_path / "rain_data_train_Light/norain/norain-1.png", 51)
    for number, kind in enumerate(("rain", "low_haze", "haze_rain")):
        write(tmp_path / f"CDD-11_train/{kind}/1.png", 160 + number)
    write(tmp_path / "CDD-11_train/clear/1.png", 60)
    return tmp_path


def shades(data: Path, name: str) -> dict[tuple[str, ...], set[tuple[int, int]]]:
    """What 64 draws of a recipe hold, damaged and clean, by what is said to be wrong with them."""
    recipe, told = get_recipe(name), []
    photos = load_training_photos(data, recipe.sets, tell=told.append)
    found: dict[tuple[str, ...], set[tuple[int, int]]] = {}
    drawn = draw_pairs(photos, recipe.mix, 64, 32, (1.0, 1.0), generator_for(0, 0))
    for damaged, clean, kinds in zip(drawn.damaged, drawn.clean, drawn.kinds, strict=True):
        both = tuple(round(255 * float(picture.mean())) for picture in (damaged, clean))
        found.setdefault(kinds, set()).add(both)
    return found


def test_a_recipe_learns_from_the_sets_of_its_table_where_they_are_there(authors):
    found = shades(authors, "three_task")
    assert found["haze",] == {(150, 50)}
    assert found["rain",] == {(151, 51)}
    assert {clean for _, clean in found["noise",]} == {100}


def test_the_mixtures_of_a_composite_set_are_taken_from_its_folders(authors):
    found = shades(authors, "composite")
    assert found["rain",] == {(160, 60)}
    assert found["lowlight", "haze"] == {(161, 60)}
    assert {kinds for kinds in found if len(kinds) > 1} == {("lowlight", "haze"), ("haze", "rain")}


def test_a_set_that_is_not_there_is_named_and_its_damage_is_drawn(authors):
    photos = load_training_photos(authors, get_recipe("five_task").sets)
    assert [line.split()[0] for line in photos.left_out] == ["GoPro-train", "LOLv1-train"]
    assert set(photos.published) == {("haze",), ("rain",)}


def test_photographs_are_those_of_train_clean_or_else_of_the_published_sets(authors):
    assert len(find_clean(authors)) == 4
    write(authors / "train/clean/a.png", 1)
    assert find_clean(authors) == [authors / "train/clean/a.png"]


def test_a_pair_that_cannot_be_read_is_told_once_and_the_next_is_taken(tmp_path):
    files, told = pairs_in(tmp_path, 130), []
    files[5][0].write_bytes(b"broken")
    write(files[6][1], 77)
    pairs = PairFiles(files, told.append)
    assert [int(pairs[5].clean[0, 0, 0]) for _ in range(3)] == [77, 77, 77]
    (line,) = told
    assert "005.png" in line
    assert "1 of 130 pairs cannot be read" in line


def test_more_than_one_such_pair_in_a_hundred_stops(tmp_path):
    files = pairs_in(tmp_path, 130)
    for index in (5, 7):
        files[index][0].write_bytes(b"broken")
    pairs = PairFiles(files, lambda line: None)
    pairs[5]
    with pytest.raises(DataError, match=r"007.png.*2 of 130 pairs cannot be read, more than 1%"):
        pairs[7]


def test_pairs_of_unequal_size_are_named(tmp_path):
    ((damaged, clean),) = pairs_in(tmp_path, 1)
    write(clean, 200, side=44)
    with pytest.raises(DataError, match="40 x 40 and 44 x 44 px"):
        load_pair((damaged, clean))


def test_own_pairs_are_as_much_of_what_is_learned_from_as_asked(tmp_path):
    write(tmp_path / "train/clean/0.png", 1)
    write(tmp_path / "train/clean/1.png", 1)
    photos = load_training_photos(tmp_path, own=pairs_in(tmp_path, 3))
    drawn = draw_pairs(photos, Mix(own=0.5), 200, 32, (1.0, 1.0), generator_for(0, 0))
    own = torch.tensor([kinds == ("own",) for kinds in drawn.kinds])
    assert 70 < int(own.sum()) < 130
    assert torch.allclose(drawn.damaged[own], torch.tensor(10 / 255))
    assert torch.allclose(drawn.clean[own], torch.tensor(200 / 255))


def test_the_command_learns_from_two_folders_and_validates_with_some_of_them(tmp_path):
    for index in range(3):
        write(tmp_path / f"data/train/clean/{index}.png", 90, side=300)
    pairs_in(tmp_path, 10)
    words = ["train", "smoke", *TINY, "--data", tmp_path / "data", "--out", tmp_path / "run", "--views", 1]
    words += ["--pairs", tmp_path / "low", tmp_path / "high", "--threads", 1, "--no-validate-start"]
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "own pairs" in done.output


def test_folders_that_do_not_pair_are_one_line(tmp_path):
    write(tmp_path / "data/train/clean/0.png", 90)
    pairs_in(tmp_path, 3)
    (tmp_path / "high/001.png").unlink()
    words = ["train", "smoke", "--data", tmp_path / "data", "--out", tmp_path / "run"]
    words += ["--pairs", tmp_path / "low", tmp_path / "high"]
    done = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert isinstance(done.exception, DataError)
    assert "001.png: needs exactly one picture" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_set_is_answered_with_the_nearest(tmp_path):
    words = ["train", "three_task", "sets=Rain100L-tran", "--data", tmp_path, "--out", tmp_path / "run"]
    done = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert "did you mean 'Rain100L-train'" in str(done.exception)
