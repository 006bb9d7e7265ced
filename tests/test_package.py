"""What an installation holds."""

import tomllib
from pathlib import Path

import clearair

SOURCE = Path(clearair.__file__).parent
PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def test_every_file_beside_the_code_is_installed_with_it():
    patterns = tomllib.loads(PROJECT.read_text())["tool"]["setuptools"]["package-data"]["clearair"]
    packed = {path for pattern in patterns for path in SOURCE.glob(pattern)}
    files = {path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} == packed
