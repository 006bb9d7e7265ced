"""Finds the pictures to restore in files, folders and patterns, and reports what could not be searched."""

from __future__ import annotations

import codecs
import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from clearair.errors import UsageError
from clearair.files.history import NOTE, USUAL_SUFFIX, Note, read_note
from clearair.files.videos import VIDEO_SUFFIXES
from clearair.image import SUFFIXES, format_of_suffix
from clearair.image.formats import FOREIGN_SUFFIXES, missing_extras
from clearair.stores import Address, Place, place_of, require

Paths = Place | str | Sequence[Place | str]
"""One path, folder or pattern, or several; each may be an address such as s3://bucket/photos."""


@dataclass(frozen=True)
class Source:
    """A picture to restore."""

    path: Place
    relative: PurePath
    """Its path relative to the searched folder or glob; the bare name of a file that was named itself."""


@dataclass(frozen=True)
class Problem:
    """A folder or pattern without pictures, or one that cannot be searched."""

    path: Place
    message: str


@dataclass(frozen=True)
class Finding:
    """The result of a search."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    """Pictures skipped because their format is not supported: the number for each suffix."""
    videos: int = 0
    """Skipped videos, which are restored only when they are named."""
    stored_videos: int = 0
    """Skipped videos in stores, which are not restored there."""
    earlier: tuple[str, ...] = ()
    """Skipped results of earlier runs: their folders, and patterns of their names."""
    holds_out: bool = False
    """Whether the output folder lies below a place that was searched, so that later searches find it."""

    def remarks(self) -> tuple[str, ...]:
        """A line for each kind of skipped files."""
        lines = []
        if self.unread:
            each = ", ".join(f"{number} {suffix}" for suffix, number in sorted(self.unread.items()))
            extras = missing_extras(self.unread)
            hint = f" pip install 'clearair[{','.join(extras)}]' adds readers." if extras else ""
            lines.append(f"skipped because their format is not read: {each}.{hint}")
        if self.videos:
            lines.append(f"skipped: {_videos(self.videos)}.")
        if self.stored_videos:
            they, it = ("video in a store", "it") if self.stored_videos == 1 else ("videos in stores", "them")
            lines.append(
                f"skipped: {self.stored_videos:,} {they}; copy {it} to this machine to restore {it}."
            )
        if self.earlier:
            places = ", ".join(self.earlier)
            lines.append(f"skipped as results of earlier runs: {places}; name them to restore them again.")
        return tuple(lines)


def find_images(
    paths: Paths,
    *,
    suffix: str = USUAL_SUFFIX,
    out: Place | None = None,
    listed: Sequence[Place] = (),
) -> Finding:
    """Collect the pictures that files, folders and glob patterns name, each once, in a stable order.

    Folders are searched recursively for known suffixes, without hidden files, the output folder `out` and
    results of earlier runs: `*.restored.*`, and what notes in folders say. A file that is named itself is
    always included, whatever its suffix and even if it does not exist (its record will say so). The exception
    is the restoration of another file in the list, as in a shell's `*.jpg`. `listed` are such files too, but
    keep their relative path. A folder that cannot be searched, and a folder or pattern without pictures, is a
    problem beside what was found elsewhere; where nothing was found at all, it raises UsageError.
    """
    if out is not None:
        as_paths(out)
    given, listed = as_paths(paths), [place_of(path) for path in as_paths(list(listed))]
    if not given and not listed:
        raise UsageError("No pictures are named; give at least one file, folder or pattern.")
    places = [*map(place_of, given), *listed, *([] if out is None else [out])]
    require(places)
    search = _Search(suffix, None if out is None else _real(out))
    for path in given:
        search.look(path)
    search.sources += [Source(path, _below_output(path)) for path in listed]
    first: dict[Place, Source] = {}
    for source in search.sources:
        # A link counts as its own picture: users must find it among the results.
        first.setdefault(_real(source.path.parent) / source.path.name, source)
    unique = list(first.values())
    originals = {(_real(source.path.parent), source.path.stem) for source in unique}
    sources = tuple(
        source
        for source in unique
        if not any(original in originals for original in search.originals(source.path))
    )
    if not sources and search.problems:
        raise UsageError(search.problems[0].message)
    passed = tuple(dict.fromkeys(search.passed))
    return Finding(
        sources,
        tuple(search.problems),
        dict(search.unread),
        videos=search.videos,
        stored_videos=search.stored_videos,
        earlier=passed,
        holds_out=search.holds_out,
    )


def read_list(data: bytes, *, null: bool = False) -> list[Place]:
    """The paths in a list, one a line, or with `null` each ended by a NUL byte; empty ones are left out.

    Raises UsageError for a list with the other separator.
    """
    if data.startswith(codecs.BOM_UTF16_LE) or data.startswith(codecs.BOM_UTF16_BE):
        raise UsageError("is written as UTF-16; save it as UTF-8.")
    data = data.removeprefix(codecs.BOM_UTF8)
    if null and b"\0" not in data and b"\n" in data:
        raise UsageError("holds one name a line and no NUL bytes; leave out -0.")
    if not null and b"\0" in data:
        raise UsageError("holds names that NUL bytes end; add -0.")
    names = data.split(b"\0") if null else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    return [place_of(os.fsdecode(name)) for name in names if name]


def as_paths(paths: Paths) -> list[Place | str]:
    """One path as a list of one; raises UsageError for an invalid path."""
    if isinstance(paths, str | os.PathLike | Address):
        paths = [paths]
    try:
        several = list(paths)
    except TypeError:
        several = [paths]  # type: ignore[list-item]
    for path in several:
        if not isinstance(path, str | os.PathLike | Address):
            raise UsageError(f"A path is a str or a Path, not {type(path).__name__}.")
        if path == "":
            raise UsageError(
                "A picture's name is empty, as a shell's variable may be; `.` names this folder."
            )
        if "\0" in str(path):
            raise UsageError(f"{str(path)!r}: a path cannot hold a NUL character.")
    return several


class _Search:
    """Collects sources, problems and skipped files from each place."""

    def __init__(self, suffix: str, out: Place | None) -> None:
        self.suffix = suffix
        self.out = out
        """Real path of the folder that is not searched."""
        self.holds_out = False
        """Whether a searched place holds that folder."""
        self._notes: dict[Place, Note] = {}
        self._stems: set[tuple[Place, str]] = set()
        """Folders and stems of the pictures that a store has listed."""
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self.unread: Counter[str] = Counter()
        self.videos = self.stored_videos = 0
        self.passed: list[str] = []

    def look(self, given: Place | str) -> None:
        path = place_of(given)
        if isinstance(path, Address):
            self._look_in_store(path, named=not str(given).endswith("/"))
        elif _is_folder(path):
            self._look_in_folder(path)
        elif not os.path.lexists(path) and glob.has_magic(str(given)):
            self._look_for_pattern(str(given))
        else:
            self.sources.append(Source(path, Path(path.name)))

    def originals(self, path: Place) -> Iterator[tuple[Place, str]]:
        """Folders and stems of the pictures whose restoration `path` may be, by its name."""
        for suffix in {self.suffix, USUAL_SUFFIX, *self._note(path.parent).suffixes}:
            if _ends_with(path, suffix):
                yield _real(path.parent), path.stem.removesuffix(suffix)

    def _look_in_folder(self, folder: Path) -> None:
        troubles, videos = len(self.problems), self.videos
        self.holds_out = self.holds_out or self._is_below(folder)
        pictures = [path for path in self._walk(folder) if self._is_read(path)]
        fresh = [path for path in pictures if not self._is_result(path)]
        self.sources += [Source(path, path.relative_to(folder)) for path in fresh]
        if not fresh and len(self.problems) == troubles:
            self._report_empty(folder, bool(pictures), self.videos - videos)

    def _look_in_store(self, address: Address, *, named: bool) -> None:
        """Take the object if it is named like a picture, else list the objects below, once."""
        is_pattern = glob.has_magic(str(address))
        if format_of_suffix(address) and named and not is_pattern:
            self.sources.append(Source(address, PurePath(address.name)))
            return
        try:
            listed = address.below()
            is_pattern = is_pattern and not listed
            if is_pattern:
                listed = address.matches()
        except OSError as error:
            self._report(address, f"{address}: cannot be listed: {error.strerror or error}.")
            return
        if listed == [address]:
            self.sources.append(Source(address, PurePath(address.name)))
            return
        folder = address.fixed if is_pattern else address
        self.holds_out = self.holds_out or self._is_below(folder)
        self._notes |= {each.parent: read_note(each.parent) for each in listed if each.name == NOTE}
        self._stems |= {(each.parent, each.stem) for each in listed if format_of_suffix(each)}
        hidden = is_pattern and any(part.startswith(".") for part in address.key.parts)
        found = [source for each in listed if (source := self._fresh(each, folder, hidden=hidden))]
        self.sources += found
        if not found and is_pattern:
            self._report(address, f"{address}: matches no pictures.")
        elif not found:
            self._report_empty(address, any(format_of_suffix(each) for each in listed))

    def _fresh(self, path: Address, folder: Address, *, hidden: bool) -> Source | None:
        """A listed object as a source, unless it is hidden, a result or no picture."""
        name = str(path).removeprefix(f"{folder}/")
        if not hidden and any(part.startswith(".") and part not in (".", "..") for part in name.split("/")):
            return None
        if self._lies_among_results(path, folder) or self._is_result(path) or not self._is_read(path):
            return None
        if _is_odd(name):
            self._report(path, f"{path}: as a file path, its name would point elsewhere; rename it.")
            return None
        return Source(path, PurePath(name))

    def _look_for_pattern(self, pattern: str) -> None:
        parts = Path(pattern).parts
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        videos = self.videos
        self.holds_out = self.holds_out or self._is_below(fixed)
        found = [
            Source(match, match.relative_to(fixed))
            for match in sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
            if match.is_file() and not self._is_result(match)
            if not self._lies_among_results(match, fixed)
            if self._is_read(match)
        ]
        self.sources += found
        if not found:
            text = _but(self.videos - videos)
            self.videos = videos  # told here, so that they are not remarked on once more
            self._report(Path(pattern), f"{pattern}: matches no pictures{text}.")

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Yield the files below `folder`, sorted, without hidden ones and without folders of results."""

        def refuse(error: OSError) -> None:
            place = error.filename
            self._report(Path(place), f"{place}: this folder cannot be searched: {error.strerror}.")

        for place, folders, files in os.walk(folder, onerror=refuse):
            here = Path(place)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and not self._holds_results(here / name)
            )
            yield from (here / name for name in sorted(files) if not name.startswith("."))

    def _is_below(self, folder: Place) -> bool:
        """Whether the output folder lies below this one."""
        return self.out is not None and _real(folder) in self.out.parents

    def _holds_results(self, folder: Place) -> bool:
        if _real(folder) == self.out:
            return True
        if self._note(folder).all_results:
            self.passed.append(str(folder))
            return True
        return False

    def _lies_among_results(self, path: Place, fixed: Place) -> bool:
        """Whether `path` is in a folder of results below `fixed`, which is itself searched in any case."""
        above: Sequence[Place] = path.parents
        inside = itertools.takewhile(lambda folder: folder != fixed, above)
        return any(self._holds_results(folder) for folder in inside) or (
            self._is_below(fixed) and self.out in _real(path).parents
        )

    def _is_result(self, path: Place) -> bool:
        """Whether a picture that a search comes upon is a restoration by its name."""
        if _ends_with(path, self.suffix) or _ends_with(path, USUAL_SUFFIX):
            return True
        for suffix in self._note(path.parent).suffixes:
            # Any name may end in a user's suffix, so the original must exist.
            if _ends_with(path, suffix) and self._holds_picture(path.parent, path.stem.removesuffix(suffix)):
                self.passed.append(str(path.parent / f"*{suffix}.*"))
                return True
        return False

    def _holds_picture(self, folder: Place, stem: str) -> bool:
        if isinstance(folder, Address):
            return (folder, stem) in self._stems
        beside = folder.glob(f"{glob.escape(stem)}.*")
        return any(path.stem == stem and format_of_suffix(path) for path in beside)

    def _note(self, folder: Place) -> Note:
        if isinstance(folder, Address):
            return self._notes.get(folder, Note())  # read only if a listing has shown one
        if folder not in self._notes:
            self._notes[folder] = read_note(folder)
        return self._notes[folder]

    def _is_read(self, path: Place) -> bool:
        if format_of_suffix(path):
            return True
        if path.suffix.lower() in VIDEO_SUFFIXES:
            if isinstance(path, Address):
                self.stored_videos += 1
            else:
                self.videos += 1
        if path.suffix.lower() in FOREIGN_SUFFIXES:
            self.unread[path.suffix.lower()] += 1
        return False

    def _report_empty(self, folder: Place, pictures: bool, videos: int = 0) -> None:
        only = f"only earlier restorations (*{self.suffix}.*)" if pictures else "no pictures"
        if videos:
            self.videos -= videos  # told here, so that they are not remarked on once more
            only = "no new pictures" if pictures else only
            self._report(folder, f"{folder}: {only} in this folder{_but(videos)}.")
            return
        ends = ", ".join(sorted(SUFFIXES))
        self._report(folder, f"{folder}: {only} in this folder; pictures end in {ends}.")

    def _report(self, path: Place, message: str) -> None:
        self.problems.append(Problem(path, message))


def _but(videos: int) -> str:
    """Text about videos that were found in place of pictures; empty for none."""
    return f", but {_videos(videos)}" if videos else ""


def _videos(count: int) -> str:
    return "1 video; name it to restore it" if count == 1 else f"{count:,} videos; name them to restore them"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # the error is reported when it is read


def _below_output(path: Place) -> PurePath:
    """The place of a listed file below an output folder: its own path, unless that points elsewhere."""
    if isinstance(path, Address):
        return path.key if not _is_odd(str(path.key)) else PurePath(path.name)
    return Path(path.name) if path.is_absolute() or ".." in path.parts else path


def _is_odd(name: str) -> bool:
    """Whether the name of an object, taken as a path, would change or leave its folder."""
    return any(part in ("", ".", "..") for part in name.split("/"))


def _real(path: Place) -> Place:
    """Follow all links; unlike Path.resolve, also circular ones."""
    return path if isinstance(path, Address) else Path(os.path.realpath(path))


def _ends_with(path: Place, suffix: str) -> bool:
    return bool(suffix) and path.stem.endswith(suffix) and path.stem != suffix
