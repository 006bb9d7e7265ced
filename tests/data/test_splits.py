import logging
from pathlib import Path

import pytest

from clearair.data.photos import find_pairs, find_photos
from clearair.data.splits import VARIABLE, HeldOut, held_out, read_list
from clearair.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
OURS = Path(__file__).parents[2] / "tools" / "held_out.toml"
"""The list that the shipped weights were trained with."""

LIST = HeldOut(
    every={"rain": 20, "clean": 20},
    whole={"rain": ("GTRAIN",)},
    cameras={"noise": ("Canon80D",)},
    unusual={"dark": ("night/3.jpg",)},
    left_out=("input/twin.webp",),
)


@pytest.fixture(autouse=True)
def no_list_elsewhere(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def write_list(root, text):
    path = root / "train" / "held_out.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_eighth_pair_is_held_out_starting_with_the_first():
    pairs = [(Path(f"{index}.png"), Path(f"{index}.jpg")) for index in range(17)]
    training, kept = HeldOut().split(pairs, "lowlight")
    assert kept == [pairs[0], pairs[8], pairs[16]]
    assert training == [pair for pair in pairs if pair not in kept]


def test_a_list_says_how_many_are_held_out():
    pairs = [(Path(f"{index}.png"), Path(f"{index}.jpg")) for index in range(7)]
    assert HeldOut(every={"lowlight": 3}).split(pairs, "lowlight")[1] == [pairs[0], pairs[3], pairs[6]]


def test_a_set_that_is_trained_on_as_a_whole_does_not_move_what_is_held_out_of_others():
    def pairs(name, count):
        return [(Path(f"rain/{name}/input/{i:02}.jpg"), Path(f"{i:02}.jpg")) for i in range(count)]

    old, new = pairs("SIRR_val", 23), pairs("GTRAIN", 9)
    training, kept = LIST.split(new + old, "rain")
    assert kept == LIST.split(old, "rain")[1] == [old[0], old[20]]
    assert training == new + LIST.split(old, "rain")[0]


def test_noise_of_a_whole_camera_is_held_out():
    names = ("Canon5D2_5_160", "Canon80D_8_8", "Canon80D2_8", "NikonD800_4-5", "mine")
    pairs = [(Path(f"noise/set/input/{name}.jpg"), Path(f"{name}.jpg")) for name in names]
    assert LIST.split(pairs, "noise") == ([pairs[0], *pairs[2:]], [pairs[1]])


def test_unusual_pictures_are_not_trained_on_and_do_not_move_the_others():
    photos = [Path(f"data/train/clean/here/{index:02}.jpg") for index in range(40)]
    photos[3] = Path("data/train/clean/night/3.webp")  # in another format than on the list
    training, kept = LIST.split(photos, "clean")
    assert kept == [photos[0], photos[20]]
    assert training == [*photos[1:3], *photos[4:20], *photos[21:]]
    assert LIST.find_unusual(photos) == {photos[3]: "dark"}
    assert LIST.undamaged(photos) == {photos[0]: "held out", photos[20]: "held out", photos[3]: "dark"}


def test_what_shows_the_scene_of_a_held_out_pair_is_not_trained_on():
    pairs = [(Path(f"input/{index}.png"), Path(f"target/{index}.jpg")) for index in range(4)]
    pairs[2] = (Path("input/twin.png"), Path("target/twin.jpg"))
    assert LIST.split(pairs, "lowlight") == ([pairs[1], pairs[3]], [pairs[0]])


def test_the_list_of_a_data_folder_is_found_before_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(OURS))
    assert held_out(tmp_path).every["clean"] == 20
    write_list(tmp_path, "[every]\nclean = 5\n")
    assert held_out(tmp_path).every["clean"] == 5


def test_without_a_list_a_remark_is_made_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert held_out(tmp_path) == held_out(tmp_path) == HeldOut()
    (remark,) = caplog.messages
    assert "held_out.toml is missing" in remark


def test_a_list_of_the_environment_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent.toml"))
    with pytest.raises(DataError, match=r"absent\.toml: there is no such list.*CLEARAIR_HELD_OUT"):
        held_out(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("every = ", "is not a TOML file"),
        ("[evry]\nclean = 2", "no table 'evry'"),
        ("every = 3", "every must be a table"),
        ("[every]\nfog = 2", r"\[every\] has no entry 'fog'"),
        ("[every]\nclean = 0", "number from 1 on, got 0"),
        ("[every]\nclean = true", "number from 1 on, got True"),
        ('[unusual]\ndark = "a/b.jpg"', "must be a list of names"),
        ("[left_out]\nfiles = [1]", "must be a list of names"),
        ('[named]\nsource = ["haze/x"]', "no entry 'source'"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path, text, message):
    path = write_list(tmp_path, text)
    with pytest.raises(DataError, match=f"held_out.toml.*{message}"):
        read_list(path)


def test_no_picture_of_our_list_is_unusual_twice():
    names = [name for names in read_list(OURS).unusual.values() for name in names]
    assert len(names) == len(set(names)) == 30


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
@pytest.mark.parametrize(
    ("kind", "training", "kept"),
    [("clean", 663, 37), ("rain", 19, 1), ("lowlight", 128, 19), ("noise", 62, 15)],
)
def test_as_many_are_held_out_as_when_the_shipped_weights_were_trained(kind, training, kept):
    items = find_photos(SHARED / "train" / "clean") if kind == "clean" else find_pairs(SHARED, kind)
    assert tuple(map(len, read_list(OURS).split(items, kind))) == (training, kept)


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
def test_every_picture_on_our_list_is_there():
    assert read_list(OURS).absent((SHARED / "train").rglob("*")) == ()
    assert [damaged.stem for damaged, _ in read_list(OURS).split(find_pairs(SHARED, "rain"), "rain")[1]] == [
        "bsd_107014"
    ]
