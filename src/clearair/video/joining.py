"""Joins the segments and the other streams of the input in one file without re-encoding."""

from __future__ import annotations

import heapq
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet as AvPacket
from av.stream import AttachmentStream, DataStream, Stream
from av.video.stream import VideoStream

from clearair.errors import OutputError
from clearair.video.coding import Coding, Packet, set_up, written_rate
from clearair.video.segments import WorkFolder
from clearair.video.source import Clip, is_cover, opened

_QUICKTIME = ("mp4", "mov")
"""Containers of one family."""
_OF_THE_ENCODING = re.compile(r"DURATION|BPS|NUMBER_OF_\w+|_STATISTICS_\w+|encoder", re.IGNORECASE)
"""Tags that describe how the input was encoded."""
_PICTURES = {"mjpeg": "jpeg"}
"""Codecs of covers whose files are called otherwise."""
_EARLY = 2000
"""Number of packets that are searched for one of each stream."""
_APPLE_TAGS = {"hevc": "hvc1"}
"""Codec tags that Apple's players want; FFmpeg writes another one."""


def join(
    folder: WorkFolder,
    segments: int,
    clip: Clip,
    coding: Coding,
    container: str,
    *,
    strip_metadata: bool = False,
    remark: Callable[[str], None],
) -> None:
    """Write `folder.joined`. `remark` receives what the container cannot hold. Raises OutputError."""
    head = folder.head(0)
    if any(folder.head(number) != head for number in range(segments)):
        raise OutputError(f"{folder.path}: its segments were encoded by different versions; start over.")
    try:
        with (
            opened(clip.path) as source,
            av.open(
                str(folder.joined), "w", format=container, container_options=_options(source, container)
            ) as out,
        ):
            _join_into(out, source, folder, segments, clip, coding, strip_metadata, remark)
    except FFmpegError as error:
        raise OutputError(f"{clip.path}: cannot be put together as {container}: {error.strerror}.") from error


def _options(source: InputContainer, container: str) -> dict[str, str]:
    """Options of the muxer: the index first, so that a file plays while it downloads, and Apple's tags."""
    if container not in _QUICKTIME:
        return {}
    odd = any("." in key for key in source.metadata)
    return {"movflags": "faststart+use_metadata_tags" if odd else "faststart"}


def _join_into(
    out: OutputContainer,
    source: InputContainer,
    folder: WorkFolder,
    segments: int,
    clip: Clip,
    coding: Coding,
    strip_metadata: bool,
    remark: Callable[[str], None],
) -> None:
    streams = _streams(out, source, clip, coding, strip_metadata, remark)
    if not strip_metadata:
        out.metadata.update(source.metadata)
        if source.chapters():
            out.set_chapters(source.chapters())
    video = next(each for index, each in streams.items() if index == clip.stream)
    if not isinstance(video, VideoStream):
        raise TypeError("the restored stream is not a video")
    out.start_encoding()
    if bytes(video.codec_context.extradata or b"") != folder.head(0):
        raise OutputError(f"{folder.path}: its segments were encoded by another version; start over.")
    others = {
        index: stream
        for index, stream in streams.items()
        if index != clip.stream and not isinstance(stream, AttachmentStream)
    }
    queues: list[Iterable[tuple[Fraction, int, Any]]] = [
        _restored(folder, segments, clip, video, _end(source, clip)),
        _copied(source, others),
    ]
    begins = _begins(source)
    for _, _, packet in heapq.merge(*queues, key=lambda each: each[:2]):
        if begins:
            _shift(packet, begins)
        out.mux_one(packet)


def _end(source: InputContainer, clip: Clip) -> int | None:
    """When the video ends, in units of the clip; None where the file does not say."""
    stream = source.streams[clip.stream]
    return None if stream.duration is None else (stream.start_time or 0) + stream.duration


def _begins(source: InputContainer) -> Fraction:
    """Seconds subtracted from all times: broadcast formats start at any time, written formats at 0."""
    if {"mov", "matroska"} & set(source.format.name.split(",")):
        return Fraction(0)
    return Fraction(source.start_time or 0, av.time_base)


def _shift(packet: AvPacket[Any], seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base)
    if packet.pts is not None:
        packet.pts -= ticks
    if packet.dts is not None:
        packet.dts -= ticks


def _streams(
    out: OutputContainer,
    source: InputContainer,
    clip: Clip,
    coding: Coding,
    strip_metadata: bool,
    remark: Callable[[str], None],
) -> dict[int, Stream]:
    """A stream for each of the source that the container can hold, in the same order, by its number."""
    streams: dict[int, Stream] = {}
    firsts = _first_packets(clip.path)
    for old in source.streams:
        new: Stream | None
        if old.index == clip.stream:
            new = _video(out, old, clip, coding)
        else:
            if isinstance(old, DataStream) and _is_made_again(old, source):
                continue
            new = _copy_of(out, old, firsts.get(old.index))
            if new is None:
                kind = old.codec_context.name if old.codec_context is not None else old.type
                remark(f"left out, as the format cannot hold it: stream {old.index} ({kind})")
                continue
        streams[old.index] = new
        new.disposition = old.disposition
        kept = {"language"} if strip_metadata else set(old.metadata)
        new.metadata.update({key: value for key, value in old.metadata.items() if key in kept})
        if "name" in new.metadata:  # FFmpeg reads QuickTime's name of a track as `name`, and writes `title`
            new.metadata.setdefault("title", new.metadata.pop("name"))
        if old.index == clip.stream:
            for key in [key for key in new.metadata if _OF_THE_ENCODING.match(key)]:
                del new.metadata[key]
    return streams


def _video(out: OutputContainer, old: Stream, clip: Clip, coding: Coding) -> VideoStream:
    new = out.add_stream(coding.encoder.name, rate=written_rate(clip))
    if not isinstance(new, VideoStream):
        raise TypeError(f"{coding.encoder.name} encodes no video")
    set_up(new.codec_context, clip, coding)
    new.time_base = clip.time_base
    if clip.aspect:
        new.sample_aspect_ratio = clip.aspect
    if out.format.name in _QUICKTIME and coding.codec in _APPLE_TAGS:
        new.codec_context.codec_tag = _APPLE_TAGS[coding.codec]
    if clip.matrix is not None:
        new.set_display_matrix(clip.matrix)
    return new


def _first_packets(path: Path) -> dict[int, AvPacket[Any]]:
    """A packet of each stream by its number, if one is found early in the file."""
    firsts: dict[int, AvPacket[Any]] = {}
    with opened(path) as source:
        for packet in islice(source.demux(), _EARLY):
            if packet.size:
                firsts.setdefault(packet.stream_index, packet)
    return firsts


def _copy_of(out: OutputContainer, old: Stream, packet: AvPacket[Any] | None) -> Stream | None:
    """A stream that takes packets of `old` as they are; None where the container cannot."""
    matroska = out.format.name == "matroska"
    try:
        if isinstance(old, AttachmentStream):
            name = old.metadata.get("filename", f"attachment-{old.index}")
            kind = old.mimetype or "application/octet-stream"
            return out.add_attachment(name, kind, old.data) if matroska else None
        if matroska and packet is not None and isinstance(old, VideoStream) and is_cover(old):
            ending = _PICTURES.get(old.codec_context.name, old.codec_context.name)
            name = old.metadata.get("filename", f"cover.{ending.replace('jpeg', 'jpg')}")
            return out.add_attachment(name, f"image/{ending}", bytes(packet))
        # Some can be added but make the whole file fail, even at its end: so each is tried separately.
        with av.open(io.BytesIO(), "w", format=out.format.name) as trial:
            stream = trial.add_stream_from_template(old, opaque=True)
            trial.start_encoding()
            if packet is not None:
                packet.stream = stream
                trial.mux_one(packet)
        return out.add_stream_from_template(old, opaque=True)
    except (ValueError, TypeError, AttributeError, FFmpegError):
        return None


def _is_made_again(old: DataStream, source: InputContainer) -> bool:
    """Whether a QuickTime track holds the timecode or chapter names, which the muxer writes itself."""
    chapters = len(source.chapters())
    return "mov" in source.format.name and ("timecode" in old.metadata or old.frames == chapters > 0)


def _restored(
    folder: WorkFolder, segments: int, clip: Clip, stream: VideoStream, end: int | None
) -> Iterator[tuple[Fraction, int, AvPacket[Any]]]:
    """The packets of all segments with times of decoding that rise across their borders."""
    depth = max(_reordered(folder.times(number)) for number in range(segments))
    step = max(1, round(1 / clip.rate / clip.time_base))
    begins = min(folder.times(0))
    waiting = deque(begins - step * place for place in range(depth, 0, -1))
    for number in range(segments):
        packets = folder.packets(number)
        ordered = sorted({packet.time for packet in packets})
        following = dict(pairwise(ordered))
        waiting.extend(ordered)
        for packet in packets:
            lasts = following.get(packet.time, packet.time + packet.lasts) - packet.time
            if end is not None and end > packet.time:
                # For the last frame, decoders report the duration of another one.
                lasts = min(lasts, end - packet.time)
            time = waiting.popleft()
            yield time * clip.time_base, 0, _packet(packet, time, lasts, clip, stream)


def _packet(packet: Packet, decoded: int, lasts: int, clip: Clip, stream: VideoStream) -> AvPacket[Any]:
    made: AvPacket[Any] = AvPacket(packet.data)
    made.pts, made.dts, made.duration = packet.time, decoded, lasts
    made.time_base, made.is_keyframe = clip.time_base, packet.is_key
    made.stream = stream
    return made


def _reordered(times: list[int]) -> int:
    """How many frames a decoder holds back: the most that come before one that is shown earlier."""
    order = {time: place for place, time in enumerate(sorted(times))}
    return max((place - order[time] for place, time in enumerate(times)), default=0)


def _copied(
    source: InputContainer, streams: dict[int, Stream]
) -> Iterator[tuple[Fraction, int, AvPacket[Any]]]:
    """The packets of other streams, unchanged, in the order of the file."""
    if not streams:
        return
    last = Fraction(0)
    for packet in source.demux([source.streams[index] for index in streams]):
        if (packet.size == 0 and packet.pts is None) or _is_gap(packet):
            continue  # the mark of an end, or what the muxer makes again
        time = packet.dts if packet.dts is not None else packet.pts
        if time is not None:
            last = max(last, time * packet.time_base)
        packet.stream = streams[packet.stream_index]
        yield last, 1, packet


def _is_gap(packet: AvPacket[Any]) -> bool:
    """Whether it is a subtitle of QuickTime that shows nothing until the next one."""
    context = packet.stream.codec_context
    return packet.size == 2 and context is not None and context.name == "mov_text" and not any(bytes(packet))


def move_joined(folder: WorkFolder, path: Path) -> None:
    """Give the joined file the name `path`."""
    folder.joined.replace(path)
