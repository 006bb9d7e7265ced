"""What `Restorer` gives back: a restored picture, what was found in it, and how it becomes a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from clearair.files.outputs import format_named
from clearair.files.saving import save, save_to
from clearair.image import Photo, Quality, check_quality
from clearair.outcome import Outcome
from clearair.percepts import Percepts
from clearair.stores import Address, place_of


@dataclass(frozen=True, eq=False)
class Result:
    """A restored picture, and what was found wrong with the one that came in."""

    image: Any
    """What went in, restored: an array for an array, a PIL image for one, for a file an array (H, W[, C])."""
    percepts: Percepts
    """What the perceivers see in the picture that came in, whatever the user said about it."""
    photo: Photo
    """The same as `image` with everything needed to write it as a file."""
    outcome: Outcome
    """What was found and what was done; `str()` of it is a line for people."""

    @property
    def found(self) -> dict[str, float]:
        """Probabilities of the kinds of damage that spoke for a change, surest first."""
        return self.outcome.found

    @property
    def done(self) -> str:
        """Such as "restored", "restored by half" or "left as it is"."""
        return self.outcome.done

    def save(
        self,
        target: Path | str | Address | BinaryIO,
        *,
        format: str | None = None,
        overwrite: bool = False,
        strip_metadata: bool = False,
        quality: Quality | None = None,
        preserve_times: bool = False,
    ) -> tuple[str, ...]:
        """Write a file, an object in a store (`s3://...`) or an open binary file; return remarks on it.

        The metadata of the input stays.

        `format` is by default that of target's suffix, for an open file that of the input. A picture that was
        left as it is and keeps its format is not encoded again: the file is a copy of the input, with
        `strip_metadata` a JPEG or PNG without its metadata. `quality`, 1 to 100, is that of a JPEG, WebP or
        AVIF.
        Raises ExistsError when there is such a file and `overwrite` is false, OutputError when it cannot be
        written or its format cannot hold the picture, UsageError for a quality that makes no sense.
        """
        check_quality(quality)
        changed = self.outcome.changed is not False
        kind = None if format is None else format_named(format)
        if not isinstance(target, str | os.PathLike | Address):
            return save_to(
                self.photo,
                target,
                changed=changed,
                format=kind,
                strip_metadata=strip_metadata,
                quality=quality,
            )
        return save(
            self.photo,
            place_of(target),
            changed=changed,
            format=kind,
            overwrite=overwrite,
            strip_metadata=strip_metadata,
            quality=quality,
            preserve_times=preserve_times,
        )
