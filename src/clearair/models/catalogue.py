"""The named models and their folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clearair.errors import ModelError, UsageError


@dataclass(frozen=True)
class Entry:
    """A published model."""

    name: str
    description: str

    @property
    def folder(self) -> Path:
        """Where its files lie inside the package."""
        return Path(str(files("clearair"))) / "models" / "weights" / self.name

    @property
    def size(self) -> int:
        """Bytes on disk; 0 when the files are not there."""
        return sum(path.stat().st_size for path in self.folder.glob("*") if path.is_file())


CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry("compact", "the default: every kind of damage, made for CPUs, ships inside the package"),
    )
}
"""Every published model by name."""


CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def find_checkpoint(name_or_path: str | Path) -> Path | None:
    """The checkpoint file of another project, if one was given; None for the name or folder of a model.

    The file need not exist. Raises UsageError for an empty name, and for what is neither a str nor a path.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise UsageError(f"A model is named by a str or a Path, not by {type(name_or_path).__name__}.")
    if name_or_path == "":
        raise UsageError("The name of the model is empty, as a shell's variable may be; `.` is this folder.")
    path = Path(name_or_path).expanduser()
    is_model = str(name_or_path) in CATALOGUE or path.is_dir()
    return None if is_model or path.suffix.lower() not in CHECKPOINT_SUFFIXES else path


def find_files(name_or_path: str | Path) -> Path:
    """The folder of a model, or the file of a checkpoint of another project. Raises ModelError."""
    checkpoint = find_checkpoint(name_or_path)
    if checkpoint is None:
        return find_model(name_or_path)
    if not checkpoint.exists():
        raise ModelError(f"{checkpoint}: there is no such file.")
    return checkpoint


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a model given by name or by path; names come first.

    Raises ModelError that lists the known names.
    """
    entry = CATALOGUE.get(str(name_or_path))
    if entry is not None:
        return entry.folder
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{path}: a model is a folder with config.json and model.safetensors, not a file.")
    known = ", ".join(CATALOGUE)
    raise ModelError(f"There is no model {str(name_or_path)!r}: neither a folder nor one of: {known}.")
