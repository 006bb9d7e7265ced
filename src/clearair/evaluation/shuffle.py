"""How much each kind of guidance contributes: the loss in dB when it is taken from another image.

A percept is replaced by that of an image with other damage, by that of another image with the same damage,
and by the mean over all images, which carries no information. Everything else stays as it was perceived.

Shapes: B views of all sets, N regions, D entries of an embedding, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.validation import ValidationSet
from clearair.errors import UsageError
from clearair.evaluation.validation import Guide, Network, batches, look, psnr_of_views, restore
from clearair.network import Guidance
from clearair.network.guidance import joined

PERCEPTS = {
    "how": ("quality",),
    "where": ("labels",),
    "what": ("content", "degradation", "local_degradation", "tone", "change", "coarse"),
    "what: content": ("content",),
    "what: degradation": ("degradation", "local_degradation", "tone", "change", "coarse"),
}
"""The fields of Guidance that each percept consists of."""


@dataclass(frozen=True)
class Contribution:
    """What one percept adds on one set, in dB: PSNR with the true percept minus that with another one."""

    percept: str
    kind: str
    """Name of the set, or ALL."""
    psnr: float
    """With true percepts."""
    other_damage: float | None
    """Against the percept of an image with other damage; None when there is but one set."""
    same_damage: float | None
    """Against that of another image of the same set; None when there is but one image."""
    mean: float
    """Against the mean over all images of all sets."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


ALL = "all"
"""The mean over the sets, each counting the same."""


def shuffle(
    network: Network,
    perceiver: Guide,
    sets: Sequence[ValidationSet],
    percepts: Sequence[str] = ("how", "where", "what"),
    *,
    batch: int = 4,
    on_set: Callable[[str, str], None] | None = None,
) -> list[Contribution]:
    """Measure percepts on sets of equal size of views; `what` is also taken apart.

    For each percept first the mean over the sets, then every set. `on_set` is called with (percept, kind)
    before each measurement. Raises UsageError for an unknown percept.
    """
    check_percepts(percepts)
    true = _perceive(network, perceiver, sets, batch)
    donors = {"other_damage": _other_set(sets), "same_damage": _neighbour(sets)}
    others = {way: true.permuted(order) for way, order in donors.items()} | {"mean": mean_guidance(true)}

    def measure(guidance: Guidance, percept: str, way: str) -> list[float | None]:
        """PSNR of each set; None where there is no other image to take a percept from."""
        reached: list[float | None] = []
        start = 0
        for views in sets:
            stop = start + len(views.damaged)
            if on_set:
                on_set(percept, views.kind)
            if way in donors and torch.equal(donors[way][start:stop], torch.arange(start, stop)):
                reached.append(None)
            else:
                part = guidance.permuted(torch.arange(start, stop))
                reached.append(_reached(network, views, part, batch))
            start = stop
        return reached

    baseline = [value or 0.0 for value in measure(true, "true percepts", "true")]
    found: list[Contribution] = []
    for percept in dict.fromkeys(name for name in PERCEPTS if name.split(":")[0] in percepts):
        lost: dict[str, list[float | None]] = {}
        for way, other in others.items():
            values = measure(with_percept(true, other, percept), percept, way)
            lost[way] = [None if v is None else b - v for b, v in zip(baseline, values, strict=True)]
        rows = [
            Contribution(
                percept,
                views.kind,
                baseline[i],
                lost["other_damage"][i],
                lost["same_damage"][i],
                lost["mean"][i] or 0.0,
            )
            for i, views in enumerate(sets)
        ]
        found += [_mean(rows), *rows]
    return found


def check_percepts(percepts: Sequence[str]) -> None:
    """Raise UsageError for a name that is none of how, where, what."""
    known = [name for name in PERCEPTS if ":" not in name]
    for percept in percepts:
        if percept not in known:
            raise UsageError(f"There is no percept {percept!r}; known are {', '.join(known)}.")


def with_percept(own: Guidance, other: Guidance, percept: str) -> Guidance:
    """Replace one percept by that of `other`.

    When the regions are those of another image, each gets the mean damage that the original image has at its
    pixels: the damage stays as perceived, only the regions change.
    """
    swapped = {name: getattr(other, name) for name in PERCEPTS[percept]}
    if "labels" in swapped and "local_degradation" not in swapped:
        swapped["local_degradation"] = relabelled(
            own.local_degradation, own.degradation, own.labels, other.labels
        )
    return replace(own, **swapped)


def relabelled(local: Tensor, whole: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Mean of (B, N, D) of the regions `own` (B, H, W) over each region of `other`, at the old length.

    A region without pixels gets `whole` (B, D), as perceivers do.
    """
    count = local.shape[1]
    joint = (other.long() * count + own.long()).flatten(1)  # (B, H W) which pair of regions a pixel is in
    pixels = torch.zeros(len(local), count * count, device=local.device)
    pixels = pixels.scatter_add_(1, joint, torch.ones_like(joint, dtype=pixels.dtype))
    pixels = pixels.view(-1, count, count)  # (B, N of other, N of own)
    mean = pixels @ local.float()
    length = local.float().norm(dim=2).mean(dim=1)[:, None, None]
    filled = pixels.sum(dim=2, keepdim=True) > 0
    return torch.where(filled, F.normalize(mean, dim=2) * length, whole.float()[:, None]).to(local.dtype)


def mean_guidance(guidance: Guidance) -> Guidance:
    """The same guidance for every image: mean embeddings at their usual length, and one region, number 1."""
    means = {}
    for field in fields(Guidance):
        value: Tensor = getattr(guidance, field.name)
        if field.name == "labels":
            means[field.name] = torch.ones_like(value)
            continue
        mean = value.float().mean(dim=0, keepdim=True)
        if value.dim() > 1:  # a mean of different directions is short, which would itself be a signal
            usual = value.float().norm(dim=-1, keepdim=True).mean(dim=0, keepdim=True)
            mean = F.normalize(mean, dim=-1) * usual
        means[field.name] = mean.to(value.dtype).expand_as(value)
    return Guidance(**means)


def shuffle_table(contributions: Sequence[Contribution]) -> str:
    """Markdown: the mean over the sets of each percept, then every set."""
    head = (
        "| percept | set | PSNR | of other damage | of same damage | mean of all |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    rows = [
        f"| {each.percept} | {each.kind} | {each.psnr:.2f} | {_signed(each.other_damage)} | "
        f"{_signed(each.same_damage)} | {_signed(each.mean)} |"
        for each in sorted(contributions, key=lambda each: each.kind != ALL)
    ]
    return "\n".join([head, *rows])


def _perceive(network: Network, perceiver: Guide, sets: Sequence[ValidationSet], batch: int) -> Guidance:
    parts = [
        look(perceiver, damaged).to("cpu") for views in sets for damaged, _ in batches(network, views, batch)
    ]
    return joined(parts)


def _reached(network: Network, views: ValidationSet, guidance: Guidance, batch: int) -> float:
    """Mean PSNR of a set with this guidance for its views."""
    values, start = [], 0
    for damaged, clean in batches(network, views, batch):
        part = guidance.permuted(torch.arange(start, start + len(damaged))).to(damaged.device)
        values.append(psnr_of_views(restore(network, damaged, part), clean))
        start += len(damaged)
    return float(torch.cat(values).mean())


def _other_set(sets: Sequence[ValidationSet]) -> Tensor:
    """(B,) for each view one of the next set; itself when there is but one set."""
    starts = [sum(len(views.damaged) for views in sets[:index]) for index in range(len(sets))]
    order: list[int] = []
    for index, views in enumerate(sets):
        following = (index + 1) % len(sets)
        size = len(sets[following].damaged)
        order += [starts[following] + view % size for view in range(len(views.damaged))]
    return torch.tensor(order)


def _neighbour(sets: Sequence[ValidationSet]) -> Tensor:
    """(B,) for each view its neighbour in its set, damaged about as much; itself when it is alone."""
    order: list[int] = []
    for views in sets:
        start, size = len(order), len(views.damaged)
        order += [start + (view ^ 1 if view ^ 1 < size else max(view - 1, 0)) for view in range(size)]
    return torch.tensor(order)


def _mean(rows: Sequence[Contribution]) -> Contribution:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return Contribution(
        rows[0].percept,
        ALL,
        mean([row.psnr for row in rows]) or 0.0,
        mean([row.other_damage for row in rows]),
        mean([row.same_damage for row in rows]),
        mean([row.mean for row in rows]) or 0.0,
    )


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
