"""Many files: what is found, where it goes, and that one bad file spoils nothing."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from clearair.errors import ModelError, UsageError
from clearair.files.batch import run
from clearair.files.finding import find_images
from clearair.files.outputs import Job, plan_outputs
from clearair.files.record import Record, counted
from clearair.files.stages import Together
from clearair.image import Photo, read_photo, write_photo
from clearair.outcome import Outcome

PHOTO = Photo(np.full((6, 8, 3), 100, np.uint8))
RESTORED = Outcome({"noise": 0.9}, changed=True)
LEFT = Outcome(share=0.0, changed=False)


def negative(photo: Photo):
    """Stands for a network: something that visibly changes the pixels."""
    return photo.with_pixels(255 - photo.pixels), {"score": 2.5}, RESTORED


def restored(folder, **options):
    return list(run(plan_outputs(find_images([folder])), negative, **options))


def test_every_file_is_restored_and_recorded_in_order(folder):
    records = restored(folder)[1:]
    (folder / "b.restored.png").unlink()
    records = restored(folder, resume=True)
    assert [Path(record.input).name for record in records] == ["a.jpg", "b.png", "a.jpg"]
    assert read_photo(folder / "b.restored.png").pixels[0, 0].tolist() == [155, 155, 155]
    record = records[1]
    assert (record.width, record.height, record.percepts, record.error) == (8, 6, {"score": 2.5}, None)
    assert record.output == str(folder / "b.restored.png")
    assert record.seconds > 0
    assert record.outcome == RESTORED
    assert record.to_dict()["outcome"]["text"] == "noise 90 %: restored"
    assert record.found == {"noise": 0.9}
    written = json.loads(json.dumps(record.to_dict()))
    assert (written["percepts"], written["outcome"]["found"]) == ({"score": 2.5}, {"noise": 0.9})
    assert (written["schema_version"], written["status"]) == (2, "restored")


def test_what_is_left_out_is_recorded(folder):
    (folder / "sub" / "a.jpg").unlink()
    content = (folder / "a.jpg").read_bytes()
    comment = b"\xff\xfe\0\x08at sea"
    (folder / "a.jpg").write_bytes(content[:2] + comment + content[2:] + content)
    jobs = plan_outputs(find_images([folder / "a.jpg"]), folder / "out")
    (record,) = run(jobs, negative)
    assert record.left_out == ("a further picture",)
    assert record.notes == ("left out: a further picture",)
    jobs = plan_outputs(find_images([folder / "a.jpg"]), folder / "out", format="png")
    (record,) = run(jobs, negative)
    assert json.loads(json.dumps(record.to_dict()))["left_out"] == ["a further picture", "comment"]
    assert record.notes[1] == "left out, as png has no place for it: comment"


def test_the_quality_of_lossy_files_is_that_asked_for(folder):
    for quality in (40, {"jpeg": 40, "webp": 9}):
        restored(folder, overwrite=True, quality=quality)
        assert read_photo(folder / "a.restored.jpg").quality == 40
    with pytest.raises(UsageError, match="from 1 to 100"):
        restored(folder, overwrite=True, quality=101)


def test_the_tree_is_kept_below_the_output_folder(folder, tmp_path):
    out = tmp_path / "new" / "out"
    records = list(run(plan_outputs(find_images([folder], out=out), out), negative))
    assert [record.error for record in records] == [None] * 3
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["a.jpg", "b.png", "sub/a.jpg"]


def test_one_bad_file_is_named_and_the_others_are_done(folder):
    (folder / "a.jpg").write_bytes(b"")
    (folder / "b.restored.png").unlink()

    def picky(photo):
        if "sub" in photo.name:
            return photo.with_pixels(np.full((6, 8, 3), np.nan, np.float32)), {}, RESTORED
        return negative(photo)

    empty, good, broken = run(plan_outputs(find_images([folder])), picky)
    assert empty.error == f"{folder / 'a.jpg'}: the file is empty."
    assert (empty.output, empty.width) == (None, None)
    assert good.error is None
    assert "the network returned NaN" in broken.error
    assert (broken.output, broken.width) == (None, 8)
    assert not (folder / "sub" / "a.restored.jpg").exists()


def test_an_unexpected_error_is_recorded_and_logged_with_its_traceback(folder, caplog):
    def faulty(photo):
        if photo.format == "png":
            raise RuntimeError("boom")
        return negative(photo)

    first, second, third = run(plan_outputs(find_images([folder])), faulty, overwrite=True)
    assert (first.error, third.error) == (None, None)
    assert "unexpected RuntimeError: boom" in second.error
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_unfit_model_ends_the_run(folder, jobs):
    def unfit(photo):
        raise ModelError("window.onnx: is damaged.")

    planned = plan_outputs(find_images([folder]), folder / "out")
    with pytest.raises(ModelError, match=r"window\.onnx"):
        list(run(planned, unfit, together=Together(jobs)))
    assert not (folder / "out").exists()


def test_existing_outputs_are_kept_redone_or_skipped(folder):
    target = folder / "b.restored.png"
    before = target.read_bytes()
    assert "exists already; overwrite=True replaces it, resume=True skips it" in restored(folder)[1].error
    assert target.read_bytes() == before
    records = restored(folder, resume=True)
    assert [record.skipped for record in records] == [True] * 3
    assert records[1].output == str(target)
    assert target.read_bytes() == before
    assert [record.error for record in restored(folder, overwrite=True)] == [None] * 3
    assert target.read_bytes() != before
    with pytest.raises(UsageError, match="contradict"):
        run([], negative, overwrite=True, resume=True)


def test_what_was_left_out_is_noted(tmp_path):
    wide = Photo(np.zeros((4, 4, 3), np.uint16), bits=16)
    write_photo(wide, tmp_path / "a.png")
    (record,) = run([Job(tmp_path / "a.png", tmp_path / "b.jpg")], negative_16)
    assert record.notes == ("16-bit values were rounded to 8 bits, the most jpeg holds",)


def negative_16(photo):
    return photo.with_pixels(65535 - photo.pixels), {}, RESTORED


def test_an_impossible_output_is_found_out_before_the_work(tmp_path):
    write_photo(PHOTO, tmp_path / "a.png")
    (tmp_path / "file").touch()
    worked = []
    job = Job(tmp_path / "a.png", tmp_path / "file" / "a.png")
    (record,) = run([job], lambda photo: (worked.append(photo) or photo, {}, LEFT))
    assert "is a file, not a folder" in record.error
    assert not worked


def test_what_the_format_cannot_hold_is_found_out_before_the_work(tmp_path):
    alpha = np.full(PHOTO.pixels.shape[:2], 7, np.uint8)
    write_photo(Photo(PHOTO.pixels, alpha=alpha), tmp_path / "a.png")
    worked = []
    (record,) = run([Job(tmp_path / "a.png", tmp_path / "a.jpg")], lambda photo: worked.append(photo))
    assert "a.jpg: jpeg cannot hold the picture's transparency" in record.error
    assert not worked


def test_an_interruption_leaves_only_whole_files(folder):
    seen = []

    def interrupted(photo):
        seen.append(photo.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return negative(photo)

    done: list[Record] = []
    with pytest.raises(KeyboardInterrupt):
        list(run(plan_outputs(find_images([folder])), interrupted, overwrite=True, on_done=done.append))
    assert [Path(record.input).name for record in done] == ["a.jpg", "b.png"]
    for record in done:
        read_photo(Path(record.output))
    assert not list(folder.rglob("*.part"))
    assert not any(thread.name.startswith("clearair-") for thread in threading.enumerate())


def test_stopping_early_finishes_the_write_and_ends_the_threads(folder):
    records = run(plan_outputs(find_images([folder])), negative, overwrite=True)
    next(records)
    records.close()
    assert not list(folder.rglob("*.part"))
    assert not any(thread.name.startswith("clearair-") for thread in threading.enumerate())


def test_reading_runs_ahead_by_one_picture_only(tmp_path):
    for index in range(5):
        write_photo(PHOTO, tmp_path / f"{index}.png")
    jobs = plan_outputs(find_images([tmp_path]))
    started = []

    def watch(photo):
        # a file that vanishes before its turn shows whether it was read already
        for job in jobs[len(started) + 1 :]:
            job.source.unlink(missing_ok=True)
        return photo, {}, LEFT

    records = list(run(jobs, watch, on_start=started.append))
    assert records[0].error is None
    assert [record.error is None for record in records[2:]] == [False] * 3


def test_what_became_of_all_is_counted():
    done = Record("a", "b", outcome=RESTORED)
    left = Record("a", "b", outcome=LEFT)
    there = Record("a", "b", skipped=True)
    failed = Record("a", None, outcome=RESTORED, error="a: cannot be written.")
    assert counted([done] * 9 + [left] * 2 + [failed]) == (
        "12 photos: 9 restored, 2 left as they are, 1 failed"
    )
    assert counted([left]) == "1 photo: 1 left as it is"
    assert counted([done, there]) == "2 photos: 1 restored, 1 there already"
    assert counted([]) == "0 photos: nothing done"


def test_no_jobs_no_records():
    assert list(run([], negative)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_circles_and_out_of_reach_do_not_stop_the_rest(folder):
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").symlink_to(folder / "a.jpg")
    (folder / "loop").symlink_to(folder)
    records = restored(folder, overwrite=True)
    assert [record.error is None for record in records] == [False, True, True]
    assert records[0].error.startswith(f"{folder / 'a.jpg'}: cannot be read")
    assert "unexpected" not in records[0].error


def test_a_job_with_a_problem_is_recorded_and_the_others_are_done(tmp_path):
    write_photo(PHOTO, tmp_path / "a.png")
    jobs = [Job(tmp_path, tmp_path, "closed: no."), Job(tmp_path / "a.png", tmp_path / "b.png")]
    first, second = run(jobs, negative, overwrite=True)
    assert (first.error, first.output) == ("closed: no.", None)
    assert (second.error, second.output) == (None, str(tmp_path / "b.png"))


def test_a_name_that_another_run_takes_meanwhile_is_skipped_by_one_that_resumes(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_photo(PHOTO, tmp_path / name)
    jobs = plan_outputs(find_images([tmp_path]), tmp_path / "out")

    def slow(photo):
        """Another run writes this one meanwhile, and the next but one before its turn."""
        for other in (photo.path.name, "c.png"):
            write_photo(PHOTO, tmp_path / "out" / other, overwrite=True)
        return negative(photo)

    (tmp_path / "out").mkdir()
    records = list(run(jobs, slow, resume=True))
    assert [(record.error, record.skipped) for record in records] == [(None, True)] * 3
    assert [record.status for record in records] == ["skipped"] * 3
    (tmp_path / "out" / "a.png").unlink()
    (record,) = run(jobs[:1], slow)
    assert "exists already" in record.error


def test_two_runs_that_resume_share_a_folder(tmp_path):
    for number in range(8):
        write_photo(PHOTO, tmp_path / f"{number}.png")
    jobs = plan_outputs(find_images([tmp_path]), tmp_path / "out")
    found: list[list[Record]] = []
    runs = [
        threading.Thread(target=lambda: found.append(list(run(jobs, negative, resume=True)))) for _ in "ab"
    ]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    one, other = found
    assert not [record.error for record in one + other if record.error]
    assert all(first.skipped != second.skipped for first, second in zip(one, other, strict=True))
    assert len(list((tmp_path / "out").iterdir())) == 8
