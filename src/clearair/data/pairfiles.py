"""Really damaged photographs with their clean versions: in memory, or in files that are read when drawn.

Published sets hold up to tens of thousands of pairs, more than fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clearair.data.layouts import DATA_SETS, damage_of, find_set
from clearair.data.pixels import load_pixels
from clearair.errors import DataError, ImageError

MOST_UNREADABLE = 0.01
"""Share of the pictures that may be left out since they cannot be read."""


@dataclass(frozen=True)
class Pair:
    """A scene with and without real damage, both (3, H, W) uint8."""

    damaged: Tensor
    clean: Tensor

    def to(self, device: torch.device | str) -> Pair:
        """Copy to a device."""
        return Pair(self.damaged.to(device), self.clean.to(device))


def load_pair(paths: tuple[Path, Path]) -> Pair:
    """Read the damaged and the clean picture. Raises ImageError, and DataError when their sizes differ."""
    damaged, clean = map(load_pixels, paths)
    if damaged.shape != clean.shape:
        sizes = " and ".join(f"{width} x {height}" for _, height, width in (damaged.shape, clean.shape))
        raise DataError(f"{paths[0]}: its size and that of {paths[1]} differ: {sizes} px.")
    return Pair(damaged, clean)


class PairFiles:
    """Pairs of one kind of damage, read when they are drawn.

    An unreadable pair is reported once, and the next one is drawn in its place, also when the run is resumed.
    Raises DataError once more than 1 % of them are unreadable.
    """

    def __init__(
        self,
        files: Sequence[tuple[Path, Path]],
        tell: Callable[[str], None] = print,
        device: torch.device | str = "cpu",
    ) -> None:
        self.files = files
        self.tell = tell
        self.device = device
        self.bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Pair:
        while True:
            try:
                return load_pair(self.files[index]).to(self.device)
            except ImageError as error:
                if index not in self.bad:
                    self._leave_out(index, str(error))
                index = (index + 1) % len(self)

    def _leave_out(self, index: int, why: str) -> None:
        self.bad.add(index)
        count = f"{len(self.bad)} of {len(self)} pairs"
        if len(self.bad) > MOST_UNREADABLE * len(self):
            raise DataError(f"{why} {count} cannot be read, more than {MOST_UNREADABLE:.0%}.")
        self.tell(f"left out: {why} {count} cannot be read so far.")

    def to(self, device: torch.device | str) -> PairFiles:
        """The same, drawn onto a device."""
        return PairFiles(self.files, self.tell, device)


def find_published(
    data: Path, sets: Sequence[str], tell: Callable[[str], None]
) -> tuple[dict[tuple[str, ...], PairFiles], list[str]]:
    """Pairs of published training sets by their damage, and a line for each missing set.

    Raises DataError for an input without target.
    """
    files: dict[tuple[str, ...], list[tuple[Path, Path]]] = {}
    absent = []
    for name in sets:
        items = find_set(data, DATA_SETS[name])
        if not items:
            absent.append(f"{name} is not in {data}; its damage is drawn on the clean photographs instead.")
        for item in items:
            assert item.damaged is not None
            assert item.clean is not None
            files.setdefault(damage_of(name, item), []).append((item.damaged, item.clean))
    return {kinds: PairFiles(these, tell) for kinds, these in files.items()}, absent
