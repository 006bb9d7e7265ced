"""`kill -9` at any moment loses nothing but the steps since the last checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "killing.py"


def killed_and_resumed(kind: str, folder: Path, data: Path, moments: int) -> list[dict]:
    command = [sys.executable, SCRIPT, kind, folder, data, moments, 0]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "moments"),
    [
        ("matrix", 2),
        pytest.param("matrix", 20, marks=pytest.mark.slow),
        pytest.param("restorer", 20, marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_at_a_random_moment_ends_with_the_same_weights(data, tmp_path, kind, moments):
    found = killed_and_resumed(kind, tmp_path, data, moments)
    assert len(found) == moments
    assert all(record["same"] for record in found)
    assert not [
        name for record in found for name in record["files"] if name.startswith(".") or "partial" in name
    ]
    if moments == 20:  # of so many, some hit what they aim at
        assert any(record["partial"] for record in found)  # killed while writing
        assert any(0 < record["step"] < 6 for record in found)
