"""The model that ships under a memory budget, and several pictures at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from clearair import ImageError, Restorer
from clearair.files.watcher import Watcher
from clearair.graphs import Crowd, usable_cores
from clearair.image import Photo, write_photo
from clearair.memory import resident


@pytest.fixture(scope="module")
def restorer():
    return Restorer.from_pretrained(backend="onnx")


@pytest.fixture
def photos(tmp_path):
    """Four noisy photos of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = np.random.default_rng(0)
    for number, (height, width) in enumerate(((64, 80), (50, 200), (120, 60), (33, 47))):
        pixels = skimage.data.coffee()[:height, :width] + drawn.normal(0, 25, (height, width, 3))
        write_photo(Photo(pixels.clip(0, 255).astype(np.uint8)), folder / f"{number}.png")
    return folder


def test_pictures_that_are_restored_at_once_are_the_same_pictures(restorer, photos, tmp_path):
    for jobs in (1, 3):
        records = list(restorer.restore_many([photos], tmp_path / str(jobs), damage="noise", jobs=jobs))
        assert [Path(record.input).name for record in records] == ["0.png", "1.png", "2.png", "3.png"]
        assert {record.status for record in records} == {"restored"}
    for path in photos.iterdir():
        assert (tmp_path / "1" / path.name).read_bytes() == (tmp_path / "3" / path.name).read_bytes()


def test_a_batch_of_several_at_once_can_be_broken_off(restorer, photos, tmp_path):
    begun = []

    class Counting(Watcher):
        def start(self, job):
            begun.append(job)

    records = restorer.restore_many([photos], tmp_path / "out", damage="noise", jobs=2, watcher=Counting())
    next(records)
    records.close()
    assert len(begun) <= 4
    assert not list((tmp_path / "out").glob("*.part"))
    again = restorer.restore_many([photos], tmp_path / "out", damage="noise", jobs=2, resume=True)
    assert {record.error for record in again} == {None}


def test_a_crowd_shares_the_cores(restorer):
    session = restorer.runtime._session("judge")
    every = usable_cores()
    crowd = Crowd()
    with crowd:
        assert session._for_this_thread() is session._sessions[every]
        with crowd:
            assert session._for_this_thread() is session._sessions[max(1, every // 2)]
    assert session._for_this_thread() is session._sessions[every]


def test_a_budget_is_kept_where_tiles_would_take_more(tmp_path):
    """A tile of 512 px alone takes more than the difference of the two budgets."""
    pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    write_photo(Photo(pixels), tmp_path / "a.png")
    taken = {}
    for budget in ("290MB", "2GB"):
        code = (
            "import clearair, sys\n"
            f"restorer = clearair.Restorer.from_pretrained(backend='onnx', memory_budget={budget!r})\n"
            f"print(restorer({str(tmp_path / 'a.png')!r}, damage='noise').done)\n"
            "print(next(int(line.split()[1]) for line in open('/proc/self/status') if 'VmHWM' in line))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        said, peak = done.stdout.split()
        assert said == "restored"
        taken[budget] = int(peak) * 1024 / 1e6
    assert taken["290MB"] <= 290 * 1.1
    assert taken["2GB"] > taken["290MB"] + 100


def test_a_budget_too_small_is_one_line_before_a_picture_is_read(tmp_path):
    command = [sys.executable, "-m", "clearair", "restore", "photo.jpg", "--memory-budget"]
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    done = subprocess.run([*command, "10MB"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(
        r"clearair: memory budget 10MB: too small for any picture; the least that works is \d+MB\.\n",
        done.stderr,
    )
    done = subprocess.run([*command, "plenty"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "say such as 700MB, 1.5GB or 1GiB" in done.stderr


def test_a_picture_above_the_budget_is_an_error_of_its_own(tmp_path, photos):
    import pyvips

    pyvips.Image.black(20000, 10000, bands=3).copy(interpretation="srgb").pngsave(str(photos / "large.png"))
    least = round(resident() / 1e6) + 300  # for this test's own process
    restorer = Restorer.from_pretrained(backend="onnx", memory_budget=f"{least}MB")
    *good, large = restorer.restore_many([photos], tmp_path / "out", damage="noise")
    assert {record.error for record in good} == {None}
    said = rf"large\.png: 20000 x 10000 px need [\d,]+MB of memory, and the memory budget is {least:,}MB"
    assert re.search(said, large.error or "")
    with pytest.raises(ImageError, match="20000 x 10000 px need"):
        restorer(photos / "large.png")
