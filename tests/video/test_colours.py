"""Pixels of frames as RGB, and back."""

import av
import numpy as np
import pytest
import skimage.data

from clearair.video.colours import (
    DEPTHS,
    WRITTEN,
    Colours,
    as_written,
    changed_frame,
    thumbnail,
    to_pixels,
)

HD = Colours(range=1, primaries=1, transfer=1, matrix=1)
UNSAID = Colours(range=0, primaries=2, transfer=2, matrix=2)


def picture(height=32, width=48):
    return np.ascontiguousarray(skimage.data.astronaut()[100 : 100 + height, 150 : 150 + width])


def smooth(height=32, width=48):
    """Colours of which halved ones lose little."""
    down, right = np.mgrid[0:height, 0:width]
    return np.stack([60 + 2 * right, 200 - 3 * down, 90 + down + right], axis=2).astype(np.uint8)


def stored(pixels, pixel_format, colours=HD):
    matrix, kind = colours.swscale(len(pixels))
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format=pixel_format, dst_colorspace=matrix, dst_color_range=kind
    )


def planes(frame):
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width * size].copy()
        for plane in frame.planes
        for size in [1 if DEPTHS[frame.format.name] == 8 else 2]
    ]


@pytest.mark.parametrize("pixel_format", [name for name in DEPTHS if name not in ("gray", "nv12", "p010le")])
def test_pixels_of_every_format_are_right(pixel_format):
    full = pixel_format.startswith("yuvj")
    colours = Colours(2 if full else 1, 1, 1, 1)
    pixels = to_pixels(stored(smooth(), pixel_format, colours), colours)
    assert pixels.dtype == (np.uint8 if DEPTHS[pixel_format] == 8 else np.uint16)
    levels = pixels / np.iinfo(pixels.dtype).max * 255
    assert np.abs(levels - smooth())[2:-2, 2:-2].mean() < 1.5


@pytest.mark.parametrize(
    ("matrix", "height", "expected"), [(1, 32, 1), (5, 32, 5), (6, 1080, 5), (2, 480, 5), (2, 720, 1)]
)
def test_a_matrix_that_is_not_said_depends_on_the_height(matrix, height, expected):
    assert Colours(1, 2, 2, matrix).swscale(height)[0] == expected


def test_a_grey_of_the_limited_range_spans_all_levels():
    frame = av.VideoFrame.from_ndarray(np.repeat(np.uint8([[16], [235]]), 4, axis=1), "gray").reformat(
        format="gray"
    )
    limited = stored(np.repeat(np.uint8([[[0]], [[255]]]), 4, axis=1).repeat(3, axis=2), "yuv444p")
    assert planes(limited)[0][:, 0].tolist() == [16, 235]
    assert to_pixels(limited, HD)[:, 0].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert Colours.of(frame).range == 2


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_come_back(turns):
    frame = stored(picture(), "yuv444p")
    upright = to_pixels(frame, HD, turns)
    assert np.array_equal(upright, np.rot90(to_pixels(frame, HD), turns))
    same = changed_frame(frame, upright, upright, HD, "yuv444p", turns)
    assert all(np.array_equal(old, new) for old, new in zip(planes(frame), planes(same), strict=True))


@pytest.mark.parametrize("pixel_format", sorted({WRITTEN.get(name, name) for name in DEPTHS}))
@pytest.mark.parametrize("colours", [HD, UNSAID])
def test_what_is_not_changed_stays_exact(pixel_format, colours):
    frame = stored(picture(), pixel_format, colours)
    pixels = to_pixels(frame, colours)
    same = changed_frame(frame, pixels, pixels, colours, pixel_format)
    assert all(np.array_equal(old, new) for old, new in zip(planes(frame), planes(same), strict=True))


def test_samples_beyond_black_and_white_stay_where_nothing_changes():
    frame = stored(picture(), "yuv420p")
    luma = np.frombuffer(memoryview(frame.planes[0]), np.uint8)
    np.asarray(luma)[:] = np.arange(luma.size) % 256  # 0 to 15 and 236 to 255 have no RGB of their own
    pixels = to_pixels(frame, HD)
    same = changed_frame(frame, pixels, pixels, HD, "yuv420p")
    assert np.array_equal(planes(frame)[0], planes(same)[0])


def test_a_change_arrives_whole():
    frame = stored(smooth(), "yuv420p")
    old = to_pixels(frame, HD)
    new = (old.astype(int) + 20).clip(0, 255).astype(np.uint8)
    change = to_pixels(changed_frame(frame, old, new, HD, "yuv420p"), HD).astype(float) - old
    assert change.mean() == pytest.approx(20, abs=0.5)


def test_ten_bits_are_kept():
    frame = stored(smooth(), "yuv420p10le")
    old = to_pixels(frame, HD)
    new = old + np.uint16(64)  # a quarter of a level of 8 bits
    change = to_pixels(changed_frame(frame, old, new, HD, "yuv420p10le"), HD).astype(int) - old
    assert change.mean() == pytest.approx(64, abs=20)


@pytest.mark.parametrize(("pixel_format", "written"), list(WRITTEN.items()))
@pytest.mark.parametrize("size", [(32, 48), (34, 50)])
def test_formats_with_another_name_keep_their_samples(pixel_format, written, size):
    frame = stored(picture(*size), pixel_format)
    values = [plane.view(np.uint8 if DEPTHS[written] == 8 else "<u2") for plane in planes(frame)]
    if pixel_format in ("nv12", "p010le"):
        both = np.frombuffer(memoryview(frame.planes[1]), values[0].dtype)
        pairs = both.reshape(size[0] // 2, -1)[:, : size[1]]
        values = [values[0], pairs[:, 0::2], pairs[:, 1::2]]
    if pixel_format == "p010le":
        values = [plane // 64 for plane in values]
    made = as_written(frame, written)
    assert made.format.name == written
    kept = [plane.view(values[0].dtype) for plane in planes(made)]
    assert all(np.array_equal(old, new) for old, new in zip(values, kept, strict=True))


def test_a_thumbnail_is_the_mean_of_areas():
    small = thumbnail(av.VideoFrame.from_ndarray(picture(64, 64), "rgb24"), 32)
    expected = picture(64, 64).reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)) / 255
    assert small.dtype == np.float32
    assert small == pytest.approx(expected, abs=1.5 / 255)
