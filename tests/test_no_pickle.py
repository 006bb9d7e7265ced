"""Nothing but `--trust-pickle` opens a file that can run code."""

import ast
from pathlib import Path

import pytest

import clearair

SOURCES = sorted(Path(clearair.__file__).parent.rglob("*.py"))
MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "_pickle"}
CALLS = {
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "yaml.load_all",
    "yaml.unsafe_load_all",
    "torch.jit.load",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.package.PackageImporter",
    "pandas.read_pickle",
    "eval",
    "exec",
    "__import__",
}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def calls(tree):
    """What is called, as it is written, and the keywords that are constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {
                each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)
            }
            yield ast.unparse(node.func), words, node


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text()) for path in SOURCES}


def test_no_module_is_imported_that_stores_code(trees):
    found = [(path.name, name) for path, tree in trees.items() for name in imported(tree) if name in MODULES]
    assert found == []


def test_nothing_is_called_that_runs_what_it_reads(trees):
    found = [(path.name, name) for path, tree in trees.items() for name, *_ in calls(tree) if name in CALLS]
    assert found == []


def test_numpy_never_opens_a_pickle(trees):
    loads = [
        (path.name, words)
        for path, tree in trees.items()
        for name, words, _ in calls(tree)
        if name in ("np.load", "numpy.load")
    ]
    assert loads
    assert [each for each in loads if each[1].get("allow_pickle", False) is not False] == []


def test_torch_opens_a_pickle_only_where_it_is_trusted(trees):
    loads = {
        path: [words.get("weights_only") for name, words, _ in calls(tree) if name == "torch.load"]
        for path, tree in trees.items()
    }
    (path,) = [path for path, words in loads.items() if words]
    assert (path.name, sorted(loads[path])) == ("weights.py", [False, True])
    (reader,) = [
        node
        for node in trees[path].body
        if isinstance(node, ast.FunctionDef) and "weights_only=False" in ast.unparse(node)
    ]
    text = ast.unparse(reader)
    guard = text.index("if not trust_pickle:")
    assert text.index("raise", guard) < text.index("weights_only=False")


def test_who_trusts_pickles_was_told_to(trees):
    """Only the parameter of this name is handed on, and it is False by itself."""
    for path, tree in trees.items():
        for name, _, node in calls(tree):
            for each in node.keywords:
                if each.arg == "trust_pickle":
                    assert ast.unparse(each.value) == "trust_pickle", (path.name, name)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                for argument, default in defaults:
                    if argument.arg == "trust_pickle":
                        assert default is not None, path.name
                        assert ast.unparse(default) == "False", path.name
