"""The training loop: draw, compare, step, average, and lose nothing when stopped.

All randomness of a step comes from a generator made of the seed and the step, so a resumed run computes the
numbers that an uninterrupted one would have computed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import nn

from clearair.data.pairs import generator_for
from clearair.errors import DataError, TrainingError
from clearair.interrupts import StopRequest
from clearair.placing import make_folder
from clearair.training.loop.average import decay_at, update_average
from clearair.training.loop.checkpoint import capture, check_room, read_standing, save_checkpoint
from clearair.training.loop.guard import Guard
from clearair.training.loop.log import LOG, append, append_and_report, mend, put_aside, read_log
from clearair.training.loop.progress import Clock, Meters, duration
from clearair.training.loop.resume import ANNEALED, LATEST, STABLE, changed_weights, last_checkpoint
from clearair.training.loop.schedule import decay
from clearair.training.loop.start import load_start
from clearair.training.loop.tables import write_tables
from clearair.training.loop.task import Batch, Network, Task, Watcher
from clearair.training.loop.update import set_rate, update

Report = Callable[[str], None]
"""Takes a line for people."""


class Interrupted(KeyboardInterrupt):
    """A run ended by Ctrl-C or SIGTERM after a whole step, with a checkpoint."""

    def __init__(self, network: nn.Module, terminated: bool = False) -> None:
        super().__init__()
        self.network = network
        """The averaged network."""
        self.terminated = terminated
        """Whether it was SIGTERM."""


@dataclass(frozen=True)
class RunOptions:
    """Start, duration and checkpoints of a run; nothing that affects what is learned."""

    resume: bool = False
    """Resume from the last checkpoint, with the same numbers as if the run had never stopped; with more steps
    than an annealed run had, from before the annealing."""
    change: bool = False
    """Resume with other settings than the run had."""
    start: Path | str | None = None
    """Weights to start from: a checkpoint, whose average is taken, or a model by name or folder."""
    max_minutes: float | None = None
    """End after so long, with a checkpoint."""
    anneal_minutes: float = 0
    """Minutes, at the end, over which a copy is annealed to a learning rate of zero and saved separately."""
    interval: int = 25
    """Steps between two lines of the log."""
    save_seconds: float = 180
    """Seconds between two checkpoints."""


def ignore(line: str) -> None:
    """Discard a line."""


def run(
    task: Task[Network, Batch],
    out: Path,
    options: RunOptions | None = None,
    *,
    report: Report = print,
    notice: Report = ignore,
    watcher: Watcher | None = None,
    **fields: Any,
) -> Network:
    """Train; checkpoints and `log.jsonl` go to `out`. Returns the averaged network.

    `fields` are those of RunOptions, for callers without such an object. `report` gets the lines of the log,
    `notice` the current task. A run always ends with a checkpoint. Updates whose loss or gradient is not
    finite, or a spike, are skipped and reported.

    Raises TrainingError when `out` holds another run, when there is no room for checkpoints, or when several
    consecutive updates were skipped; Interrupted after Ctrl-C or SIGTERM; and what the task raises.
    """
    loop = _Loop(task, out, options or RunOptions(**fields), report, notice, watcher)
    loop.begin()
    loop.train()
    return loop.end()


class _Loop(Generic[Network, Batch]):
    """A run between its start or last checkpoint and its end or interruption."""

    def __init__(
        self,
        task: Task[Network, Batch],
        out: Path,
        options: RunOptions,
        report: Report,
        notice: Report,
        watcher: Watcher | None,
    ) -> None:
        self.task, self.out, self.options = task, out, options
        self.report, self.notice = report, notice
        self.processes = task.processes
        self.watcher = watcher if self.processes.leads else None
        self.settings = task.settings()
        self.deadline = math.inf if options.max_minutes is None else 60 * options.max_minutes
        self.annealing = 60 * options.anneal_minutes
        self.step = 0
        self.guard, self.meters, self.stop = Guard(), Meters(), StopRequest()
        self.target = LATEST
        """The current checkpoint file; another one while a copy is annealed."""
        self.saved, self.saved_at = 0, 0.0
        self.now, self.asked = 0.0, 0.0
        """Seconds and whether to stop, as the maximum over all processes, so that all decide alike."""
        self.saves_stable = False
        """Whether the learning rate begins to fall right away, after a run in which it did not."""
        self.stepping = False
        """Whether the weights are in the middle of a step."""

    def begin(self) -> None:
        """Load weights and data. Raises TrainingError when `out` holds another run."""
        task, options, processes = self.task, self.options, self.processes
        last = None
        if processes.leads:
            last = last_checkpoint(
                self.out, self.settings, task.architecture, resume=options.resume, change=options.change
            )
        last = processes.leaders(last)
        if options.start is not None and last is None:
            load_start(task.network, options.start)
        self.average = copy.deepcopy(task.network).requires_grad_(False)
        self.optimizers = task.optimizers()
        spent = 0.0
        if last is not None:
            other = changed_weights(last.recipe, self.settings)
            last.restore(task.network, self.average, [] if other else self.optimizers)
            self.step, spent, self.guard = last.step, last.seconds, Guard(() if other else last.norms)
            begins_to_fall = task.plan.decay_start is not None and self.step > task.plan.decay_start
            self.saves_stable = begins_to_fall and not last.annealing
            if other:
                self.report(f"The optimizer begins anew, since other weights are trained: {other}.")
        if processes.leads:
            check_room(task.network, self.out)
            if last is not None and (reached := read_standing(self.out / LATEST)[0]) != last.step:
                self.report(
                    f"Step {reached} was annealed; the run continues from step {last.step}, before that."
                )
            mend(self.out / LOG)
            read_log(self.out / LOG)  # a damaged one is refused now, not when the run has been trained
        self.notice("reading the training data")
        left_out = list(task.load())
        for line in left_out:
            self.report(line)
        processes.check_alike(task.network)
        if processes.leads:
            make_folder(self.out)
            if last is None:
                # An attempt that ended before its first checkpoint is no part of this run.
                put_aside(self.out / LOG)
            if left_out:
                append(self.out / LOG, {"data": left_out})
        if self.watcher is not None:
            self.watcher.began(self.average, self.step, spent)
        self.clock = Clock(spent)
        self.began = self.saved = self.step

    def train(self) -> None:
        """Make steps until the run or its time ends, or the user stops it."""
        steps = self.task.plan.steps
        if self.step >= steps:
            return
        self.notice(f"training: step {self.step + 1} of {steps}")
        with self.stop, ThreadPoolExecutor(1) as drawing:
            try:
                # Draw the next batch while training on this one.
                ahead = drawing.submit(self._draw, self.step)
                while self.step < steps:
                    self._change_target()
                    with self.clock.loading():
                        generator, batch = ahead.result()
                    if self.step + 1 < steps:
                        ahead = drawing.submit(self._draw, self.step + 1)
                    self.stepping = True
                    self._learn(batch, generator)
                    self.step += 1
                    self.stepping = False
                    self._log()
                    if self._save_when_due():
                        if not self.asked and self.step < steps:
                            where = self.out / self.target
                            self.notice(f"the time is up: step {self.step} of {steps} is saved in {where}")
                        break
            except (KeyboardInterrupt, DataError):
                # Steps can take minutes. An interrupted step is not saved.
                if not self.stepping and self.saved != self.step and self.processes.count == 1:
                    self._save(self.target)
                raise

    def end(self) -> Network:
        """Notify the watcher of the result, and return it. Raises Interrupted after a signal."""
        if self.watcher is not None:
            if self.asked:
                self.notice(
                    f"stopped after step {self.step} and saved; the rest is validation, which Ctrl-C ends"
                )
            self.watcher.ended(self.average, self.step, self.clock.seconds)
            write_tables(self.out)
        if self.asked:
            raise Interrupted(self.average.eval(), self.stop.terminated)
        return self.average.eval()

    def _draw(self, step: int) -> tuple[torch.Generator, Batch]:
        generator = generator_for(self.task.plan.seed, step)
        return generator, self.task.draw(step, generator)

    def _change_target(self) -> None:
        """Save the checkpoint for a later resume, before the learning rate falls."""
        plan = self.task.plan
        if self.target != LATEST:
            return
        if self.step == plan.decay_start or self.saves_stable:
            self.saves_stable = False
            self._save(STABLE)
            if self.annealing:
                self.report(
                    f"The run has {plan.steps} steps, so its learning rate falls from here on. "
                    "Resumed with a larger --steps, it continues from before this point."
                )
        if self.annealing and self.now > self.deadline - self.annealing:
            self._save(LATEST)
            self.target = ANNEALED

    def _learn(self, batch: Batch, generator: torch.Generator) -> None:
        """Update the network and its average with a batch."""
        task, plan = self.task, self.task.plan
        set_rate(self.optimizers, plan.learning_rate * self._rate())
        for _ in range(task.updates):
            values = update(task, batch, self.optimizers, generator, self.guard)
            if self.guard.reason is None:
                self.meters.add(values)
                update_average(self.average, task.network, decay_at(self.step + 1, plan.ema))
            else:
                self._leave_out(batch)

    def _rate(self) -> float:
        rate = self.task.plan.rate(self.step)
        if self.target == ANNEALED:
            # Near its end the run's own schedule decays, too; decaying twice would waste both.
            rate = min(rate, decay(1 - (self.deadline - self.now) / self.annealing))
        return rate

    def _leave_out(self, batch: Batch) -> None:
        """Report a skipped update. Raises TrainingError after too many consecutive ones."""
        step, reason = self.step + 1, self.guard.reason
        shown = "; ".join(dict.fromkeys(self.processes.gathered(self.task.describe(batch))))
        self.report(f"step {step} left out: {reason}. Its batch: {shown}")
        if self.processes.leads:
            append(self.out / LOG, {"step": step, "left out": reason, "batch": shown})
        if self.guard.lost:
            advice = (
                "The last checkpoint is from before them, and --resume continues from it; but try a lower"
                if (self.out / LATEST).exists()
                else "There is no checkpoint yet; try a lower"
            )
            raise TrainingError(
                f"Up to step {step}, {self.guard.in_a_row} consecutive updates were skipped: {reason}. "
                f"{advice} learning rate than {self.task.plan.learning_rate}."
            )

    def _log(self) -> None:
        """Write a line of the log when it is due, and notify the watcher."""
        steps, interval = self.task.plan.steps, self.options.interval
        is_interval = self.step % interval == 0
        if (is_interval or self.step == steps) and self.processes.leads:
            self._write_line()
        elif self.step == self.began + 1:
            self.notice(
                f"step {self.step} is done after {duration(self.clock.elapsed)}; "
                f"a line follows every {interval} steps"
            )
        if is_interval:
            self.meters.clear()

    def _write_line(self) -> None:
        clock, steps = self.clock, self.task.plan.steps
        each = (clock.elapsed - clock.paused) / (self.step - self.began)
        left = min(self.deadline - clock.elapsed, (steps - self.step) * each)
        where = {"step": self.step, "seconds": round(clock.seconds), "left": round(max(0.0, left))}
        record = where | {"loading": round(clock.share, 3)} | self.meters.means()
        append_and_report(self.out / LOG, record, self.report)
        if self.watcher is not None:
            self.watcher.logged(record)
            if self.target == LATEST and self.step < steps and not self.stop.asked:
                with clock.resting():
                    self.watcher.paused(self.average, self.step, clock.seconds)

    def _save_when_due(self) -> bool:
        """Save at the end, or when it is due. Returns whether to stop here."""
        self.now, self.asked = self.processes.largest(self.clock.elapsed, float(self.stop.asked))
        ends = self.now > self.deadline or bool(self.asked)
        # While updates are being skipped, the checkpoint is not replaced.
        due = self.now - self.saved_at >= self.options.save_seconds and not self.guard.in_a_row
        if self.step == self.task.plan.steps or ends or due:
            self._save(self.target)
            self.saved, self.saved_at = self.step, self.now
        return ends

    def _save(self, name: str) -> None:
        self.processes.check_alike(self.task.network)
        if self.processes.leads:
            checkpoint = capture(
                self.step,
                self.settings,
                self.task.network,
                self.average,
                self.optimizers,
                self.clock.seconds,
                tuple(self.guard.norms),
            )
            save_checkpoint(checkpoint, self.out / name)
            write_tables(self.out)
