"""One picture in, one picture out: perceive once, restore in tiles.

Shapes: H x W pixels.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from clearair.batching import between_tiles, photos_at_once
from clearair.errors import ImageError, OutOfMemoryError
from clearair.files.adapters import Picture, as_photo, from_photo
from clearair.files.batch import run_plan
from clearair.files.finding import Paths
from clearair.files.history import USUAL_SUFFIX
from clearair.files.outputs import format_named
from clearair.files.planning import Plan, plan_batch
from clearair.files.record import Record
from clearair.files.stages import Ledger, Together
from clearair.files.watcher import Watcher
from clearair.graphs import Crowd
from clearair.image import DEFAULT_MAX_PIXELS, Photo, Quality, check_quality
from clearair.image.limits import check_limit
from clearair.memory import give_back
from clearair.options import Options
from clearair.outcome import Outcome
from clearair.perception.protocol import Perceiver
from clearair.perception.telling import (
    Damage,
    caution_of,
    check_kinds,
    found_in,
    known_kinds,
    parse_damage,
    tell,
)
from clearair.percepts import Percepts
from clearair.placing import check_path
from clearair.restoring import OnTile, TileRun
from clearair.result import Result
from clearair.runtime.protocol import Backend, Device, Precision, Runtime
from clearair.sizing import Sizing, TileSide, smaller_side


class Restorer:
    """Restores pictures of any size with a network and the perceivers that it was trained with."""

    def __init__(
        self,
        runtime: Runtime,
        perceiver: Perceiver,
        *,
        tile: TileSide = "auto",
        cautious: bool = False,
        memory_budget: int | str | None = None,
    ) -> None:
        self.runtime = runtime
        self.perceiver = perceiver
        self.cautious = cautious
        self.model = ""
        """Name or path of the model, "" where it was not loaded by one."""
        self._sizing = Sizing(runtime, tile, memory_budget)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "compact",
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        tile: TileSide = "auto",
        perceiver: Perceiver | None = None,
        backend: Backend = "auto",
        cautious: bool = False,
        compile: bool = False,
        memory_budget: int | str | None = None,
    ) -> Restorer:
        """Load a model by name or path; also a checkpoint of another project, such as nafnet.pth.

        `tile` is the side of tiles in pixels, or "off" for the picture as a whole. `perceiver` is what guides
        it, by default the one that ships. `backend` is "onnx" (ONNX Runtime, on the CPU) or "torch"; "auto"
        takes PyTorch where it is installed and faster, or asked for by `device` or `precision`. `cautious`
        limits a model that is not cautious itself: it changes pictures only as far as damage is found in
        them. `compile` lets PyTorch compile the network with the first picture, which takes a minute or more
        and pays on a GPU and for many pictures. `memory_budget`, in bytes or such as "1GB", limits the memory
        of the process; by default it is what is free. Raises ModelError when the model is unknown, damaged or
        was trained with other perceivers, UsageError for a device that is not there and a budget that is too
        small for any picture.
        """
        from clearair.runtime.loading import load_runtime  # the backend loads with the model, not before

        runtime, perceiver = load_runtime(
            name,
            perceiver,
            device=device,
            precision=precision,
            backend=backend,
            compile=compile,
            early=memory_budget is None,  # a budget includes the memory that the process uses now
        )
        restorer = cls(runtime, perceiver, tile=tile, cautious=cautious, memory_budget=memory_budget)
        restorer.model = str(name)
        return restorer

    def save_pretrained(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write `config.json` and `model.safetensors`; `from_pretrained` takes the folder.

        Raises OutputError when it holds a model that `overwrite` does not allow to replace, UsageError for
        what is neither a str nor a path.
        """
        check_path(folder, "folder")
        self.runtime.save(folder, self.perceiver, overwrite=overwrite)

    @property
    def side(self) -> int | None:
        """Side of tiles in pixels where memory allows it; None for the picture as a whole."""
        return self._sizing.side

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of damage that the perceivers have names for; () when they have none."""
        return known_kinds(self.perceiver)

    def check_damage(self, damage: Damage) -> tuple[str, ...] | None:
        """The kinds that `damage` names, () for "none", None for "auto".

        Raises UsageError, with the nearest kind, for an unknown one.
        """
        said = parse_damage(damage)
        if said:
            check_kinds(said, self.kinds)
        return said

    def __call__(
        self,
        picture: Picture,
        *,
        damage: Damage = "auto",
        strength: float = 1.0,
        keep_tone: bool = False,
        skip_tiles: bool = True,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        salvage: bool = False,
    ) -> Result:
        """Restore one picture: a file, a PIL image, or an array (H, W[, 1 to 4]), uint8, uint16 or float.

        A file is its path, its bytes, or a binary file that is open. Of arrays, two and four channels end in
        alpha, which is left alone. `damage` names all that is wrong, such as "haze" or ["haze", "rain"];
        "none" leaves the picture as it is, "auto" trusts the perceivers. `strength` in [0, 1] blends with the
        input; `keep_tone` leaves exposure and colour as they are. With `skip_tiles` a tile stays bit for bit
        when no visible change is expected in it. A file of more than `max_pixels` is refused before it is
        decoded; `salvage` takes what can be decoded of a damaged one.
        Raises ImageError when it cannot be read or is no picture, OutputError when the network returns NaN,
        OutOfMemoryError when even small tiles do not fit, UsageError for an option that makes no sense.
        """
        options = Options(damage, strength, keep_tone, skip_tiles)
        self.check_damage(damage)
        photo, layout = as_photo(picture, max_pixels=max_pixels, salvage=salvage, check_size=self.check_size)
        own = isinstance(picture, str | os.PathLike)  # what came in is in its file still
        restored, percepts, outcome = self.restore_photo(photo, own=own, **vars(options))
        if outcome.changed is False and isinstance(picture, np.ndarray):
            # A copy, since the caller may change either; not converted, so that every value stays.
            restored = restored.copied()
            return Result(np.array(picture), percepts, restored, outcome)
        return Result(from_photo(restored, layout), percepts, restored, outcome)

    def cost(self, width: int, height: int, pixel_bytes: int) -> int:
        """Most bytes that a picture of this size needs, at this many bytes per pixel.

        Raises ImageError, without the picture's name, when the budget has no room for it.
        """
        return self._sizing.cost(width, height, pixel_bytes)

    def check_size(self, width: int, height: int, pixel_bytes: int) -> None:
        """Raise ImageError as `cost` does, for a picture that is not decoded yet."""
        try:
            self.cost(width, height, pixel_bytes)
        except ImageError as error:
            raise ImageError(f"The picture is too large: {error}") from error

    def perceive(self, photo: Photo) -> Percepts:
        """The quality of the photo, its regions, and the damage in them."""
        return self.perceiver.perceive_image(photo.pixels)

    def restore_photo(
        self,
        photo: Photo,
        *,
        damage: Damage = "auto",
        strength: float = 1.0,
        keep_tone: bool = False,
        skip_tiles: bool = True,
        on_tile: OnTile | None = None,
        own: bool = False,
        percepts: Percepts | None = None,
    ) -> tuple[Photo, Percepts, Outcome]:
        """Restore the pixels of a photo; everything else about it stays. Raises as a call does.

        `own` means that nothing else needs the photo: its pixels may be overwritten if memory is short.
        `percepts`, with a label map of its size, are used instead of perceiving it. Returns it with its
        percepts, regardless of `damage`, and what was done.
        """
        options = Options(damage, strength, keep_tone, skip_tiles)
        said = self.check_damage(damage)
        side = self._sizing.side_for(photo)
        output = photo.pixels if own and self._sizing.overwrites(photo) else None
        notes = photo.notes
        while True:
            try:
                with self.runtime.memory_errors():
                    percepts = percepts or self.perceive(photo)
                    believed = self._believed(percepts, said)
                    outcome = self._intended(percepts, believed, said, options)
                    if outcome.share == 0:
                        return photo, percepts, replace(outcome, changed=False)
                    amount = strength if self.runtime.is_cautious else outcome.share
                    work = TileRun(
                        self.runtime,
                        photo,
                        believed,
                        side,
                        strength=amount,
                        keep_tone=keep_tone,
                        skip_tiles=skip_tiles,
                        on_tile=on_tile,
                    )
                    pixels, done = work.run(output)
                outcome = replace(outcome, **done)
                if not outcome.changed:
                    return replace(photo, notes=notes), percepts, outcome
                return replace(photo.with_pixels(pixels), notes=notes), percepts, outcome
            except MemoryError as error:
                smaller = smaller_side(side, photo.size)
                if smaller is None:
                    width, height = photo.size
                    raise OutOfMemoryError(
                        f"{photo.name}: there is not enough memory for {width} x {height} px, not even in "
                        f"tiles of {side} px. Close other programs, raise the limit (ulimit -v), or make it "
                        "smaller first."
                    ) from error
                side = smaller
                notes = (*photo.notes, f"restored in tiles of {side} px: memory is too short for larger ones")
            finally:
                give_back()

    def intended(
        self, percepts: Percepts, *, damage: Damage = "auto", strength: float = 1.0, keep_tone: bool = False
    ) -> Outcome:
        """What will be done about a picture in which this is perceived; its label map may be of any size."""
        options = Options(damage, strength, keep_tone)
        said = self.check_damage(damage)
        return self._intended(percepts, self._believed(percepts, said), said, options)

    def _believed(self, percepts: Percepts, said: tuple[str, ...] | None) -> Percepts:
        return tell(self.perceiver, percepts, said) if said else percepts

    def _intended(
        self, percepts: Percepts, believed: Percepts, said: tuple[str, ...] | None, options: Options
    ) -> Outcome:
        """What is found in a picture, and how much of it this model will change."""
        shares = believed.to_dict()
        allowed = shares["change"] if self.runtime.is_cautious or self.cautious else 1.0
        share = 0.0 if said == () else float(options.strength) * allowed
        return Outcome(
            found=found_in(percepts, caution_of(self.perceiver)),
            told=said,
            share=share,
            tone=share * shares["tone"] if self.runtime.corrects_tone and not options.keep_tone else 0.0,
            keep_tone=options.keep_tone,
            wordless=not percepts.names,
        )

    def restore_many(
        self,
        paths: Paths | Plan,
        out_dir: Path | str | None = None,
        *,
        damage: Damage = "auto",
        strength: float = 1.0,
        keep_tone: bool = False,
        skip_tiles: bool = True,
        suffix: str = USUAL_SUFFIX,
        format: str | None = None,
        overwrite: bool = False,
        resume: bool = False,
        strip_metadata: bool = False,
        quality: Quality | None = None,
        preserve_times: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        salvage: bool = False,
        report: Path | str | None = None,
        watcher: Watcher | None = None,
        jobs: int | None = None,
        ledger: Ledger | None = None,
    ) -> Generator[Record, None, None]:
        """Restore files, folders and patterns, and yield a record of each; a bad file does not stop the rest.

        Without `out_dir` results go beside their inputs as `*.restored.*`, or with another `suffix`. An
        output that exists is an error, with `overwrite` replaced, with `resume` skipped. A damaged file is
        an error, unless `salvage` takes what can be decoded of it. `quality`, 1 to 100, is that of lossy
        files, one for all or by format, such as {"jpeg": 85}. Other options are those of a call and of
        `Result.save`. `report` is a JSON file for the records. `paths` may be a plan made by `plan_batch`,
        which has `out_dir`, `suffix`, `overwrite`, `resume` and `report` already, but needs `format` again.
        `jobs` pictures are restored at once, as far as the memory budget allows; by default as many as suit
        the backend. Records keep the order of the pictures. `ledger` is notified of each step of each
        picture. Raises UsageError when there is nothing to do, immediately and not at the first record.
        """
        options = Options(damage, strength, keep_tone, skip_tiles)
        check_quality(quality)
        check_limit(max_pixels)
        self.check_damage(damage)
        plan = paths
        if not isinstance(plan, Plan):
            naming: dict[str, Any] = {"suffix": suffix, "format": format, "report": report}
            plan = plan_batch(plan, out_dir, overwrite=overwrite, resume=resume, **naming)
        told = watcher or Watcher()
        at_once = min(photos_at_once(jobs, self.runtime, self._sizing.budget), max(1, len(plan.jobs)))
        stop, crowd = threading.Event(), Crowd()
        on_tile = between_tiles(stop, crowd, told.tile if at_once == 1 else None)
        return run_plan(
            plan,
            partial(self._restore_and_describe, crowd, on_tile, options),
            watcher=told,
            format=None if format is None else format_named(format),
            strip_metadata=strip_metadata,
            quality=quality,
            preserve_times=preserve_times,
            max_pixels=max_pixels,
            salvage=salvage,
            together=Together(at_once, self.cost, self._sizing.budget.room, stop),
            ledger=ledger,
        )

    def _restore_and_describe(
        self, crowd: Crowd, on_tile: OnTile, options: Options, photo: Photo
    ) -> tuple[Photo, dict[str, Any], Outcome]:
        with crowd:
            restored, percepts, outcome = self.restore_photo(
                photo, own=True, on_tile=on_tile, **vars(options)
            )
        return restored, percepts.to_dict(), outcome
