"""The result of a training: PSNR by kind of damage, and how much each kind of guidance contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clearair.evaluation.shuffle import ALL, Contribution
from clearair.evaluation.validation import Score, mean_score


@dataclass(frozen=True)
class Summary:
    """Measured on held-out pictures."""

    scores: dict[str, Score]
    """By kind of damage."""
    start: dict[str, Score] | None = None
    """Scores at the start of the run; None if not measured."""
    contributions: tuple[Contribution, ...] = ()
    """Contribution of every percept, the mean over the kinds first; empty if not requested."""

    @property
    def mean(self) -> Score:
        """Over the kinds of damage, each counting the same."""
        return mean_score(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the log: PSNR in dB by kind, and what each percept adds against other damage."""
        found: dict[str, Any] = {"validation": by_kind(self.scores), "input": inputs(self.scores)}
        if self.start is not None:
            found["start"] = by_kind(self.start)
        if self.contributions:
            found["worth"] = {
                f"{each.percept}, {each.kind}": round(each.other_damage, 3)
                for each in self.contributions
                if each.other_damage is not None
            }
        return found

    def table(self) -> str:
        """Markdown: PSNR of input, start and now by kind, the mean last; then what each percept adds."""
        rows = {**self.scores, "mean": self.mean}
        start = None if self.start is None else {**self.start, "mean": mean_score(self.start)}
        if start is None:
            lines = ["| kind | PSNR in | PSNR out | gain |", "| --- | --- | --- | --- |"]
            lines += [
                f"| {kind} | {s.input_psnr:.2f} | {s.psnr:.2f} | {s.gain:+.2f} |" for kind, s in rows.items()
            ]
        else:
            lines = [
                "| kind | PSNR in | at the start | now | over input | over start |",
                "| --- | --- | --- | --- | --- | --- |",
            ]
            lines += [
                f"| {kind} | {score.input_psnr:.2f} | {start[kind].psnr:.2f} | {score.psnr:.2f} "
                f"| {score.gain:+.2f} | {score.psnr - start[kind].psnr:+.2f} |"
                for kind, score in rows.items()
            ]
        added = [
            f"{each.percept} {each.other_damage:+.2f} dB"
            for each in self.contributions
            if each.kind == ALL and each.other_damage is not None
        ]
        return "\n".join(
            [*lines, *(["", f"contribution against other damage: {', '.join(added)}"] if added else [])]
        )


def by_kind(scores: dict[str, Score]) -> dict[str, float]:
    """PSNR in dB as the log has it, the mean first."""
    return {"mean": round(mean_score(scores).psnr, 3)} | {
        kind: round(score.psnr, 3) for kind, score in scores.items()
    }


def inputs(scores: dict[str, Score]) -> dict[str, float]:
    """The same of the inputs."""
    return {"mean": round(mean_score(scores).input_psnr, 3)} | {
        kind: round(score.input_psnr, 3) for kind, score in scores.items()
    }
