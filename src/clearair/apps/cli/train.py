"""`clearair train`: run a recipe, resume it, or anneal it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Data folder.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Run folder.")
@click.option("--steps", type=click.IntRange(1), help="Length of the run instead of the recipe's.")
@click.option("--max-minutes", type=click.FloatRange(0), help="Stop after so long, with a checkpoint.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, exactly where it stopped.")
@click.option("--start", type=click.Path(path_type=Path, dir_okay=False), help="Checkpoint to start from.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Folder for the model.")
def train(
    recipe: str,
    data: Path,
    out: Path,
    steps: int | None,
    max_minutes: float | None,
    resume: bool,
    start: Path | None,
    device: str,
    threads: int | None,
    save: Path | None,
) -> None:
    """Train by a RECIPE: perceivers, compact, base or smoke.

    A run goes on with --resume, and can be annealed at any time: resume it with --steps a little above the
    step it has reached, and the learning rate falls to zero by then. Resumed once more with more steps, it
    goes on from before the annealing.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if recipe == "perceivers":
        _train_perceivers(data, out, steps, max_minutes, resume, start, save)
    else:
        _train_restorer(recipe, data, out, steps, max_minutes, resume, start, device, save)


def _train_restorer(
    name: str,
    data: Path,
    out: Path,
    steps: int | None,
    max_minutes: float | None,
    resume: bool,
    start: Path | None,
    device: str,
    save: Path | None,
) -> None:
    from dataclasses import replace

    from clearair.models import save_model
    from clearair.training.loop import train as run
    from clearair.training.recipe import get_recipe

    recipe = get_recipe(name)
    if steps:
        recipe = replace(recipe, steps=steps)
    network = run(
        recipe,
        data,
        out,
        resume=resume,
        start=start,
        max_minutes=max_minutes,
        device=device,
        report=click.echo,
    )
    if save:
        save_model(network, save)
        click.echo(f"model -> {save}")


def _train_perceivers(
    data: Path,
    out: Path,
    steps: int | None,
    max_minutes: float | None,
    resume: bool,
    start: Path | None,
    save: Path | None,
) -> None:
    from dataclasses import replace

    from clearair.training.loop import LATEST
    from clearair.training.perceivers import PerceiverRecipe, publish, train_perceivers

    recipe = PerceiverRecipe()
    if steps:
        recipe = replace(recipe, steps=steps)
    train_perceivers(
        recipe, data, out, resume=resume, start=start, max_minutes=max_minutes, report=click.echo
    )
    if save:
        publish(out / LATEST, recipe, save, data)
        click.echo(f"perceivers -> {save}")
