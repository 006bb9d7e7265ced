"""What an installation holds."""

import ast
import tomllib
from pathlib import Path

import pytest

import clearair

SOURCE = Path(clearair.__file__).parent
LONGEST = 60
"""Lines of a function, its decorators apart."""
PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def test_every_file_beside_the_code_is_installed_with_it():
    patterns = tomllib.loads(PROJECT.read_text())["tool"]["setuptools"]["package-data"]["clearair"]
    packed = {path for pattern in patterns for path in SOURCE.glob(pattern) if path.is_file()}
    files = {path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} == packed


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix()
)
def test_no_function_is_longer_than_a_screen(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, functions):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST, f"{node.name} has too many lines"
