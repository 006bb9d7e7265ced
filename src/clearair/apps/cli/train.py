"""`clearair train`: run a recipe, resume it, or anneal it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("recipe")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Data folder, or one packed.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Run folder.")
@click.option("--steps", type=click.IntRange(1), help="Length of the run instead of the recipe's.")
@click.option("--max-minutes", type=click.FloatRange(0), help="Stop after so long, with a checkpoint.")
@click.option(
    "--anneal-minutes",
    type=click.FloatRange(0),
    default=0.0,
    help="Of --max-minutes: anneal a copy of the run over so long, and keep that.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, exactly where it stopped.")
@click.option("--change", is_flag=True, help="Resume with other settings than the run had.")
@click.option("--start", type=click.Path(path_type=Path, dir_okay=False), help="Checkpoint to start from.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@click.option(
    "--views",
    type=click.IntRange(0),
    default=12,
    show_default=True,
    help="Held-out views of each kind of damage to validate a restorer with at the end.",
)
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Folder for the model.")
def train(
    recipe: str,
    data: Path,
    out: Path,
    steps: int | None,
    max_minutes: float | None,
    anneal_minutes: float,
    resume: bool,
    change: bool,
    start: Path | None,
    device: str,
    threads: int | None,
    views: int,
    save: Path | None,
) -> None:
    """Train by a RECIPE: perceivers, compact, base or smoke.

    A run goes on with --resume, and can be annealed at any time: resume it with --steps a little above the
    step it has reached, and the learning rate falls to zero by then. Resumed once more with more steps, it
    goes on from before the annealing.
    """
    import torch

    from clearair.data.pack import unpacked

    data = unpacked(data, out)
    if threads:
        torch.set_num_threads(threads)
    options = {
        "resume": resume,
        "change": change,
        "start": start,
        "max_minutes": max_minutes,
        "anneal_minutes": anneal_minutes,
        "report": click.echo,
    }
    if recipe == "perceivers":
        _train_perceivers(device, data, out, steps, save, options)
    else:
        _train_restorer(recipe, device, data, out, steps, views, save, options)


def _train_restorer(
    name: str,
    device: str,
    data: Path,
    out: Path,
    steps: int | None,
    views: int,
    save: Path | None,
    options: dict[str, Any],
) -> None:
    from clearair.evaluation.summary import summarise
    from clearair.models import save_model
    from clearair.training.loop import run
    from clearair.training.progress import append
    from clearair.training.recipe import get_recipe
    from clearair.training.restoration import RestorerTask

    recipe = get_recipe(name)
    task = RestorerTask(replace(recipe, steps=steps or recipe.steps), data, device=device)
    network = run(task, out, **options)
    if views and task.perceiver is not None:
        summary = summarise(network, task.perceiver, data, views=views)
        click.echo(summary.table())
        append(out / "log.jsonl", summary.to_dict())
    if save:
        save_model(network, save, perceivers=task.perceiver)
        click.echo(f"model -> {save}")


def _train_perceivers(
    device: str, data: Path, out: Path, steps: int | None, save: Path | None, options: dict[str, Any]
) -> None:
    from clearair.perception.compact.lessons import PerceiverRecipe
    from clearair.perception.compact.train import PerceiverTask, publish
    from clearair.training.loop import run
    from clearair.training.resume import LATEST

    recipe = PerceiverRecipe()
    recipe = replace(recipe, steps=steps or recipe.steps)
    run(PerceiverTask(recipe, data, device=device), out, **options)
    if save:
        publish(out / LATEST, recipe, save, data)
        click.echo(f"perceivers -> {save}")
