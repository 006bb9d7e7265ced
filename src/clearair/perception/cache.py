"""Percepts on disk: images that were perceived once are read from the cache.

An entry is one safetensors file, found by the perceiver's identity and the pixels' SHA-256. Other weights
have another identity, so their entries are separate; the same pixels have the same entry, regardless of file
name, format or metadata.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clearair.errors import ConfigError, OutputError
from clearair.perception.batches import perceive_as_arrays
from clearair.perception.confidence import Caution
from clearair.perception.protocol import Identity, Perceiver
from clearair.perception.telling import caution_of, known_kinds, tell
from clearair.percepts import Guidance, Percepts
from clearair.placing import make_folder, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 4_000_000_000
"""Size limit in bytes; beyond it the least recently used entries are removed."""

_SUFFIX = ".safetensors"
_ARRAYS = ("levels", "probabilities", "local_probabilities")
_VERSION = 3
"""Version of the entries; those of other versions are ignored."""


class CachedPerceiver:
    """A perceiver with a cache. It has the identity of the wrapped perceiver."""

    def __init__(
        self, perceiver: Perceiver, folder: Path | str, *, limit: int = LIMIT, variant: str = ""
    ) -> None:
        """`variant` names what changes answers but not the identity, such as the precision.

        Raises OutputError when the folder cannot be made.
        """
        self.perceiver = perceiver
        self.limit = limit
        self.hits = self.misses = 0
        whose = hashlib.sha256(
            f"{_VERSION} {perceiver.identity}{variant and f' {variant}'}".encode()
        ).hexdigest()[:16]
        self.root = Path(folder).expanduser()
        self.folder = self.root / whose
        make_folder(self.folder)
        self._size = sum(size for _, size, _ in _entries(self.root))

    @property
    def identity(self) -> Identity:
        """The identity of the wrapped perceiver."""
        return self.perceiver.identity

    def to(self, device: Any) -> CachedPerceiver:
        """Move the perceiver to a device; returns itself."""
        self.perceiver.to(device)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of damage that the perceiver has names for."""
        return known_kinds(self.perceiver)

    @property
    def caution(self) -> Caution:
        """The ramps by which the perceiver allows changes."""
        return caution_of(self.perceiver)

    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts as the perceiver puts it when exactly these kinds are present."""
        return tell(self.perceiver, percepts, kinds)

    def perceive(self, images: Tensor) -> Guidance:
        """RGB in [0, 1], (B, 3, H, W), rounded to 8 bits -> what a restorer is told about them."""
        return perceive_as_arrays(images, lambda arrays: [self.perceive_image(image) for image in arrays])

    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size. Raises ImageError."""
        path = self.folder / f"{_hash(image)}{_SUFFIX}"
        if (known := _read(path)) is not None:
            self.hits += 1
            return known
        self.misses += 1
        percepts = self.perceiver.perceive_image(image)
        self._keep(percepts, path)
        return percepts

    def _keep(self, percepts: Percepts, path: Path) -> None:
        data = _encoded(percepts)
        try:
            write_atomically(path, data, overwrite=True)
        except OutputError:
            return  # a full disk only costs time
        self._size += len(data)
        if self._size > self.limit:
            self._shrink()

    def _shrink(self) -> None:
        """Remove the least recently used entries, down to nine tenths of the limit."""
        oldest = sorted(_entries(self.root), key=lambda entry: entry[0])
        self._size = sum(size for _, size, _ in oldest)
        for _, size, path in oldest:
            if self._size <= 0.9 * self.limit:
                break
            with suppress(OSError):  # other users' entries may have to stay
                path.unlink(missing_ok=True)
                self._size -= size


def _entries(root: Path) -> list[tuple[float, int, Path]]:
    """Last use, bytes and path of each; other processes may use the folder, too."""
    found = []
    for path in root.glob(f"*/*{_SUFFIX}"):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_mtime, status.st_size, path))
    return found


def _hash(image: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{image.shape} {image.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _encoded(percepts: Percepts) -> bytes:
    arrays = {name: np.ascontiguousarray(getattr(percepts, name)) for name in _ARRAYS}
    for field in fields(Guidance):
        arrays[field.name] = np.ascontiguousarray(getattr(percepts.guidance, field.name))
    # A label map is as large as the image, and compresses well.
    arrays["labels"] = np.frombuffer(zlib.compress(arrays["labels"].tobytes(), 1), np.uint8)
    plain = {"score": percepts.score, "names": percepts.names, "size": percepts.labels.shape}
    return save(arrays, {"percepts": json.dumps(plain)})


def _read(path: Path) -> Percepts | None:
    """An entry; None if it is missing or damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            plain = json.loads(file.metadata()["percepts"])
        labels = np.frombuffer(zlib.decompress(arrays.pop("labels").tobytes()), np.uint8)
        own = {name: arrays.pop(name) for name in _ARRAYS}
        guidance = Guidance(labels=labels.reshape(1, *plain["size"]).copy(), **arrays)
        percepts = Percepts(plain["score"], guidance=guidance, names=tuple(plain["names"]), **own)
    except (SafetensorError, ConfigError, OSError, ValueError, KeyError, TypeError, zlib.error):
        return None
    with suppress(OSError):  # of another user
        path.touch()
    return percepts
