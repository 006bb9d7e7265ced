"""The only access to libvips, imported late: the import takes longer than `--help` may."""

from __future__ import annotations

import os
import textwrap
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
"""Properties of an image; everything else is an operation."""
_HARMLESS = ("bad seek", "no property named")
"""Harmless remarks: libheif reads beyond the end of a file, and pyvips, in any thread, first looks up a
method of a picture as a property."""
_listening = threading.Lock()
_OWN_ROOM = 64 << 20
"""Bytes that libvips and its codecs need besides whole pictures: stacks, tables, rows."""


@cache
def libvips() -> Any:
    """Import pyvips, configured for pictures that are read once each.

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
        pyvips.concurrency_set(1)  # each thread needs another stack
    return pyvips


def _name_operations(image_class: Any) -> None:
    """Call a method of an image as an operation, without first looking it up as a property.

    The lookup makes pyvips provoke an error and clear libvips' error list, which all threads share: a
    decoder's error in another thread would be lost, or the lookup would be blamed on its file.
    """
    look_up = image_class.__getattr__

    def attribute(image: Any, name: str) -> Any:
        return look_up(image, name) if name in _PROPERTIES else partial(getattr(image_class, name), image)

    image_class.__getattr__ = attribute


def require_room(size: int, name: str, what: str) -> None:
    """Raise OutOfMemoryError when libvips would not have room for pictures of `size` bytes.

    This must be checked beforehand: GLib aborts the process when it runs out of memory.
    """
    if not has_room(size + _OWN_ROOM):
        raise no_room(name, what)


def lacks_memory(said: object) -> bool:
    """Whether a decoder's error is due to lack of memory.

    A damaged file may request an absurd amount: if there is plenty of memory, the file is damaged.
    """
    return is_shortage(said) and not has_room(_PLENTY)


def no_room(name: str, what: str) -> OutOfMemoryError:
    """The error for a picture that cannot be decoded or encoded for lack of memory."""
    return OutOfMemoryError(
        f"{name}: there is not enough memory to {what} it, which no option changes. Close other programs or "
        "raise the limit (ulimit -v), or make the picture smaller first."
    )


def explain(error: Exception) -> str:
    """The most informative line of a libvips error, as `(libvips: ...)`, or nothing."""
    return quote(str(getattr(error, "detail", "")))


def quote(said: str) -> str:
    """The most informative line of a libvips message, as `(libvips: ...)`, or nothing."""
    lines = [line.strip() for line in said.splitlines()]
    line = next((line for line in lines if line and _counts(line)), "")
    printable = "".join(letter if letter.isprintable() else "?" for letter in line)
    printable = textwrap.shorten(printable, 120, placeholder=" ...")
    return f" (libvips: {printable})" if printable else ""


@contextmanager
def alone() -> Iterator[None]:
    """Decode while no other thread does.

    libvips keeps one error list for the whole process: errors of one file would be attributed to another.
    """
    with _listening, using_libvips():
        yield


def _free_after_fork() -> None:
    """A child forked while a thread decodes would wait for that thread, which it does not have."""
    global _listening
    _listening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_after_fork)


def forget_remarks() -> None:
    """Clear the errors of decoders."""
    libvips().vips_lib.vips_error_clear()


def remarks() -> str:
    """Errors of decoders since the last `forget_remarks`, even if decoding continued."""
    vips = libvips()
    said = str(vips._to_string(vips.vips_lib.vips_error_buffer()))
    return "\n".join(line for line in said.splitlines() if line.strip() and _counts(line))


def _counts(line: str) -> bool:
    return not any(harmless in line for harmless in _HARMLESS)
