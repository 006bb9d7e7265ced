from pathlib import Path

import pytest

from clearair.data.photos import find_pairs, find_photos
from clearair.data.splits import TWINS, UNUSUAL, split, unusual

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_every_eighth_pair_is_held_out_starting_with_the_first():
    pairs = [(Path(f"{index}.png"), Path(f"{index}.jpg")) for index in range(17)]
    training, held_out = split(pairs, "lowlight")
    assert held_out == [pairs[0], pairs[8], pairs[16]]
    assert training == [pair for pair in pairs if pair not in held_out]


def test_a_set_that_is_trained_on_as_a_whole_does_not_move_what_is_held_out_of_others():
    def pairs(name, count):
        return [(Path(f"rain/{name}/input/{i:02}.jpg"), Path(f"{i:02}.jpg")) for i in range(count)]

    old, new = pairs("SIRR_val", 23), pairs("GTRAIN", 9)
    training, held_out = split(new + old, "rain")
    assert held_out == split(old, "rain")[1] == [old[0], old[20]]
    assert training == new + split(old, "rain")[0]


def test_noise_of_a_whole_camera_is_held_out():
    names = ("Canon5D2_5_160", "Canon80D_8_8", "Canon80D2_8", "NikonD800_4-5", "mine")
    pairs = [(Path(f"noise/set/input/{name}.jpg"), Path(f"{name}.jpg")) for name in names]
    assert split(pairs, "noise") == ([pairs[0], *pairs[2:]], [pairs[1]])


def test_unusual_pictures_are_not_trained_on_and_do_not_move_the_others():
    photos = [Path(f"data/train/clean/here/{index:02}.jpg") for index in range(40)]
    photos[3] = Path("data/train/clean") / UNUSUAL["dark"][0]
    training, held_out = split(photos, "clean")
    assert held_out == [photos[0], photos[20]]
    assert training == [*photos[1:3], *photos[4:20], *photos[21:]]
    assert unusual(photos) == {photos[3]: "dark"}


def test_no_picture_is_unusual_twice():
    names = [name for names in UNUSUAL.values() for name in names]
    assert len(names) == len(set(names))


def test_what_shows_the_scene_of_a_held_out_pair_is_not_trained_on():
    pairs = [(Path(f"input/{index}.png"), Path(f"target/{index}.jpg")) for index in range(4)]
    pairs[2] = (Path(TWINS[1]), Path("target/s182_0.jpg"))
    assert split(pairs, "lowlight") == ([pairs[1], pairs[3]], [pairs[0]])


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
def test_of_the_real_pairs_one_camera_and_one_rainy_picture_are_held_out():
    training, held_out = split(find_pairs(SHARED, "noise"), "noise")
    assert (len(training), len(held_out)) == (62, 15)
    training, held_out = split(find_pairs(SHARED, "rain"), "rain")
    assert [damaged.stem for damaged, _ in held_out] == ["bsd_107014"]
    assert len(training) == 19


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
def test_every_picture_on_the_lists_is_there():
    photos = find_photos(SHARED / "train" / "clean")
    assert len(unusual(photos)) == sum(map(len, UNUSUAL.values()))
    barred = {"/".join(path.parts[-2:]) for path in photos} & set(TWINS)
    pairs = find_pairs(SHARED, "lowlight")
    barred |= {"/".join(damaged.parts[-2:]) for damaged, _ in pairs} & set(TWINS)
    assert barred == set(TWINS)
