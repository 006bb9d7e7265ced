"""How much memory there is: of the machine, of cgroups, below a limit on addresses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clearair.memory import _cgroup_rooms, free_addresses, free_memory, resident

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MB = 1 << 20


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_a_cgroup_of_version_2_and_those_above_it_leave_what_is_left(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("0::/user/job\n")
    write(
        root / "user", memory__max=400 * MB, memory__current=300 * MB, memory__stat=f"inactive_file {50 * MB}"
    )
    write(root / "user/job", memory__max="max", memory__current=10 * MB, memory__stat="inactive_file 0")
    assert list(_cgroup_rooms(own, root)) == [150 * MB]
    write(root / "user/job", memory__max=100 * MB)
    assert sorted(_cgroup_rooms(own, root)) == [90 * MB, 150 * MB]


def test_a_cgroup_of_version_1_is_respected(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n")
    write(
        root / "memory/a",
        memory__limit_in_bytes=400 * MB,
        memory__usage_in_bytes=100 * MB,
        memory__stat=f"cache 7\ntotal_inactive_file {20 * MB}",
    )
    assert list(_cgroup_rooms(own, root)) == [320 * MB]


def test_a_container_sees_its_own_cgroup_as_the_top_one(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("0::/docker/0123456789\n")
    write(root, memory__max=400 * MB, memory__current=100 * MB, memory__stat="inactive_file 0")
    assert list(_cgroup_rooms(own, root)) == [300 * MB]


def test_no_cgroups_limit_nothing(tmp_path):
    assert list(_cgroup_rooms(tmp_path / "none", tmp_path)) == []


def test_what_is_free_and_what_is_taken_can_be_told():
    assert 10 * MB < resident() < 100_000 * MB
    free = free_memory()
    assert free is not None
    assert free > 0


def test_a_limit_on_addresses_leaves_the_difference():
    code = (
        "import resource\n"
        "from clearair.memory import free_addresses\n"
        "assert free_addresses() is None\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, -1))\n"
        "assert 100 << 20 < free_addresses() < 1 << 30\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert free_addresses() is None
