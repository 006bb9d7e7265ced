"""Restores a whole video: analyse all frames, restore them shot by shot in segments, and join these."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from clearair.errors import ImageError, UsageError
from clearair.files.outputs import check_file
from clearair.files.videos import CONTAINERS, video_target
from clearair.image import DEFAULT_MAX_PIXELS, Photo
from clearair.image.limits import check_limit
from clearair.options import Options
from clearair.outcome import Outcome, by_share
from clearair.perception.telling import Damage, caution_of
from clearair.percepts import Percepts
from clearair.placing import check_path, exists, write_atomically
from clearair.restorer import Restorer
from clearair.video.coding import QUALITIES, Coding, coding_for, encoded
from clearair.video.colours import as_written, changed_frame, to_pixels
from clearair.video.joining import join, move_joined
from clearair.video.segments import Plan, WorkFolder
from clearair.video.shots import CutFinder, fitted
from clearair.video.source import Clip, describe, frames, has_captions, has_marks, require_video
from clearair.video.watcher import SilentWatcher, VideoWatcher

SEGMENT_SECONDS = 2
"""Most seconds that a killed run loses; each segment begins with a key frame."""
PERCEIVED_EVERY = 1.0
"""Seconds between frames of a shot that are perceived."""
KEPT_EVERY = 10
"""Number of perceived frames after which the analysis is saved."""
VERSION = 1
"""Version of the segments; runs of another version cannot be resumed."""


@dataclass(frozen=True)
class VideoResult:
    """The result for a video."""

    output: Path
    frames: int
    shots: int
    outcomes: tuple[Outcome, ...]
    """One for each shot; () for a video that already existed."""
    changed: int
    """Frames that were changed."""
    notes: tuple[str, ...] = ()
    """What was converted or left out."""
    is_copy: bool = False
    """Whether the result is a copy of the input file, so that not a frame was encoded again."""

    def __str__(self) -> str:
        """A line for people."""
        if not self.outcomes:
            return "there already"
        shots = f"{self.shots:,} shot{'' if self.shots == 1 else 's'}"
        return f"{shots}, {self._finding}; {self._done}"

    @property
    def _finding(self) -> str:
        if self.outcomes[0].told is not None:
            return self.outcomes[0].finding
        found: dict[str, float] = {}
        for outcome in self.outcomes:
            for kind, value in outcome.found.items():
                found[kind] = max(value, found.get(kind, 0.0))
        names = ", ".join(sorted(found, key=lambda kind: -found[kind]))
        return f"found {names}" if names else "no damage found"

    @property
    def _done(self) -> str:
        surest = max(self.outcomes, key=lambda outcome: outcome.share)
        if self.changed:
            return f"{self.changed:,} of {self.frames:,} frames restored{by_share(surest.share)}"
        return replace(surest, changed=False).done + ("" if self.is_copy else ", but encoded again")

    @property
    def hint(self) -> str:
        """Advice for users who see damage where none was found; empty otherwise."""
        hints = {outcome.hint for outcome in self.outcomes}
        return hints.pop() if len(hints) == 1 else ""


def restore_video(
    restorer: Restorer,
    source: Path | str,
    target: Path | str | None = None,
    *,
    damage: Damage = "auto",
    strength: float = 1.0,
    keep_tone: bool = False,
    skip_tiles: bool = False,
    quality: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    strip_metadata: bool = False,
    preserve_times: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    salvage: bool = False,
    watcher: VideoWatcher | None = None,
) -> VideoResult:
    """Restore a video file; times, colours, sound and everything else about it stay.

    All frames of a shot get one judgement, so that nothing flickers. `target` is a file ending in .mp4, .m4v,
    .mov, .mkv or .webm, or a folder; by default `*.restored.*` beside the source. `quality` is the CRF of the
    encoder, 0 to 51, of VP9 and AV1 to 63; lower is better. `resume` continues an interrupted run. Other
    options are those of a call of `Restorer`.
    Raises ImageError for a video that cannot be read or would not come back right, OutputError, UsageError
    also for options that contradict each other.
    """
    check_path(source, "video")
    if target is not None:
        check_path(target, "result")
    check_limit(max_pixels)
    source = Path(source)
    require_video(source)
    restorer.check_damage(damage)
    options = Options(damage, strength, keep_tone, skip_tiles)
    if quality is not None and (isinstance(quality, bool) or quality not in QUALITIES):
        raise UsageError(f"The quality of a video is a CRF of 0 to 63, got {quality!r}.")
    if overwrite and resume:
        raise UsageError("overwrite=True and resume=True contradict each other: start over, or continue?")
    goal = video_target(source, target)
    folder = WorkFolder(goal)
    replaces = overwrite or (resume and folder.replaces)
    if resume and exists(goal) and not replaces:
        return VideoResult(goal, 0, 0, (), 0)
    check_file(goal, inputs=[source], overwrite=replaces, make_folder=True)
    clip = describe(source, max_pixels=max_pixels)
    coding = coding_for(clip, CONTAINERS[goal.suffix.lower()], quality)
    job = _job(restorer, source, options, coding, salvage)
    stat = source.stat()
    run = _Run(restorer, clip, coding, folder, options, salvage, watcher or SilentWatcher())
    with folder.entered(job, resume=resume, overwrite=overwrite):
        result = run.all(goal, strip_metadata=strip_metadata)
        data = partial(move_joined, folder) if folder.joined.exists() else partial(_copy, source)
        write_atomically(goal, data, overwrite=replaces, like=stat, preserve_times=preserve_times)
        folder.remove()
    return result


def _job(restorer: Restorer, source: Path, options: Options, coding: Coding, salvage: bool) -> dict[str, Any]:
    """Everything that must be equal for a run to be resumed, under the names that messages use."""
    stat, damage = source.stat(), options.damage
    return {
        "version": VERSION,
        "input": [str(source.absolute()), stat.st_size, stat.st_mtime_ns],
        "model": restorer.model,
        "perceiver": restorer.perceiver.identity.fingerprint,
        "damage": damage if isinstance(damage, str) else sorted(damage),
        "strength": options.strength,
        "choice of tone": options.keep_tone,
        "choice of tiles": options.skip_tiles,
        "codec or quality": vars(coding),
        "choice to salvage": salvage,
    }


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


class _Run:
    """The state of one video while it is restored."""

    def __init__(
        self,
        restorer: Restorer,
        clip: Clip,
        coding: Coding,
        folder: WorkFolder,
        options: Options,
        salvage: bool,
        watcher: VideoWatcher,
    ) -> None:
        self.restorer = restorer
        self.clip = clip
        self.coding = coding
        self.folder = folder
        self.options = options
        self.salvage = salvage
        self.watcher = watcher
        self.notes: list[str] = []
        self.done = self.done_before = 0
        """Frames that are done, and those of them that were before this run."""
        self.changed = 0
        """Frames of the segment at hand that were changed."""

    def all(self, goal: Path, *, strip_metadata: bool) -> VideoResult:
        """Everything up to the joined file."""
        plan = self.folder.plan() or self.look()
        outcomes, segments = self.restore(plan)
        changed = sum(self.folder.changed(number) for number in range(segments))
        self.notes = [*plan.notes, *self.notes]
        result = VideoResult(goal, plan.frames, len(plan.shots), outcomes, changed)
        self.folder.joined.unlink(missing_ok=True)
        same_kind = goal.suffix.lower() == self.clip.path.suffix.lower()
        if changed == 0 and same_kind and not strip_metadata and not self.salvage:
            return replace(result, is_copy=True)  # so nothing is left out
        join(
            self.folder,
            segments,
            self.clip,
            self.coding,
            CONTAINERS[goal.suffix.lower()],
            strip_metadata=strip_metadata,
            remark=self.remark,
        )
        return replace(result, notes=tuple(self.notes))

    def remark(self, text: str) -> None:
        """Keep a remark for the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def look(self) -> Plan:
        """Find the shots, perceive frames of each, and find out whether anything is damaged or missing.

        Frames perceived by an interrupted analysis are not perceived again.
        """
        finder = CutFinder()
        shots: list[int] = []
        looking: _Looking | None = None
        count = 0
        for frame in frames(self.clip, salvage=self.salvage, remark=self.remark):
            if finder.begins(frame):
                if looking:
                    looking.end()
                looking = _Looking(self, len(shots))
                shots.append(count)
            if looking:
                looking.at(frame, is_flat=finder.is_flat)
            if has_captions(frame):
                self.remark("left out: closed captions stored in the frames")
            if has_marks(frame):
                self.remark("left out: the marks by which players know a 360° or 3-D video")
            count += 1
            self.watcher.looked(count, self.clip.announced)
        if looking is None:
            raise ImageError(f"{self.clip.path}: no frame can be decoded.")
        looking.end()
        plan = Plan(count, tuple(shots), tuple(self.notes))
        self.folder.save_plan(plan)
        self.notes = []
        return plan

    def perceive(self, frame: VideoFrame) -> Percepts:
        """The percepts of a frame."""
        with self.restorer.runtime.memory_errors():
            return self.restorer.perceive(self._photo(frame))

    def _photo(self, frame: VideoFrame) -> Photo:
        pixels = to_pixels(frame, self.clip.colours, self.clip.turns)
        return Photo(pixels, name=f"{self.clip.path} at {frame.time or 0:.2f} s", bits=self.clip.bits)

    def restore(self, plan: Plan) -> tuple[tuple[Outcome, ...], int]:
        """Make the segments that are missing; outcomes of the shots, and the number of segments."""
        shots = _Shots(self.restorer, self.folder, plan, self.options)
        numbered = enumerate(frames(self.clip, salvage=self.salvage))
        segments = 0
        for number, group in groupby(numbered, key=_Segmenting(self.clip)):
            segments = number + 1
            if self.folder.has(number):
                passed = sum(1 for _ in group)
                self.done += passed
                self.done_before += passed
                self.watcher.restored(self.done, plan.frames, self.done_before)
            else:
                self.changed = 0
                packets, head = encoded(self._restored(group, shots), self.clip, self.coding)
                self.folder.save(number, packets, head, self.changed)
        return shots.outcomes(), segments

    def _restored(
        self, group: Iterable[tuple[int, VideoFrame]], shots: _Shots
    ) -> Iterator[tuple[VideoFrame, int, int]]:
        """Frames as they are encoded, with their times and how long they last."""
        clip, wanted = self.clip, self.coding.pixel_format
        for number, frame in group:
            time, lasts = frame.pts or 0, frame.duration or 0
            written = as_written(frame, wanted)
            if not shots.is_left(number):
                photo = self._photo(frame)
                restored = shots.restored(number, photo)
                if restored is not photo:
                    self.changed += 1
                    both = (photo.pixels, restored.pixels)
                    written = changed_frame(frame, *both, clip.colours, wanted, clip.turns)
            yield written, time, lasts
            self.done += 1
            self.watcher.restored(self.done, shots.plan.frames, self.done_before)


class _Looking:
    """The analysis of one shot."""

    def __init__(self, run: _Run, shot: int) -> None:
        self.run = run
        self.shot = shot
        self.is_known = run.folder.has_shot(shot)
        self.gathering = run.folder.gathered(shot)
        self._known = self.gathering.count
        """Frames that an earlier analysis perceived, which come first."""
        self._perceived_at = float("-inf")
        self._flat: VideoFrame | None = None

    def at(self, frame: VideoFrame, *, is_flat: bool) -> None:
        """Perceive the next frame where one is due."""
        if self.is_known:
            return
        if is_flat:
            self._flat = self._flat or frame  # the frame is blank, but it may be the only one
            return
        time = float(frame.pts * self.run.clip.time_base) if frame.pts is not None else 0.0
        if time - self._perceived_at < PERCEIVED_EVERY:
            return
        self._perceived_at = time
        if self._known:
            self._known -= 1
            return
        self.gathering.add(self.run.perceive(frame))
        if self.gathering.count % KEPT_EVERY == 0:
            self.run.folder.save_gathered(self.shot, self.gathering)

    def end(self) -> None:
        """Keep the judgement of the shot."""
        if self.is_known:
            return
        if self.gathering.count == 0 and self._flat is not None:
            self.gathering.add(self.run.perceive(self._flat))
        mean = self.gathering.mean(caution_of(self.run.restorer.perceiver))
        self.run.folder.save_shot(self.shot, mean)


class _Segmenting:
    """Which segment a frame belongs to, by its time."""

    def __init__(self, clip: Clip) -> None:
        self._length = SEGMENT_SECONDS / clip.time_base
        self._first: int | None = None
        self._number, self._ends = -1, -1

    def __call__(self, numbered: tuple[int, VideoFrame]) -> int:
        time = numbered[1].pts or 0
        if self._first is None:
            self._first = time
        place = int((time - self._first) / self._length)
        if place > self._ends:  # numbers are consecutive even if no frame is shown for a long time
            self._ends, self._number = place, self._number + 1
        return self._number


class _Shots:
    """The judgements of the shots, with one in memory at a time."""

    def __init__(self, restorer: Restorer, folder: WorkFolder, plan: Plan, options: Options) -> None:
        self.restorer = restorer
        self.folder = folder
        self.plan = plan
        self.options = options
        self._number = -1
        self._percepts: Percepts | None = None
        self._outcome = Outcome()

    def outcomes(self) -> tuple[Outcome, ...]:
        """The findings in each shot, and what is done about them."""
        return tuple(self._intended(self.folder.percepts(shot)) for shot in range(len(self.plan.shots)))

    def is_left(self, frame: int) -> bool:
        """Whether nothing is to be changed in the shot of this frame."""
        self._turn_to(frame)
        return self._outcome.share == 0

    def restored(self, frame: int, photo: Photo) -> Photo:
        """The frame with this number, restored by the judgement of its shot, or unchanged."""
        percepts = self._turn_to(frame)
        size = photo.pixels.shape[:2]
        if percepts.labels.shape != size:
            percepts = self._percepts = fitted(percepts, *size)
        restored, _, outcome = self.restorer.restore_photo(photo, percepts=percepts, **vars(self.options))
        return restored if outcome.changed else photo

    def _turn_to(self, frame: int) -> Percepts:
        number = bisect_right(self.plan.shots, frame) - 1
        if self._percepts is None or number != self._number:
            self._number, self._percepts = number, self.folder.percepts(number)
            self._outcome = self._intended(self._percepts)
        return self._percepts

    def _intended(self, percepts: Percepts) -> Outcome:
        options = self.options
        return self.restorer.intended(
            percepts, damage=options.damage, strength=options.strength, keep_tone=options.keep_tone
        )
