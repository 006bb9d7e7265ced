"""The image that the Dockerfile makes installs what is locked, and the locks are up to date."""

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {name: (ROOT / "requirements" / name).read_text() for name in ("serve.txt", "build.txt")}
ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+).*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
LINUX = {"python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux"}


def locked(name):
    """Versions by name."""
    return {canonicalize_name(found[1]): found[2] for found in ENTRY.finditer(LOCKS[name])}


def with_all_they_need(requirements):
    """Names of distributions, with those that they need by themselves, as installed here."""
    done, names, waiting = set(), set(), [(each, "") for each in requirements]
    while waiting:
        text, extra = waiting.pop()
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({**LINUX, "extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        names.add(name)
        for chosen in ("", *wanted.extras):
            if (name, chosen) not in done:
                done.add((name, chosen))
                waiting += [(each, chosen) for each in requires(name) or ()]
    return names


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_distributions_with_hashes_and_nothing_else(name):
    rest = ENTRY.sub("", LOCKS[name])
    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    assert "//" not in LOCKS[name]
    assert not re.search(r"\s/\w", LOCKS[name])  # no absolute path


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_versions_that_are_tested(name):
    pinned = (
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    tested = {canonicalize_name(each): version for each, version in pinned}
    assert locked(name) == {each: tested[each] for each in locked(name)}


def test_the_server_is_locked_with_all_it_needs():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"]]
    assert set(locked("serve.txt")) == with_all_they_need(wanted)
    assert "torch" not in locked("serve.txt")


def test_what_builds_is_locked_with_all_it_needs():
    lines = (ROOT / "requirements" / "build.in").read_text().splitlines()
    wanted = [line for line in lines if not line.startswith("#")]
    assert set(locked("build.txt")) == {"pkgconfig", *with_all_they_need(set(wanted) - {"pkgconfig>=1.5"})}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert set(needed) <= set(wanted)


def test_the_image_installs_the_locks_and_the_context_holds_what_it_copies():
    steps = (ROOT / "Dockerfile").read_text()
    for name in LOCKS:
        assert f"--require-hashes -r requirements/{name}" in steps
    context = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    assert {"requirements", "constraints.txt", "pyproject.toml", "src"} <= context
    assert all((ROOT / each).exists() for each in context)
