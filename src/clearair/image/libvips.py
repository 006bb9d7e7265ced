"""The one door to libvips, opened late: importing it costs more than `--help` may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from clearair.errors import OutOfMemoryError
from clearair.image.forking import using_libvips
from clearair.memory import has_room, is_shortage, keep_to_limit

_PLENTY = 1 << 30
_PROPERTIES = frozenset(
    {"width", "height", "bands", "format", "interpretation", "coding", "xres", "yres", "xoffset", "yoffset"}
    | {"scale", "offset", "filename"}
)
"""Of an image; what else it has are operations."""
_HARMLESS = ("bad seek", "no property named")
"""What libheif causes by looking behind the end of a file, and pyvips, in any thread, by looking up a method
of a picture as a property first."""
_listening = threading.Lock()
_OWN_ROOM = 64 << 20
"""Bytes that libvips and its codecs take beside whole pictures: stacks, tables, rows."""


@cache
def libvips() -> Any:
    """Import pyvips, set for pictures that are each read once.

    pyvips sends libvips' warnings to the logger `pyvips`, which is silent unless an application listens.
    """
    import pyvips

    def decode(text: Any) -> Any:
        raw = pyvips.ffi.NULL if text == pyvips.ffi.NULL else pyvips.ffi.string(text)
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else "NULL"

    # libvips quotes bytes of damaged files in its messages; pyvips insists on UTF-8 and would raise instead.
    pyvips._to_string = pyvips.error._to_string = decode
    _name_operations(pyvips.Image)
    pyvips.cache_set_max(0)  # its cache would keep the last hundred pictures in memory
    if keep_to_limit():
        pyvips.concurrency_set(1)  # a thread more is a stack more
    return pyvips


def _name_operations(image_class: Any) -> None:
    """Let a method of an image be an operation, without asking first whether it is a property.

    For that pyvips provokes an error and clears libvips' list of them, which is one for all threads: what a
    decoder complained of in another thread would be lost, or the question be held against its file.
    """
    look_up = image_class.__getattr__

    def attribute(image: Any, name: str) -> Any:
        return look_up(image, name) if name in _PROPERTIES else partial(getattr(image_class, name), image)

    image_class.__getattr__ = attribute


def require_room(size: int, name: str, what: str) -> None:
    """Raise OutOfMemoryError when libvips would not have room for pictures of `size` bytes.

    It must be asked beforehand: where GLib lacks memory it ends the process.
    """
    if not has_room(size + _OWN_ROOM):
        raise no_room(name, what)


def lacks_memory(said: object) -> bool:
    """Whether a decoder's complaint comes of too little memory.

    A damaged file may ask for an absurd amount: where there is plenty, the fault is the file's.
    """
    return is_shortage(said) and not has_room(_PLENTY)


def no_room(name: str, what: str) -> OutOfMemoryError:
    """The error of a picture that memory is too short to decode or encode."""
    return OutOfMemoryError(
        f"{name}: there is not enough memory to {what} it, which no option changes. Close other programs or "
        "raise the limit (ulimit -v), or make the picture smaller first."
    )


def explain(error: Exception) -> str:
    """The line of a libvips error that says most, as `(libvips: ...)`, or nothing."""
    return quote(str(getattr(error, "detail", "")))


def quote(said: str) -> str:
    """The line that says most of what libvips said, as `(libvips: ...)`, or nothing."""
    lines = [line.strip() for line in said.splitlines()]
    line = next((line for line in lines if line and _counts(line)), "")
    printable = "".join(letter if letter.isprintable() else "?" for letter in line[:120])
    return f" (libvips: {printable})" if printable else ""


@contextmanager
def alone() -> Iterator[None]:
    """Decode while no other thread does.

    libvips keeps one list of remarks for the whole process: those on one file would be held against another.
    """
    with _listening, using_libvips():
        yield


def _free_after_fork() -> None:
    """A child that is forked while a thread decodes would wait for that thread, which it has not."""
    global _listening
    _listening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_after_fork)


def forget_remarks() -> None:
    """Forget what decoders have complained of."""
    libvips().vips_lib.vips_error_clear()


def remarks() -> str:
    """What decoders have complained of since the last `forget_remarks`, also where they went on."""
    vips = libvips()
    said = str(vips._to_string(vips.vips_lib.vips_error_buffer()))
    return "\n".join(line for line in said.splitlines() if line.strip() and _counts(line))


def _counts(line: str) -> bool:
    return not any(harmless in line for harmless in _HARMLESS)
