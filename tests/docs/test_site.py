"""The documentation site: it builds without warnings, and asks nothing of other hosts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:img|script|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//""")
IMPORTED = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    assert [page.name for page in pages if LOADED.search(page.read_text())] == []
    assert [sheet.name for sheet in site.rglob("*.css") if IMPORTED.search(sheet.read_text())] == []


@pytest.mark.slow
def test_the_reference_lists_every_command_and_every_public_name(site):
    import clearair
    from clearair.apps.cli.program import cli

    commands = (site / "reference" / "commands" / "index.html").read_text()
    assert [name for name in cli.commands if f'id="clearair-{name}"' not in commands] == []
    assert "UNSET" not in commands  # what click calls a missing default
    api = (site / "reference" / "api" / "index.html").read_text()
    names = [name for name in clearair.__all__ if not name.startswith("__")]
    assert [name for name in names if f'id="clearair.{name}"' not in api] == []
