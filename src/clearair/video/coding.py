"""How restored frames are encoded: which encoder, with which settings, one segment at a time.

Each segment has a new encoder, so that it starts at a key frame and can be made separately. The encoder
counts frames; packets get their times afterwards, which supports variable frame rates.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.codec import Codec
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from clearair.errors import MissingExtraError, OutputError, UsageError
from clearair.video.colours import WRITTEN
from clearair.video.source import Clip

os.environ.setdefault("SVT_LOG", "1")  # errors alone; read when the library is first used


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg and its quality setting."""

    name: str
    quality: int
    """The default CRF."""
    options: tuple[tuple[str, str], ...]
    containers: tuple[str, ...]
    """FFmpeg's names of those that hold its codec."""


ENCODERS = {
    "h264": Encoder("libx264", 18, (("preset", "medium"),), ("mp4", "mov", "matroska")),
    "hevc": Encoder(
        "libx265",
        20,
        (("preset", "medium"), ("x265-params", "log-level=error")),
        ("mp4", "mov", "matroska"),
    ),
    "vp8": Encoder("libvpx", 10, (("b", "20M"), ("cpu-used", "2")), ("matroska", "webm")),
    "vp9": Encoder(
        "libvpx-vp9", 24, (("b", "0"), ("cpu-used", "2"), ("row-mt", "1")), ("mp4", "matroska", "webm")
    ),
    "av1": Encoder("libsvtav1", 24, (("preset", "7"),), ("mp4", "matroska", "webm")),
}
"""Codecs that are written, by FFmpeg's names."""

QUALITIES = range(64)
"""Range of the CRF; H.264 and HEVC end at 51."""


@dataclass(frozen=True)
class Packet:
    """A frame as it was encoded."""

    data: bytes
    time: int
    """Of its presentation, in units of the clip."""
    lasts: int
    """0 where the file does not say."""
    is_key: bool


@dataclass(frozen=True)
class Coding:
    """How the frames of a clip are encoded."""

    codec: str
    pixel_format: str
    quality: int

    @property
    def encoder(self) -> Encoder:
        """What encodes them."""
        return ENCODERS[self.codec]

    @property
    def options(self) -> dict[str, str]:
        """Options for the encoder, by name."""
        return {**dict(self.encoder.options), "crf": str(self.quality)}


def coding_for(clip: Clip, container: str, quality: int | None) -> Coding:
    """The codec of the clip where it can be written into this container, else H.264, or VP9 in WebM.

    Raises UsageError for a quality that the codec does not have, OutputError where nothing can hold the clip.
    """
    wanted = WRITTEN.get(clip.pixel_format, clip.pixel_format)
    for codec in (clip.codec, "h264", "vp9"):
        if codec not in ENCODERS or container not in ENCODERS[codec].containers:
            continue
        if wanted not in _formats(ENCODERS[codec].name) or not _holds_size(codec, clip, wanted):
            continue
        chosen = ENCODERS[codec].quality if quality is None else quality
        if chosen > 51 and codec in ("h264", "hevc"):
            raise UsageError(f"The quality of {codec} is a CRF of 0 to 51, got {chosen}.")
        return Coding(codec, wanted, chosen)
    raise OutputError(
        f"{clip.path}: no encoder here writes its pixels ({wanted}, {clip.width} x {clip.height} px) into "
        f"{container}; name another format, such as .mkv."
    )


def _holds_size(codec: str, clip: Clip, pixel_format: str) -> bool:
    """Whether a codec supports these sides: H.264 and HEVC have no odd ones with subsampled chroma."""
    if codec not in ("h264", "hevc"):
        return True
    halved = {"420": clip.width % 2 + clip.height % 2, "422": clip.width % 2}
    return not any(odd for kind, odd in halved.items() if kind in pixel_format)


def written_rate(clip: Clip) -> Fraction:
    """Frame rate for the encoder, which uses it only for rate control; never 0."""
    return max(Fraction(clip.rate).limit_denominator(1001), Fraction(1, 1001))


def _formats(encoder: str) -> set[str]:
    try:
        return {each.name for each in Codec(encoder, "w").video_formats or ()}
    except av.codec.codec.UnknownCodecError as error:
        raise MissingExtraError(
            f"PyAV has no encoder {encoder} here; the wheels of pip install 'clearair[video]' have it."
        ) from error


def set_up(context: VideoCodecContext, clip: Clip, coding: Coding) -> None:
    """Configure an encoder before it is opened; equal settings make streams that can be joined."""
    rate = written_rate(clip)
    context.width, context.height = clip.width, clip.height
    context.pix_fmt = coding.pixel_format
    context.framerate = rate
    context.time_base = 1 / rate
    if clip.aspect:
        context.sample_aspect_ratio = clip.aspect
    colours = clip.colours
    context.color_range, context.color_primaries = colours.range, colours.primaries
    context.color_trc, context.colorspace = colours.transfer, colours.matrix
    context.options = coding.options
    context.flags |= int(av.codec.context.Flags.global_header)


def encoded(
    frames: Iterable[tuple[VideoFrame, int, int]], clip: Clip, coding: Coding
) -> tuple[list[Packet], bytes]:
    """The packets of a segment in the order of decoding, and the encoder's head.

    `frames` come with their times of presentation and how long they last. Raises OutputError.
    """
    context: Any = VideoCodecContext.create(coding.encoder.name, "w")
    set_up(context, clip, coding)
    times: list[tuple[int, int]] = []
    packets = []
    try:
        for frame, time, lasts in frames:
            packets += context.encode(_numbered(frame, len(times), context, clip))
            times.append((time, lasts))
        packets += context.encode(None)
    except FFmpegError as error:
        raise OutputError(
            f"{clip.path}: {coding.encoder.name} cannot encode it: {error.strerror}."
        ) from error
    done = [Packet(bytes(each), *times[each.pts or 0], each.is_keyframe) for each in packets if each.size]
    if len(done) != len(times):
        raise OutputError(f"{clip.path}: {coding.encoder.name} made {len(done)} of {len(times)} frames.")
    return done, bytes(context.extradata or b"")


def _numbered(frame: VideoFrame, number: int, context: VideoCodecContext, clip: Clip) -> VideoFrame:
    frame.pts, frame.time_base, frame.duration = number, context.time_base, 1
    frame.pict_type = 0  # chosen by the encoder, regardless of the input
    frame.color_range, frame.colorspace = clip.colours.range, clip.colours.matrix
    frame.color_primaries, frame.color_trc = clip.colours.primaries, clip.colours.transfer
    return frame
