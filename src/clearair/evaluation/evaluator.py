"""A complete evaluation of a model: checks the request first, then measures and records."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from clearair.data.photos import find_photos
from clearair.data.validation import ValidationSet
from clearair.errors import DataError, UsageError
from clearair.evaluation.benchmarks import Chosen, choose, pairs_benchmark
from clearair.evaluation.harm import harm_report, measure_harm
from clearair.evaluation.held_out import HeldOutViews
from clearair.evaluation.measures import Measure, make_measures
from clearair.evaluation.measuring import Restore, Unwatched, Watcher, measure
from clearair.evaluation.pictures import PictureSaver
from clearair.evaluation.protocol import WHOLE, Protocol
from clearair.evaluation.published import asked_of
from clearair.evaluation.results import Result, csv_table, fingerprint, markdown_table
from clearair.evaluation.shuffle import check_percepts, shuffle_table
from clearair.evaluation.validation import named_sets
from clearair.models.catalogue import find_files
from clearair.perception import load_compact
from clearair.perception.protocol import BatchPerceiver
from clearair.perception.telling import Damage, check_kinds, known_kinds, parse_damage
from clearair.placing import write_atomically
from clearair.restorer import Restorer
from clearair.runtime.protocol import Device, Precision
from clearair.runtime.pytorch import PyTorchRuntime


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation, in all forms in which it is reported."""

    table: str
    """Markdown, for people."""
    record: dict[str, Any]
    """Plain values for JSON: the model, the code, the protocol and every number."""
    rows: str | None = None
    """CSV with a row per image, where there are benchmark images."""
    complete: bool = True
    """Whether everything that was asked for could be measured."""

    def write(self, json_file: Path | None, csv_file: Path | None, *, overwrite: bool = False) -> None:
        """Write the files that are named, each whole. Raises OutputError."""
        if json_file is not None:
            text = json.dumps(self.record, indent=1) + "\n"
            write_atomically(json_file, text.encode(), overwrite=overwrite)
        if csv_file is not None and self.rows is not None:
            write_atomically(csv_file, self.rows.encode(), overwrite=overwrite)


@dataclass
class Evaluator:
    """Measures models on benchmark sets; or how much they harm; or how much their guidance contributes.

    On creation, before any model is loaded, names are checked and pictures are found. Raises UsageError for
    an unknown name and for contradicting options, DataError for missing pictures.
    """

    data: Path | None = None
    """Folder with `test/` and `train/`; only `pairs` do without."""
    sets: Sequence[str] = ()
    """Names of benchmarks, or for `harm` and `shuffle` of validation sets too; all by default."""
    _: KW_ONLY
    pairs: tuple[Path, Path] | None = None
    """Two more folders, inputs and targets, paired by name."""
    every: int = 1
    """Take every n-th image only."""
    damage: Damage = "auto"
    """The damage that replaces the percepts of every image, as with `--damage`."""
    harm: bool = False
    """Measure undamaged pictures, and damaged ones that get worse."""
    shuffle: Sequence[str] = ()
    """Measure how much these kinds of guidance contribute: how, where, what."""
    protocol: Protocol = WHOLE
    measures: Mapping[str, Measure] = field(default_factory=make_measures)
    pictures: PictureSaver | None = None
    """Where restored benchmark images go."""

    def __post_init__(self) -> None:
        if self.harm and self.shuffle:
            raise UsageError("Harm and shuffling are two measurements; choose one.")
        self._told = parse_damage(self.damage)
        self._chosen: list[Chosen] = []
        self._views: list[ValidationSet] = []
        if self.shuffle and self._told is not None:
            raise UsageError("Shuffling measures percepts, which named damage replaces; choose one.")
        if self.data is not None and not self.data.is_dir():
            raise DataError(f"{self.data}: there is no such data folder.")
        if not self.harm and not self.shuffle:
            extra = [] if self.pairs is None else [pairs_benchmark(*self.pairs)]
            self._chosen = choose(self.data, self.sets, extra=extra, every=self.every)
            if self.pictures is not None:
                for chosen in self._chosen:
                    self.pictures.check(chosen.benchmark.name, [item.name for _, item in chosen.items])
            return
        check_percepts(self.shuffle)
        if self.harm:
            find_photos(self.folder / "train" / "clean")
        self._views = named_sets(self.folder, self.sets or None, every=self.every)

    @property
    def folder(self) -> Path:
        """The data folder. Raises UsageError where there is none."""
        if self.data is None:
            raise UsageError("Name the data folder that holds the pictures.")
        return self.data

    @property
    def views(self) -> list[ValidationSet]:
        """The sets that `harm` and `shuffle` are measured on; none for benchmarks."""
        return self._views

    def run(
        self,
        model: str | Path,
        *,
        perceiver: BatchPerceiver | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
        cautious: bool = False,
        watcher: Watcher | None = None,
        keep: Callable[[Evaluation], None] = lambda evaluation: None,
    ) -> Evaluation:
        """Load a model, measure it and return what was found.

        `perceiver` guides it, by default the shipped one; `cautious` limits it where nothing is found. `keep`
        is called once with the result, also when KeyboardInterrupt or another exception ends the measurement
        early. Raises ModelError when the model cannot be loaded, UsageError for a kind of damage that the
        perceiver does not know.
        """
        watcher = watcher or Unwatched()
        guide = perceiver or load_compact()
        check_kinds(self._told or (), known_kinds(guide))
        restorer = Restorer.from_pretrained(
            model,
            device=device,
            precision=precision,
            perceiver=guide,
            cautious=cautious,
            backend="torch" if self.shuffle else "auto",
        )
        about = self._about(model, perceiver)  # before the weights or the code can change
        about["device"], about["precision"] = restorer.runtime.device_type, restorer.runtime.precision
        if cautious:
            about["cautious"] = True
        if self.shuffle:
            evaluation = self._shuffled(restorer, guide, about, watcher)
        elif self.harm:
            evaluation = self._harmed(restorer, about, watcher)
        else:
            return self._benchmarked(restorer, about, watcher, keep)
        keep(evaluation)
        return evaluation

    def measure(self, restore: Restore, watcher: Watcher | None = None) -> Iterator[Result]:
        """Measure any function from pictures to pictures, and yield one result a benchmark.

        Raises UsageError for an evaluator that measures harm or shuffles percepts.
        """
        if not self._chosen:
            raise UsageError("Harm and shuffling measure a model; use run(), or an evaluator without them.")
        return measure(
            restore, self._chosen, self.protocol, self.measures, watcher or Unwatched(), self.pictures
        )

    def _benchmarked(
        self,
        restorer: Restorer,
        about: dict[str, Any],
        watcher: Watcher,
        keep: Callable[[Evaluation], None],
    ) -> Evaluation:
        results: list[Result] = []
        finished = False
        with watcher.measuring():
            try:
                results.extend(self.measure(self._restore_with(restorer), watcher))
                finished = True
            finally:
                evaluation = self._evaluation(results, finished, about)
                if results:
                    keep(evaluation)
        return evaluation

    def _evaluation(self, results: list[Result], finished: bool, about: dict[str, Any]) -> Evaluation:
        found = [result.to_dict() for result in results]
        if self.pictures is not None:
            for result in found:
                self.pictures.add_paths(result)
        complete = finished and all(result.complete for result in results)
        protocol = ", ".join([str(self.protocol), *asked_of(about)])
        table = f"{markdown_table(results)}\n\nProtocol: {protocol}."
        record = {**about, "complete": complete, "results": found}
        return Evaluation(table, record, csv_table(results), complete)

    def _harmed(self, restorer: Restorer, about: dict[str, Any], watcher: Watcher) -> Evaluation:
        harm = measure_harm(
            self._restore_with(restorer),
            self.folder,
            self.views,
            every=self.every,
            on_image=lambda group, name, psnr: watcher.progressed(f"{group}: {name} {psnr:.2f} dB"),
        )
        return Evaluation(harm_report(harm), {**about, "harm": harm.to_dict()})

    def _shuffled(
        self, restorer: Restorer, guide: BatchPerceiver, about: dict[str, Any], watcher: Watcher
    ) -> Evaluation:
        if not isinstance(restorer.runtime, PyTorchRuntime):
            raise UsageError("Shuffling needs a model of clearair that runs in PyTorch.")
        found = HeldOutViews(guide, self.views).contributions(
            restorer.runtime.network,
            self.shuffle,
            on_set=lambda percept, kind: watcher.progressed(f"{percept}: {kind}"),
        )
        return Evaluation(shuffle_table(found), {**about, "shuffle": [each.to_dict() for each in found]})

    def _restore_with(self, restorer: Restorer) -> Restore:
        return lambda image: restorer(image, damage=self.damage).image

    def _about(self, model: str | Path, perceiver: BatchPerceiver | None) -> dict[str, Any]:
        found = find_files(model)
        weights = fingerprint([found if found.is_file() else found / "model.safetensors"])
        about: dict[str, Any] = {"model": str(model), "weights": weights, "every": self.every, **version()}
        if perceiver is not None:
            about["perceivers"] = {
                "name": perceiver.identity.name,
                "fingerprint": perceiver.identity.fingerprint,
            }
        if self._told is not None:
            about["damage"] = ",".join(self._told) or "none"
        return about


def version() -> dict[str, str]:
    """Return the version, and in a checkout the commit, with `+` where files have changed since."""
    from clearair import __version__

    about = {"version": __version__}
    here = Path(__file__).parent
    with suppress(OSError, subprocess.CalledProcessError):
        # Only when this file is tracked: an installed package may lie inside somebody else's repository.
        git = ["git", "-C", str(here)]
        quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], **quiet)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], **quiet).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **quiet).stdout
        about["commit"] = commit + ("+" if changed.strip() else "")
    return about
