"""Results of earlier runs are not taken for photographs."""

import sys
from pathlib import Path

import pytest

from clearair.errors import UsageError
from clearair.files.batch import run_plan
from clearair.files.history import Earlier, earlier_results, home, remember
from clearair.files.planning import plan_batch
from clearair.outcome import Outcome


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEARAIR_HOME", str(tmp_path / "home"))


def restored(paths, out=None, **options):
    """The plan of a run that is done, and the names of its results below the folder."""
    plan = plan_batch(paths, out, **options)
    records = run_plan(plan, lambda photo: (photo, {}, Outcome(share=0.0, changed=False)))
    return plan, [Path(record.output).name for record in records if record.error is None]


def test_results_below_the_input_are_passed_over_with_a_remark(folder):
    restored(folder, folder / "one")
    plan, names = restored(folder, folder / "two")
    assert names == ["a.jpg", "b.png", "a.jpg"]
    (remark,) = plan.remarks
    assert str(folder / "one") in remark
    assert "earlier runs" in remark
    (again,) = {job.source.parent for job in plan_batch(folder / "one" / "sub", folder / "x").jobs}
    assert again == folder / "one" / "sub"  # a folder that is named is searched
    pattern = plan_batch(str(folder / "**" / "*.jpg"), folder / "three")
    assert [job.source.relative_to(folder).as_posix() for job in pattern.jobs] == ["a.jpg", "sub/a.jpg"]


def test_any_suffix_of_an_earlier_run_is_recognised(folder):
    (folder / "b.restored.png").unlink()
    restored(folder, suffix="_better")
    plan, names = restored(folder, suffix="-new")
    assert names == ["a-new.jpg", "b-new.png", "a-new.jpg"]
    assert "*_better.*" in plan.remarks[0]
    plan, names = restored(folder)
    assert names == ["a.restored.jpg", "b.restored.png", "a.restored.jpg"]
    plan, names = restored(folder, suffix="-third")
    assert names == ["a-third.jpg", "b-third.png", "a-third.jpg"]


def test_a_name_that_ends_like_a_result_without_an_original_is_a_photo(folder):
    remember(None, "_better")
    (folder / "sub" / "a.jpg").rename(folder / "sub" / "much_better.jpg")
    _, names = restored(folder, folder.parent / "out")
    assert names == ["a.jpg", "b.png", "much_better.jpg"]


def test_a_result_listed_by_a_shell_beside_its_original_is_passed_over(folder):
    restored(folder / "a.jpg", suffix="_better")
    plan = plan_batch(sorted(folder.glob("a*.jpg")), folder / "out")
    assert [job.source.name for job in plan.jobs] == ["a.jpg"]


def test_nothing_is_noted_of_runs_that_wrote_nothing_or_twice(folder):
    (folder / "a.jpg").write_bytes(b"")
    restored([folder / "a.jpg"], folder / "one")
    assert earlier_results() == Earlier()
    for _ in range(2):
        restored(folder, folder / "one", overwrite=True)
    assert (home() / "results").read_text().count("one") == 1


def test_notes_that_are_damaged_or_cannot_be_written_stop_nothing(folder, monkeypatch):
    home().mkdir()
    (home() / "results").write_bytes(b'nonsense\n[1]\n{"folder": 5}\n{"suffix": "_b"}\n')
    assert earlier_results() == Earlier(suffixes=frozenset({".restored", "_b"}))
    (home() / "results").write_bytes(b"\xff")
    assert earlier_results() == Earlier()
    monkeypatch.setenv("CLEARAIR_HOME", str(folder / "a.jpg"))
    remember(folder, "")
    assert earlier_results() == Earlier()


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder of Linux")
def test_the_usual_home_is_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("CLEARAIR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert home() == tmp_path / "clearair"


def test_nothing_named_is_refused_at_once():
    with pytest.raises(UsageError, match="No pictures are named"):
        plan_batch([])
