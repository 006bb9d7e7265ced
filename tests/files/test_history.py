"""Results of earlier runs are not taken for photographs."""

from pathlib import Path

import pytest

from clearair.errors import UsageError
from clearair.files.batch import run_plan
from clearair.files.history import NOTE, Note, note_results, note_suffix, read_note
from clearair.files.planning import plan_batch
from clearair.outcome import Outcome


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
    note_suffix(folder / "sub", "_better")
    (folder / "sub" / "a.jpg").rename(folder / "sub" / "much_better.jpg")
    _, names = restored(folder, folder.parent / "out")
    assert names == ["a.jpg", "b.png", "much_better.jpg"]


def test_a_result_listed_by_a_shell_beside_its_original_is_passed_over(folder):
    restored(folder / "a.jpg", suffix="_better")
    plan = plan_batch(sorted(folder.glob("a*.jpg")), folder / "out")
    assert [job.source.name for job in plan.jobs] == ["a.jpg"]


def test_nothing_is_noted_where_later_runs_would_not_look_or_nothing_was_written(folder):
    restored(folder, folder.parent / "elsewhere")
    restored(folder)
    (folder / "sub" / "a.jpg").write_bytes(b"")
    restored([folder / "sub" / "a.jpg"], folder / "sub" / "one", suffix="_better")
    assert not list(folder.parent.rglob(NOTE))


def test_a_note_is_written_once_and_beside_the_results(folder):
    for _ in range(2):
        restored(folder, folder / "one", overwrite=True)
        restored(folder, suffix="_better", overwrite=True)
    assert (folder / "one" / NOTE).read_text().count("results") == 1
    assert read_note(folder / "one") == Note(all_results=True)
    assert read_note(folder / "sub") == Note(suffixes=frozenset({"_better"}))


def test_notes_that_are_damaged_or_cannot_be_written_stop_nothing(folder):
    (folder / NOTE).write_bytes(b'nonsense\n[1]\n{"suffix": 5}\n{"suffix": "_b"}\n')
    assert read_note(folder) == Note(suffixes=frozenset({"_b"}))
    (folder / NOTE).write_bytes(b"\xff")
    assert read_note(folder) == Note()
    note_results(folder / "a.jpg")
    assert read_note(folder / "a.jpg") == Note()


def test_nothing_named_is_refused_at_once():
    with pytest.raises(UsageError, match="No pictures are named"):
        plan_batch([])
