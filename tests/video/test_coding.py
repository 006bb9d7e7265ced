"""How restored frames are encoded."""

from dataclasses import replace
from fractions import Fraction

import pytest

from clearair import OutputError, UsageError
from clearair.video.coding import coding_for, encoded, written_rate
from clearair.video.source import describe, frames
from tests.video.clips import pictures, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures(12))
    return describe(path, max_pixels=10_000)


def test_the_codec_stays_where_the_container_can_hold_it(clip):
    assert coding_for(clip, "mp4", None).codec == "h264"
    assert coding_for(clip, "webm", None).codec == "vp9"
    assert coding_for(replace(clip, codec="prores"), "mov", None).codec == "h264"


def test_the_quality_is_one_that_the_codec_has(clip):
    assert coding_for(clip, "mp4", None).quality == 18
    assert coding_for(clip, "webm", 60).quality == 60
    with pytest.raises(UsageError, match="0 to 51"):
        coding_for(clip, "mp4", 60)


@pytest.mark.parametrize(
    ("pixel_format", "width", "height", "codec"),
    [
        ("yuv420p", 47, 32, "vp9"),
        ("yuv420p", 48, 31, "vp9"),
        ("yuvj422p", 47, 32, "vp9"),
        ("yuv422p", 48, 31, "h264"),
        ("yuv444p", 47, 31, "h264"),
    ],
)
def test_odd_sides_get_a_codec_that_has_them(clip, pixel_format, width, height, codec):
    odd = replace(clip, pixel_format=pixel_format, width=width, height=height)
    assert coding_for(odd, "matroska", None).codec == codec
    if codec == "vp9":
        with pytest.raises(OutputError, match=f"{width} x {height} px.* into mov; name another format"):
            coding_for(odd, "mov", None)


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (Fraction(1, 3600), Fraction(1, 1001)),
        (Fraction(120), Fraction(120)),
    ],
)
def test_a_rate_is_one_that_encoders_take(clip, rate, written):
    assert written_rate(replace(clip, rate=rate)) == written


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_segment_has_all_frames_with_their_times(clip, container):
    timed = [(frame, 1000 + 7 * number**2, 7) for number, frame in enumerate(frames(clip))]
    coding = coding_for(clip, container, None)
    packets, head = encoded(iter(timed), clip, coding)
    assert sorted(packet.time for packet in packets) == [time for _, time, _ in timed]
    assert packets[0].is_key
    again, same = encoded(iter(timed), clip, coding)
    assert (head, [each.data for each in packets]) == (same, [each.data for each in again])
