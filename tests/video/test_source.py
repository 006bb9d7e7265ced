"""What a video is, and whether it can be restored and come back right."""

import re

import av
import numpy as np
import pytest

from clearair import ImageError
from clearair.video.source import describe, frames, main_stream
from tests.video.clips import copied, cut, pictures, write_clip, write_mpeg2, write_rich


def described(path):
    return describe(path, max_pixels=10_000)


def all_of(path, **options):
    return list(frames(described(path), **options))


def refusal(path):
    with pytest.raises(ImageError) as error:
        all_of(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def large(number):
    return [np.tile(frame, (2, 2, 1)) for frame in pictures(number)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_video_may_begin_late(tmp_path, suffix):
    times = [12800 + 512 * number for number in range(12)]
    clip = write_clip(tmp_path / f"clip{suffix}", pictures(12), times=times, sound=True)
    assert [float(each.time) for each in all_of(clip)] == pytest.approx(
        [time / 12800 for time in times], abs=1e-3
    )


def test_frames_before_the_start_of_an_edit_list_are_not_shown(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", pictures(30), options={"bf": "2", "g": "250", "crf": "12"})
    clip = copied(whole, tmp_path / "clip.mp4", shift=-512 * 10, negative=True)
    shown = all_of(clip)
    assert (len(shown), shown[0].pts) == (20, 0)


CUT_OFF = "cut off|damaged"
"""On one core the decoder finds the torn frame before the end of the file is noticed."""


@pytest.mark.parametrize(
    ("name", "codec", "said"),
    [
        ("clip.mkv", "libx264", "cut off at"),
        ("clip.webm", "libvpx-vp9", "cut off at"),
        ("clip.flv", "libx264", CUT_OFF),
        ("clip.avi", "mpeg4", "cut off after|damaged"),
        ("clip.mp4", "libx264", "cannot be read: invalid data"),  # its index was at its end
    ],
)
def test_a_file_that_is_cut_off_is_noticed_in_every_format(tmp_path, name, codec, said):
    options = {"libvpx-vp9": {"b": "0", "crf": "10", "cpu-used": "8"}, "mpeg4": {}}.get(codec)
    clip = write_clip(tmp_path / name, large(60), codec=codec, options=options)
    assert len(all_of(clip)) == 60
    assert re.search(said, refusal(cut(clip, 0.5)))


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "libx264"), ("clip.webm", "libvpx-vp9")])
@pytest.mark.parametrize("share", [0.6, 0.98])
def test_a_matroska_that_lacks_little_is_cut_off(tmp_path, name, codec, share):
    options = {"libvpx-vp9": {"b": "0", "crf": "10", "cpu-used": "8"}}.get(codec)
    clip = write_clip(tmp_path / name, large(8), codec=codec, options=options)
    assert len(all_of(clip)) == 8
    assert re.search(CUT_OFF, refusal(cut(clip, share)))


def test_a_matroska_of_unknown_length_is_read(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", pictures(10))
    data = bytearray(clip.read_bytes())
    start = data.index(bytes.fromhex("18538067")) + 4
    data[start : start + 8] = b"\x01" + b"\xff" * 7  # as in a stream
    clip.write_bytes(data)
    assert len(all_of(clip)) == 10


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_an_mp4_with_its_index_in_front_is_cut_off(tmp_path, movflags):
    whole = write_clip(tmp_path / "whole.mp4", large(60), options={"g": "10", "crf": "12"})
    clip = copied(whole, tmp_path / "clip.mp4", movflags=movflags)
    assert len(all_of(clip)) == 60
    assert re.search(CUT_OFF, refusal(cut(clip, 0.6)))


def test_an_avi_of_unknown_length_is_read(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", pictures(10), codec="mpeg4", options={})
    data = bytearray(clip.read_bytes())
    data[4:8] = bytes(4)  # as a recorder leaves it that was switched off
    clip.write_bytes(data)
    assert len(all_of(clip)) == 10


def test_what_keeps_no_times_is_refused(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", pictures(20), options={"bf": "2"})
    assert "AVI keeps no presentation times" in refusal(clip)


def test_fields_are_refused_whatever_they_are_coded_with(tmp_path):
    clip = write_mpeg2(tmp_path / "clip.ts", large(8), interlaced=True)
    assert "is interlaced" in refusal(clip)
    assert len(all_of(write_mpeg2(tmp_path / "frames.ts", large(8)))) == 8


def test_a_size_that_changes_is_refused(tmp_path):
    first, second = write_mpeg2(tmp_path / "a.ts", large(8)), write_mpeg2(tmp_path / "b.ts", pictures(8))
    clip = tmp_path / "clip.ts"
    clip.write_bytes(first.read_bytes() + second.read_bytes())
    assert "change their size" in refusal(clip)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_is_not_the_video(tmp_path, suffix):
    clip = write_rich(tmp_path / f"clip{suffix}", large(5), cover=True, second=True)
    with av.open(str(clip)) as container:
        assert main_stream(container, clip).codec_context.name == "h264"
    assert (described(clip).width, len(all_of(clip))) == (96, 5)


def test_grey_without_a_range_is_full(tmp_path):
    clip = write_clip(
        tmp_path / "clip.mkv", pictures(2), codec="ffv1", pixel_format="gray", options={}, tags=(0, 2, 2, 2)
    )
    assert described(clip).colours.range == 2


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 3), (180, 2), (270, 1)])
def test_rotation_becomes_quarter_turns(tmp_path, degrees, turns):
    clip = write_clip(tmp_path / "clip.mp4", pictures(2), rotation=degrees or None)
    assert described(clip).turns in (turns, (4 - turns) % 4)
