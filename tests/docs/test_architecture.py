"""The layers that the documentation shows are the ones that are checked."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_table_of_parts_lists_the_checked_layers_in_their_order():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == ["clearair"]]
    levels = {name: level for level, line in enumerate(reversed(layers)) for name in line.split(" | ")}
    page = (ROOT / "docs" / "background" / "architecture.md").read_text()
    parts = re.findall(r"^\| `([a-z_]+)(?:\.py|/)` \|", page, re.MULTILINE)
    assert sorted(parts) == sorted(levels)
    order = [levels[part] for part in parts]
    assert order == sorted(order)
