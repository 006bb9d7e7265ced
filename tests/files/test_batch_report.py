"""Reports: what they hold, and what a resumed run makes of them."""

import json

import numpy as np
import pytest

from clearair.errors import OutputError, UsageError
from clearair.files.batch import run_plan
from clearair.files.planning import plan_batch
from clearair.files.report import read_report
from clearair.files.watcher import Watcher
from clearair.image import Photo, write_photo
from clearair.outcome import Outcome

PHOTO = Photo(np.full((6, 8, 3), 100, np.uint8))


@pytest.fixture
def places(tmp_path):
    """A folder `in` with a.png and b.png, a folder for results, and a report."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        write_photo(PHOTO, tmp_path / "in" / name)
    return tmp_path / "in", tmp_path / "out", tmp_path / "report.json"


def negative(photo):
    return photo.with_pixels(255 - photo.pixels), {"score": 2.5}, Outcome({"noise": 0.9}, changed=True)


def run(paths, out, report, process=negative, **options):
    return list(run_plan(plan_batch(paths, out, report=report, **options), process))


def statuses(report):
    return {record["input"].split("/")[-1]: record["status"] for record in read_report(report)}


def test_a_resumed_run_keeps_what_earlier_ones_found(places):
    folder, out, report = places
    run([folder / "a.png"], out, report)
    found = read_report(report)[0]
    run(folder, out, report, resume=True)
    assert statuses(report) == {"a.png": "restored", "b.png": "restored"}
    assert read_report(report)[0] == found
    assert found["outcome"]["found"] == {"noise": 0.9}
    (folder / "a.png").unlink()
    run(folder, out, report, resume=True)
    assert statuses(report) == {"a.png": "restored", "b.png": "restored"}


def test_a_report_is_replaced_unasked_by_no_run_that_does_not_resume(places):
    folder, out, report = places
    run([folder / "a.png"], out, report)
    before = report.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        run(folder, out, report)
    assert report.read_bytes() == before
    run([folder / "b.png"], out, report, overwrite=True)
    assert statuses(report) == {"b.png": "restored"}


@pytest.mark.parametrize("text", ["mine", "{}", "[1]", '[{"input": 1}]', "\udcff"])
def test_a_file_that_is_no_report_is_not_replaced_by_a_resumed_run(places, text):
    folder, out, report = places
    report.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(OutputError, match=r"report\.json: exists already and is not a report"):
        run(folder, out, report, resume=True)
    assert report.read_bytes() == text.encode(errors="surrogateescape")
    assert not out.exists()


def test_what_a_broken_run_did_not_come_to_is_listed_and_done_by_the_next(places):
    folder, out, report = places

    def interrupted(photo):
        if photo.name.endswith("b.png"):
            raise KeyboardInterrupt
        return negative(photo)

    with pytest.raises(KeyboardInterrupt):
        run(folder, out, report, interrupted)
    assert statuses(report) == {"a.png": "restored", "b.png": "unfinished"}
    run(folder, out, report, resume=True)
    assert statuses(report) == {"a.png": "restored", "b.png": "restored"}


def test_a_failure_is_tried_again_and_replaced(places):
    folder, out, report = places
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(b"")
    run(folder, out, report)
    assert statuses(report) == {"a.png": "restored", "b.png": "failed"}
    (folder / "b.png").write_bytes(whole)
    run(folder, out, report, resume=True)
    assert statuses(report) == {"a.png": "restored", "b.png": "restored"}


def test_stopping_early_writes_the_report_too(places):
    folder, out, report = places
    records = run_plan(plan_batch(folder, out, report=report), negative)
    next(records)
    records.close()
    assert "a.png" in statuses(report)
    assert len(statuses(report)) == 2


def test_no_key_has_two_meanings(places):
    folder, out, report = places
    run([folder / "a.png"], out, report)
    text = report.read_text()
    assert text.count('"found"') == 1
    (record,) = json.loads(text)
    assert (record["schema_version"], record["percepts"]) == (2, {"score": 2.5})


def test_a_report_is_neither_an_input_nor_a_result(places):
    folder, out, _ = places
    with pytest.raises(UsageError, match="is an input itself"):
        plan_batch(folder, out, report=folder / "a.png", overwrite=True)
    with pytest.raises(UsageError, match="the name of a result"):
        plan_batch(folder, out, report=out / "a.png")
    with pytest.raises(UsageError, match="not int"):
        plan_batch(folder, out, report=5)


def test_a_watcher_is_told_of_starts_and_ends(places):
    folder, out, _ = places
    told = []

    class Telling(Watcher):
        def start(self, job):
            told.append(("start", job.source.name))

        def finish(self, record):
            told.append(("finish", record.output))

    list(run_plan(plan_batch(folder / "a.png", out), negative, watcher=Telling()))
    assert told == [("start", "a.png"), ("finish", str(out / "a.png"))]
