"""Report the damage in a picture without restoring it."""

from __future__ import annotations

from dataclasses import dataclass

from clearair.files.adapters import Picture, as_photo
from clearair.image import DEFAULT_MAX_PIXELS
from clearair.outcome import Outcome
from clearair.perception.protocol import Perceiver, check_perceiver
from clearair.perception.telling import expected
from clearair.percepts import Percepts


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was perceived in a picture, and what restoring it would do."""

    percepts: Percepts
    """Its quality, its regions, and the probability of each kind of damage."""
    outcome: Outcome
    """What was found, and what a restorer with the same perceivers will do; `str()` of it is a line."""

    @property
    def score(self) -> float:
        """Quality in 1..5; 5 is flawless."""
        return self.percepts.score

    @property
    def found(self) -> dict[str, float]:
        """Probabilities of the kinds of damage that speak for a change, surest first."""
        return self.outcome.found


def inspect(
    picture: Picture, *, perceiver: Perceiver | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Inspection:
    """Look at a picture as `Restorer` does: a file, a PIL image, or an array (H, W[, 1 to 4]).

    `perceiver` is by default the one that ships; load it once with `clearair.runtime.loading.load_perceiver`
    to look at many pictures. Raises ImageError when the picture cannot be read or has more than `max_pixels`.
    """
    from clearair.runtime.loading import load_perceiver  # the backend loads with it, not before

    photo, _ = as_photo(picture, max_pixels=max_pixels)
    if perceiver is not None:
        check_perceiver(perceiver)
    perceiver = perceiver or load_perceiver()
    percepts = perceiver.perceive_image(photo.pixels)
    return Inspection(percepts, expected(perceiver, percepts))
