"""The hidden folder of a run."""

import pytest

from clearair import ExistsError, ImageError, OutputError
from clearair.video.coding import Packet
from clearair.video.segments import Plan, WorkFolder
from clearair.video.shots import Gathering
from tests.video.test_shots import CAUTION, gathered

PACKETS = [Packet(b"first", 0, 2, True), Packet(b"third", 6, 0, False), Packet(b"second", 3, 3, False)]
JOB = {"strength": 1.0, "input": ["clip.mp4", 5]}


@pytest.fixture
def folder(tmp_path):
    return WorkFolder(tmp_path / "clip.mp4")


def enter(folder, job=JOB, **options):
    return folder.entered(job, **{"resume": False, "overwrite": False, **options})


def test_a_segment_comes_back_as_it_was_saved(folder):
    with enter(folder):
        assert not folder.has(3)
        folder.save(3, PACKETS, b"head", 2)
        assert folder.has(3)
        assert folder.packets(3) == PACKETS
        assert (folder.head(3), folder.changed(3), folder.times(3)) == (b"head", 2, [0, 6, 3])


def test_a_plan_comes_back_as_it_was_saved(folder):
    with enter(folder):
        assert folder.plan() is None
        plan = Plan(60, (0, 25), ("left out: something",))
        folder.save_plan(plan)
        assert folder.plan() == plan


def test_a_folder_without_anything_to_go_on_with_goes_away(folder):
    with enter(folder):
        assert folder.path.is_dir()
    assert not folder.path.exists()


@pytest.mark.parametrize("what", ["segment", "shot", "look"])
def test_whatever_took_long_is_kept_for_the_same_job(folder, what):
    with enter(folder):
        if what == "segment":
            folder.save(0, PACKETS, b"", 0)
        elif what == "shot":
            folder.save_shot(0, gathered([1]).mean(CAUTION))
        else:
            folder.save_gathered(0, gathered([1, 2]))
    with pytest.raises(ExistsError, match="resume=True continues"), enter(folder):
        pass
    with (
        pytest.raises(OutputError, match="another strength;"),
        enter(folder, {**JOB, "strength": 2}, resume=True),
    ):
        pass
    with enter(folder, resume=True):
        assert (folder.has(0), folder.has_shot(0)) == (what == "segment", what == "shot")
        assert folder.gathered(0).count == (2 if what == "look" else 0)
        assert folder.gathered(1).count == 0
    with enter(folder, overwrite=True):
        assert {path.name for path in folder.path.iterdir()} == {"lock", "job.json", "replaces"}


def find_damage(folder):
    with enter(folder):
        folder.save_shot(0, gathered([1]).mean(CAUTION))
        raise ImageError("clip.mp4: damaged")


def test_a_video_that_turns_out_to_be_damaged_leaves_nothing(folder):
    with pytest.raises(ImageError):
        find_damage(folder)
    assert not folder.path.exists()


def test_one_run_at_a_time_has_the_folder(folder):
    with enter(folder):
        folder.save(0, PACKETS, b"", 0)
        with pytest.raises(Exception, match=r"\.clip\.mp4\.clearair"), enter(folder, resume=True):
            pass
        assert folder.has(0)


@pytest.mark.parametrize(
    "data", [b"", b"clearair segment 1\n", b"clearair segment 1\n[]\n", b"something else\n{}\n"]
)
def test_a_damaged_segment_is_named(folder, data):
    with enter(folder):
        folder.save(0, PACKETS, b"", 0)
        path = folder.path / "segment-000000"
        path.write_bytes(data)
        for read in (folder.packets, folder.changed, folder.head, folder.times):
            with pytest.raises(OutputError, match="segment-000000: is damaged; remove it"):
                read(0)


def test_a_segment_that_is_cut_off_is_named(folder):
    with enter(folder):
        folder.save(0, PACKETS, b"", 0)
        path = folder.path / "segment-000000"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(OutputError, match="is damaged"):
            folder.packets(0)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"frames": "x", "shots": [], "notes": []}', b"\xff"])
def test_a_damaged_plan_is_named(folder, data):
    with enter(folder):
        folder.save_plan(Plan(1, (0,), ()))
        (folder.path / "plan.json").write_bytes(data)
        with pytest.raises(OutputError, match=r"plan\.json: is damaged"):
            folder.plan()


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x93NUMPY"])
def test_damaged_judgements_are_named(folder, data):
    with enter(folder):
        folder.save_shot(0, gathered([1]).mean(CAUTION))
        folder.save_gathered(1, Gathering())
        for path in folder.path.glob("*.npz"):
            path.write_bytes(data)
        with pytest.raises(OutputError, match=r"shot-000000\.npz: is damaged"):
            folder.percepts(0)
        with pytest.raises(OutputError, match=r"look\.npz: is damaged"):
            folder.gathered(1)
