"""Trains the variants of an ablation one after another, and resumes interrupted ones.

Every variant and seed has a folder like that of `clearair train`, which `clearair plot` can draw, and a
`result.json` once it is measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clearair.ablation.budget import ANNEALED, Budget
from clearair.data.photos import TrainingPhotos, load_training_photos
from clearair.data.validation import validation_sets
from clearair.errors import TrainingError, UsageError
from clearair.evaluation.held_out import HeldOutViews
from clearair.network.config import GUIDANCE_SIZES
from clearair.network.model import count_parameters
from clearair.perception import load_compact
from clearair.perception.protocol import BatchPerceiver
from clearair.placing import make_folder, write_atomically
from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.fields import suggestion
from clearair.training.loop.log import LOG, read_log
from clearair.training.loop.loop import RunOptions, ignore
from clearair.training.loop.resume import LATEST, differences
from clearair.training.loop.trainer import Machine, Setup, Validation
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.trainer import RestorerTrainer
from clearair.training.restorer.variants import Family, slug
from clearair.weights import listed

RESULT = "result.json"
BEGUN = "ablation.json"
"""The settings of a run that has begun, in its folder."""


@dataclass(frozen=True)
class Ablation:
    """The variants, and how each is trained and measured."""

    family: Family
    recipe: Recipe
    """The recipe that the variants change."""
    budget: Budget
    seeds: tuple[int, ...] = (1,)
    views: int = 6
    """Held-out views of each kind of damage."""
    start: str | None = None
    """A checkpoint or a model that all variants start from."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError(f"An ablation needs different seeds, got {', '.join(map(str, self.seeds))}.")
        if self.views < 1:
            raise UsageError(f"An ablation needs at least 1 view of each kind, got {self.views}.")

    def variants(self, only: Sequence[str] = ()) -> dict[str, Recipe]:
        """The recipes by name, or those of them that are named. Raises UsageError for an unknown name."""
        found = self.family.variants(self.budget.shorten(self.recipe))
        for name in only:
            if name not in found:
                raise UsageError(
                    f"There is no variant {name!r}{suggestion(name, found)}; known are {'; '.join(found)}."
                )
        return {name: recipe for name, recipe in found.items() if not only or name in only}


@dataclass(frozen=True)
class Result:
    """One variant with one seed, trained and measured."""

    variant: str
    seed: int
    steps: int
    seconds: float
    parameters: int
    psnr: dict[str, float]
    """In dB, by kind of damage."""
    input_psnr: dict[str, float]
    settings: dict[str, Any]
    """Everything that affects it: recipe, perceiver, budget, views and start."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dict(vars(self))


@dataclass
class Bench:
    """Data that all runs share, each loaded or made when it is first needed."""

    data: Path
    perceiver: BatchPerceiver | None = None
    device: str = "cpu"
    notice: Callable[[str], None] = ignore
    """Takes what is being done, line by line."""
    _photos: TrainingPhotos | None = field(default=None, init=False)
    _held_out_views: HeldOutViews | None = field(default=None, init=False)

    def photos(self, sets: Sequence[str]) -> TrainingPhotos:
        """On the device, with pairs of published sets. Raises DataError without any photographs."""
        if self._photos is None:
            self._photos = load_training_photos(self.data, sets).to(self.device)
        return self._photos

    def held_out_views(self, views: int) -> HeldOutViews:
        """Held-out views, looked at once. Raises DataError without any."""
        if self._held_out_views is None:
            perceiver = (self.perceiver or load_compact()).to(self.device)
            self._held_out_views = HeldOutViews(perceiver, validation_sets(self.data, views=views))
        return self._held_out_views


def run_ablation(
    ablation: Ablation,
    out: Path,
    bench: Bench,
    *,
    only: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> Iterator[Result]:
    """Every variant with every seed, one after another, in folders below `out`.

    Finished runs are read, unfinished ones resumed. All variants run with one seed before the next seed
    starts. Raises TrainingError when a folder holds a run of other settings, Interrupted after Ctrl-C;
    repeating the call continues from there.
    """
    variants = ablation.variants(only)
    wanted = [(variant, seed) for seed in ablation.seeds for variant in variants]
    for index, (variant, seed) in enumerate(wanted):
        report(f"{variant}, seed {seed}: run {index + 1} of {len(wanted)}")
        yield _run_one(ablation, variant, replace(variants[variant], seed=seed), out, bench, report)


def _run_one(
    ablation: Ablation, variant: str, recipe: Recipe, out: Path, bench: Bench, report: Callable[[str], None]
) -> Result:
    folder = out / f"{slug(variant)}-seed{recipe.seed}"
    setup = Setup(
        bench.data,
        folder,
        _run_options(ablation, folder),
        Machine(bench.device, compiled=False),
        Validation(ablation.views, at_start=False, table=False),
        perceiver=bench.perceiver,
        report=report,
        notice=bench.notice,
    )
    trainer = RestorerTrainer(recipe, setup)
    settings = json.loads(json.dumps(trainer.task.settings() | _measure(ablation)))
    if (done := read_result(folder / RESULT)) is not None:
        _check_same(done.settings, settings, folder)
        return done
    _check_begun(folder, settings)
    trainer.share(bench.photos(recipe.sets), bench.held_out_views(ablation.views))
    trainer.train()
    assert trainer.watcher is not None
    scores = trainer.watcher.final
    assert scores is not None
    last = [record for record in read_log(folder / LOG) if record.get("of") == "end"][-1]
    result = Result(
        variant,
        recipe.seed,
        int(last["step"]),
        last["seconds"],
        count_parameters(trainer.task.network),
        {kind: round(score.psnr, 4) for kind, score in scores.items()},
        {kind: round(score.input_psnr, 4) for kind, score in scores.items()},
        settings,
    )
    content = json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"
    write_atomically(folder / RESULT, content.encode(), overwrite=True)
    return result


def _measure(ablation: Ablation) -> dict[str, Any]:
    """Return everything besides the recipe that affects a result."""
    return {"budget": str(ablation.budget), "views": ablation.views, "start": ablation.start}


def _run_options(ablation: Ablation, folder: Path) -> RunOptions:
    """Return how to continue a run: for the minutes that earlier parts have left."""
    minutes = ablation.budget.minutes
    if minutes is None:
        return RunOptions(resume=True, start=ablation.start)
    latest = folder / LATEST
    spent = load_checkpoint(latest).seconds / 60 if latest.exists() else 0.0
    annealed = ANNEALED * minutes
    return RunOptions(
        resume=True,
        start=ablation.start,
        max_minutes=max(annealed, minutes - spent),
        anneal_minutes=annealed,
    )


def read_result(path: Path) -> Result | None:
    """The result, None if there is none yet. Raises TrainingError for another kind of file."""
    try:
        values = json.loads(path.read_text())
        result = Result(**values)
        if not isinstance(result.settings, dict) or not result.psnr:
            raise ValueError("a value is missing")
        for number in (result.seed, result.steps, result.parameters, *result.psnr.values()):
            if not math.isfinite(number):
                raise ValueError("a value is not finite")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path}: not the result of an ablation ({error}).") from error
    return result


def finished(ablation: Ablation, out: Path, like: Result) -> list[Result]:
    """The results below `out` that belong in one table with one of them, by seed and variant.

    They have its budget, views, start and perceivers, and the recipe of their variant.
    """
    fitted = {f"network.{name}" for name in GUIDANCE_SIZES}  # follow the perceivers
    shared = {name: like.settings.get(name) for name in (*_measure(ablation), "perceiver")}
    found = []
    for variant, recipe in ablation.variants().items():
        for path in out.glob(f"{slug(variant)}-seed*/{RESULT}"):
            result = read_result(path)
            if result is None or result.variant != variant:
                continue
            ours = replace(recipe, seed=result.seed).to_dict() | shared
            if not differences(result.settings, ours).keys() - fitted:
                found.append(result)
    return sorted(found, key=lambda result: result.seed)  # variants keep their order


def _check_begun(folder: Path, settings: dict[str, Any]) -> None:
    """Note the settings of a run that begins. Raises TrainingError for an unfinished run of other ones."""
    path = folder / BEGUN
    try:
        begun = json.loads(path.read_text())
    except FileNotFoundError:
        make_folder(folder)
        write_atomically(path, (json.dumps(settings, indent=1) + "\n").encode(), overwrite=True)
        return
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); delete this run's folder.") from error
    _check_same(begun if isinstance(begun, dict) else {}, settings, folder)


def _check_same(theirs: dict[str, Any], ours: dict[str, Any], folder: Path) -> None:
    if changed := differences(theirs, ours):
        raise TrainingError(
            f"{folder}: holds a run of other settings ({listed(list(changed.values()), 6)}); name another "
            "--out."
        )
