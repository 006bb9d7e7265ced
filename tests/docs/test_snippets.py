"""Code in the documentation: Python runs, command lines parse, and files that are named are there."""

import ast
import re
from typing import Any

import click
import numpy as np
import pytest

import clearair
from clearair.apps.cli.program import cli
from tests.docs.pages import OUTSIDE, ROOT, Block, blocks, command_lines, current_pages

PYTHON = [block for block in blocks() if block.language == "python"]
PUBLIC = {"clearair", "clearair.perception"}
PATHS = re.compile(r"\b(?:src|tests|benchmarks|docs|examples|tools)/[\w./-]+\.\w+")


def line_id(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def named(block: Block) -> str:
    return f"{block.page}:{block.code.splitlines()[0]}"


@pytest.mark.parametrize("block", [block for block in PYTHON if "no-run" not in block.info], ids=named)
def test_python_in_the_documentation_runs(block, tmp_path, monkeypatch):
    from clearair.image import Photo, write_photo

    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        write_photo(Photo(noise), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.code, block.page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", [block for block in PYTHON if "internal" not in block.info], ids=named)
def test_documentation_imports_public_names_only(block):
    for node in ast.walk(ast.parse(block.code)):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        ours = {str(name) for name in modules if str(name).split(".")[0] == "clearair"}
        assert ours <= PUBLIC
        if ours == {"clearair"} and isinstance(node, ast.ImportFrom):
            assert {alias.name for alias in node.names} <= set(clearair.__all__)


def parsed(words: tuple[str, ...]) -> tuple[click.Command, dict[str, Any]]:
    """Return the command of a line and its values by parameter. Raises click's errors."""
    command: click.Command = cli
    arguments = list(words)
    context = click.Context(cli, info_name="clearair")
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        subcommand = command.get_command(context, name)
        if subcommand is None:
            raise click.UsageError(f"There is no command {name!r}.")
        command, context = subcommand, click.Context(subcommand, context, name)
    values, _, _ = command.make_parser(context).parse_args(arguments)
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, (click.Choice, click.IntRange, click.FloatRange)) and given(value):
            parameter.type_cast_value(context, value)
    return command, dict(values)


def given(value: object) -> bool:
    """Tell whether a line says a value; click has a placeholder where it does not."""
    return isinstance(value, (str, list, tuple, bool)) and value not in ((), [])


@pytest.mark.parametrize(("page", "words"), command_lines(), ids=line_id)
def test_command_lines_in_the_documentation_parse(page, words):
    parsed(words)


@pytest.mark.parametrize(("page", "words"), command_lines(mentions=False), ids=line_id)
def test_command_lines_in_code_blocks_are_complete(page, words):
    command, values = parsed(words)
    if not any(values.get(each.name or "") for each in command.params if each.is_eager):
        missing = [each.name for each in command.params if each.required and not given(values.get(each.name))]
        assert missing == []


def test_fields_of_recipes_in_the_documentation_exist():
    from clearair.training.recipes import RECIPES, read_recipe

    checked = 0
    for _, words in command_lines():
        if len(words) > 2 and words[0] == "train" and words[1] in RECIPES:
            _, values = parsed(words)
            fields = [
                word
                for value in values.values()
                if isinstance(value, (tuple, list))
                for word in value
                if isinstance(word, str) and re.match(r"[a-z_.]+=", word)
            ]
            read_recipe(words[1], fields)
            checked += len(fields)
    assert checked > 8


@pytest.mark.parametrize("block", [block for block in blocks() if block.language == "toml"], ids=named)
def test_recipe_files_in_the_documentation_are_read(block, tmp_path):
    from clearair.training.recipes import read_recipe
    from clearair.training.series.series import is_series, read_series

    file = tmp_path / "mine.toml"
    file.write_text(block.code)
    if is_series(str(file)):
        assert len(read_series(str(file)).runs) > 1
    else:
        assert read_recipe(str(file)) != read_recipe("compact")


@pytest.mark.parametrize(
    "words",
    [("restore", "photo.jpg", "--damages", "haze"), ("inspects", "photo.jpg"), ("train", "--views", "x")],
)
def test_wrong_command_lines_do_not_parse(words):
    with pytest.raises(click.UsageError):
        parsed(words)


def test_enough_command_lines_are_found():
    names = {words[0] for _, words in command_lines() if words}
    assert set(cli.commands) <= names


def test_files_that_pages_name_are_there():
    missing = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in current_pages()
        for path in PATHS.findall(page.read_text())
        if not (ROOT / path).exists() and not re.search("KIND|NAME", path)
    }
    assert missing == set()


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_pages_outside_the_site_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_index_of_benchmarks_lists_them_all():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    programs = [file for file in (ROOT / "benchmarks").glob("*.py") if "__main__" in file.read_text()]
    assert programs
    assert [file.name for file in programs if file.name not in text] == []


def test_the_first_two_shell_blocks_of_the_readme_set_up_and_restore_then_set_up_and_test():
    shell = [block.code for block in blocks() if block.page == "README.md" and block.language == "sh"]
    assert len(shell) == 2
    assert shell[0].strip().endswith("clearair restore examples/degraded.jpg -o restored/")
    assert shell[1].strip().endswith("pytest -n auto")
    assert all(len(code.splitlines()) == 1 for code in shell)
