"""The build backend: setuptools, plus the SBOM of `sbom.py` in each wheel, as PEP 770 defines.

setuptools has no setting for it yet. A wheel takes over the `*.dist-info` that was prepared for it, so the
file is put there. An editable installation holds no copies, and gets none.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sbom
from setuptools import build_meta

build_editable = build_meta.build_editable
build_sdist = build_meta.build_sdist
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable

Settings = dict[str, Any] | None


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    name = build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
    folder = Path(metadata_directory, name, "sboms")
    folder.mkdir(exist_ok=True)
    (folder / "clearair.cdx.json").write_text(sbom.written(Path.cwd()), encoding="utf-8")
    return name


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    with TemporaryDirectory() as folder:
        if metadata_directory is None:
            name = prepare_metadata_for_build_wheel(folder, config_settings)
            metadata_directory = str(Path(folder, name))
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
