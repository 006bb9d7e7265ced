"""The list of what a wheel contains and needs."""

import hashlib
import json
import re
import tomllib

import pytest
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL
from packaging.requirements import Requirement
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def components():
    return sbom.document()["components"]


def files(component):
    return {each["name"]: each["hashes"][0]["content"] for each in component.get("components", [])}


def test_the_document_is_valid_and_always_the_same():
    text = sbom.written()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == sbom.written()
    assert str(ROOT) not in text


def test_it_names_the_package_as_pyproject_does():
    about = json.loads(sbom.written())["metadata"]["component"]
    assert about["purl"] == f"pkg:pypi/{PROJECT['name']}@{PROJECT['version']}"
    assert about["licenses"] == [{"license": {"id": PROJECT["license"]}}]


def test_identifiers_and_licences_are_well_formed(components):
    known = get_spdx_licensing()
    for each in components:
        if "purl" in each:
            assert PackageURL.from_string(each["purl"]).name == each["name"].split("/")[-1]
        for licence in each.get("licenses", []):
            assert known.validate(licence.get("expression") or licence["license"]["id"]).errors == []


def test_every_copied_file_and_weight_is_listed_with_its_hash(components):
    listed = {name: value for each in components for name, value in files(each).items()}
    source = ROOT / "src"
    there = [
        *(source / sbom.WEIGHTS).rglob("*"),
        *(path for path in (source / sbom.STATIC).rglob("*") if path.name != "README.md"),
    ]
    hashes = {
        path.relative_to(source).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in there
        if path.is_file()
    }
    assert listed == hashes


def test_copies_are_those_that_their_own_page_tells():
    page = (ROOT / "src" / sbom.STATIC / "README.md").read_text()
    row = re.compile(r"^\| `(\S+)/` \| npm `(\S+)` \| (\S+) \| (\S+)", re.MULTILINE)
    folders = [each for each in sbom.COPIES if "/" not in each.folder]
    assert sorted(row.findall(page)) == [
        (each.folder, each.package, each.version, each.licence) for each in folders
    ]
    bundle = ROOT / "src" / sbom.STATIC / "swagger-ui" / "swagger-ui-bundle.js.LICENSE.txt"
    assert re.findall(r"@license (DOMPurify) (\S+)", bundle.read_text()) == [
        ("DOMPurify", sbom.COPIES[-1].version)
    ]


def test_the_weights_name_what_they_were_made_from(components):
    (made,) = [each for each in components if each["name"] == "clearair perceivers"]
    (origin,) = made["pedigree"]["ancestors"]
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    assert f"{origin['name']} {origin['version']}, {origin['copyright']}, Apache License" in notice


def test_declared_dependencies_are_those_of_pyproject(components):
    def names(requirements):
        return {Requirement(each).name.lower().replace("_", "-") for each in requirements}

    listed = {each["name"]: each["scope"] for each in components if "scope" in each}
    base = names(PROJECT["dependencies"])
    extras = {name for group in PROJECT["optional-dependencies"].values() for name in names(group)}
    assert {name for name, scope in listed.items() if scope == "required"} == base
    assert set(listed) == (base | extras) - {"clearair"}
