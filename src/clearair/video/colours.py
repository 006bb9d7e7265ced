"""Converts frames to RGB, as in photos, and back; the colour space of the file is kept.

Shapes: H x W pixels of a frame, upright.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""(H, W, 3) uint8 for 8 bits, uint16 for 10."""

DEPTHS = {
    **dict.fromkeys(("gray", "nv12", "yuv420p", "yuv422p", "yuv444p"), 8),
    **dict.fromkeys(("yuvj420p", "yuvj422p", "yuvj444p"), 8),
    **dict.fromkeys(("p010le", "yuv420p10le", "yuv422p10le", "yuv444p10le"), 10),
}
"""Bits of each pixel format that is restored."""

WRITTEN = {
    "nv12": "yuv420p",
    "p010le": "yuv420p10le",
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
}
"""Encoder names of formats with another name or order."""

MATRICES = {1: 1, 2: 0, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""Numbers of colour matrices in files (ISO/IEC 23091-2) -> those of swscale; 0 depends on the height."""

HDR_TRANSFERS = (16, 18)
"""Transfer functions that are not restored: PQ (SMPTE 2084) and HLG (ARIB STD-B67)."""

_HD = 720
"""Height from which players assume BT.709 for untagged colours; below it BT.601."""
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


@dataclass(frozen=True)
class Colours:
    """What the colours of a video mean, by the numbers of ISO/IEC 23091-2; 2, for the range 0, is unsaid."""

    range: int
    primaries: int
    transfer: int
    matrix: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Colours:
        """As a frame says."""
        name = frame.format.name
        # swscale treats grey as full range, and it must be displayed as such afterwards.
        full = name.startswith("yuvj") or (name == "gray" and not frame.color_range)
        said = ColorRange.JPEG if full else frame.color_range
        return cls(int(said), int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace))

    def swscale(self, height: int) -> tuple[int, int]:
        """Matrix and range of the stored values, by the numbers of swscale and FFmpeg."""
        matrix = MATRICES[self.matrix] or (1 if height >= _HD else 5)
        return matrix, ColorRange.JPEG if self.range == ColorRange.JPEG else ColorRange.MPEG


def to_pixels(frame: VideoFrame, colours: Colours, turns: int = 0) -> Pixels:
    """(H, W, 3) RGB of a frame after `turns` quarter turns counter-clockwise."""
    matrix, stored = colours.swscale(frame.height)
    rgb = frame.reformat(
        format="rgb24" if DEPTHS[frame.format.name] == 8 else "rgb48le",
        src_colorspace=matrix,
        src_color_range=stored,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
    )
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns))


def changed_frame(
    frame: VideoFrame, old: Pixels, new: Pixels, colours: Colours, pixel_format: str, turns: int = 0
) -> VideoFrame:
    """A frame in the format that is written, after its pixels `old` have become `new`, both (H, W, 3).

    The change is added to the stored values. So unchanged values stay exact, and rounding or clipping in the
    conversion to RGB and back loses nothing.
    """
    kept = as_written(frame, pixel_format)
    before, after = (_stored(pixels, colours, pixel_format, turns) for pixels in (old, new))
    for place in range(len(kept.planes)):
        values = _samples(after, place).astype(np.int32) - _samples(before, place) + _samples(kept, place)
        _samples(after, place)[...] = values.clip(0, (1 << DEPTHS[pixel_format]) - 1)
    return after


def as_written(frame: VideoFrame, pixel_format: str) -> VideoFrame:
    """A frame that was not changed, in the format that is written: the same samples in another order."""
    if frame.format.name == pixel_format:
        return frame
    made = VideoFrame(frame.width, frame.height, pixel_format)
    luma, *chroma = (_rows(plane, pixel_format) for plane in frame.planes)
    if len(chroma) == 1:  # pairs of both colours
        chroma = [chroma[0][:, 0::2], chroma[0][:, 1::2]]
    for place, values in enumerate((luma, *chroma)):
        written = _samples(made, place)
        # P010 keeps its 10 bits in the upper ones of 16.
        written[...] = values[:, : written.shape[1]] >> (6 if frame.format.name == "p010le" else 0)
    return made


def thumbnail(frame: VideoFrame, side: int) -> NDArray[np.float32]:
    """(side, side, 3) in [0, 1], each pixel the mean of an area."""
    small = frame.reformat(width=side, height=side, format="rgb24", interpolation=Interpolation.AREA)
    values: NDArray[np.float32] = small.to_ndarray().astype(np.float32) / np.float32(255)
    return values


def _stored(pixels: Pixels, colours: Colours, pixel_format: str, turns: int) -> VideoFrame:
    """(H, W, 3) RGB as a frame of its own, turned as it is stored."""
    turned = np.ascontiguousarray(np.rot90(pixels, -turns))
    rgb = VideoFrame.from_ndarray(turned, format="rgb24" if turned.dtype == np.uint8 else "rgb48le")
    matrix, stored = colours.swscale(rgb.height)
    return rgb.reformat(
        format=pixel_format,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=stored,
        interpolation=_EXACT,
    )


def _samples(frame: VideoFrame, place: int) -> NDArray[Any]:
    """(H, W) values of a plane, which can be written to."""
    plane = frame.planes[place]
    return _rows(plane, frame.format.name)[:, : plane.width]


def _rows(plane: VideoPlane, pixel_format: str) -> NDArray[Any]:
    """(H, at least W) values of a plane with what pads its rows, which can be written to."""
    depth = np.dtype(np.uint8 if DEPTHS[pixel_format] == 8 else "<u2")
    rows: NDArray[Any] = np.frombuffer(memoryview(plane), depth)
    return rows.reshape(plane.height, plane.line_size // depth.itemsize)
