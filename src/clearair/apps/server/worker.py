"""The child process that decodes and restores: `python -m clearair.apps.server.worker FD`.

One task at a time. Inputs and outputs are open files; it never sees a path. Between two tiles it checks
whether its task was cancelled.

Tasks: `look` reads a header, `inspect` perceives, `restore` restores.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearair.apps.server.messages import Channel
from clearair.errors import ClearAirError, ImageError
from clearair.memory import is_shortage

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.image import Photo

NAME = "The picture"
"""Name of a picture in messages; the server removes it."""
SHOWN_BY_BROWSERS = ("jpeg", "png", "webp", "avif", "gif", "bmp")
_SALVAGE = "salvage=True"
"""Text by which the library says that a damaged file can be salvaged; the option of the API is lower case."""
_NICENESS = 5
"""Lower priority, so that tiles never delay the process that speaks HTTP."""
_SPARE_ADDRESSES = 1 << 30
"""Bytes of address space beyond that: threads and libraries reserve addresses that they do not use."""
_DECODING_BYTES = 48
"""A pixel, without a memory budget: RGBA as float, three times, as much as reading ever takes."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


class CancelledError(Exception):
    """The server has cancelled this task."""


class SeenError(Exception):
    """Stops reading once the size of a picture is known."""


class TooLargeError(ImageError):
    """A picture has more pixels than the server allows, or has memory for."""


@dataclass(frozen=True)
class Task:
    """What is to be done to one picture."""

    number: int
    options: dict[str, Any]
    files: list[int]
    """Descriptors: what comes in first, then what goes out."""
    channel: Channel

    def read(self) -> bytes:
        """The picture's file."""
        with os.fdopen(os.dup(self.files[0]), "rb") as file:
            file.seek(0)
            return file.read()

    def write(self, which: int, data: bytes | memoryview) -> int:
        """Write one of the output files; returns its size."""
        with os.fdopen(os.dup(self.files[which]), "wb") as file:
            file.truncate(0)
            file.seek(0)
            file.write(data)
        return len(data)

    def progress(self, done: int, total: int) -> None:
        """Report how many tiles are done. Raises CancelledError when the task was cancelled."""
        self.check()
        self.channel.send({"task": self.number, "progress": [done, total]})

    def check(self) -> None:
        """Raise CancelledError when the task was cancelled."""
        while (message := self.channel.pending()) is not None:
            if message.get("cancel") == self.number:
                raise CancelledError


Work = Callable[[Task], dict[str, Any]]
"""Does a task; what it returns is its answer."""


def main() -> None:
    """Answer tasks until the server closes the connection."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    channel = Channel(connection)
    try:
        setup, _ = channel.receive()
        _confine()
        serve(channel, setup)
    except EOFError:
        pass


def serve(channel: Channel, setup: dict[str, Any]) -> None:
    """Load what the tasks need, report readiness, and answer tasks."""
    try:
        tasks, kinds = _tasks(setup)
    except ClearAirError as error:
        channel.send({"failed": _describe(error)})
        return
    channel.send({"ready": True, "kinds": kinds})
    while True:
        message, files = channel.receive()
        if "cancel" in message:
            continue  # of a task that is done
        task = Task(int(message["task"]), message["options"], files, channel)
        answer = _answer(tasks[message["name"]], task)
        for descriptor in files:
            os.close(descriptor)
        gc.collect()  # pictures that an error kept alive
        channel.send({"task": task.number, **answer})


def _answer(work: Work, task: Task) -> dict[str, Any]:
    try:
        return {"done": work(task)}
    except CancelledError:
        return {"error": {"kind": "CancelledError", "message": "It was cancelled."}}
    except ClearAirError as error:
        return {"error": _describe(error)}
    except EOFError:
        raise
    except OSError as error:
        return {"error": {"kind": "OSError", "message": os.strerror(error.errno or 0), "errno": error.errno}}
    except Exception as error:
        if is_shortage(error):
            return {"error": {"kind": "OutOfMemoryError", "message": "There is not enough memory for it."}}
        traceback.print_exc()
        return {"error": {"kind": "Bug", "message": "Something unexpected went wrong."}}


def _describe(error: ClearAirError) -> dict[str, Any]:
    message = str(error).removeprefix(f"{NAME}: ").replace(_SALVAGE, _SALVAGE.lower())
    return {
        "kind": type(error).__name__,
        "message": message[:1].upper() + message[1:],
        "exit_code": error.exit_code,
    }


def _tasks(setup: dict[str, Any]) -> tuple[dict[str, Work], list[str]]:
    """The capabilities of this worker, and the kinds of damage that its model knows."""
    if setup["work"] == "look":
        import clearair.image  # noqa: F401  # now, so that the first look does not have to wait for it

        _limit_addresses(int(setup["memory"]))
        return {"look": look}, []
    from clearair import Restorer
    from clearair.budget import parse_size
    from clearair.graphs import limit_cores

    if setup.get("threads"):
        limit_cores(int(setup["threads"]))
    loading = dict(setup["loading"])
    restorer = Restorer.from_pretrained(setup["model"], **loading)
    if restorer.runtime.device_type == "cpu":  # drivers of GPUs map far more addresses than there is memory
        budget = loading.get("memory_budget")
        memory = parse_size(budget) if budget else int(setup["pixels"]) * _DECODING_BYTES
        _limit_addresses(memory + _SPARE_ADDRESSES)
    restoring = Restoring(restorer, int(setup["pixels"]))
    return {"inspect": restoring.inspect, "restore": restoring.restore}, list(restorer.kinds)


def look(task: Task) -> dict[str, Any]:
    """The format and size of a picture from its header. Raises ImageError if it is not a picture.

    The process ends when that takes more than `seconds` of the options on the CPU.
    """
    from clearair.image import read_photo
    from clearair.image.formats import HEAD_BYTES, sniff

    _limit_cpu_time(int(task.options["seconds"]))
    data = task.read()
    size: list[int] = []

    def see(width: int, height: int, pixel_bytes: int) -> None:
        size.extend((width, height))
        raise SeenError

    with suppress(SeenError):
        # What is damaged behind the header is found when it is decoded.
        read_photo(data, name=NAME, max_pixels=1 << 62, salvage=True, check_size=see)
    width, height = size
    _refuse_large(width, height, int(task.options["pixels"]))
    return {"format": sniff(data[:HEAD_BYTES]) or "", "width": width, "height": height}


class Restoring:
    """The tasks that need a model."""

    def __init__(self, restorer: Restorer, max_pixels: int) -> None:
        self._restorer = restorer
        self._max_pixels = max_pixels

    def inspect(self, task: Task) -> dict[str, Any]:
        """What is wrong with a picture, and what restoring it would do."""
        from clearair.perception.telling import expected

        photo = self._read(task)
        percepts = self._restorer.perceive(photo)
        outcome = expected(self._restorer.perceiver, percepts)
        return {
            "picture": _size(photo),
            "percepts": percepts.to_dict(),
            "outcome": outcome.to_dict(),
            "notes": list(photo.notes),
        }

    def restore(self, task: Task) -> dict[str, Any]:
        """Restore a picture, and make previews of what browsers cannot show, if requested."""
        import io

        from clearair.files.saving import save_to
        from clearair.image import FORMATS, holdings, output_format, refuse_unfit

        options = task.options
        photo = self._read(task)
        kind = options["format"] or output_format(photo.format)
        refuse_unfit(photo, kind, NAME)
        task.check()
        before, previews = photo.format, {}
        if options["previews"] and (before not in SHOWN_BY_BROWSERS or photo.frames > 1):
            previews["before"] = task.write(2, _preview(photo))
        restored, percepts, outcome = self._restorer.restore_photo(
            photo, own=True, on_tile=task.progress, **options["restoring"]
        )
        del photo
        task.check()
        encoded, strip = io.BytesIO(), bool(options["strip_metadata"])
        changed = outcome.changed is not False
        notes = save_to(
            restored,
            encoded,
            changed=changed,
            format=kind,
            strip_metadata=strip,
            quality=options["quality"],
        )
        size = task.write(1, encoded.getbuffer())
        if options["previews"]:
            if kind not in SHOWN_BY_BROWSERS:
                previews["after"] = task.write(3, _preview(restored))
            previews["regions"] = task.write(4, _regions(percepts.labels))
        left_out = holdings(restored, kind, strip_metadata=strip).left_out if notes else ()
        return {
            "format": kind,
            "suffix": FORMATS[kind].suffixes[0],
            "bytes": size,
            "width": restored.size[0],
            "height": restored.size[1],
            "percepts": percepts.to_dict(),
            "outcome": outcome.to_dict(),
            "notes": list(notes),
            "left_out": list(left_out),
            "previews": previews,
        }

    def _read(self, task: Task) -> Photo:
        from clearair.image import read_photo

        def check(width: int, height: int, pixel_bytes: int) -> None:
            _refuse_large(width, height, self._max_pixels)
            try:
                self._restorer.check_size(width, height, pixel_bytes)
            except ImageError as error:
                raise TooLargeError(str(error)) from error

        salvage = bool(task.options.get("salvage"))
        return read_photo(task.read(), name=NAME, max_pixels=1 << 62, salvage=salvage, check_size=check)


def _size(photo: Photo) -> dict[str, Any]:
    return {"format": photo.format, "width": photo.size[0], "height": photo.size[1]}


def _refuse_large(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise TooLargeError(
            f"{width:,} x {height:,} pixels are more than the {most:,} that this server takes; make the "
            "picture smaller first."
        )


def _preview(photo: Photo) -> bytes:
    """The picture as an 8-bit PNG with its colour profile and no other metadata."""
    import numpy as np

    from clearair.image import Photo, encode_photo, to_depth
    from clearair.image.metadata import Metadata

    eight = np.dtype(np.uint8)
    plain = Photo(
        to_depth(photo.pixels, eight),
        alpha=None if photo.alpha is None else to_depth(photo.alpha, eight),
        grey=photo.grey,
        metadata=Metadata(icc=photo.metadata.icc, colours=photo.metadata.colours),
    )
    return encode_photo(plain, "png")


def _regions(labels: Any) -> bytes:
    from clearair.apps.overlay import region_layer
    from clearair.image import encode_photo

    return encode_photo(region_layer(labels), "png")


def _confine() -> None:
    """End with the server, gain no privileges, write no core file, and run at low priority."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which finishes what runs
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICENESS)
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() == 1 and Path("/proc/1/comm").read_text().strip() in ("systemd", "init"):
        sys.exit(1)  # the server ended before it could be tied to it


def _limit_addresses(more: int) -> None:
    """Limit the address space to this many bytes beyond the current use."""
    if sys.platform != "linux":
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + more
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _limit_cpu_time(more: int) -> None:
    """Let the kernel end the process (SIGXCPU) after so many seconds more on the CPU, rounded up."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = math.ceil(usage.ru_utime + usage.ru_stime) + more
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))


if __name__ == "__main__":
    main()
