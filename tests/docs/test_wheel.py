"""The built wheel, installed by itself, restores a photo."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sbom

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **environment: str) -> str:
    """Return what a command prints on standard output; its errors fail the test."""
    done = subprocess.run(
        [str(word) for word in command], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nothing but the installed wheel; its dependencies are this environment's.

    The wheel is built from a source archive, so that holds all it needs, too.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "tools", source / "tools")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    build = f"import os, backend; os.chdir({str(source)!r}); print(backend.build_sdist({str(folder)!r}))"
    packed = run(sys.executable, "-c", build, PYTHONPATH=str(source / "tools")).splitlines()[-1]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    run(*pip, "wheel", folder / packed, "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    (wheel,) = folder.glob("*.whl")
    run(*pip, "install", wheel, "--no-deps", "--no-index", "--target", folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_installed_wheel_restores_a_photo(installed, tmp_path):
    where = run(
        sys.executable,
        "-c",
        "import clearair; print(clearair.__file__, clearair.__version__)",
        PYTHONPATH=str(installed),
    )
    assert Path(where.split()[0]).is_relative_to(installed)
    shutil.copy(ROOT / "examples" / "degraded.jpg", tmp_path)
    program = installed / "bin" / "clearair"
    said = run(
        sys.executable,
        program,
        "restore",
        tmp_path / "degraded.jpg",
        "-o",
        tmp_path / "restored",
        PYTHONPATH=str(installed),
    )
    assert said.strip().endswith("restored")
    assert (tmp_path / "restored" / "degraded.jpg").stat().st_size > 10_000


@pytest.mark.slow
def test_the_wheel_holds_licences_and_weights_but_no_tests(installed):
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert "clearair/models/weights/compact/model.safetensors" in files
    assert "clearair/py.typed" in files
    assert {Path(name).name for name in files if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert [name for name in files if name.startswith(("tests/", "docs/", "benchmarks/"))] == []


@pytest.mark.slow
def test_the_wheel_holds_a_list_of_what_is_in_it(installed):
    (path,) = installed.glob("*.dist-info/sboms/*")
    assert path.name == "clearair.cdx.json"
    assert path.read_text() == sbom.written()
    listed = {
        file["name"]: file["hashes"][0]["content"]
        for each in json.loads(path.read_text())["components"]
        for file in each.get("components", [])
    }
    assert len(listed) > 15
    for name, value in listed.items():
        assert hashlib.sha256((installed / name).read_bytes()).hexdigest() == value, name
