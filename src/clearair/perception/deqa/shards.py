"""A checkpoint as it is published: one or several safetensors files in a folder, with an index.

Tensors are read one at a time, so that reading needs no memory beside what is made of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from clearair.errors import ModelError
from clearair.perception.deqa.config import Shapes
from clearair.weights import listed

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


class Shards:
    """What lies in the files of a folder, known from their heads alone.

    Raises ModelError when a file is missing, truncated or no safetensors file, or when the index promises
    tensors that are not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = _read_index(folder)
        self.paths = tuple(folder / name for name in sorted(set(index.values()))) or (folder / WEIGHTS,)
        if missing := [path.name for path in self.paths if not path.is_file()]:
            raise ModelError(f"{folder}: {len(missing)} files are missing: {', '.join(missing)}.")
        self._path_of: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for path in self.paths:
            self._read_head(path)
        promised = {name: folder / shard for name, shard in index.items()}
        if absent := sorted(name for name in promised if self._path_of.get(name) != promised[name]):
            raise ModelError(f"{folder / INDEX}: tensors are not where it says: {listed(absent)}.")

    @property
    def shapes(self) -> Shapes:
        """Name and shape of every tensor."""
        return self._shapes

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """One tensor after another, on the CPU, in the order of the files; do not keep them.

        A file is opened again for each tensor, since pages of a mapped file stay in memory while it is open.
        """
        for name, path in self._path_of.items():
            with safe_open(path, "pt") as file:
                yield name, file.get_tensor(name)

    def _read_head(self, path: Path) -> None:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  # the file is no mapping
                    if name in self._path_of:
                        raise ModelError(f"{path}: {name} is also in {self._path_of[name].name}.")
                    self._path_of[name] = path
                    self._shapes[name] = tuple(file.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: truncated, or not a safetensors file; copy it again.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ModelError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON.") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: not a JSON object.")
    return values


def _read_index(folder: Path) -> dict[str, str]:
    """Which file holds which tensor; empty for a folder with a single file."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: is not a folder; DeQA-Score is a folder with {CONFIG} and weights.")
    if (folder / INDEX).exists():
        files = read_json(folder / INDEX).get("weight_map")
        plain = isinstance(files, dict) and all(
            isinstance(name, str) and Path(name).name == name for name in files.values()
        )
        if not files or not plain:
            raise ModelError(f"{folder / INDEX}: not an index of safetensors files.")
        return dict(files)
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder}: neither {INDEX} nor {WEIGHTS} is there.")
    return {}
