"""What was found in a photo and what was done about it, as values and in words.

`clearair restore`, `clearair inspect`, reports and Python share the wording.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clearair.kinds import ONLY_TONE


@dataclass(frozen=True)
class Outcome:
    """What was found in one photo, what the user said, and what was done."""

    found: dict[str, float] = field(default_factory=dict)
    """Probabilities in (0, 1] of the kinds of damage that speak for a change, surest first."""
    told: tuple[str, ...] | None = None
    """Kinds that the user named; () for "none", None for "auto"."""
    share: float = 1.0
    """In [0, 1]: how much of the model's change was made, strength included; 0 leaves a photo as it is."""
    changed: bool | None = None
    """Whether any pixel differs; None while nothing has been done yet (`inspect`)."""
    tone: float = 1.0
    """In [0, 1]: how much of the correction of exposure and colour is made."""
    keep_tone: bool = False
    """Whether the user asked to keep exposure and colour."""
    wordless: bool = False
    """Whether the perceivers have no names for kinds of damage, so that nothing could be found."""
    tiles: int = 0
    """How many tiles it was restored in; 0 while nothing has been done, or when nothing was to be done."""
    tiles_left: int = 0
    """How many of them stayed bit for bit, since no visible change was expected there."""

    @property
    def restored(self) -> bool:
        """Whether the photo was changed, or will be."""
        return self.share > 0 and self.changed is not False

    @property
    def finding(self) -> str:
        """Such as "rain 92 %, haze 41 %", "nothing found" or "named haze"; empty when there are no names."""
        if self.told is not None:
            return f"named {', '.join(self.told) or 'none'}"
        if self.found:
            return ", ".join(f"{name} {percent(value)}" for name, value in self.found.items())
        return "" if self.wordless else "nothing found"

    @property
    def done(self) -> str:
        """Such as "restored", "restored by half", "restored at 30 %" or "left as it is"."""
        tense = "will be " if self.changed is None else ""
        if self.share == 0:
            # Only a strength of 0 leaves a photo in which damage was named or, if nothing was said, found.
            damaged = self.found if self.told is None else self.told
            return f"{tense}left as it is{', since the strength is 0' if damaged else ''}"
        if self.changed is False:
            unseen = self.tiles_left and self.tiles_left == self.tiles
            why = "no change would be seen" if unseen else "the change is too small to alter a pixel"
            return f"left as it is, since {why}"
        words = f"{tense}restored{by_share(self.share)}"
        if self.told is None and not self.found and not self.wordless:
            words += " all the same, as this model restores every photo"
        if self.keep_tone:
            words += f", exposure and colour kept{self._staying}"
        if self.tiles_left:
            words += f", {self.tiles_left:,} of {self.tiles:,} tiles needed nothing"
        return words

    @property
    def _staying(self) -> str:
        """Text about the kinds that are a matter of exposure and colour alone, where these are kept."""
        kinds = self.found if self.told is None else self.told
        stay = [name for name in kinds if name in ONLY_TONE]
        return f", so {' and '.join(stay)} {'stays' if len(stay) == 1 else 'stay'}" if stay else ""

    @property
    def done_to_tone(self) -> str:
        """Such as "exposure and colour corrected by half"; empty when nothing is done."""
        if not self.restored or self.keep_tone:
            return ""
        return f"exposure and colour {f'corrected{by_share(self.tone)}' if self.tone else 'kept'}"

    @property
    def hint(self) -> str:
        """Advice for users who see damage where none was found; empty otherwise."""
        untouched = self.told is None and not self.found and not self.restored
        return "if you see damage, name it with restore --damage KIND" if untouched else ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.finding, self.done) if part)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `damage` is what `--damage` takes."""
        damage = "auto" if self.told is None else list(self.told) or "none"
        return {
            "damage": damage,
            "found": {name: _rounded(value) for name, value in self.found.items()},
            "share": round(self.share, 3),
            "changed": self.changed,
            "tiles": self.tiles,
            "tiles_left": self.tiles_left,
            "text": str(self),
        }


def _rounded(probability: float) -> float:
    """Rounded to three places, but only certainty becomes 1."""
    return min(0.999, round(probability, 3)) if probability < 1 else 1.0


def percent(share: float) -> str:
    """A share in [0, 1] such as "41 %"; only 0 and 1 themselves become 0 % and 100 %."""
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{99 if 0.99 < share < 1 else round(100 * share)} %"


def by_share(share: float) -> str:
    """Text after "restored" for a share in (0, 1); empty for 1."""
    if share >= 0.995:
        return ""
    return " by half" if 0.475 <= share <= 0.525 else f" at {percent(share)}"
