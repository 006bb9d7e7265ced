"""The training loop of the restorer: draw, perceive, restore, compare, step.

Shapes: B pairs, V = side of the view that is perceived, P = side of the patch that is restored.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.data.pairs import PairBatch, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos, load_training_photos
from clearair.errors import TrainingError
from clearair.network import ClearAIR, Guidance, NetworkConfig
from clearair.network.regions import drop_regions
from clearair.perception.compact.perceiver import CompactPerceiver, load_compact
from clearair.training.checkpoint import Checkpoint, capture, load_checkpoint, save_checkpoint
from clearair.training.losses import clue_reuse, draw_strong_view
from clearair.training.optimizer import make_optimizers
from clearair.training.progress import Clock, log_line
from clearair.training.recipe import Recipe

LATEST, STABLE = "latest.safetensors", "stable.safetensors"
"""The last checkpoint, and the last one before the learning rate began to fall."""


@dataclass(frozen=True)
class Patches:
    """What one step trains on."""

    damaged: Tensor
    """(B, 3, P, P) in [0, 1]."""
    clean: Tensor
    """(B, 3, P, P) in [0, 1]."""
    guidance: Guidance


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    max_minutes: float | None = None,
    device: str = "cpu",
    interval: int = 25,
    save_interval: int = 250,
    report: Callable[[str], None] = print,
) -> ClearAIR:
    """Run a recipe; checkpoints and `log.jsonl` go to `out`. Returns the averaged network.

    `resume` goes on from the last checkpoint in `out`, with the same numbers as if it had never stopped; with
    more steps than an annealed run had, from before the annealing. `start` is a checkpoint whose averaged
    weights are the starting point. Stops after `max_minutes`, with a checkpoint.

    Raises TrainingError when `out` holds another run or the loss is not finite, DataError without
    photographs.
    """
    last = _last_checkpoint(recipe, out, resume)
    torch.manual_seed(recipe.seed)
    network = ClearAIR(recipe.network)
    _initialise(network)
    if start is not None:
        network.load_state_dict(load_checkpoint(start).below("average"))
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizers = make_optimizers(network, recipe.learning_rate, recipe.weight_decay)
    step, spent = 0, 0.0
    if last is not None:
        last.restore(network, average, optimizers)
        step, spent = last.step, last.seconds
    photos = load_training_photos(data)
    # Without guidance nothing needs to see.
    perceiver = load_compact().to(device) if recipe.guided_from < recipe.steps else None
    clock = Clock(spent)
    meters: dict[str, list[float]] = {}

    def save(name: str) -> None:
        checkpoint = capture(step, recipe.to_dict(), network, average, optimizers, clock.seconds)
        save_checkpoint(checkpoint, out / name)

    stepping = False  # whether weights are half way between two steps
    try:
        while step < recipe.steps:
            if step == recipe.decay_start:
                save(STABLE)
            generator = generator_for(recipe.seed, step)
            with clock.loading():
                patches = draw_patches(recipe, photos, perceiver, step, generator, device)
            stepping = True
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = recipe.learning_rate * recipe.rate(step)
            for name, value in train_step(network, patches, optimizers, recipe, generator).items():
                meters.setdefault(name, []).append(value)
            step += 1
            update_average(average, network, min(recipe.ema, step / (step + 10)))
            stepping = False
            if step % interval == 0 or step == recipe.steps:
                record = {
                    "step": step,
                    "seconds": round(clock.seconds),
                    "loading": round(clock.share, 3),
                    **{name: sum(values) / len(values) for name, values in meters.items()},
                }
                log_line(out / "log.jsonl", record, report)
                meters = {}
            done = step == recipe.steps or (max_minutes is not None and clock.sitting > 60 * max_minutes)
            if step % save_interval == 0 or done:
                save(LATEST)
            if done:
                break
    except KeyboardInterrupt:
        # Steps are minutes of work. One that was broken off half way is not saved.
        if not stepping:
            save(LATEST)
        raise
    finished: ClearAIR = average.eval()
    return finished


def draw_patches(
    recipe: Recipe,
    photos: TrainingPhotos,
    perceiver: CompactPerceiver | None,
    step: int,
    generator: torch.Generator,
    device: str = "cpu",
) -> Patches:
    """Damaged views, perceived whole, and the window of each that is restored."""
    pairs = draw_pairs(photos, recipe.mix, recipe.batch, recipe.view, recipe.scales, generator)
    damaged, clean = pairs.damaged.to(device), pairs.clean.to(device)
    if perceiver is None or step < recipe.guided_from:
        guidance = neutral_guidance(recipe.network, damaged)
    else:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            guidance = perceiver.perceive(damaged)
        labels = drop_regions(guidance.labels, guidance.regions, recipe.mask_dropout, generator)
        guidance = replace(guidance, labels=labels)
    window = _draw_window(recipe, pairs, generator)
    return Patches(_cut(damaged, *window), _cut(clean, *window), guidance.window(*window))


def _draw_window(recipe: Recipe, pairs: PairBatch, generator: torch.Generator) -> tuple[int, int, int, int]:
    room = pairs.clean.shape[-1] - recipe.patch
    top, left = (8 * int(torch.randint(room // 8 + 1, (), generator=generator)) for _ in range(2))
    return top, left, recipe.patch, recipe.patch


def _cut(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    return image[..., top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)


def neutral_guidance(config: NetworkConfig, images: Tensor) -> Guidance:
    """What says nothing: zero embeddings and one region, for (B, 3, H, W)."""
    batch, _, height, width = images.shape
    zeros = images.new_zeros
    return Guidance(
        quality=zeros(batch, config.quality_dim),
        labels=torch.zeros(batch, height, width, dtype=torch.uint8, device=images.device),
        content=zeros(batch, config.content_dim),
        degradation=zeros(batch, config.degradation_dim),
        local_degradation=zeros(batch, config.region_count, config.degradation_dim),
    )


def train_step(
    network: nn.Module,
    patches: Patches,
    optimizers: list[torch.optim.Optimizer],
    recipe: Recipe,
    generator: torch.Generator,
) -> dict[str, float]:
    """One update of the network. Returns the terms of the loss; TrainingError when it is not finite."""
    with torch.autocast(patches.damaged.device.type, torch.bfloat16):
        restored = network(patches.damaged, patches.guidance)
    restored = restored.float()
    terms = {"l1": F.l1_loss(restored, patches.clean)}
    if recipe.clue_reuse != "off":
        view = draw_strong_view(len(restored), restored.shape[-1], generator)
        terms["icrm"] = recipe.alpha * clue_reuse(restored, patches.clean, view, recipe.gamma)
    loss = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(loss):
        raise TrainingError(f"The loss is {float(loss)}; try a lower learning rate ({recipe.learning_rate}).")
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    for optimizer in optimizers:
        optimizer.step()
    error = (restored.detach().clamp(0, 1) - patches.clean).square().mean(dim=(1, 2, 3)).clamp_min(1e-6)
    return {
        "loss": float(loss.detach()),
        "psnr": float(-10 * error.log10().mean()),
        "gradient": float(norm),
        **{name: float(term.detach()) for name, term in terms.items()},
    }


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights, in place."""
    targets = [value for value in average.state_dict().values() if value.is_floating_point()]
    sources = [value for value in network.state_dict().values() if value.is_floating_point()]
    torch._foreach_lerp_(targets, sources, 1 - decay)


def _initialise(network: ClearAIR) -> None:
    """Begin as the identity: what is not damaged stays as it is from the first step on."""
    nn.init.zeros_(network.reconstruction.weight)
    if network.reconstruction.bias is not None:
        nn.init.zeros_(network.reconstruction.bias)


def _last_checkpoint(recipe: Recipe, out: Path, resume: bool) -> Checkpoint | None:
    latest, stable = out / LATEST, out / STABLE
    if not latest.exists():
        return None
    if not resume:
        raise TrainingError(f"{out}: holds a run already; --resume goes on with it, or name another folder.")
    checkpoint = load_checkpoint(latest)
    if checkpoint.annealing and recipe.steps != checkpoint.recipe["steps"] and stable.exists():
        # Weights that were annealed learn badly at the full rate again.
        checkpoint = load_checkpoint(stable)
    theirs, ours = checkpoint.recipe["network"], json.loads(json.dumps(recipe.to_dict()["network"]))
    if theirs != ours:
        fields = ", ".join(sorted(name for name in ours if ours[name] != theirs.get(name)))
        raise TrainingError(f"{out}: holds a run of another network (differs in {fields}).")
    return checkpoint
