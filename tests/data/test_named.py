"""Photographs known by the name of their damage."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearair.data.degradations import KINDS
from clearair.data.named import find_named
from clearair.data.splits import VARIABLE, read_list

DATA = Path(__file__).parents[3] / "shared" / "data"
OURS = Path(__file__).parents[2] / "tools" / "held_out.toml"


@pytest.fixture
def folder(tmp_path):
    for name in (
        "haze/here/b.jpg",
        "haze/here/a.png",
        "clean/there/c.jpg",
        "rain/SIRR/d.jpg",
        "fire/x/e.jpg",
    ):
        path = tmp_path / "train" / "named" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    (tmp_path / "train" / "named" / "haze" / "here" / "notes.txt").write_text("no picture")
    (tmp_path / "train" / "held_out.toml").write_text('[named]\nsources = ["rain/SIRR"]\n')
    return tmp_path


def test_pictures_of_known_kinds_are_found_in_order(folder):
    found = find_named(folder)
    assert [photo.path.name for photo in found] == ["c.jpg", "a.png", "b.jpg", "d.jpg"]
    assert [photo.source for photo in found] == ["clean/there", "haze/here", "haze/here", "rain/SIRR"]


def test_whole_sources_are_held_out(folder):
    assert [photo.held_out for photo in find_named(folder)] == [False, False, False, True]


def test_a_name_says_what_is_there_and_not_what_may_be(folder):
    labels = {photo.kind: dict(zip(KINDS, photo.label, strict=True)) for photo in find_named(folder)}
    assert labels["haze"]["haze"] == 1
    assert labels["haze"]["rain"] == 0
    assert math.isnan(labels["haze"]["jpeg"])
    assert math.isnan(labels["rain"]["haze"])
    assert labels["clean"]["haze"] == 0


def test_without_a_folder_there_are_none(tmp_path):
    assert find_named(tmp_path) == []


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is absent")
def test_every_kind_that_is_held_out_is_trained_on_from_another_source(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(OURS))
    found = find_named(DATA)
    assert {photo.source for photo in found if photo.held_out} == set(read_list(OURS).sources)
    for kind in {photo.kind for photo in found if photo.held_out}:
        assert any(photo.kind == kind and not photo.held_out for photo in found)
