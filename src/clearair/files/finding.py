"""Which pictures to restore: files, folders and patterns, as paths with what could not be searched."""

from __future__ import annotations

import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clearair.errors import UsageError
from clearair.image import SUFFIXES, format_of_suffix
from clearair.image.formats import FOREIGN_SUFFIXES

Paths = Path | str | Sequence[Path | str]
"""One path, folder or pattern, or several."""


@dataclass(frozen=True)
class Source:
    """A picture to restore."""

    path: Path
    relative: Path
    """Its place below the folder or glob it was found through; the bare name of a file named itself."""


@dataclass(frozen=True)
class Problem:
    """A folder or pattern that gives nothing."""

    path: Path
    message: str


@dataclass(frozen=True)
class Finding:
    """What a search came upon."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    """Pictures passed over because their format is not read: how many of each suffix."""

    def remark(self) -> str | None:
        """One line on the pictures passed over; None without any."""
        if not self.unread:
            return None
        each = ", ".join(f"{number} {suffix}" for suffix, number in sorted(self.unread.items()))
        return f"passed over because their format is not read: {each}."


def find_images(paths: Paths, *, suffix: str = ".restored", out: Path | None = None) -> Finding:
    """Collect the pictures that files, folders and glob patterns name, each once, in a stable order.

    Folders are searched recursively for known suffixes, without hidden files, earlier restorations
    (`*.restored.*`) and the output folder `out`. A file named itself is taken whatever its suffix, also when
    it does not exist (its record will say so), except for the restoration of another one in the list, as a
    shell's `*.jpg` brings. A folder that cannot be searched, and a folder or pattern without pictures, is a
    problem beside what was found elsewhere; where nothing was found at all, it raises UsageError.
    """
    if out is not None:
        as_paths(out)
    search = _Search(suffix, None if out is None else _real(out))
    for given in as_paths(paths):
        search.look(given)
    first: dict[Path, Source] = {}
    for source in search.sources:
        # A link is a picture of its own: whoever looks for it among the results must find it there.
        first.setdefault(_real(source.path.parent) / source.path.name, source)
    unique = list(first.values())
    originals = {(_real(source.path.parent), source.path.stem) for source in unique}
    sources = tuple(source for source in unique if _original_of(source.path, suffix) not in originals)
    if not sources and search.problems:
        raise UsageError(search.problems[0].message)
    return Finding(sources, tuple(search.problems), dict(search.unread))


def as_paths(paths: Paths) -> list[Path | str]:
    """One path as a list of one; raises UsageError for what is no path."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    try:
        several = list(paths)
    except TypeError:
        several = [paths]  # type: ignore[list-item]
    for path in several:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"A path is a str or a Path, not {type(path).__name__}.")
        if "\0" in os.fspath(path):
            raise UsageError(f"{os.fspath(path)!r}: a path cannot hold a NUL character.")
    return several


class _Search:
    """Gathers sources, problems and what is passed over, place after place."""

    def __init__(self, suffix: str, out: Path | None) -> None:
        self.suffix = suffix
        self.out = out
        """Real path of the folder that is not searched."""
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self.unread: Counter[str] = Counter()

    def look(self, given: Path | str) -> None:
        path = Path(given)
        if _is_folder(path):
            self._look_in_folder(path)
        elif not os.path.lexists(path) and glob.has_magic(str(given)):
            self._look_for_pattern(str(given))
        else:
            self.sources.append(Source(path, Path(path.name)))

    def _look_in_folder(self, folder: Path) -> None:
        troubles = len(self.problems)
        pictures = [path for path in self._walk(folder) if self._is_read(path)]
        fresh = [path for path in pictures if not _is_restoration(path, self.suffix)]
        self.sources += [Source(path, path.relative_to(folder)) for path in fresh]
        if not fresh and len(self.problems) == troubles:
            only = f"only earlier restorations (*{self.suffix}.*)" if pictures else "no pictures"
            ends = ", ".join(sorted(SUFFIXES))
            self._report(folder, f"{folder}: {only} in this folder; pictures end in {ends}.")

    def _look_for_pattern(self, pattern: str) -> None:
        parts = Path(pattern).parts
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        found = [
            Source(match, match.relative_to(fixed))
            for match in sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
            if match.is_file() and not _is_restoration(match, self.suffix)
            if self.out is None or self.out not in _real(match).parents
            if self._is_read(match)
        ]
        self.sources += found
        if not found:
            self._report(Path(pattern), f"{pattern}: matches no pictures.")

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Yield the files below `folder`, sorted, without hidden ones and without the output folder."""

        def refuse(error: OSError) -> None:
            place = error.filename
            self._report(Path(place), f"{place}: this folder cannot be searched: {error.strerror}.")

        for place, folders, files in os.walk(folder, onerror=refuse):
            here = Path(place)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and _real(here / name) != self.out
            )
            yield from (here / name for name in sorted(files) if not name.startswith("."))

    def _is_read(self, path: Path) -> bool:
        if format_of_suffix(path):
            return True
        if path.suffix.lower() in FOREIGN_SUFFIXES:
            self.unread[path.suffix.lower()] += 1
        return False

    def _report(self, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # reading it will say why


def _real(path: Path) -> Path:
    """Follow all links; unlike Path.resolve, also where they run in circles."""
    return Path(os.path.realpath(path))


def _is_restoration(path: Path, suffix: str) -> bool:
    return bool(suffix) and path.stem.endswith(suffix)


def _original_of(path: Path, suffix: str) -> tuple[Path, str] | None:
    """The folder and stem of the picture that `path` is named as the restoration of."""
    if not _is_restoration(path, suffix):
        return None
    return _real(path.parent), path.stem.removesuffix(suffix)
