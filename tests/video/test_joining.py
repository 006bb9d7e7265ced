"""Everything of a file but its pixels goes into the restored one."""

from fractions import Fraction

import av
import numpy as np
import pytest

from clearair.video.restoring import restore_video
from tests.video.clips import CHAPTERS, TICKS, copied, look, mark_as_round, pictures, write_clip, write_rich

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def dark(number):
    return [np.tile(frame // 3, (2, 2, 1)) for frame in pictures(number)]


COVER = 1024
"""Disposition of pictures of what a file is about."""


def kinds(path):
    """Type and disposition of each stream, and the times of the chapters with their names."""
    with av.open(str(path)) as source:
        streams = [(stream.type, int(stream.disposition)) for stream in source.streams]
        chapters = [(each["start"] * each["time_base"], each["metadata"]) for each in source.chapters()]
    return streams, chapters


def by_kind(path):
    """Bytes of the cover, of attachments and of videos, the restored one apart."""
    found = {}
    with av.open(str(path)) as source:
        for stream in source.streams:
            if stream.type == "attachment":
                found[stream.metadata["filename"]] = stream.data
            else:
                kind = {COVER: "cover"}.get(
                    int(stream.disposition), "restored" if stream.width == 96 else "other"
                )
                source.seek(0)
                found[kind] = b"".join(bytes(each) for each in source.demux(stream))
    return found


def packets(path, stream):
    with av.open(str(path)) as source:
        return [
            (each.pts, each.duration, bytes(each))
            for each in source.demux(source.streams[stream])
            if each.size
        ]


@pytest.mark.parametrize(("suffix", "subtitles"), [(".mp4", "mov_text"), (".mkv", "subrip")])
def test_subtitles_and_chapters_stay(restorer, tmp_path, suffix, subtitles):
    clip = write_rich(tmp_path / f"clip{suffix}", dark(25), subtitles=subtitles, chapters=True)
    result = restore_video(restorer, clip)
    assert result.notes == ()
    assert kinds(result.output) == kinds(clip)
    assert [name["title"] for _, name in kinds(clip)[1]] == [each["metadata"]["title"] for each in CHAPTERS]
    assert packets(result.output, 1) == packets(clip, 1)
    assert b"Hello" in b"".join(data for _, _, data in packets(clip, 1))


def test_the_loss_of_marks_of_a_round_video_is_told(restorer, tmp_path):
    clip = mark_as_round(write_clip(tmp_path / "clip.mp4", dark(4)))
    result = restore_video(restorer, clip)
    assert result.notes == ("left out: the marks by which players know a 360° or 3-D video",)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_name_of_a_track_stays(restorer, tmp_path, suffix):
    def name_it(out, stream):
        out.streams.audio[0].metadata["title"] = "Commentary"

    clip = write_clip(tmp_path / "clip.mp4", dark(4), sound=True, prepare=name_it)
    result = restore_video(restorer, clip, tmp_path / f"better{suffix}")
    with av.open(str(clip)) as before, av.open(str(result.output)) as after:
        assert before.streams.audio[0].metadata["name"] == "Commentary"
        said = after.streams.audio[0].metadata
        assert said["name" if suffix == ".mp4" else "title"] == "Commentary"


def test_the_timecode_of_a_camera_stays(restorer, tmp_path):
    def prepare(out, stream):
        stream.metadata["timecode"] = "01:02:03:04"

    clip = write_clip(tmp_path / "clip.mov", dark(6), prepare=prepare)
    assert [kind for kind, _ in kinds(clip)[0]] == ["video", "data"]
    result = restore_video(restorer, clip)
    assert result.notes == ()
    assert kinds(result.output) == kinds(clip)
    with av.open(str(result.output)) as after:
        assert after.streams[1].metadata["timecode"] == "01:02:03:04"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_covers_attachments_and_other_videos_stay_as_they_are(restorer, tmp_path, suffix):
    clip = write_rich(tmp_path / f"clip{suffix}", dark(8), cover=True, second=True)
    result = restore_video(restorer, clip)
    assert (result.changed, result.notes) == (8, ())
    before, after = kinds(clip)[0], kinds(result.output)[0]
    assert sorted(before) == sorted(after)
    assert ("video", COVER) in after
    old, new = by_kind(clip), by_kind(result.output)
    assert old.pop("restored") != new.pop("restored")
    assert new == old


@pytest.mark.parametrize(("name", "other"), [("clip.mp4", "clip.mkv"), ("clip.mkv", "clip.mp4")])
def test_a_cover_goes_into_another_format(restorer, tmp_path, name, other):
    clip = write_rich(tmp_path / name, dark(4), cover=True)
    result = restore_video(restorer, clip, tmp_path / other)
    assert by_kind(result.output)["cover"] == by_kind(clip)["cover"]
    left_out = "left out, as the format cannot hold it: stream 2 (attachment)"
    assert result.notes == ((left_out,) if other == "clip.mp4" else ())


def test_what_a_format_cannot_hold_is_told_before_it_spoils_the_file(restorer, tmp_path):
    clip = write_rich(tmp_path / "clip.mkv", dark(6), sound="pcm_s16le", subtitles="subrip")
    result = restore_video(restorer, clip, tmp_path / "clip.mp4")
    told = "left out, as the format cannot hold it: stream"
    assert result.notes == (f"{told} 1 (pcm_s16le)", f"{told} 2 (srt)")
    assert [kind for kind, _ in kinds(result.output)[0]] == ["video"]


@pytest.mark.parametrize(
    ("name", "sound", "codec"),
    [
        ("clip.mp4", "aac", "libx264"),
        ("clip.mkv", "libopus", "libx264"),
        ("clip.mov", "pcm_s16le", "libx264"),
        ("clip.webm", "libopus", "libvpx-vp9"),
    ],
)
def test_sound_that_lasts_longer_stays_whole(restorer, tmp_path, name, sound, codec):
    clip = write_rich(tmp_path / name, dark(10), sound=sound, seconds=2, codec=codec)
    result = restore_video(restorer, clip)
    before, after = look(clip), look(result.output)
    assert after.others == before.others
    assert after.times == before.times


def test_a_broadcast_begins_at_0_with_its_sound_where_it_was(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.ts", dark(20), sound=True)
    far = copied(clip, tmp_path / "far.ts", shift=90_000 * 20_000)  # hours later
    before, after = look(far), look(restore_video(restorer, far).output)
    begins = min(before.times[0], before.others[0][2][0][0])
    assert begins > 20_000
    assert [
        float(time + begins - time_before)
        for time, time_before in zip(after.times, before.times, strict=True)
    ] == (pytest.approx([0] * 20, abs=1e-3))
    sound = [(after.others[0][2][at][0] + begins, before.others[0][2][at][0]) for at in range(5)]
    assert [float(now - then) for now, then in sound] == pytest.approx([0] * 5, abs=1e-3)


def test_pictures_that_are_shown_for_hours_end_when_they_did(restorer, tmp_path):
    times = [0, 12800 * 3600, 12800 * 7200]
    clip = write_clip(tmp_path / "clip.mp4", dark(3), times=times)
    result = restore_video(restorer, clip)
    assert look(result.output).times == [time * TICKS for time in times]
    with av.open(str(clip)) as before, av.open(str(result.output)) as after:
        assert after.duration == before.duration == 7200 * 10**6 + 40_000


def test_odd_sides_come_back(restorer, tmp_path):
    odd = [frame[:63, :95] for frame in dark(4)]
    clip = write_clip(tmp_path / "clip.mp4", odd, codec="mpeg4", options={})
    after = look(restore_video(restorer, clip).output)
    assert (after.frames[0].width, after.frames[0].height, after.codec) == (95, 63, "vp9")
    assert after.times == [Fraction(number, 25) for number in range(4)]
