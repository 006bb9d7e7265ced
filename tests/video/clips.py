"""Small videos, made frame by frame, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data
from numpy.typing import NDArray

HEIGHT, WIDTH = 32, 48
TICKS = Fraction(1, 12800)


def pictures(
    number: int, *, seed: int = 0, noise: float = 25, source: str = "coffee"
) -> list[NDArray[np.uint8]]:
    """Frames of a still photo with noise that differs in each."""
    drawn = np.random.default_rng(seed)
    photo = getattr(skimage.data, source)()[100 : 100 + HEIGHT * 8 : 8, 60 : 60 + WIDTH * 8 : 8].astype(float)
    return [
        (photo + drawn.normal(0, noise, photo.shape)).clip(0, 255).astype(np.uint8) for _ in range(number)
    ]


def write_clip(
    path: Path,
    frames: Sequence[NDArray[Any]],
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    sound: bool = False,
    options: dict[str, str] | None = None,
    rotation: float | None = None,
    aspect: Fraction | None = None,
    metadata: dict[str, str] | None = None,
    prepare: Callable[[Any, Any], Any] | None = None,
    format: str | None = None,
) -> Path:
    """Write frames (H, W, 3); `times` in ticks of 1/12800 s, by default 25 frames a second."""
    height, width = frames[0].shape[:2]
    odd = any("." in key for key in metadata or {})
    muxer = {"movflags": "use_metadata_tags"} if odd else {}
    with av.open(str(path), "w", format=format, container_options=muxer) as out:
        stream: Any = out.add_stream(codec, rate=25, options=options or {"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.time_base = stream.codec_context.time_base = TICKS
        context = stream.codec_context
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = tags
        if aspect:
            context.sample_aspect_ratio = stream.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        out.metadata.update(metadata or {})
        tone: Any = out.add_stream("aac", rate=48000) if sound else None
        if tone:
            tone.metadata["language"] = "fra"
        if prepare:
            prepare(out, stream)
        last = 0
        for time, pixels in zip(times or range(0, 512 * len(frames), 512), frames, strict=True):
            kind = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(pixels, kind).reformat(
                format=pixel_format, dst_colorspace=tags[3] if tags[3] != 2 else 5, dst_color_range=tags[0]
            )
            frame.pts, frame.time_base, last = time, TICKS, time
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone:
            _write_tone(out, tone, float(last * TICKS))
    return path


def _write_tone(out: Any, stream: Any, seconds: float) -> None:
    count = max(1, round(seconds * 48000 / 1024))
    wave = (np.sin(np.arange(count * 1024) * 0.05) * 0.3).astype(np.float32)
    for place in range(count):
        part = wave[place * 1024 : (place + 1) * 1024]
        frame = av.AudioFrame.from_ndarray(np.stack([part, part]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, place * 1024, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


@dataclass
class Seen:
    """What a video file holds."""

    codec: str
    times: list[Fraction]
    """Of presentation, in seconds."""
    tags: tuple[int, ...]
    """Range, primaries, transfer and matrix."""
    pixel_format: str
    rotation: int
    aspect: Fraction | None
    metadata: dict[str, str]
    frames: list[Any] = field(repr=False)
    others: list[tuple[str, dict[str, str], list[tuple[Fraction, bytes]]]] = field(repr=False)
    """Type, metadata and packets of the other streams."""

    def pixels(self, at: int) -> NDArray[np.float64]:
        """(H, W, 3) of a frame as stored, in [0, 255]."""
        from clearair.video.colours import Colours, to_pixels

        frame = self.frames[at]
        values = to_pixels(frame, Colours.of(frame))
        return values / np.iinfo(values.dtype).max * 255


def look(path: Path) -> Seen:
    """Everything in a file."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        frames = list(source.decode(video))
        first = frames[0]
        tags = (first.color_range, first.color_primaries, first.color_trc, first.colorspace)
        times = [frame.pts * video.time_base for frame in frames]
        about = (video.codec_context.name, times, tuple(map(int, tags)), first.format.name, first.rotation)
        aspect, metadata = video.sample_aspect_ratio, dict(source.metadata)
    others = []
    with av.open(str(path)) as source:
        for stream in source.streams:
            if stream.type in ("audio", "subtitle"):
                others.append((stream.type, dict(stream.metadata), _packets(source.demux(stream))))
                source.seek(0)
    return Seen(*about, aspect, metadata, frames, others)


def _packets(packets: Iterable[Any]) -> list[tuple[Fraction, bytes]]:
    return [(each.pts * each.time_base, bytes(each)) for each in packets if each.size]


CHAPTERS = [
    {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
    {"id": 2, "start": 400, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "Two"}},
]
TITLES = [(100, 300, b"Hello"), (600, 300, b"World")]
"""Time and length in milliseconds, and text."""
_STYLES = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Name, Text\n"
)


def write_rich(
    path: Path,
    frames: Sequence[NDArray[Any]],
    *,
    codec: str = "libx264",
    sound: str = "",
    seconds: float = 1,
    subtitles: str = "",
    chapters: bool = False,
    cover: bool = False,
    second: bool = False,
) -> Path:
    """Write frames with other streams: sound of a codec and length, subtitles, a cover, a second video."""
    small = [frame[:32, :48] for frame in frames]
    with av.open(str(path), "w") as out:
        picture = _add_video(out, "mjpeg", [small[0]]) if cover and path.suffix != ".mkv" else None
        if picture:
            picture.disposition = type(picture.disposition).attached_pic
        elif cover:
            out.add_attachment("cover.png", "image/png", _png(small[0]))
            out.add_attachment("letters.ttf", "font/ttf", b"letters")
        video = _add_video(out, codec, frames)
        other = _add_video(out, "libx264", small) if second else None
        tone: Any = out.add_stream(sound, rate=48000) if sound else None
        text: Any = out.add_stream(subtitles) if subtitles else None
        if text:
            text.codec_context.subtitle_header, text.time_base = _STYLES, Fraction(1, 1000)
            text.metadata["language"] = "deu"
        if chapters:
            out.set_chapters(CHAPTERS)  # type: ignore[arg-type]
        for stream, shown in ((picture, [small[0]]), (video, frames), (other, small)):
            if stream:
                _encode(out, stream, shown)
        if tone:
            _write_tone(out, tone, seconds)
        for time, lasts, words in TITLES if text else ():
            data = len(words).to_bytes(2, "big") + words if subtitles == "mov_text" else words
            packet: Any = av.Packet(data)
            packet.pts = packet.dts = time
            packet.duration, packet.time_base, packet.stream = lasts, Fraction(1, 1000), text
            out.mux(packet)
    return path


def _png(pixels: NDArray[Any]) -> bytes:
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
    return b"".join(map(bytes, encoder.encode(av.VideoFrame.from_ndarray(pixels, "rgb24"))))


def _add_video(out: Any, codec: str, frames: Sequence[NDArray[Any]]) -> Any:
    stream = out.add_stream(codec, rate=25)
    stream.height, stream.width = frames[0].shape[:2]
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    if codec != "mpeg2video":  # which has rates of its own
        stream.time_base = stream.codec_context.time_base = TICKS
    return stream


def _encode(out: Any, stream: Any, frames: Sequence[NDArray[Any]]) -> None:
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def write_mpeg2(path: Path, frames: Sequence[NDArray[Any]], *, interlaced: bool = False) -> Path:
    """Write frames as a camera for broadcasting does."""
    with av.open(str(path), "w") as out:
        stream = _add_video(out, "mpeg2video", frames)
        stream.codec_context.bit_rate = 4_000_000
        stream.codec_context.options = {"flags": "+ildct+ilme"} if interlaced else {}
        _encode(out, stream, frames)
    return path


def copied(source: Path, path: Path, *, shift: int = 0, movflags: str = "", negative: bool = False) -> Path:
    """Write the packets of a clip into another file, all of them later by so many ticks of their stream."""
    options = {"avoid_negative_ts": "disabled"} if negative else {}
    muxer = {"movflags": movflags} if movflags else {}
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", options=options, container_options=muxer) as out,
    ):
        streams = {each.index: out.add_stream_from_template(each, opaque=True) for each in old.streams}
        for packet in old.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return path


def mark_as_round(path: Path) -> Path:
    """Mark an MP4 file, whose index lies at its end, as a 360° video seen with two eyes (Google's boxes)."""
    data = bytearray(path.read_bytes())

    def box(kind: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    sphere = box(b"proj", box(b"prhd", bytes(16)), box(b"equi", bytes(20)))
    marks = box(b"st3d", bytes(4), b"\1") + box(b"sv3d", box(b"svhd", bytes(5)), sphere)
    end = len(data)
    place = 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        while data[place + 4 : place + 8] != name:
            place += int.from_bytes(data[place : place + 4], "big")
        length = int.from_bytes(data[place : place + 4], "big")
        data[place : place + 4] = (length + len(marks)).to_bytes(4, "big")
        end = place + length
        place += 16 if name == b"stsd" else 8
    data[end:end] = marks
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
