"""Batches and journals whose pictures are objects in a store; real servers of this machine."""

import io
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from clearair.errors import UsageError
from clearair.files.batch import run_plan
from clearair.files.finding import find_images, read_list
from clearair.files.journal import Journal, State, digest_of
from clearair.files.journaled import (
    JournalLedger,
    Shard,
    open_shard,
    overview,
    repair,
    run_journal,
    shards_of,
    verify,
)
from clearair.files.planning import plan_batch
from clearair.files.saving import save_to
from clearair.image import Photo, read_photo
from clearair.outcome import Outcome

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.object_store import known

NAMES = ("0.png", "1.png", "sub/2.png", "sub/deep/3.png")


def invert(photo: Photo):
    """A restoration that is quick."""
    return photo.with_pixels(255 - photo.pixels), {}, Outcome(found={"noise": 0.5}, changed=True)


def leave(photo: Photo):
    return photo, {}, Outcome(changed=False)


def encoded(number: int) -> bytes:
    file = io.BytesIO()
    save_to(Photo(np.random.default_rng(number).integers(0, 256, (16, 24, 3), np.uint8)), file)
    return file.getvalue()


PICTURES = {name: encoded(number) for number, name in enumerate(NAMES)}


@pytest.fixture(params=["object_server", "google_server"])
def store(request, monkeypatch):
    """photos/... in a bucket of S3 or Google."""
    server = request.getfixturevalue(request.param)
    with known(server, monkeypatch):
        for name, data in PICTURES.items():
            server.put(f"photos/{name}", data)
        yield server


def run(plan, ledger):
    return run_plan(plan, invert, watcher=ledger, ledger=ledger)


def begin(store, folder: Path) -> Journal:
    plan = plan_batch(f"{store.root}/photos", f"{store.root}/out")
    return Journal.create(folder / "run.db", plan.jobs, {"out": str(plan.out)})


def check_results(journal: Journal) -> None:
    for entry in journal.entries(State.RESTORED):
        source, target = entry.source.read(), entry.target.read()
        assert (read_photo(target).pixels == 255 - read_photo(source).pixels).all()
        assert (entry.input, entry.output) == (digest_of(source), digest_of(target))
        assert (entry.size, entry.modified) == (source.facts.size, source.facts.mark)


def test_a_folder_becomes_another_with_the_same_names(store):
    records = list(run_plan(plan_batch(f"{store.root}/photos/", f"{store.root}/out"), invert))
    assert [record.error for record in records] == [None] * len(NAMES)
    assert [record.output for record in records] == [f"{store.root}/out/{name}" for name in NAMES]
    assert store.keys("out") == [f"out/{name}" for name in NAMES]


def test_what_a_picture_costs(store):
    """The how-to page names these figures."""
    list(run_plan(plan_batch(f"{store.root}/photos", f"{store.root}/out"), invert))
    count = len(NAMES)
    heads = store.asked.pop("HEAD")
    assert store.asked == {"LIST": 1, "GET": 2 * count, "PUT": count}
    assert heads == count or (
        store.scheme == "gs" and count < heads <= 2 * count
    )  # gcsfs asks again at times


def test_what_is_left_alone_is_copied_byte_for_byte(store):
    list(run_plan(plan_batch(f"{store.root}/photos", f"{store.root}/out"), leave))
    assert {name: store.get(f"out/{name}") for name in NAMES} == PICTURES


def test_here_and_there(store, tmp_path):
    list(run_plan(plan_batch(f"{store.root}/photos", tmp_path / "here"), leave, preserve_times=True))
    assert {name: (tmp_path / "here" / name).read_bytes() for name in NAMES} == PICTURES
    here = (tmp_path / "here" / "0.png").stat()
    assert here.st_mtime == pytest.approx(store.modified("photos/0.png"), abs=1e-5)
    list(
        run_plan(plan_batch([tmp_path / "here", f"{store.root}/photos/0.png"], f"{store.root}/both/"), leave)
    )
    assert store.keys("both") == [f"both/{name}" for name in NAMES]


def test_one_object_is_named_without_a_search(store):
    (record,) = run_plan(plan_batch(f"{store.root}/photos/0.png", f"{store.root}/one.jpg"), invert)
    assert record.output == f"{store.root}/one.jpg"
    assert store.keys("one") == ["one.jpg"]
    assert store.content_type("one.jpg") == "image/jpeg"
    assert store.asked["LIST"] == 0


def test_an_object_without_a_suffix_is_known_by_its_content(store):
    store.put("scan", PICTURES["0.png"])
    (job,) = plan_batch(f"{store.root}/scan", f"{store.root}/out").jobs
    assert str(job.target) == f"{store.root}/out/scan.png"


def test_a_list_names_objects_and_files(store):
    listed = read_list(f"{store.root}/photos/sub/2.png\nhere/a.png\n".encode())
    jobs = plan_batch([], f"{store.root}/out", listed=listed).jobs
    assert [str(job.target) for job in jobs] == [
        f"{store.root}/out/photos/sub/2.png",
        f"{store.root}/out/here/a.png",
    ]


def test_patterns(store):
    found = find_images(f"{store.root}/photos/sub/*.png").sources
    assert [str(source.path) for source in found] == [f"{store.root}/photos/sub/2.png"]
    every = find_images(f"{store.root}/photos/**/*.png").sources
    assert {source.relative.as_posix() for source in every} >= {"sub/2.png", "sub/deep/3.png"}
    store.put("photos/sub/.hidden.png", PICTURES["0.png"])
    for pattern, names in (("*.png", ["2.png"]), (".h*.png", [".hidden.png"])):
        found = find_images(f"{store.root}/photos/sub/{pattern}").sources
        assert [source.relative.as_posix() for source in found] == names


def test_a_name_that_looks_like_a_pattern_and_a_whole_bucket(store):
    store.put("scans [2024]/a b#?.png", PICTURES["0.png"])
    (source,) = find_images(f"{store.root}/scans [2024]").sources
    assert str(source.path) == f"{store.root}/scans [2024]/a b#?.png"
    assert len(find_images(store.root).sources) == len(NAMES) + 1
    (record,) = run_plan(plan_batch(f"{store.root}/scans [2024]", f"{store.root}/out"), invert)
    assert record.output == f"{store.root}/out/a b#?.png"
    assert store.keys("out") == ["out/a b#?.png"]


def test_hidden_objects_results_and_odd_names_are_not_taken(store):
    for key in (".hidden.png", ".thumbnails/a.png", "0.restored.png", "notes.txt", "folder/"):
        store.put(f"photos/{key}", b"x")
    store.put("photos/../../etc/a.png", b"x")
    store.put("photos//double.png", b"x")
    found = find_images(f"{store.root}/photos")
    assert [source.relative.as_posix() for source in found.sources] == list(NAMES)
    assert sorted(str(problem.path) for problem in found.problems) == [
        f"{store.root}/photos/../../etc/a.png",
        f"{store.root}/photos//double.png",
    ]


def test_a_name_that_s3fs_takes_for_a_version_fails_alone(store):
    if not store.root.startswith("s3://"):
        pytest.skip("s3fs alone reads versions in names")
    store.put("photos/3.png?versionId=1.png", PICTURES["0.png"])
    errors = [
        record.error for record in run_plan(plan_batch(f"{store.root}/photos", f"{store.root}/out"), invert)
    ]
    (error,) = filter(None, errors)
    assert error.startswith(f"{store.root}/")
    assert "?versionId=" in error
    assert "for a version" in error
    assert store.keys("out") == [f"out/{name}" for name in NAMES]


def test_results_below_the_source_are_not_restored_again(store):
    for _ in range(2):
        plan = plan_batch(f"{store.root}/photos", f"{store.root}/photos/better", overwrite=True)
        assert len(list(run_plan(plan, invert))) == len(NAMES)
    again = plan_batch(f"{store.root}/photos", f"{store.root}/other")
    assert len(again.jobs) == len(NAMES)
    assert "better" in again.remarks[0]


def test_an_output_above_the_source_hides_nothing(store):
    assert len(plan_batch(f"{store.root}/photos", store.root).jobs) == len(NAMES)
    assert len(plan_batch(f"{store.root}/photos/*.png", store.root).jobs) == 2
    with pytest.raises(UsageError, match="is an input itself"):
        plan_batch(f"{store.root}/photos", f"{store.root}/photos", overwrite=True)


def test_what_is_there_stays(store):
    store.put("out/0.png", b"mine")
    plan = plan_batch(f"{store.root}/photos", f"{store.root}/out")
    errors = [record.error for record in run_plan(plan, invert)]
    assert "exists already" in errors[0]
    assert errors[1:] == [None] * (len(NAMES) - 1)
    assert store.get("out/0.png") == b"mine"
    skipped = list(run_plan(plan_batch(f"{store.root}/photos", f"{store.root}/out", resume=True), invert))
    assert all(record.skipped for record in skipped)
    list(run_plan(plan_batch(f"{store.root}/photos/0.png", f"{store.root}/out", overwrite=True), invert))
    assert store.get("out/0.png") != b"mine"


def test_what_appears_while_it_is_restored_stays(store):
    def slow(photo):
        store.put("out/0.png", b"mine")
        return invert(photo)

    (record,) = run_plan(plan_batch(f"{store.root}/photos/0.png", f"{store.root}/out"), slow)
    assert "exists already" in record.error
    assert store.get("out/0.png") == b"mine"


def test_an_input_is_never_replaced(store):
    with pytest.raises(UsageError, match="is an input itself"):
        plan_batch(f"{store.root}/photos/0.png", f"{store.root}/photos/", overwrite=True)


def test_a_bucket_that_is_not_there(store, tmp_path):
    with pytest.raises(UsageError, match=r"://nothing-here/photos: .*no such bucket"):
        plan_batch(f"{store.scheme}://nothing-here/photos", tmp_path)

    def restore(photo):
        pytest.fail("it cannot be written")

    records = list(
        run_plan(plan_batch(f"{store.root}/photos", f"{store.scheme}://nothing-here/out"), restore)
    )
    assert [record.error.rpartition(": ")[2] for record in records] == ["there is no such bucket."] * len(
        NAMES
    )


def test_an_object_that_disappears_fails_alone(store):
    plan = plan_batch(f"{store.root}/photos", f"{store.root}/out")
    store.delete("photos/1.png")
    errors = [record.error for record in run_plan(plan, invert)]
    assert errors == [None, f"{store.root}/photos/1.png: cannot be read: no such object.", None, None]


def test_an_object_that_is_replaced_while_it_is_read_fails_alone(store):
    plan = plan_batch(f"{store.root}/photos/0.png", f"{store.root}/out")

    def replace(method, path):
        if method == "GET" and path.endswith("photos/0.png"):
            store.put("photos/0.png", b"a longer one" * 1000)

    store.fault = replace
    (record,) = run_plan(plan, invert)
    assert "was changed while it was read" in record.error


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_access_that_is_refused_fails_alone(store, method):
    if (store.scheme, method) == ("gs", "HEAD"):
        pytest.skip("gcsfs then finds the facts in a list")
    plan = plan_batch(f"{store.root}/photos", f"{store.root}/out")
    store.fault = lambda asked, path: (
        ("403 Forbidden", "AccessDenied") if asked == method and path.endswith("1.png") else None
    )
    errors = [record.error for record in run_plan(plan, invert)]
    assert [error is None for error in errors] == [True, False, True, True]
    assert f"{store.root}/" in errors[1]
    assert "refuses access" in errors[1]


def test_what_is_far_too_large_is_not_fetched(store, monkeypatch):
    monkeypatch.setattr("clearair.image.limits._SPARE_BYTES", 0)
    (record,) = run_plan(plan_batch(f"{store.root}/photos/0.png", f"{store.root}/out"), invert, max_pixels=1)
    assert "more than a picture of 1 pixels can take" in record.error
    assert store.asked.keys() == {"GET", "HEAD"}
    assert store.asked["GET"] == 1  # of the result; of the input only what it is like


def test_a_journal_knows_each_object(store, tmp_path):
    with closing(begin(store, tmp_path)) as journal:
        list(run_journal(journal, run))
        assert journal.counts()[State.RESTORED] == len(NAMES)
        check_results(journal)
        assert list(verify(journal)) == []
        store.asked.clear()
        assert list(run_journal(journal, run)) == []
        assert store.asked.total() == 0  # nothing is listed or done twice


def test_what_was_changed_or_is_gone_is_found_and_repaired(store, tmp_path):
    with closing(begin(store, tmp_path)) as journal:
        list(run_journal(journal, run))
        store.put("photos/0.png", PICTURES["1.png"][:-1] + b"x")
        store.delete("out/1.png")
        store.put("out/sub/2.png", b"someone else's")
        wrong = dict(verify(journal))
        told = [what.partition(": ")[2] for what in wrong.values()]
        assert told[0].startswith("was changed since")
        assert told[1] == "is gone."
        assert told[2].startswith("differs from what was written")
        store.put("photos/0.png", PICTURES["0.png"])
        assert repair(journal, wrong) == 2
        list(run_journal(journal, run))
        assert store.get("out/sub/2.png") == b"someone else's"
        assert journal.counts()[State.RESTORED] == len(NAMES)


@pytest.mark.parametrize("step", ["claim", "check", "written", "finish"])
def test_a_run_that_ends_at_any_step_goes_on(store, tmp_path, monkeypatch, step):
    """What a crash leaves is a journal and a bucket, as they are when nothing more is noted."""
    whole = getattr(JournalLedger, step)

    class CrashError(BaseException):
        pass

    def crash(self, *values):
        if self._number_of_steps(step) == 2:
            raise CrashError
        whole(self, *values)

    counts: dict[str, int] = {}

    def counted(self, name):
        counts[name] = counts.get(name, 0) + 1
        return counts[name]

    monkeypatch.setattr(JournalLedger, "_number_of_steps", counted, raising=False)
    with closing(begin(store, tmp_path)) as journal:
        with monkeypatch.context() as broken:
            broken.setattr(JournalLedger, step, crash)
            with pytest.raises(CrashError):
                list(run_journal(journal, run))
        written = {key: store.modified(key) for key in store.keys("out")}
        list(run_journal(journal, run))
        assert journal.counts()[State.RESTORED] == len(NAMES)
        check_results(journal)
        for key, modified in written.items():  # what was there was not written again
            assert store.modified(key) == modified


def test_parts_share_a_bucket(store, tmp_path):
    with closing(begin(store, tmp_path)) as journal:
        for number in (1, 2):
            with closing(open_shard(journal, Shard(number, 2))) as part:
                list(run_journal(part, run))
        assert overview(journal)[State.RESTORED] == len(NAMES)
        assert len(shards_of(journal.path)) == 2
    assert store.keys("out") == [f"out/{name}" for name in NAMES]


def test_no_credentials_are_kept(store, tmp_path):
    with closing(begin(store, tmp_path)) as journal:
        store.fault = lambda *_: ("403 Forbidden", "InvalidAccessKeyId")
        list(run_journal(journal, run))
        notes = [entry.note for entry in journal.entries(State.FAILED)]
        assert len(notes) == len(NAMES)
    for path in tmp_path.iterdir():
        for secret in store.secrets:
            assert secret.encode() not in path.read_bytes()
    assert not any("never-to-be" in note for note in notes)


def test_nothing_is_left_in_the_temporary_folder(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    list(run_plan(plan_batch(f"{store.root}/photos", f"{store.root}/out"), invert))
    assert list(tmp_path.iterdir()) == []


def test_a_report_lies_on_this_machine(store, tmp_path):
    with pytest.raises(UsageError, match="a file on this machine"):
        plan_batch(f"{store.root}/photos", f"{store.root}/out", report=f"{store.root}/report.json")
    list(
        run_plan(
            plan_batch(f"{store.root}/photos", f"{store.root}/out", report=tmp_path / "report.json"), invert
        )
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert [record["input"] for record in report] == [f"{store.root}/photos/{name}" for name in NAMES]
