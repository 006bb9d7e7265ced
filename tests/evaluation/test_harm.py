import numpy as np
import pytest
import torch

from clearair.data.validation import ValidationSet
from clearair.evaluation.harm import harm_report, measure_harm
from clearair.image import Photo, write_photo


@pytest.fixture
def data(tmp_path):
    """21 photographs, of which the first and the last are held out, and a dark one."""
    names = [f"aaa/{index:02}.png" for index in range(21)]
    for index, name in enumerate([*names, "night/dark.png"]):
        path = tmp_path / "train" / "clean" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(np.full((16, 16, 3), 5 * index + 20, np.uint8)), path)
    (tmp_path / "train" / "held_out.toml").write_text('[unusual]\ndark = ["night/dark.png"]\n')
    return tmp_path


def views(kind="noise"):
    clean = torch.full((2, 3, 16, 16), 100 / 255)
    damaged = torch.stack([clean[0] + 10 / 255, clean[1] - 20 / 255])
    return ValidationSet(kind, damaged, clean, ("brighter", "darker"))


def lift(image):
    """Makes everything brighter by 10 of 255."""
    return np.clip(image.astype(int) + 10, 0, 255).astype(np.uint8)


def test_held_out_and_unusual_pictures_are_compared_with_themselves(data):
    harm = measure_harm(lift, data, [], plain={})
    assert [(each.name, each.group) for each in harm.undamaged] == [
        ("aaa/00.png", "held out"),
        ("aaa/20.png", "held out"),
        ("night/dark.png", "dark"),
    ]
    assert harm.worst == pytest.approx(28.13, abs=0.01)


def test_large_pictures_are_also_shown_reduced(data):
    path = data / "train" / "clean" / "aaa" / "00.png"
    path.unlink()
    write_photo(Photo(np.full((40, 800, 3), 90, np.uint8)), path)
    shown = []

    def look(image):
        shown.append(image.shape)
        return image

    harm = measure_harm(look, data, [], plain={})
    assert shown[:2] == [(40, 800, 3), (20, 400, 3)]
    assert [(each.name, each.size) for each in harm.undamaged[:3]] == [
        ("aaa/00.png", "whole"),
        ("aaa/00.png", "reduced"),
        ("aaa/20.png", "whole"),
    ]
    assert "| reduced | 1 | 100.00 |" in harm_report(harm)


def test_doing_nothing_does_no_harm(data):
    harm = measure_harm(lambda image: image, data, [views()], plain={})
    assert harm.worst == 100
    assert harm.unchanged_share == 1
    assert not any(change.is_harmed for change in harm.changes)
    assert "reaches 30. At least 40 dB: 100.0%, reaches 99%" in harm_report(harm)
    assert "Harmed: 0.0%, less than 1%." in harm_report(harm)


def test_what_gets_worse_is_counted_and_named(data):
    harm = measure_harm(lift, data, [views()], plain={})
    assert [change.is_harmed for change in harm.changes] == [True, False]
    report = harm_report(harm)
    assert "| all | 2 | 1 | -6.02 |" in report
    assert "- noise, brighter: 28.13 -> 22.11 dB" in report
    assert "misses 30. At least 40 dB: 0.0%, misses 99%" in report
    assert "Harmed: 50.0%, not less than 1%." in report
    assert harm.to_dict()["harmed"] == 1


def test_undamaged_views_are_not_counted_among_the_damaged(data):
    assert measure_harm(lift, data, [views("clean")], plain={}).changes == ()


def test_real_pairs_are_restored_whole(data):
    for half, grey in (("input", 100), ("target", 110)):
        path = data / "train" / "noise" / "camera" / half / "a.png"
        path.parent.mkdir(parents=True)
        write_photo(Photo(np.full((24, 40, 3), grey, np.uint8)), path)
    shapes = []

    def look(image):
        shapes.append(image.shape)
        return lift(image)

    harm = measure_harm(look, data, [views("real noise")], plain={})
    (change,) = harm.changes
    assert (change.kind, change.name) == ("real noise", "noise/camera/input/a.png")
    assert (change.input_psnr, change.psnr) == (pytest.approx(28.13, abs=0.01), 100)
    assert shapes[-1] == (24, 40, 3)
    assert all(change.kind == "noise" for change in measure_harm(look, data, [views()], plain={}).changes)


def test_plain_pictures_are_undamaged_too(data):
    harm = measure_harm(lift, data, [], plain={"page": np.full((8, 8, 3), 240, np.uint8)})
    assert [(each.name, each.group) for each in harm.undamaged][-1] == ("page", "plain")
    assert "| plain | 1 | 28.13 |" in harm_report(harm)


def test_by_default_they_are_drawn_and_photographed(data):
    harm = measure_harm(lambda image: image, data, [])
    names = [each.name for each in harm.undamaged if each.group == "plain"]
    assert len(names) >= 20
    assert "many stars" in names
    assert "scikit-image's page" in names
