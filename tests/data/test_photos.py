import numpy as np
import pytest
import pyvips

from clearair.data.photos import find_pairs, find_photos, load_training_photos
from clearair.data.splits import held_out
from clearair.errors import DataError


def write(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(np.full((8, 8, 3), shade, np.uint8)).write_to_file(str(path))


def test_every_twentieth_picture_is_held_out_starting_with_the_first(tmp_path):
    for index in range(41):
        write(tmp_path / "train" / "clean" / f"{index:02}.png", index)
    training, kept = held_out(tmp_path).split(find_photos(tmp_path / "train" / "clean"), "clean")
    assert [path.stem for path in kept] == ["00", "20", "40"]
    assert len(training) == 38
    shades = {int(photo[0, 0, 0]) for photo in load_training_photos(tmp_path).clean}
    assert shades == set(range(41)) - {0, 20, 40}


def test_links_to_folders_are_followed_and_those_back_are_not(tmp_path):
    write(tmp_path / "elsewhere" / "deep" / "b.png")
    write(tmp_path / "clean" / "a.png")
    (tmp_path / "clean" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "back").symlink_to(tmp_path / "clean")
    found = find_photos(tmp_path / "clean")
    assert [str(path.relative_to(tmp_path / "clean")) for path in found] == ["a.png", "more/deep/b.png"]


def test_links_to_what_is_above_the_folder_are_not_followed(tmp_path):
    write(tmp_path / "test" / "secret.png")
    write(tmp_path / "train" / "clean" / "a.png")
    (tmp_path / "train" / "clean" / "up").symlink_to("../..")
    assert [path.name for path in find_photos(tmp_path / "train" / "clean")] == ["a.png"]


def test_a_single_photograph_is_held_out_and_nothing_is_left(tmp_path):
    write(tmp_path / "train" / "clean" / "a.png")
    with pytest.raises(DataError, match="needs more photographs: of 1 all are held out"):
        load_training_photos(tmp_path)


def test_pairs_are_matched_by_stem_whatever_their_suffix(tmp_path):
    write(tmp_path / "train" / "rain" / "set" / "input" / "a.png")
    write(tmp_path / "train" / "rain" / "set" / "target" / "a.jpg")
    ((damaged, clean),) = find_pairs(tmp_path, "rain")
    assert (damaged.name, clean.name) == ("a.png", "a.jpg")


def test_names_may_hold_the_signs_of_patterns(tmp_path):
    write(tmp_path / "train" / "rain" / "set" / "input" / "p[2].png")
    write(tmp_path / "train" / "rain" / "set" / "target" / "p[2].png")
    assert len(find_pairs(tmp_path, "rain")) == 1


def test_files_that_are_no_pictures_are_no_pairs(tmp_path):
    folder = tmp_path / "train" / "rain" / "set"
    for name in ("input", "target"):
        write(folder / name / "a.png")
        (folder / name / ".DS_Store").touch()
        (folder / name / "a.txt").touch()
    assert len(find_pairs(tmp_path, "rain")) == 1


def test_two_pictures_of_one_name_are_refused(tmp_path):
    for name in ("input/a.png", "input/a.jpg", "target/a.png"):
        write(tmp_path / "train" / "rain" / "set" / name)
    with pytest.raises(DataError, match="is one of 2 pictures of that name"):
        find_pairs(tmp_path, "rain")


def test_half_a_pair_is_named(tmp_path):
    write(tmp_path / "train" / "rain" / "set" / "input" / "alone.png")
    with pytest.raises(DataError, match=r"alone\.png"):
        find_pairs(tmp_path, "rain")


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(DataError, match="clean"):
        find_photos(tmp_path / "train" / "clean")
