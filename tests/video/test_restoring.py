"""Videos come back with everything but their pixels as it was."""

from fractions import Fraction

import av
import numpy as np
import pytest

from clearair import ExistsError, ImageError, OutputError, UsageError
from clearair.image import Photo, write_photo
from clearair.video.restoring import restore_video
from tests.video.clips import TICKS, look, pictures, write_clip

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def dark(number, **options):
    return [frame // 3 for frame in pictures(number, **options)]


def brighter(path, result, by=20):
    """Whether all frames of a result are brighter by so many levels."""
    before, after = look(path), look(result)
    assert len(before.times) == len(after.times)
    for at in range(len(before.times)):
        change = (after.pixels(at) - before.pixels(at)).mean()
        assert change == pytest.approx(by, abs=1.5), at


def test_times_tags_sound_and_metadata_stay(restorer, tmp_path):
    times = [0, 300, 1100, 1700, 2900, 3100, 5000, 5100, 6200, 9000, 9512, 40000]
    clip = write_clip(
        tmp_path / "clip.mp4",
        dark(12),
        times=times,
        sound=True,
        rotation=90,
        aspect=Fraction(4, 3),
        tags=(1, 6, 6, 6),
        metadata={
            "title": "A day",
            "com.apple.quicktime.make": "Maker",
            "creation_time": "2020-01-02T03:04:05Z",
        },
    )
    result = restore_video(restorer, clip)
    assert result.output == tmp_path / "clip.restored.mp4"
    assert (result.frames, result.changed) == (12, 12)
    before, after = look(clip), look(result.output)
    assert after.times == before.times == [time * TICKS for time in times]
    assert after.tags == before.tags == (1, 6, 6, 6)
    assert after.rotation == before.rotation == 90
    assert after.aspect == before.aspect == Fraction(4, 3)
    assert after.others == before.others
    assert after.others[0][1]["language"] == "fra"
    assert {**before.metadata, "encoder": ""} == {**after.metadata, "encoder": ""}
    assert after.metadata["com.apple.quicktime.make"] == "Maker"
    assert after.codec == "h264"
    brighter(clip, result.output)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["clip.mp4", "clip.restored.mp4"]


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (2, 1, 1, 1), (1, 9, 14, 9), (0, 2, 2, 2)])
def test_colours_keep_their_tags_and_values(restorer, tmp_path, tags):
    clip = write_clip(tmp_path / "clip.mp4", dark(4, noise=0), tags=tags)
    restore_video(restorer, clip, quality=4)
    assert look(tmp_path / "clip.restored.mp4").tags == look(clip).tags == tags
    brighter(clip, tmp_path / "clip.restored.mp4")


@pytest.mark.parametrize(
    ("codec", "suffix", "pixel_format", "name"),
    [
        ("libx264", ".mp4", "yuv420p10le", "h264"),
        ("libx265", ".mp4", "yuv420p", "hevc"),
        ("libx265", ".mkv", "yuv420p10le", "hevc"),
        ("libx264", ".mov", "yuv444p", "h264"),
        ("libvpx-vp9", ".webm", "yuv420p", "vp9"),
        ("libsvtav1", ".mkv", "yuv420p10le", "libdav1d"),
        ("mpeg4", ".mp4", "yuv420p", "h264"),
    ],
)
def test_codec_and_depth_stay_where_they_can_be_written(
    restorer, tmp_path, codec, suffix, pixel_format, name
):
    frames = dark(10) if "10" not in pixel_format else [frame.astype(np.uint16) * 257 for frame in dark(10)]
    size = [np.tile(frame, (2, 2, 1)) for frame in frames]  # AV1 has a least size
    options = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    clip = write_clip(
        tmp_path / f"clip{suffix}", size, codec=codec, pixel_format=pixel_format, options=options
    )
    restore_video(restorer, clip)
    before, after = look(clip), look(tmp_path / f"clip.restored{suffix}")
    assert (after.codec, after.pixel_format) == (name, pixel_format)
    assert after.times == before.times
    brighter(clip, tmp_path / f"clip.restored{suffix}")


def test_ten_bits_are_more_than_eight(restorer, tmp_path):
    ramp = np.linspace(20000, 24000, 48).astype(np.uint16)
    frame = np.broadcast_to(ramp[None, :, None], (32, 48, 3)).copy()
    clip = write_clip(tmp_path / "clip.mkv", [frame] * 4, pixel_format="yuv420p10le", options={"crf": "0"})
    restore_video(restorer, clip, quality=0)
    row = look(tmp_path / "clip.restored.mkv").pixels(2)[16].mean(axis=1)
    assert len(np.unique(row.round(2))) > 30  # 8 bits hold 16 of these


def test_a_clip_with_nothing_wrong_is_copied(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [255 - frame // 4 for frame in pictures(5)], sound=True)
    result = restore_video(restorer, clip)
    assert result.output.read_bytes() == clip.read_bytes()
    assert str(result) == "1 shot, no damage found; left as it is"


def test_each_shot_has_one_judgement(restorer, tmp_path):
    bright = [255 - frame // 4 for frame in pictures(8, source="astronaut")]
    clip = write_clip(tmp_path / "clip.mp4", [*dark(6), *bright, *dark(4)])
    result = restore_video(restorer, clip)
    assert (result.shots, result.changed) == (3, 10)
    assert [outcome.share for outcome in result.outcomes] == [1, 0, 1]
    before, after = look(clip), look(result.output)
    change = [(after.pixels(at) - before.pixels(at)).mean() for at in range(18)]
    assert change == pytest.approx([20] * 6 + [0] * 8 + [20] * 4, abs=1.5)


def test_a_video_may_end_with_a_shot_that_is_left_alone(restorer, tmp_path):
    bright = [255 - frame // 4 for frame in pictures(30, source="astronaut")]
    clip = write_clip(tmp_path / "clip.mp4", [*dark(30), *bright])
    result = restore_video(restorer, clip)
    assert (result.frames, result.changed) == (60, 30)


def test_few_frames_of_a_shot_are_perceived(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(60))  # 2.4 seconds
    restore_video(restorer, clip)
    assert restorer.perceiver.seen == 3


def test_options_work_as_for_photos(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(4, noise=0))
    restore_video(restorer, clip, strength=0.5)
    brighter(clip, tmp_path / "clip.restored.mp4", by=10)
    restore_video(restorer, clip, tmp_path / "none.mp4", damage="none")
    assert (tmp_path / "none.mp4").read_bytes() == clip.read_bytes()
    with pytest.raises(UsageError, match="There is no damage"):
        restore_video(restorer, clip, tmp_path / "haze.mp4", damage="hase")
    with pytest.raises(UsageError, match="strength"):
        restore_video(restorer, clip, tmp_path / "haze.mp4", strength=2)
    with pytest.raises(UsageError, match="CRF of 0 to 51"):
        restore_video(restorer, clip, tmp_path / "low.mp4", quality=60)


def test_nothing_is_overwritten_unasked(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(4))
    (tmp_path / "clip.restored.mp4").write_bytes(b"mine")
    with pytest.raises(ExistsError):
        restore_video(restorer, clip)
    with pytest.raises(UsageError, match="is an input itself"):
        restore_video(restorer, clip, clip, overwrite=True)
    assert str(restore_video(restorer, clip, resume=True)) == "there already"
    assert (tmp_path / "clip.restored.mp4").read_bytes() == b"mine"
    restore_video(restorer, clip, overwrite=True)
    brighter(clip, tmp_path / "clip.restored.mp4")


class StopError(Exception):
    """Ends a run like a power cut would, but in this process."""


class Stopping:
    def __init__(self, at):
        self.at = at

    def looked(self, frames, announced):
        pass

    def restored(self, frames, total, done_before):
        if frames == self.at:
            raise StopError


def test_a_run_goes_on_with_the_segment_it_was_broken_off_in(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(120), sound=True)  # 4.8 seconds: segments of 50, 50 and 20
    whole = restore_video(restorer, clip, tmp_path / "whole.mp4")
    with pytest.raises(StopError):
        restore_video(restorer, clip, watcher=Stopping(70))
    assert not (tmp_path / "clip.restored.mp4").exists()
    with pytest.raises(ExistsError, match="unfinished run"):
        restore_video(restorer, clip)
    with pytest.raises(OutputError, match="started with another strength"):
        restore_video(restorer, clip, strength=0.5, resume=True)
    perceived, windows = restorer.perceiver.seen, restorer.runtime.windows
    result = restore_video(restorer, clip, resume=True)
    assert restorer.runtime.windows - windows == 70
    assert restorer.perceiver.seen == perceived
    assert result.changed == 120
    assert result.output.read_bytes() == whole.output.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "clip.restored.mp4", "whole.mp4"]
    assert look(result.output).times == look(clip).times


class StoppingToLook(Stopping):
    def looked(self, frames, announced):
        if frames == self.at:
            raise StopError


def test_a_look_that_was_broken_off_goes_on(restorer, tmp_path):
    bright = [255 - frame // 4 for frame in pictures(25, source="astronaut")]
    times = [12800 * second for second in range(40)]  # each of them is perceived
    clip = write_clip(tmp_path / "clip.mp4", [*dark(15), *bright], times=times)
    whole = restore_video(restorer, clip, tmp_path / "whole.mp4")
    seen = restorer.perceiver.seen
    assert (seen, whole.shots) == (40, 2)
    with pytest.raises(StopError):
        restore_video(restorer, clip, watcher=StoppingToLook(30))
    with pytest.raises(ExistsError, match="unfinished run"):
        restore_video(restorer, clip)
    with pytest.raises(OutputError, match="started with another strength"):
        restore_video(restorer, clip, strength=0.5, resume=True)
    assert restorer.perceiver.seen - seen == 30
    result = restore_video(restorer, clip, resume=True)
    assert restorer.perceiver.seen - seen == 30 + 15  # the first shot was kept, and 10 frames of the second
    assert result.output.read_bytes() == whole.output.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "clip.restored.mp4", "whole.mp4"]


def test_a_short_look_that_was_broken_off_leaves_nothing(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(8))
    with pytest.raises(StopError):
        restore_video(restorer, clip, watcher=StoppingToLook(6))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert restore_video(restorer, clip).changed == 8


def test_a_run_that_may_replace_a_result_goes_on(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(120))
    (tmp_path / "clip.restored.mp4").write_bytes(b"mine")
    with pytest.raises(StopError):
        restore_video(restorer, clip, overwrite=True, watcher=Stopping(70))
    assert (tmp_path / "clip.restored.mp4").read_bytes() == b"mine"
    windows = restorer.runtime.windows
    assert restore_video(restorer, clip, resume=True).changed == 120
    assert restorer.runtime.windows - windows == 70
    brighter(clip, tmp_path / "clip.restored.mp4")
    # Now it is done, and is not replaced again.
    assert str(restore_video(restorer, clip, resume=True)) == "there already"


def test_a_run_that_may_replace_nothing_leaves_a_result_that_has_come_since(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(120))
    with pytest.raises(StopError):
        restore_video(restorer, clip, watcher=Stopping(70))
    (tmp_path / "clip.restored.mp4").write_bytes(b"mine")
    assert str(restore_video(restorer, clip, resume=True)) == "there already"
    assert (tmp_path / "clip.restored.mp4").read_bytes() == b"mine"


def test_the_line_for_people_says_what_was_named_and_how_much_was_done(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(4))

    def line(name, **options):
        return str(restore_video(restorer, clip, tmp_path / name, **options))

    assert line("a.mp4", damage="lowlight") == "1 shot, named lowlight; 4 of 4 frames restored"
    assert line("b.mp4", strength=0.5) == "1 shot, found lowlight; 4 of 4 frames restored by half"
    assert line("c.mp4", strength=0) == "1 shot, found lowlight; left as it is, since the strength is 0"
    assert line("d.mp4", damage="none") == "1 shot, named none; left as it is"
    assert line("e.mkv", damage="none") == "1 shot, named none; left as it is, but encoded again"


def test_a_video_in_which_nothing_was_found_has_advice(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [255 - frame // 4 for frame in pictures(5)])
    assert "name it with restore --damage" in restore_video(restorer, clip).hint
    assert restore_video(restorer, clip, tmp_path / "none.mp4", damage="none").hint == ""


def test_names_may_be_as_long_as_file_systems_take(restorer, tmp_path):
    clip = write_clip(tmp_path / f"{'n' * 240}.mp4", dark(4))
    result = restore_video(restorer, clip)
    assert result.output.name == f"{'n' * 240}.restored.mp4"
    assert len(list(tmp_path.iterdir())) == 2


def test_each_segment_starts_at_a_key_frame(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", dark(101), options={"g": "500"})
    result = restore_video(restorer, clip)
    keys = [at for at, frame in enumerate(look(result.output).frames) if frame.key_frame]
    assert {0, 50, 100} <= set(keys)
    assert look(result.output).times == look(clip).times


def refusal(restorer, clip, **options):
    with pytest.raises(ImageError) as error:
        restore_video(restorer, clip, **options)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in clip.parent.iterdir()) == [clip.name]
    return str(error.value)


@pytest.mark.parametrize(("transfer", "primaries"), [(16, 9), (18, 9)])
def test_hdr_is_refused(restorer, tmp_path, transfer, primaries):
    frames = [frame.astype(np.uint16) * 257 for frame in dark(3)]
    clip = write_clip(
        tmp_path / "clip.mp4", frames, pixel_format="yuv420p10le", tags=(1, primaries, transfer, 9)
    )
    assert "HDR" in refusal(restorer, clip)


def test_interlaced_video_is_refused(restorer, tmp_path):
    options = {"x264-params": "interlaced=1:tff=1"}
    clip = write_clip(tmp_path / "clip.mp4", dark(4), options=options)
    assert "is interlaced" in refusal(restorer, clip)


@pytest.mark.parametrize("pixel_format", ["yuva420p", "yuv420p12le", "yuv410p"])
def test_pixels_that_would_not_come_back_right_are_refused(restorer, tmp_path, pixel_format):
    clip = write_clip(
        tmp_path / "clip.mkv", dark(3), codec="ffv1", pixel_format=pixel_format, options={"g": "1"}
    )
    assert f"pixels of the format {pixel_format}" in refusal(restorer, clip)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_that_decoders_leave_out_is_refused(restorer, tmp_path, codec):
    def say_so(out, stream):
        stream.metadata["alpha_mode"] = "1"

    clip = write_clip(tmp_path / "clip.webm", dark(3), codec=codec, options={}, prepare=say_so)
    assert "transparent pixels" in refusal(restorer, clip)


def test_what_is_no_video_is_refused(restorer, tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        restore_video(restorer, tmp_path / "none.mp4")
    path = tmp_path / "text.mp4"
    path.write_bytes(b"no video" * 100)
    assert "cannot be read" in refusal(restorer, path)
    write_photo(Photo(pictures(1)[0]), tmp_path / "photo.jpg")
    (tmp_path / "photo.jpg").rename(path)
    assert refusal(restorer, path).endswith("no video, but a picture.")
    write_clip(tmp_path / "other.mp4", dark(3))
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(ImageError, match=r"text\.mp4: no video, but a list of other files\.$"):
        restore_video(restorer, path)
    path.unlink()
    (tmp_path / "other.mp4").unlink()
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert "holds no video stream" in refusal(restorer, tmp_path / "sound.mp4")


def test_frames_larger_than_allowed_are_refused(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", dark(3))
    assert "max_pixels=100" in refusal(restorer, clip, max_pixels=100)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_that_is_cut_off_is_refused_and_can_be_salvaged(restorer, tmp_path, suffix):
    options = {"crf": "1"}
    whole = write_clip(tmp_path / f"whole{suffix}", dark(60), options=options)
    if suffix == ".mp4":  # only one with its index in front can be read at all
        restore_video(restorer, whole, tmp_path / "front.mp4", damage="lowlight", quality=1)
        whole = (tmp_path / "front.mp4").rename(whole)
    data = whole.read_bytes()
    whole.unlink()
    clip = tmp_path / f"clip{suffix}"
    clip.write_bytes(data[: len(data) // 2])
    message = refusal(restorer, clip)
    assert "cut off" in message or "damaged" in message
    assert "salvage=True" in message
    result = restore_video(restorer, clip, salvage=True)
    assert 10 < result.frames < 60
    assert result.notes
    assert len(look(result.output).times) == result.frames


def test_damage_in_the_middle_is_refused(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", dark(40), options={"crf": "1"})
    data = bytearray(clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    clip.write_bytes(data)
    assert "damaged" in refusal(restorer, clip)


def test_other_containers_become_matroska(restorer, tmp_path):
    clip = write_clip(tmp_path / "clip.avi", dark(6), codec="mpeg4", options={"bf": "0"})
    result = restore_video(restorer, clip)
    assert result.output.name == "clip.restored.mkv"
    after = look(result.output)
    assert after.codec == "h264"
    assert [float(time) for time in after.times] == pytest.approx(
        [float(time) for time in look(clip).times], abs=5e-4
    )
