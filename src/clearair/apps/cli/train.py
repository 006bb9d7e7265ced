"""`clearair train`: run a recipe, resume it, or anneal it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.options import chosen_perceiver, perceiver_options

if TYPE_CHECKING:
    from clearair.evaluation.validation import Score
    from clearair.network import ClearAIR
    from clearair.training.follower import Follower
    from clearair.training.processes import Processes
    from clearair.training.restoration import RestorerTask


@dataclass(frozen=True)
class Saving:
    """Where the weights go in the end, and on which condition."""

    folder: Path | None
    if_better: bool
    overwrite: bool


@dataclass(frozen=True)
class Machine:
    """What a run is computed on."""

    device: str
    processes: Processes
    compiled: bool


PERCEIVERS = {
    "perceivers": "The eyes of the restorer: how good a picture is, where its regions are, what is wrong.",
    "recognizer": "Their judgement of whole pictures, fitted to real and synthetic damage; its thresholds.",
}
"""Recipes of what guides a restorer."""


@click.command()
@click.argument("words", nargs=-1, metavar="RECIPE [FIELD=VALUE]...")
@click.option("--list", "listed", is_flag=True, help="Show the recipes, and exit.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field of the recipe, such as batch=8; others may follow: --set batch=8 patch=96.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, or one packed.")
@click.option(
    "--pairs",
    nargs=2,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="INPUTS TARGETS",
    help="Two folders of your own pairs, paired by name: half of what is learned from, unless mix.own says "
    "another share.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder.")
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
@click.option(
    "--start",
    metavar="CHECKPOINT|NAME|FOLDER",
    help="Weights to start from: a checkpoint's average or a model's, such as compact.",
)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or mps.")
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=None,
    help="Compile a restorer's network; needs a C++ compiler on a processor. By default on cuda alone.",
)
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@click.option(
    "--views",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Held-out views of each kind of damage to validate a restorer with; 0 for no validation.",
)
@click.option("--validate-minutes", type=click.FloatRange(0), help="Validate also every so many minutes.")
@click.option(
    "--validate-start/--no-validate-start",
    default=True,
    show_default=True,
    help="Validate before the first step too, to say what the run has brought.",
)
@click.option("--worth", is_flag=True, help="In the end measure what each percept is worth; takes minutes.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Folder for the model.")
@click.option(
    "--save-if-better",
    is_flag=True,
    help="Write --save only if the mean validation PSNR rose against the model there, or else the start.",
)
@click.option("--overwrite", is_flag=True, help="Let --save replace a model without a comparison.")
@perceiver_options
def train(
    words: tuple[str, ...],
    listed: bool,
    fields: tuple[str, ...],
    data: Path | None,
    pairs: tuple[Path, Path] | None,
    out: Path | None,
    steps: int | None,
    max_minutes: float | None,
    anneal_minutes: float,
    resume: bool,
    change: bool,
    start: str | None,
    device: str,
    compiled: bool | None,
    threads: int | None,
    views: int,
    validate_minutes: float | None,
    validate_start: bool,
    worth: bool,
    save: Path | None,
    save_if_better: bool,
    overwrite: bool,
) -> None:
    """Train by a RECIPE, some of whose fields may be changed; --list shows the recipes.

    A run goes on with --resume, and can be annealed at any time: resume it with --steps a little above the
    step it has reached, and the learning rate falls to zero by then. Resumed once more with more steps, it
    goes on from before the annealing. Ctrl-C ends it after its step as --max-minutes does; a second one does
    not wait.
    """
    if listed:
        _list()
        return
    names = [word for word in words if "=" not in word]
    if len(names) != 1:
        raise click.UsageError(f"Name one recipe; got {', '.join(names) or 'none'}. --list shows them.")
    check_recipe(names[0])
    if steps and names == ["recognizer"]:
        raise click.UsageError("The recognizer is fitted, not trained step by step; views=N draws more.")
    if data is None or out is None:
        raise click.UsageError(f"Missing option '{'--data' if data is None else '--out'}'.")
    if save_if_better and (save is None or not views or names[0] in PERCEIVERS):
        raise click.UsageError("--save-if-better compares restorers: it needs --save and some --views.")
    import torch

    from clearair.models.saved import check_folder
    from clearair.runtime.pytorch import choose_device
    from clearair.training.memory import keep_freed_memory
    from clearair.training.processes import joined
    from clearair.training.resume import LATEST

    device = str(choose_device(device))

    if threads:
        torch.set_num_threads(threads)
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # windows have one size for thousands of steps
    if save is not None:
        check_folder(save, overwrite=overwrite or save_if_better)
    changes = [*fields, *(word for word in words if "=" in word)]
    changes += [f"steps={steps}"] if steps else []
    options: dict[str, Any] = {
        "resume": resume,
        "change": change,
        "start": start,
        "max_minutes": max_minutes,
        "anneal_minutes": anneal_minutes,
    }
    saving = Saving(save, save_if_better, overwrite)
    validation = {
        "views": views,
        "minutes": validate_minutes,
        "measure_start": validate_start or save_if_better,
    }
    compiled = device.startswith("cuda") if compiled is None else compiled
    with joined(device) as (processes, device):
        data = _unpacked(data, out, processes)
        options["report"] = click.echo if processes.leads else _silent
        if resume and not (out / LATEST).exists():
            options["report"](f"{out}: holds no run yet, so it begins here.")
        if names == ["perceivers"]:
            if processes.count > 1:
                raise click.UsageError("The perceivers are trained by one process.")
            _train_perceivers(device, data, out, changes, save, options)
            return
        if names == ["recognizer"]:
            _train_recognizer(data, out, changes, save, options)
            return
        how = Machine(device, processes, compiled)
        own = _own_pairs(pairs)
        if own:
            changes = ["mix.own=0.5", *changes]
        _train_restorer(names[0], how, data, own, out, changes, validation, worth, saving, options)


def check_recipe(name: str) -> None:
    """Raise ConfigError for a recipe that is not listed, with the nearest one."""
    from clearair.errors import ConfigError
    from clearair.training.overrides import meant
    from clearair.training.recipes import RECIPES

    known = [*RECIPES, *PERCEIVERS]
    if name not in known:
        raise ConfigError(f"There is no recipe {name!r}{meant(name, known)}; known are {', '.join(known)}.")


def _own_pairs(folders: tuple[Path, Path] | None) -> list[tuple[Path, Path]]:
    """(damaged, clean) files of two folders, of which some are held out. Raises DataError."""
    from clearair.data.layouts import pair_folders
    from clearair.errors import DataError

    if folders is None:
        return []
    items = pair_folders(*folders)
    if len(items) < 2:
        raise DataError(f"{folders[0]}: needs at least 2 pairs, one of them to validate with.")
    return [(item.damaged, item.clean) for item in items if item.damaged and item.clean]


def _silent(line: str) -> None:
    """What all but the leader of several processes say."""


def _unpacked(data: Path, out: Path, processes: Processes) -> Path:
    """The data folder, made by one process of each machine when it is packed."""
    from clearair.data.pack import unpacked

    first = os.environ.get("LOCAL_RANK", "0") == "0"
    folder = unpacked(data, out) if first else data
    processes.gathered(None)  # the others wait for that
    return folder if first else unpacked(data, out)


def _list() -> None:
    from clearair.training.recipes import RECIPES

    lines = {name: listed.about for name, listed in RECIPES.items()}
    lines |= PERCEIVERS
    width = max(map(len, lines))
    for name, line in lines.items():
        click.echo(f"{name:{width}}  {line}")


def _train_restorer(
    name: str,
    machine: Machine,
    data: Path,
    own: list[tuple[Path, Path]],
    out: Path,
    changes: list[str],
    validation: dict[str, Any],
    worth: bool,
    saving: Saving,
    options: dict[str, Any],
) -> None:
    from clearair.data.validation import OWN_STEP
    from clearair.training.follower import Follower
    from clearair.training.loop import Interrupted, run
    from clearair.training.overrides import override
    from clearair.training.recipes import get_recipe
    from clearair.training.restoration import RestorerTask

    processes = machine.processes
    task = RestorerTask(
        override(get_recipe(name), changes),
        data,
        perceiver=chosen_perceiver(),
        device=machine.device,
        compiled=machine.compiled,
        own=[pair for index, pair in enumerate(own) if index % OWN_STEP],
        report=options["report"],
        processes=processes,
    )
    follower = None
    if not processes.leads:
        run(task, out, **options)
        return
    if validation["views"] and task.perceiver is not None:
        held_out = own[::OWN_STEP]
        follower = Follower(out, data, task.perceiver, own=held_out, report=click.echo, **validation)
    elif saving.if_better:
        raise click.UsageError("--save-if-better cannot validate a restorer that nothing guides.")
    _check_rival(task, saving)
    interrupt = None
    try:
        network = run(task, out, watcher=follower, **options)
    except Interrupted as caught:
        network, interrupt = caught.network, caught  # type: ignore[assignment]
    if follower is not None:
        _tell(network, task, follower, out, worth=worth and interrupt is None)
    if saving.folder is not None:
        _save(network, task, follower, out, saving)
    if interrupt is not None:
        raise interrupt


def _check_rival(task: RestorerTask, saving: Saving) -> None:
    """Refuse to compare with a model that these perceivers cannot guide, while that costs nothing."""
    from clearair.errors import ModelError
    from clearair.models.saved import holds_model, load_model
    from clearair.models.stamp import PerceiverStamp

    if saving.folder is not None and saving.if_better and holds_model(saving.folder):
        assert task.perceiver is not None
        try:
            load_model(saving.folder).perceivers.check(PerceiverStamp.of(task.perceiver))
        except ModelError as error:
            raise ModelError(f"{saving.folder}: cannot be compared with: {error}.") from error


def _tell(network: ClearAIR, task: RestorerTask, follower: Follower, out: Path, *, worth: bool) -> None:
    from clearair.evaluation.shuffle import shuffle
    from clearair.evaluation.summary import Summary
    from clearair.training.progress import LOG, append

    assert follower.final is not None
    assert task.perceiver is not None
    summary = Summary(follower.final, follower.start)
    if worth:
        worths = shuffle(network, task.perceiver, follower.examination.sets)
        summary = replace(summary, worths=tuple(worths))
        append(out / LOG, {"worth": summary.to_dict()["worth"]})
    click.echo(summary.table())


def _save(
    network: ClearAIR, task: RestorerTask, follower: Follower | None, out: Path, saving: Saving
) -> None:
    from clearair.evaluation.validation import mean_score
    from clearair.models.saved import save_model
    from clearair.training.progress import LOG, append

    assert saving.folder is not None
    told = ""
    if saving.if_better:
        assert follower is not None
        assert follower.final is not None
        rival, against = _rival(saving.folder, follower, task.device)
        before, after = mean_score(rival).psnr, mean_score(follower.final).psnr
        better = after > before
        record = {"saved": better, "against": against, "gain": round(after - before, 3)}
        append(out / LOG, record)
        told = f" (mean PSNR {after:.3f} dB, {after - before:+.3f} against {against})"
        if not better:
            click.echo(f"not saved{told}; the weights are in {out}.")
            return
    save_model(
        network, saving.folder, perceivers=task.perceiver, overwrite=saving.overwrite or saving.if_better
    )
    click.echo(f"model -> {saving.folder}{told}")


def _rival(folder: Path, follower: Follower, device: str) -> tuple[dict[str, Score], str]:
    """What is to be surpassed: the model in the folder, or else the start of the run."""
    from clearair.models.saved import holds_model, load_model

    if holds_model(folder):
        return follower.examination.examine(load_model(folder).build().to(device)).scores, str(folder)
    assert follower.start is not None
    return follower.start, "the start"


def _train_perceivers(
    device: str, data: Path, out: Path, changes: list[str], save: Path | None, options: dict[str, Any]
) -> None:
    from clearair.training.loop import run
    from clearair.training.overrides import override
    from clearair.training.perceivers.samples import PerceiverRecipe
    from clearair.training.perceivers.task import PerceiverTask, publish
    from clearair.training.resume import LATEST

    recipe = override(PerceiverRecipe(), changes)
    run(PerceiverTask(recipe, data, device=device), out, **options)
    if save:
        publish(out / LATEST, recipe, save, data)
        click.echo(f"perceivers -> {save}")


def _train_recognizer(
    data: Path, out: Path, changes: list[str], save: Path | None, options: dict[str, Any]
) -> None:
    from clearair.training.overrides import override
    from clearair.training.perceivers.recognition import (
        RecognizerRecipe,
        publish_recognizer,
        train_recognizer,
    )

    recipe = override(RecognizerRecipe(), changes)
    start = None if options["start"] is None else Path(options["start"])
    trained = train_recognizer(
        recipe, data, out, start=start, max_minutes=options["max_minutes"], report=options["report"]
    )
    if trained is not None and save:
        publish_recognizer(trained, save)
        click.echo(f"perceivers -> {save}")
