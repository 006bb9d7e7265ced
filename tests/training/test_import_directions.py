"""Inside `training` imports point one way: the loop knows nothing of what it trains."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import clearair.training

ROOT = Path(clearair.training.__file__).parent


def imported(part: str) -> set[str]:
    """The parts of `training` that the modules of a part import."""
    found = set()
    for path in (ROOT / part).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clearair.training."):
                found.add(str(node.module).split(".")[2])
    return found


@pytest.mark.parametrize(
    ("part", "allowed"),
    [("loop", {"loop"}), ("restorer", {"loop", "restorer"}), ("perceivers", {"loop", "perceivers"})],
)
def test_a_part_imports_only_what_is_below_it(part, allowed):
    assert imported(part) <= allowed
