"""Writes an exported model to a folder after checking its outputs against PyTorch."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from clearair.errors import MissingExtraError, ModelError, OutputError, UsageError
from clearair.exporting.openvino import convert
from clearair.exporting.parity import Difference, differences
from clearair.exporting.sources import Source, find_source
from clearair.graphs import GRAPHS, GraphFolder, describe_graphs, read_graphs
from clearair.models.stored import CONFIG, WEIGHTS
from clearair.optional import require_pytorch

Format = Literal["onnx", "openvino"]
OnStep = Callable[[str], None]
"""Called with the next task."""

ONNXSCRIPT = (0, 7, 2)
"""Earlier ones put the channels of PixelUnshuffle in another order."""


def export_model(
    name: str | Path,
    folder: Path | str,
    *,
    format: Format = "onnx",
    overwrite: bool = False,
    on_step: OnStep = lambda step: None,
) -> list[Difference]:
    """Write a restorer or perceivers, and return their differences from PyTorch on a few pictures.

    "onnx" writes a model with graphs of its own, which needs no PyTorch; takes minutes. "openvino" writes
    files of OpenVINO. Raises UsageError for another format, MissingExtraError where a package is not
    installed, ModelError as `find_source` does, OutputError when the folder is not empty and `overwrite` is
    false, when it cannot be written, or when the answers differ too much; then nothing is written.
    """
    folder = Path(folder).expanduser()
    if format not in get_args(Format):
        raise UsageError(f"There is no format {format!r}; use one of {', '.join(get_args(Format))}.")
    require_packages(format)
    source = find_source(name)
    with _staged(folder, overwrite=overwrite) as part:
        on_step("what PyTorch answers")
        expected = source.expected()
        if format == "onnx":
            _copy(source, part, CONFIG, WEIGHTS)
            graphs = _trace(source, part, on_step)
            on_step("what ONNX Runtime answers")
            found = differences(expected, source.answers(graphs))
        else:
            _copy(source, part, CONFIG)
            on_step("OpenVINO, in a process of its own")
            with _graphs_of(source, part, on_step) as graphs:
                found = differences(expected, convert(source, graphs, part))
        if bad := [str(each) for each in found if not each.holds]:
            raise OutputError(
                f"{name}: as {format} it does not answer as PyTorch does ({bad[0]}); nothing is written."
            )
        _publish(part, folder)
    return found


def require_packages(format: Format) -> None:
    """Raise MissingExtraError, which says what to install, where exporting cannot work."""
    require_pytorch("clearair export")
    needed = ["onnx", "onnxscript"] + (["openvino"] if format == "openvino" else [])
    extra = "export" if format == "onnx" else "openvino"
    for package in needed:
        if find_spec(package) is None:
            raise MissingExtraError(f"Exporting to {format} needs {package}: pip install 'clearair[{extra}]'")
    version = metadata.version("onnxscript")
    if tuple(int(part) for part in version.split(".")[:3] if part.isdecimal()) < ONNXSCRIPT:
        wanted = ".".join(map(str, ONNXSCRIPT))
        raise MissingExtraError(
            f"onnxscript {version} is too old to export with: pip install --upgrade 'onnxscript>={wanted}'"
        )


def _trace(source: Source, folder: Path, on_step: OnStep) -> GraphFolder:
    """Put fresh graphs of a model into a folder."""
    on_step("graphs; this takes minutes")
    graphs = {}
    for name, traced in source.traced():
        on_step(f"{name}.onnx, {len(traced.data) / 1e6:.1f} MB")
        (folder / f"{name}.onnx").write_bytes(traced.data)
        graphs[name] = (traced.data, traced.weights)
    (folder / GRAPHS).write_bytes(describe_graphs(source.config, graphs))
    written = read_graphs(folder)
    assert written is not None
    return written


@contextmanager
def _graphs_of(source: Source, part: Path, on_step: OnStep) -> Iterator[GraphFolder]:
    """The existing graphs of a model, or temporary new ones."""
    found = source.graphs()
    if found is not None:
        yield found
        return
    folder = part / "graphs"
    folder.mkdir()
    yield _trace(source, folder, on_step)
    shutil.rmtree(folder)


def _copy(source: Source, folder: Path, *names: str) -> None:
    for name in names:
        shutil.copyfile(source.folder / name, folder / name)


@contextmanager
def _staged(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside another one, from which files can be moved there atomically.

    Raises OutputError when the other one is not empty and `overwrite` is false, or nothing can be written.
    """
    try:
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if not there.is_dir():
            raise OutputError(f"{there}: is a file, not a folder.")
        if not overwrite and folder.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder}: is not empty; choose another folder, or replace its files with overwrite=True."
            )
        part = there / f".{secrets.token_hex(8)}.part"
        part.mkdir()
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}.") from error


def _publish(part: Path, folder: Path) -> None:
    """Move all files of `part` into `folder`, the list of graphs last; drop graphs of an earlier export."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(part.iterdir(), key=lambda file: file.name == GRAPHS)
    stale = _listed_graphs(folder) - {folder / file.name for file in files}
    for file in files:
        file.replace(folder / file.name)
    if any(file.name == GRAPHS for file in files):
        for file in stale:
            with suppress(FileNotFoundError):
                file.unlink()


def _listed_graphs(folder: Path) -> set[Path]:
    """The files of an earlier export; none where its list is missing or damaged, so nothing else is lost."""
    try:
        found = read_graphs(folder)
    except ModelError:
        return set()
    return set() if found is None else {graph.path for graph in found.graphs.values()}
