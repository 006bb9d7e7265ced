"""Restored pictures of benchmarks as files: `FOLDER/BENCHMARK/NAME.png`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clearair.evaluation.benchmarks import Case
from clearair.evaluation.metrics import Image
from clearair.files.outputs import check_file
from clearair.image import Photo, write_photo
from clearair.placing import make_folder


class PictureSaver:
    """Writes restored pictures, and noisy inputs that are in no file. Raises OutputError.

    `relative_to` is the folder that recorded paths start from.
    """

    def __init__(self, folder: Path, *, relative_to: Path | None = None, overwrite: bool = False) -> None:
        check_file(folder / "NAME.png", make_folder=True, overwrite=True)
        self.folder = folder
        self.base = (relative_to or Path()).absolute()
        self.overwrite = overwrite
        self.saved: dict[tuple[str, str], dict[str, str]] = {}

    def check(self, benchmark: str, names: Iterable[str]) -> None:
        """Refuse to replace pictures unasked, before any is measured."""
        for name in names:
            check_file(self._target(benchmark, name), make_folder=True, overwrite=self.overwrite)

    def save(self, benchmark: str, case: Case, restored: Image) -> None:
        """Write one picture."""
        target = self._target(benchmark, case.name)
        make_folder(target.parent)
        write_photo(Photo(restored), target, overwrite=self.overwrite)
        paths = {"restored": target}
        if case.synthetic:
            paths["input"] = target.with_name(f"{target.stem}.input.png")
            write_photo(Photo(case.damaged), paths["input"], overwrite=self.overwrite)
        self.saved[benchmark, case.name] = {
            what: os.path.relpath(path.absolute(), self.base) for what, path in paths.items()
        }

    def _target(self, benchmark: str, name: str) -> Path:
        return self.folder / benchmark.replace("/", "_") / f"{name}.png"

    def add_paths(self, result: dict[str, Any]) -> None:
        """Add to each score of a result where its pictures are."""
        for score in result["scores"]:
            score["saved"] = self.saved.get((result["benchmark"], score["name"]), {})
