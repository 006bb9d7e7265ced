"""The loop in which everything is trained: draw, compare, step, average, and lose nothing when stopped.

All randomness of a step comes from a generator made of the seed and the step, so a resumed run computes the
numbers that an uninterrupted one would have computed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from clearair.data.pairs import generator_for
from clearair.errors import DataError, TrainingError
from clearair.training.average import decay_at, update_average
from clearair.training.checkpoint import capture, check_room, save_checkpoint
from clearair.training.guard import Guard
from clearair.training.processes import Processes
from clearair.training.progress import LOG, Clock, Meters, append, log_line, mend
from clearair.training.resume import ANNEALED, LATEST, STABLE, last_checkpoint
from clearair.training.schedule import decay
from clearair.training.start import load_start
from clearair.training.stopping import StopSignals
from clearair.training.tables import write_tables

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Terms:
    """What a network's answer to a batch costs. All are scalars on its device; nobody has waited for them."""

    minimised: dict[str, Tensor]
    """Their sum is the loss."""
    observed: dict[str, Tensor] = field(default_factory=dict)
    """Only reported."""


class Plan(Protocol):
    """What the loop wants to know from a recipe."""

    @property
    def steps(self) -> int:
        """Length of the run."""

    @property
    def seed(self) -> int:
        """All randomness is a function of it and of the step."""

    @property
    def learning_rate(self) -> float:
        """The full one."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def ema(self) -> float:
        """Decay of the average of the weights."""

    @property
    def decay_start(self) -> int | None:
        """The step before which a run can be made longer; None when its rates depend on its length."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, relative to the full one."""


class Task(Protocol[Network, Batch]):
    """What is trained, and on what: everything in which one training differs from another."""

    network: Network
    """On its device, with the weights it begins with."""
    architecture: str
    """The entry of the settings that describes the network: a run cannot go on with another one."""
    looks: int
    """Updates made with a batch."""
    processes: Processes
    """Those that share every batch."""

    @property
    def plan(self) -> Plan:
        """The recipe."""

    def settings(self) -> dict[str, Any]:
        """All that decides what is learned, as plain values; kept in every checkpoint."""

    def load(self) -> Sequence[str]:
        """Read what is trained on; called once, when it is sure that the run may begin.

        Returns a line for each thing that was left out.
        """

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """For the weights that are trained."""

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """What a step trains on: this process's share of it."""

    def split(self, batch: Batch) -> Sequence[Batch]:
        """A batch in the equal parts that are learned from one after the other, so that memory suffices."""

    def describe(self, batch: Batch) -> str:
        """What a batch shows, for a message."""

    def compare(self, batch: Batch, generator: torch.Generator) -> Terms:
        """Run the network, and say what its answer costs."""


class Watcher(Protocol):
    """Follows a run from outside. Nothing it does changes what is learned."""

    def began(self, average: nn.Module, step: int, seconds: float) -> None:
        """The weights are loaded; the time of this sitting does not run yet."""

    def logged(self, record: Mapping[str, float]) -> None:
        """A line of the log."""

    def paused(self, average: nn.Module, step: int, seconds: float) -> None:
        """After a line of the log, except while annealing: time to look at the average."""

    def ended(self, average: nn.Module, step: int, seconds: float) -> None:
        """Everything is saved, also after the first signal."""


class Interrupted(KeyboardInterrupt):
    """A run ended by Ctrl-C or SIGTERM after a whole step, with a checkpoint."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        """The averaged network."""


def run(
    task: Task[Network, Batch],
    out: Path,
    *,
    resume: bool = False,
    change: bool = False,
    start: Path | str | None = None,
    max_minutes: float | None = None,
    anneal_minutes: float = 0,
    interval: int = 25,
    save_seconds: float = 180,
    report: Callable[[str], None] = print,
    watcher: Watcher | None = None,
) -> Network:
    """Train; checkpoints and `log.jsonl` go to `out`. Returns the averaged network.

    `resume` goes on from the last checkpoint in `out`, with the same numbers as if it had never stopped; with
    more steps than an annealed run had, from before the annealing. `change` allows other settings than the
    run had. `start` is a checkpoint, whose averaged weights are the starting point, or a model by name or
    folder. Every `interval` steps are reported, every `save_seconds` saved. Ends after `max_minutes`, or with
    Interrupted after Ctrl-C or SIGTERM, always with a checkpoint. Over the last `anneal_minutes` of them the
    learning rate falls to zero; what comes of it is kept apart, and a later resume goes on from
    before.

    An update whose loss or gradient is not finite, or a spike, is not made, and said.

    Raises TrainingError when `out` holds another run, when there is no room for checkpoints, or when several
    updates in a row could not be made; and what the task raises.
    """
    plan, network, settings, processes = task.plan, task.network, task.settings(), task.processes
    last = None
    if processes.leads:
        last = last_checkpoint(out, settings, task.architecture, resume=resume, change=change)
    last = processes.leaders(last)
    if start is not None and last is None:
        load_start(network, start)
    average = copy.deepcopy(network).requires_grad_(False)
    optimizers = task.optimizers()
    step, spent, guard = 0, 0.0, Guard()
    if last is not None:
        last.restore(network, average, optimizers)
        step, spent, guard = last.step, last.seconds, Guard(last.norms)
    if processes.leads:
        check_room(network, out)
    about_data = task.load()
    for line in about_data:
        report(line)
    processes.check_alike(network)
    if processes.leads:
        out.mkdir(parents=True, exist_ok=True)
        mend(out / LOG)
        if about_data:
            append(out / LOG, {"data": list(about_data)})
        if watcher is not None:
            watcher.began(average, step, spent)
    clock, meters = Clock(spent), Meters()
    saved, saved_at = step, 0.0

    def save(name: str) -> None:
        processes.check_alike(network)
        if processes.leads:
            done = capture(step, settings, network, average, optimizers, clock.seconds, tuple(guard.norms))
            save_checkpoint(done, out / name)
            write_tables(out)

    began = step
    deadline = math.inf if max_minutes is None else 60 * max_minutes
    fall = 60 * anneal_minutes
    name = LATEST

    def draw(step: int) -> tuple[torch.Generator, Batch]:
        generator = generator_for(plan.seed, step)
        return generator, task.draw(step, generator)

    stepping = False  # whether weights are half way between two steps
    with StopSignals() as signals, ThreadPoolExecutor(1) as drawing:
        try:
            ahead = drawing.submit(draw, step)  # the next batch is drawn while this one is learned from
            now, asked = 0.0, 0.0  # of the clock that is ahead, so that all processes decide alike
            while step < plan.steps:
                if step == plan.decay_start and name == LATEST:
                    save(STABLE)
                    if fall:
                        report(
                            f"The run is {plan.steps} steps long, so its learning rate falls from here on. "
                            "Resumed with a larger --steps it goes on from before."
                        )
                if fall and name == LATEST and now > deadline - fall:
                    save(LATEST)
                    name = ANNEALED
                with clock.loading():
                    generator, batch = ahead.result()
                if step + 1 < plan.steps:
                    ahead = drawing.submit(draw, step + 1)
                stepping = True
                rate = plan.rate(step)
                if name == ANNEALED:
                    # Near the end of the run's own steps its rate falls too; to fall twice would waste both.
                    rate = min(rate, decay(1 - (deadline - now) / fall))
                set_rate(optimizers, plan.learning_rate * rate)
                for _ in range(task.looks):
                    values = update(task, batch, optimizers, generator, guard)
                    if guard.reason is None:
                        meters.add(values)
                        update_average(average, network, decay_at(step + 1, plan.ema))
                    else:
                        shown = "; ".join(dict.fromkeys(processes.gathered(task.describe(batch))))
                        report(f"step {step + 1} left out: {guard.reason}. Its batch: {shown}")
                        if processes.leads:
                            append(out / LOG, {"step": step + 1, "left out": guard.reason, "batch": shown})
                        _check(guard, step, plan, (out / LATEST).exists())
                step += 1
                stepping = False
                if (step % interval == 0 or step == plan.steps) and processes.leads:
                    left = min(
                        deadline - clock.sitting,
                        (plan.steps - step) * (clock.sitting - clock.rested) / (step - began),
                    )
                    where = {"step": step, "seconds": round(clock.seconds), "left": round(max(0.0, left))}
                    record = where | {"loading": round(clock.share, 3)} | meters.means()
                    log_line(out / LOG, record, report)
                    if watcher is not None:
                        watcher.logged(record)
                        if name == LATEST and step < plan.steps and not signals.asked:
                            with clock.resting():
                                watcher.paused(average, step, clock.seconds)
                if step % interval == 0:
                    meters.clear()
                now, asked = processes.largest(clock.sitting, float(signals.asked))
                ended = now > deadline
                # While updates are being left out the checkpoint stays that of before.
                due = now - saved_at >= save_seconds and not guard.in_a_row
                if step == plan.steps or ended or asked or due:
                    save(name)
                    saved, saved_at = step, now
                if ended or asked:
                    break
        except (KeyboardInterrupt, DataError):
            # Steps are minutes of work. One that was broken off half way is not saved.
            if not stepping and saved != step and processes.count == 1:
                save(name)
            raise
    if watcher is not None and processes.leads:
        watcher.ended(average, step, clock.seconds)
        write_tables(out)
    if asked:
        raise Interrupted(average.eval())
    return average.eval()


def update(
    task: Task[Network, Batch],
    batch: Batch,
    optimizers: list[torch.optim.Optimizer],
    generator: torch.Generator,
    guard: Guard | None = None,
) -> dict[str, Tensor]:
    """One update of the network. Returns loss, norm of the gradient and terms, averaged over the processes.

    Waits for none of them, but for the guard, which may leave the update out.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    parts = task.split(batch)
    values: dict[str, Tensor] = {}
    for part in parts:
        terms = task.compare(part, generator)
        loss = torch.stack(list(terms.minimised.values())).sum() / len(parts)
        loss.backward()  # type: ignore[no-untyped-call]
        values["loss"] = values.get("loss", 0.0) + loss.detach()
        for name, value in (terms.minimised | terms.observed).items():
            values[name] = values.get(name, 0.0) + value.detach() / len(parts)
    trained = [weight for weight in task.network.parameters() if weight.requires_grad]
    gradients = [weight.grad for weight in trained if weight.grad is not None]
    task.processes.average([*gradients, *values.values()])
    norm = nn.utils.clip_grad_norm_(trained, task.plan.clip)
    if guard is None or guard.judge(*torch.stack([values["loss"].float(), norm.float()]).tolist()):
        for optimizer in optimizers:
            optimizer.step()
    return {"loss": values.pop("loss"), "gradient": norm, **values}


def set_rate(optimizers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    """The learning rate of the next step."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = learning_rate


def _check(guard: Guard, step: int, plan: Plan, saved: bool) -> None:
    if guard.lost:
        kept = (
            "The last checkpoint is from before them, and --resume goes on from it; but try a lower"
            if saved
            else "There is no checkpoint yet; try a lower"
        )
        raise TrainingError(
            f"Up to step {step + 1}, {guard.in_a_row} updates in a row could not be made: {guard.reason}. "
            f"{kept} learning rate than {plan.learning_rate}."
        )
