"""Whether the recognizer's backbone finds more damage when it is fine-tuned than when it stays frozen.

    python benchmarks/finetune.py --data DATA --units 800 --minutes 20

Both see the whole picture in at most 256 x 192 pixels and nothing else, so that a processor can fine-tune it.
Both learn from the same part of the recognizer's training pictures, and the head is fitted in the
same way to either. For each kind the table shows the share of damaged validation pictures that are found with
at most 1 % false alarms in undamaged ones, as a mean over the groups with the kind.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from command_line import parser_of
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.data.pixels import to_bytes
from clearair.data.splits import held_out
from clearair.perception.compact.backbone import Backbone
from clearair.perception.compact.geometry import BACKBONE_STRIDE
from clearair.perception.compact.recognition import OUTLIER
from clearair.perception.compact.views import far_view
from clearair.training.perceivers.examples import (
    CLOSE_UP,
    Example,
    draw_unit,
    load_sources,
    units,
    validation,
)
from clearair.training.perceivers.head_fits import fit
from clearair.training.perceivers.observations import Observations
from clearair.training.perceivers.recognition import RecognizerRecipe, starting_point
from clearair.training.perceivers.thresholds import recall

PIXELS = 256 * 192
BATCH = 16
"""Pictures an update learns from, one after the other, since their sizes differ."""
RATE, HEAD_RATE = 3e-5, 1e-3
"""Learning rates of AdamW."""
ALARMS = 0.01


@dataclass(frozen=True)
class Views:
    """Reduced pictures and what is known about them."""

    images: list[Tensor]
    """Each (1, 3, h, w) uint8."""
    label: Tensor
    """(N, K), NaN if unknown."""
    weight: Tensor
    """(N, K)."""
    groups: tuple[str, ...]


class Head(torch.nn.Module):
    """Statistics of the backbone -> logits of the kinds."""

    def __init__(self, mean: Tensor, spread: Tensor, rows: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread
        self.rows, self.bias = torch.nn.Parameter(rows.clone()), torch.nn.Parameter(bias.clone())

    def forward(self, seen: Tensor) -> Tensor:
        """(B, F) -> (B, K)."""
        scaled = ((seen - self.mean) / self.spread).clamp(-OUTLIER, OUTLIER)
        return F.linear(scaled, self.rows, self.bias)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--units", type=int, default=800, help="parts of the training pictures to draw")
    parser.add_argument("--minutes", type=float, default=20, help="of fine-tuning")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = RecognizerRecipe()
    train = reduced_views(drawn(options.data, options.units, recipe))
    test = reduced_views(validation(options.data))
    print(f"{len(train.images)} training and {len(test.images)} validation pictures", flush=True)
    _, recognizer, _ = starting_point()
    backbone = recognizer.backbone
    usual = judged(test, options.data)
    head, frozen = fitted(backbone, train, test, recipe.ridge)
    tuned, updates = fine_tune(backbone, head, train, options.minutes)
    print(f"{updates} updates of {BATCH} pictures in {options.minutes:g} minutes", flush=True)
    _, refitted = fitted(tuned, train, test, recipe.ridge)
    with torch.no_grad():
        alone = head(statistics(tuned, test))
    print("| kind | frozen | fine-tuned, its own head | fine-tuned, head fitted anew |")
    print("| --- | --- | --- | --- |")
    found = [found_shares(logits, test, usual) for logits in (frozen, alone, refitted)]
    for kind, shares in zip(KINDS, zip(*found, strict=True), strict=True):
        print(f"| {kind} | {' | '.join(f'{share:.3f}' for share in shares)} |")
    print(f"| mean | {' | '.join(f'{sum(shares) / len(shares):.3f}' for shares in found)} |")


def drawn(data: Path, count: int, recipe: RecognizerRecipe) -> Iterable[Example]:
    """So many parts of the recognizer's training pictures, evenly chosen."""
    sources = load_sources(data)
    every = units(sources, recipe.views)
    for index in range(count):
        yield from draw_unit(sources, index * every // count, recipe.looks, recipe.seed)


def reduced_views(examples: Iterable[Example]) -> Views:
    """What the backbone sees of each picture."""
    images, label, weight, groups = [], [], [], []
    named = RecognizerRecipe().named
    for example in examples:
        far = to_bytes(far_view(example.images, PIXELS, BACKBONE_STRIDE))
        images += list(far.split(1))
        real = "/" in example.group or example.group.endswith("pairs")
        label.append(example.label)
        weight.append(example.weight * (named if real else 1.0))
        groups += [example.group] * len(far)
    return Views(images, torch.cat(label), torch.cat(weight), tuple(groups))


@torch.no_grad()
def statistics(backbone: Backbone, views: Views) -> Tensor:
    """(N, F) of all views."""
    return torch.cat([backbone(image.float() / 255) for image in views.images])


def fitted(backbone: Backbone, train: Views, test: Views, ridge: float) -> tuple[Head, Tensor]:
    """Fit a head to this backbone; its logits (N, K) of the validation pictures."""
    head = Head(*fit(statistics(backbone, train), train.label, train.weight, ridge))
    with torch.no_grad():
        return head, head(statistics(backbone, test))


def fine_tune(backbone: Backbone, head: Head, train: Views, minutes: float) -> tuple[Backbone, int]:
    """Train backbone and head together, both from what they are; the rate falls to zero along a line."""
    tuned = copy.deepcopy(backbone).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [{"params": tuned.parameters(), "lr": RATE}, {"params": head.parameters(), "lr": HEAD_RATE}],
        weight_decay=0.01,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    known = ~train.label.isnan()
    weight = train.weight * known / (train.weight * known).mean(dim=0)
    target = train.label.nan_to_num()
    generator = torch.Generator().manual_seed(0)
    began, updates, queue = time.monotonic(), 0, []
    while (spent := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - spent)
        if len(queue) < BATCH:
            queue = torch.randperm(len(train.images), generator=generator).tolist()
        optimizer.zero_grad()
        for row in [queue.pop() for _ in range(BATCH)]:
            image = train.images[row].float() / 255
            logits = head(tuned(image.flip(3) if torch.rand(1, generator=generator) < 0.5 else image))[0]
            loss = F.binary_cross_entropy_with_logits(logits, target[row], weight[row])
            (loss / BATCH).backward()
        optimizer.step()
        updates += 1
    return tuned.eval().requires_grad_(False), updates


def judged(test: Views, data: Path) -> Tensor:
    """(N,) bool: validation pictures by which thresholds are chosen."""
    shown = torch.zeros(len(test.groups), 1)
    seen = Observations(shown, shown, test.label, test.weight, test.groups)
    return seen.usual((*held_out(data).unusual, CLOSE_UP))


def found_shares(logits: Tensor, test: Views, usual: Tensor) -> list[float]:
    """Of each kind, the mean over groups of the share that is found at `ALARMS` false alarms."""
    clean = usual & torch.tensor([group.startswith("undamaged") for group in test.groups])
    seen = Observations(logits, logits, test.label, test.weight, test.groups)
    alarms = int(ALARMS * int(clean.sum()))
    thresholds = logits[clean].sort(dim=0, descending=True).values[alarms]
    return [recall(logits[:, kind], thresholds[kind], seen, kind) for kind in range(len(KINDS))]


if __name__ == "__main__":
    main()
