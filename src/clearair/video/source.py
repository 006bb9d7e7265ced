"""Opens a video: its properties, whether it can be restored, and its frames in order."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from clearair.errors import ImageError
from clearair.video.colours import DEPTHS, HDR_TRANSFERS, MATRICES, Colours

_PROGRESSIVE = (0, 1)
"""Field orders: unknown and progressive."""
_TOLERANCE = Fraction(1, 2)
"""Seconds by which frames may end before the stated duration, as with some writers."""
_SEGMENT = 0x18538067
"""Identifier of the part of a Matroska file that holds everything else."""
_REFERRING = {
    "concat": "a list of other files",
    "concatf": "a list of other files",
    "dash": "a list of other files",
    "hls": "a list of other files",
    "sdp": "a description of a stream",
    "image2": "a picture",
}
"""Formats of FFmpeg that are no video files, and what they are; those of pictures mostly end in `_pipe`."""
_RESTORED = "8 and 10 bits in YUV without transparency can be restored."
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Clip:
    """The properties shared by all frames of a video."""

    path: Path
    stream: int
    """Number of the video stream in its file."""
    codec: str
    width: int
    height: int
    """As stored, before the rotation that a player makes."""
    pixel_format: str
    time_base: Fraction
    """Seconds of a unit of presentation times."""
    rate: Fraction
    """Frames a second on average."""
    aspect: Fraction | None
    """Of a pixel, width to height; None where the file does not say."""
    colours: Colours
    matrix: tuple[int, ...] | None
    """The display matrix of FFmpeg, nine numbers; None for none."""
    announced: int
    """Frames that there seem to be, 0 where the file does not say."""

    @property
    def bits(self) -> int:
        """Bits of a channel, 8 or 10."""
        return DEPTHS[self.pixel_format]

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise, 0 to 3, that make a stored frame upright."""
        if self.matrix is None:
            return 0
        a, b, c, d = (round(self.matrix[place] / 65536) for place in (0, 1, 3, 4))
        return {(0, 1, -1, 0): 3, (-1, 0, 0, -1): 2, (0, -1, 1, 0): 1}.get((a, b, c, d), 0)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A video file, open. Raises ImageError, naming it, when it cannot be opened."""
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read: {_reason(error)}") from error
    with container:
        if container.format.name in _REFERRING or container.format.name.endswith("_pipe"):
            raise ImageError(f"{path}: no video, but {_REFERRING.get(container.format.name, 'a picture')}.")
        yield container


def main_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video that is restored, ready to be decoded. Raises ImageError when there is none."""
    streams = [each for each in container.streams.video if not is_cover(each)]
    if not streams:
        raise ImageError(f"{path}: holds no video stream.")
    chosen = next((each for each in streams if each.disposition & type(each.disposition).default), streams[0])
    if chosen.codec_context is None:
        raise ImageError(f"{path}: its video is in a format that cannot be decoded.")
    chosen.thread_type = "AUTO"
    return chosen


def describe(path: Path, *, max_pixels: int) -> Clip:
    """The properties of a video from its header and its first frame.

    Raises ImageError when it cannot be read, or cannot be restored correctly.
    """
    with opened(path) as container:
        stream = main_stream(container, path)
        context = stream.codec_context
        if context.width * context.height > max_pixels:
            raise ImageError(
                f"{path}: has frames of {context.width} x {context.height} px, more than "
                f"max_pixels={max_pixels} allows."
            )
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        try:
            first = next(container.decode(stream), None)
        except FFmpegError as error:
            raise ImageError(f"{path}: damaged, its first frame cannot be decoded.") from error
        if first is None:
            raise ImageError(f"{path}: its video stream holds no frame that can be decoded.")
        if context.field_order not in _PROGRESSIVE:
            raise ImageError(_interlaced(path))
        if _has_alpha(stream):
            raise ImageError(f"{path}: has transparent pixels. {_RESTORED}")
        if stream.time_base is None or first.pts is None:
            raise ImageError(f"{path}: its frames have no presentation times; put it into MP4 or Matroska.")
        if container.format.name == "avi" and context.has_b_frames and context.name == "h264":
            raise ImageError(
                f"{path}: AVI keeps no presentation times for its frames; put it into Matroska first, as "
                "with mkvmerge."
            )
        seconds, _ = _seconds(container, stream)
        clip = Clip(
            path=path,
            stream=stream.index,
            codec=context.codec.canonical_name,
            width=first.width,
            height=first.height,
            pixel_format=first.format.name,
            time_base=stream.time_base,
            rate=rate,
            aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio or None,
            colours=Colours.of(first),
            matrix=_display_matrix(first),
            announced=stream.frames or round(seconds * rate),
        )
    refuse_unfit(clip, first)
    return clip


def refuse_unfit(clip: Clip, frame: VideoFrame) -> None:
    """Raise ImageError for a frame that cannot be restored correctly."""
    path = clip.path
    if frame.interlaced_frame:
        raise ImageError(_interlaced(path))
    if frame.color_trc in HDR_TRANSFERS or _is_dolby_vision(frame):
        raise ImageError(f"{path}: is HDR video (PQ, HLG or Dolby Vision), which cannot be restored yet.")
    if frame.format.name not in DEPTHS:
        raise ImageError(f"{path}: has pixels of the format {frame.format.name}. {_RESTORED}")
    if frame.colorspace not in MATRICES:
        raise ImageError(f"{path}: has a colour matrix (number {frame.colorspace}) that is not supported.")
    if (frame.width, frame.height, frame.format.name) != (clip.width, clip.height, clip.pixel_format):
        raise ImageError(f"{path}: its frames change their size or format at {frame.time or 0:.2f} s.")
    if Colours.of(frame) != clip.colours:
        raise ImageError(f"{path}: its colour tags change at {frame.time or 0:.2f} s.")


def frames(
    clip: Clip, *, salvage: bool = False, remark: Callable[[str], None] | None = None
) -> Iterator[VideoFrame]:
    """Every frame in the order of presentation.

    A damaged or missing frame raises ImageError; with `salvage` it is left out or used as decoded, and
    `remark` is called.
    """
    tell = remark or (lambda text: None)
    last = lasts = None  # numbers, since the caller may change the frame
    with opened(clip.path) as container:
        stream = main_stream(container, clip.path)
        for frame in _decoded(container, stream, clip, salvage, tell):
            refuse_unfit(clip, frame)
            if frame.is_corrupt:
                _damaged(clip, f"damaged at {frame.time or 0:.2f} s", salvage, tell)
            if frame.pts is None or (last is not None and frame.pts <= last):
                _damaged(clip, "its presentation times do not rise", salvage, tell)
                continue
            last, lasts = frame.pts, frame.duration
            yield frame
        missing = _missing(container, stream, clip, last, lasts)
    if missing:
        _damaged(clip, missing, salvage, tell)


def _decoded(
    container: InputContainer, stream: VideoStream, clip: Clip, salvage: bool, tell: Callable[[str], None]
) -> Iterator[VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except FFmpegError as error:
            _damaged(clip, f"damaged: {_reason(error)}", salvage, tell)
            continue  # a generator that has failed ends
        yield from decoded


def _damaged(clip: Clip, what: str, salvage: bool, tell: Callable[[str], None]) -> None:
    if not salvage:
        raise ImageError(f"{clip.path}: {what.removesuffix('.')}. salvage=True restores what can be decoded.")
    tell(what)


def _missing(
    container: InputContainer, stream: VideoStream, clip: Clip, last: int | None, lasts: int | None
) -> str | None:
    """Describes a file that ends too early; None for a complete one."""
    if last is None:
        return "no frame can be decoded"
    ends = (last + (lasts or round(1 / clip.rate / clip.time_base))) * clip.time_base
    said, tolerance = _seconds(container, stream)
    # Matroska counts from 0 where FFmpeg wrote it.
    begins = 0 if "matroska" in container.format.name else Fraction(stream.start_time or 0) * clip.time_base
    expected = said + begins
    if ends < expected - tolerance - 2 / clip.rate:
        return f"cut off at {float(ends):.1f} of {float(expected):.1f} s"
    size = clip.path.stat().st_size
    if any(entry.pos + entry.size > size for entry in stream.index_entries) or (
        _stated_end(container.format.name, clip.path) > size
    ):
        return f"cut off after {float(ends):.1f} s"
    return None


def _stated_end(format: str, path: Path) -> int:
    """Least length of a file by the sizes in it, 0 where it has none."""
    if format == "avi":
        return _riff_end(path)
    return _segment_end(path) if "matroska" in format else 0


def _segment_end(path: Path) -> int:
    """Where the segment of a Matroska file ends; 0 if that is unknown, as in a stream."""
    with path.open("rb") as file:
        _, header = _element(file)
        file.seek(header or 0, os.SEEK_CUR)
        kind, length = _element(file)
        return file.tell() + length if kind == _SEGMENT and length is not None else 0


def _element(file: BinaryIO) -> tuple[int, int | None]:
    """Identifier and length of a Matroska element (RFC 8794, 4 to 6); all bits 1 is an unknown length."""
    kind, _ = _variable(file)
    length, bits = _variable(file)
    length &= (1 << bits) - 1
    return kind, None if length == (1 << bits) - 1 else length


def _variable(file: BinaryIO) -> tuple[int, int]:
    """An integer whose first 1 says how many bytes it has, and how many bits follow that 1."""
    first = file.read(1)
    count = 9 - first[0].bit_length() if first else 1
    return int.from_bytes(first + file.read(count - 1)), 7 * count


def _riff_end(path: Path) -> int:
    """Least length of an AVI file by the sizes of its parts, which are 0 if a writer was interrupted."""
    end = 0
    with path.open("rb") as file:
        while (head := file.read(8))[:4] == b"RIFF" and len(head) == 8:
            length = int.from_bytes(head[4:], "little")
            end += 8 + length
            if length == 0:
                break
            file.seek(end + end % 2)
    return end


def _seconds(container: InputContainer, stream: VideoStream) -> tuple[Fraction, Fraction]:
    """The stated duration of the video, 0 if unknown, and its tolerance."""
    if stream.duration is not None and stream.time_base is not None:
        return Fraction(stream.duration) * stream.time_base, _TOLERANCE
    if found := _CLOCK.fullmatch(stream.metadata.get("DURATION", "")):  # Matroska
        hours, minutes, seconds = found.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds), _TOLERANCE
    whole = Fraction(container.duration or 0, av.time_base)  # the sound may last longer
    return whole, max(_TOLERANCE, whole / 20) if len(container.streams) > 1 else _TOLERANCE


def is_cover(stream: VideoStream) -> bool:
    """Whether a stream is a cover picture."""
    disposition = stream.disposition
    return bool(disposition & (type(disposition).attached_pic | type(disposition).still_image))


def _has_alpha(stream: VideoStream) -> bool:
    """Whether a WebM or Matroska file says so: decoders of VP8 and VP9 leave the transparency out."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())


def _is_dolby_vision(frame: VideoFrame) -> bool:
    kinds = {each.type for each in _side_data(frame)}
    return bool(kinds & {SideDataType.DOVI_METADATA, SideDataType.DOVI_RPU_BUFFER})


def has_captions(frame: VideoFrame) -> bool:
    """Whether closed captions are stored in a frame itself."""
    return any(each.type == SideDataType.A53_CC for each in _side_data(frame))


def has_marks(frame: VideoFrame) -> bool:
    """Whether a frame is marked as part of a 360° or a 3-D video."""
    # A stereo mark begins with a number, which is 0 in a flat video.
    return any(
        each.type == SideDataType.SPHERICAL or (each.type == SideDataType.STEREO3D and any(bytes(each)[:4]))
        for each in _side_data(frame)
    )


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    for each in _side_data(frame):
        if each.type == SideDataType.DISPLAYMATRIX:
            return struct.unpack("=9i", bytes(each)[:36])
    return None


def _side_data(frame: VideoFrame) -> list[Any]:
    return [frame.side_data[place] for place in range(len(frame.side_data))]  # type: ignore[literal-required]


def _interlaced(path: Path) -> str:
    return f"{path}: is interlaced; deinterlace it first, as with ffmpeg's bwdif."


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"{str(text).lower().rstrip('.')}."


def require_video(path: Path) -> None:
    """Raise ImageError if there is no such file."""
    if not path.exists():
        raise ImageError(f"{path}: no such file.")
