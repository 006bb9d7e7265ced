"""Runs on a real Ray cluster of this machine, with two actors."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from clearair.cluster import Cluster, check_cluster
from clearair.errors import MissingExtraError, UsageError
from clearair.files.journal import Journal, State
from clearair.files.journaled import verify, working_on
from clearair.files.outputs import Job
from clearair.files.planning import plan_batch
from clearair.image import Photo, read_photo, write_photo

COUNT = 8
LOADING = {"backend": "onnx"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster("local", LOADING, {}, cores=1) as made:
        yield made


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "photos").mkdir()
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = draw.normal(120, 40, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        write_photo(Photo(pixels), tmp_path / "photos" / f"{number}.png")
    plan = plan_batch(tmp_path / "photos", tmp_path / "out")
    made = Journal.create(tmp_path / "run.db", plan.jobs, {"out": str(plan.out)})
    yield made
    made.close()


def check(journal: Journal, restored: int = COUNT) -> None:
    assert journal.counts()[State.RESTORED] == restored
    assert list(verify(journal)) == []
    out = journal.path.parent / "out"
    assert len(list(out.iterdir())) == restored  # and nothing hidden is left


def test_all_photos_are_restored_as_without_a_cluster(cluster, journal):
    from clearair import Restorer

    records = list(cluster.run(journal))
    assert sorted(record.input for record in records) == [str(entry.source) for entry in journal.entries()]
    assert all("noise" in record.found for record in records)
    check(journal)
    entry = next(journal.entries())
    alone = Restorer.from_pretrained(**LOADING)(entry.source)
    assert (read_photo(entry.target).pixels == alone.photo.pixels).all()
    assert list(cluster.run(journal)) == []


def test_photos_of_an_actor_that_is_lost_are_done_by_others(cluster, journal):
    import ray

    before, killed = cluster.restarts, False
    for _ in cluster.run(journal):
        if not killed:
            killed = True
            ray.kill(cluster.actors[0].handle)
    assert cluster.restarts == before + 1
    check(journal)


def test_what_cannot_be_read_fails_alone(cluster, journal):
    sources = [entry.source for entry in journal.entries()]
    sources[0].write_text("no picture")
    sources[1].unlink()
    list(cluster.run(journal))
    failed = {entry.source: entry.note for entry in journal.entries(State.FAILED)}
    assert "not a picture" in failed[sources[0]]
    assert "cannot be read" in failed[sources[1]]
    check(journal, COUNT - 2)


def test_a_result_that_is_there_already_stays(cluster, journal):
    target = next(journal.entries()).target
    target.parent.mkdir()
    target.write_text("mine")
    list(cluster.run(journal))
    assert target.read_text() == "mine"
    assert "exists already" in next(journal.entries(State.FAILED)).note


def test_a_result_whose_folder_cannot_be_made_fails_alone(cluster, tmp_path, journal):
    source = next(journal.entries()).source
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "sub").write_text("a file")
    jobs = [Job(source, tmp_path / "there" / name) for name in ("sub/a.png", "fresh/b.png")]
    jobs[1] = replace(jobs[1], source=list(journal.entries())[1].source)
    with closing(Journal.create(tmp_path / "other.db", jobs, {})) as other:
        list(cluster.run(other))
        assert [entry.state for entry in other.entries()] == [State.FAILED, State.RESTORED]
        assert "sub" in next(other.entries(State.FAILED)).note


def test_a_run_that_is_broken_off_goes_on(cluster, journal):
    records = cluster.run(journal)
    next(records)
    records.close()
    counts = journal.counts()
    assert counts[State.RUNNING] == counts[State.WRITING] == 0
    list(cluster.run(journal))
    check(journal)


def test_a_journal_that_another_run_holds(cluster, journal):
    program = (
        "from pathlib import Path; import sys\n"
        "from clearair.files.journal import Journal\n"
        "from clearair.files.journaled import working_on\n"
        f"with working_on(Journal.open(Path({str(journal.path)!r}))):\n"
        "    print('held', flush=True); input()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match="another run"):
        list(cluster.run(journal))
    holder.communicate(b"\n")
    with working_on(journal):
        pass


def test_a_model_that_no_actor_can_load_is_said(journal):
    program = f"""
from pathlib import Path
from clearair.cluster import Cluster
from clearair.errors import UsageError
from clearair.files.journal import Journal
with Cluster("local", {{"name": "nothing"}}, {{}}, cores=1) as cluster:
    try:
        list(cluster.run(Journal.open(Path({str(journal.path)!r}))))
    except UsageError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "cannot load the model" in done.stdout
    assert "no model 'nothing'" in done.stdout
    assert journal.counts()[State.PENDING] == COUNT


def test_machines_with_and_without_a_gpu_share_the_work(journal):
    """Ray is told of a GPU that PyTorch does not find: its actor restores all the same."""
    program = f"""
from pathlib import Path
from ray.cluster_utils import Cluster as Nodes
from clearair.cluster import Cluster
from clearair.files.journal import Journal
nodes = Nodes(initialize_head=True, head_node_args=dict(num_cpus=1, num_gpus=1, include_dashboard=False))
nodes.add_node(num_cpus=1)
with Cluster(nodes.address, {{"backend": "onnx"}}, {{}}, cores=1) as cluster:
    print([actor.gpus for actor in cluster.actors])
with Cluster(nodes.address, {{}}, {{}}, cores=1) as cluster:
    print([actor.gpus for actor in cluster.actors])
    done = list(cluster.run(Journal.open(Path({str(journal.path)!r}))))
    print(len(done), [record.error for record in done if record.error])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    assert done.stdout.splitlines() == ["[0, 0]", "[1, 0]", f"{COUNT} []"], done.stderr
    check(journal)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"clearair\[cluster\]"):
        Cluster("auto", LOADING, {})


def test_the_command(tmp_path, journal):
    photos = next(journal.entries()).source.parent
    words = ["restore", str(photos), "-o", "there", "--cluster", "local", "--backend", "onnx"]
    command = [sys.executable, "-m", "clearair", *words]
    without = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert without.returncode == 2
    assert "--journal" in without.stderr
    done = subprocess.run(
        [*command, "--journal", "other.db"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} photos: {COUNT} restored" in done.stderr
    assert len(list(Path(tmp_path / "there").iterdir())) == COUNT


@pytest.mark.slow  # actors of their own, which get the address of the server when they start
def test_actors_read_and_write_a_store_themselves(journal, tmp_path):
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    from tests.object_store import BUCKET, running

    with running() as store:
        store.upload(tmp_path / "photos", "photos")
        store.put("out/0.png", b"mine")
        words = ["restore", f"s3://{BUCKET}/photos", "-o", f"s3://{BUCKET}/out", "--backend", "onnx"]
        command = [sys.executable, "-m", "clearair", *words, "--journal", "stored.db", "--cluster", "local"]
        settings = {**os.environ, **store.settings}
        options = {"cwd": tmp_path, "env": settings, "capture_output": True, "text": True, "timeout": 300}
        done = subprocess.run(command, **options)
        assert "0.png: exists already" in done.stderr
        assert f"{COUNT} photos: {COUNT - 1} restored, 1 failed" in done.stderr
        assert store.get("out/0.png") == b"mine"
        assert store.keys("out") == [f"out/{number}.png" for number in range(COUNT)]  # and nothing else
        verified = subprocess.run([*command[:3], "batch", "verify", "stored.db"], **options)
        assert f"{COUNT - 1} results checked, 0 wrong" in verified.stdout


def test_an_address_where_nothing_answers_is_refused_at_once(journal, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"--cluster {address}: cannot be reached"):
            check_cluster(address)
        done = subprocess.run(
            [sys.executable, "-m", "clearair", "restore", tmp_path / "photos", "-o", tmp_path / "new",
             "--journal", tmp_path / "new.db", "--cluster", address],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("address", ["a..b:6379", "host:70000", "host:" + "9" * 5000, f"{'a' * 70}.b:1"])
def test_what_is_no_address_is_refused_in_one_line(address):
    with pytest.raises(UsageError, match="--cluster"):
        check_cluster(address)
