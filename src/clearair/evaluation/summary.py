"""What a training has come to: PSNR by kind of damage, and what each percept is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearair.data.validation import validation_sets
from clearair.evaluation.shuffle import ALL, Worth, shuffle
from clearair.evaluation.validation import Guide, Network, Score, mean_score, validate


@dataclass(frozen=True)
class Summary:
    """Measured on held-out pictures."""

    scores: dict[str, Score]
    """By kind of damage."""
    worths: tuple[Worth, ...]
    """Of every percept, the mean over the kinds first."""

    @property
    def mean(self) -> Score:
        """Over the kinds of damage, each counting the same."""
        return mean_score(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the log: PSNR in dB by kind, and worth in dB by percept against other damage."""
        return {
            "validation": {"mean": round(self.mean.psnr, 3)}
            | {kind: round(score.psnr, 3) for kind, score in self.scores.items()},
            "worth": {
                f"{worth.percept}, {worth.kind}": round(worth.other_damage, 3)
                for worth in self.worths
                if worth.other_damage is not None
            },
        }

    def table(self) -> str:
        """Markdown: PSNR before and after by kind, then the mean worth of each percept."""
        rows = [
            f"| {kind} | {score.input_psnr:.2f} | {score.psnr:.2f} | {score.gain:+.2f} |"
            for kind, score in [*self.scores.items(), ("mean", self.mean)]
        ]
        worth = [
            f"{worth.percept} {worth.other_damage:+.2f} dB"
            for worth in self.worths
            if worth.kind == ALL and worth.other_damage is not None
        ]
        head = "| kind | PSNR in | PSNR out | gain |\n| --- | --- | --- | --- |"
        return "\n".join([head, *rows, "", f"worth against other damage: {', '.join(worth)}"])


def summarise(network: Network, perceiver: Guide, data: Path, *, views: int = 12, side: int = 256) -> Summary:
    """Measure a network on the validation sets below `data`. Raises DataError when nothing is held out."""
    sets = validation_sets(data, views=views, side=side)
    return Summary(validate(network, perceiver, sets), tuple(shuffle(network, perceiver, sets)))
