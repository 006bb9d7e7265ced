"""What the project says about itself agrees wherever it says it."""

import tomllib

import yaml

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_has_the_version_and_licence_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2601.02763"


def test_the_changelog_names_the_version_of_the_project():
    assert PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text()


def test_every_tested_version_is_one_that_the_project_allows():
    from packaging.requirements import Requirement

    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    extras = [each for group in PROJECT["optional-dependencies"].values() for each in group]
    for wanted in map(Requirement, [*PROJECT["dependencies"], *extras]):
        if wanted.name.lower() in pinned:
            assert wanted.specifier.contains(pinned[wanted.name.lower()]), wanted
    missing = {
        wanted.name
        for wanted in map(Requirement, PROJECT["dependencies"])
        if wanted.name.lower() not in pinned and wanted.name.lower() != "clearair"
    }
    assert missing == set()


def test_hooks_before_a_commit_run_tools_that_the_test_environment_has():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    tools = {hook["entry"].split()[0] for hook in hooks}
    wanted = {each.split(">=")[0] for each in PROJECT["optional-dependencies"]["test"]}
    assert tools <= wanted
