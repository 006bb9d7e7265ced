"""The loop, on the smallest thing that can be trained: one matrix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matrix import MatrixTask, Plan
from torch import Tensor, nn

from clearair.errors import ModelError, TrainingError
from clearair.training.loop.checkpoint import load_checkpoint, save_checkpoint
from clearair.training.loop.loop import Interrupted, run
from clearair.training.loop.progress import duration
from clearair.training.loop.resume import ANNEALED, LATEST, STABLE
from clearair.training.loop.task import Terms


def silent(line: str) -> None:
    pass


def trained(out: Path, plan: Plan | None = None, **options) -> MatrixTask:
    task = MatrixTask(plan)
    run(task, out, **{"report": silent, **options})
    return task


def same(first: Path, second: Path) -> bool:
    one, other = load_checkpoint(first / LATEST).tensors, load_checkpoint(second / LATEST).tensors
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_stopped_after_every_step_ends_with_the_same_weights(tmp_path):
    trained(tmp_path / "whole")
    for _ in range(12):
        trained(tmp_path / "parts", resume=True, max_minutes=0)
    assert load_checkpoint(tmp_path / "parts" / LATEST).step == 12
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_what_is_drawn_for_a_step_does_not_depend_on_where_the_run_began(tmp_path):
    trained(tmp_path, max_minutes=0)
    assert trained(tmp_path, resume=True).drawn == list(range(1, 12))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_step_and_a_resumed_one_is_the_same(tmp_path, number):
    def stop(line: str) -> None:
        if line.startswith("step 3 "):
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", interval=1, report=stop)
    assert signal.getsignal(number) == before
    assert load_checkpoint(tmp_path / "parts" / LATEST).step == 3
    trained(tmp_path / "parts", resume=True)
    trained(tmp_path / "whole")
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_can_be_killed_between_two_checkpoints(tmp_path):
    def kill(line: str) -> None:
        if line.startswith("step 5 "):
            raise MemoryError

    with pytest.raises(MemoryError):
        trained(tmp_path / "parts", interval=1, save_seconds=0, report=kill)
    assert load_checkpoint(tmp_path / "parts" / LATEST).step == 4
    trained(tmp_path / "parts", resume=True)
    trained(tmp_path / "whole")
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_in_another_thread_needs_no_signals(tmp_path):
    thread = threading.Thread(target=trained, args=(tmp_path,))
    thread.start()
    thread.join()
    assert load_checkpoint(tmp_path / LATEST).step == 12


def test_checkpoints_are_written_by_time_not_by_steps(tmp_path):
    steps = []

    def look(line: str) -> None:
        latest = tmp_path / LATEST
        steps.append(load_checkpoint(latest).step if latest.exists() else None)

    trained(tmp_path, interval=1, save_seconds=1000, report=look)
    assert steps == [None] * 12
    assert load_checkpoint(tmp_path / LATEST).step == 12


def test_an_update_with_a_loss_that_is_not_finite_is_left_out_and_named(tmp_path):
    lines = []
    run(MatrixTask(broken_at=range(5, 7)), tmp_path, interval=1, save_seconds=0, report=lines.append)
    told = [line for line in lines if "left out" in line]
    assert len(told) == 4  # two batches, looked at twice
    assert told[0] == "step 6 left out: the loss is nan. Its batch: 8 vectors"
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log if "loss" in record] == [1, 2, 3, 4, 5, *range(8, 13)]
    assert [record["step"] for record in log if "left out" in record] == [6, 6, 7, 7]
    checkpoint = load_checkpoint(tmp_path / LATEST)
    assert checkpoint.step == 12
    assert all(value.isfinite().all() for value in checkpoint.tensors.values())


def test_several_in_a_row_stop_the_run_and_leave_the_checkpoint_of_before(tmp_path):
    task = MatrixTask(broken_at=range(5, 12))
    with pytest.raises(
        TrainingError, match=r"step 8, 5 consecutive updates.*loss is nan.*learning rate than 0.1"
    ):
        run(task, tmp_path, interval=1, save_seconds=0, report=silent)
    checkpoint = load_checkpoint(tmp_path / LATEST)
    assert checkpoint.step == 5
    assert all(value.isfinite().all() for value in checkpoint.tensors.values())


def test_weights_that_are_lost_stop_the_run(tmp_path):
    task = MatrixTask()

    def spoil(line: str) -> None:
        if line.startswith("step 4 "):
            task.network.weight.data[0, 0] = float("inf")

    with pytest.raises(TrainingError, match=r"not finite, such as network\.weight"):
        run(task, tmp_path, interval=1, save_seconds=0, report=spoil)
    assert load_checkpoint(tmp_path / LATEST).step == 3
    task.network.weight.data.zero_()
    with pytest.raises(TrainingError, match="consecutive updates were skipped: the loss is"):
        run(task, tmp_path / "late", interval=1, save_seconds=1000, report=spoil)
    assert not (tmp_path / "late" / LATEST).exists()


def test_the_log_holds_the_means_of_an_interval(tmp_path):
    trained(tmp_path / "fine", interval=1)
    trained(tmp_path / "coarse", interval=6)
    fine, coarse = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("fine", "coarse")
    )
    assert [record["step"] for record in coarse] == [6, 12]
    for name in ("loss", "error", "seen", "gradient"):
        assert coarse[0][name] == pytest.approx(sum(record[name] for record in fine[:6]) / 6)
    assert fine[-1]["loss"] < fine[0]["loss"]


def test_a_longer_run_goes_on_from_before_the_annealing(tmp_path):
    trained(tmp_path / "longer")
    assert load_checkpoint(tmp_path / "longer" / STABLE).step == 8
    trained(tmp_path / "longer", Plan(steps=20), resume=True)
    trained(tmp_path / "direct", Plan(steps=20))
    assert same(tmp_path / "longer", tmp_path / "direct")


def test_a_run_that_is_annealed_early_keeps_the_weights_from_before(tmp_path):
    def stop(line: str) -> None:
        if line.startswith("step 10 "):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        trained(tmp_path, Plan(steps=100), interval=1, report=stop)
    trained(tmp_path, Plan(steps=12), resume=True)  # its rate falls from step 8 on, which has passed
    assert load_checkpoint(tmp_path / STABLE).step == 10
    lines: list[str] = []
    trained(tmp_path, Plan(steps=100), resume=True, max_minutes=0, report=lines.append)
    assert "Step 12 was annealed; the run continues from step 10, before that." in lines
    assert load_checkpoint(tmp_path / LATEST).step == 11


def test_the_log_of_an_attempt_without_a_checkpoint_is_put_aside(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 9}\n')
    trained(tmp_path, interval=6)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [6, 12]
    (tmp_path / LATEST).unlink()
    (tmp_path / STABLE).unlink()
    trained(tmp_path, interval=6)
    before = [json.loads(line) for line in (tmp_path / "log.before.jsonl").read_text().splitlines()]
    assert [record["step"] for record in before] == [1, 6, 12]  # nothing is lost


def test_other_settings_are_named_and_refused_unless_asked_for(tmp_path):
    trained(tmp_path, max_minutes=0)
    other = Plan(seed=1, learning_rate=0.05)
    with pytest.raises(TrainingError, match=r"seed 0 -> 1, learning_rate 0.1 -> 0.05.*--change") as error:
        trained(tmp_path, other, resume=True)
    assert "\n" not in str(error.value)
    trained(tmp_path, other, resume=True, change=True)
    assert load_checkpoint(tmp_path / LATEST).recipe["seed"] == 1


def test_a_run_of_before_a_setting_existed_had_it_off(tmp_path):
    trained(tmp_path, max_minutes=0)
    before = load_checkpoint(tmp_path / LATEST)
    settings = {name: value for name, value in before.recipe.items() if name != "seed"}
    save_checkpoint(replace(before, recipe=settings), tmp_path / LATEST)
    with pytest.raises(TrainingError, match="seed None -> 1"):
        trained(tmp_path, Plan(seed=1), resume=True)
    trained(tmp_path, Plan(seed=0), resume=True)


class Notes:
    """A watcher that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def began(self, average: nn.Module, step: int, seconds: float) -> None:
        self.told.append(("began", step))

    def logged(self, record: dict[str, float]) -> None:
        self.told.append(("logged", record["step"]))

    def paused(self, average: nn.Module, step: int, seconds: float) -> None:
        self.told.append(("paused", step))
        time.sleep(0.3)

    def ended(self, average: nn.Module, step: int, seconds: float) -> None:
        self.told.append(("ended", step))


def test_a_watcher_hears_of_everything_and_its_time_is_not_that_of_training(tmp_path):
    notes = Notes()
    trained(tmp_path, interval=5, watcher=notes)
    assert notes.told == [
        ("began", 0),
        ("logged", 5),
        ("paused", 5),
        ("logged", 10),
        ("paused", 10),
        ("logged", 12),
        ("ended", 12),
    ]
    assert load_checkpoint(tmp_path / LATEST).seconds < 0.5


def test_a_watcher_hears_of_the_end_also_after_a_signal_and_the_weights_are_handed_over(tmp_path):
    def stop(line: str) -> None:
        if line.startswith("step 3 "):
            os.kill(os.getpid(), signal.SIGTERM)

    notes = Notes()
    with pytest.raises(Interrupted) as interrupt:
        trained(tmp_path, interval=1, report=stop, watcher=notes)
    assert notes.told[-1] == ("ended", 3)
    assert interrupt.value.terminated
    average = load_checkpoint(tmp_path / LATEST).below("average")
    assert torch.equal(interrupt.value.network.weight, average["weight"])


def test_time_left_is_that_to_the_deadline_or_to_the_last_step(tmp_path):
    trained(tmp_path / "steps", interval=4)
    trained(tmp_path / "minutes", Plan(steps=10**6), interval=1, max_minutes=0.001)
    steps, minutes = (
        [json.loads(line)["left"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("steps", "minutes")
    )
    assert steps[-1] == 0
    assert max(minutes) <= 1
    assert [duration(seconds) for seconds in (40, 420, 7500)] == ["40 s", "7 min", "2 h 05 min"]


def test_another_network_is_refused_even_when_change_is_asked_for(tmp_path):
    trained(tmp_path, max_minutes=0)
    with pytest.raises(TrainingError, match=r"another network.*side 4 -> 5"):
        trained(tmp_path, Plan(matrix={"side": 5}), resume=True, change=True)


def test_a_run_starts_from_the_average_of_another_checkpoint(tmp_path):
    trained(tmp_path / "first")
    task = MatrixTask(Plan(learning_rate=0.0))
    average = run(task, tmp_path / "second", start=tmp_path / "first" / LATEST, report=silent)
    assert torch.equal(
        average.weight, load_checkpoint(tmp_path / "first" / LATEST).below("average")["weight"]
    )
    with pytest.raises(ModelError, match="another network"):
        trained(tmp_path / "third", Plan(matrix={"side": 5}), start=tmp_path / "first" / LATEST)


def test_sigterm_ends_the_program_with_143_a_checkpoint_a_validation_and_a_model(data, tmp_path):
    code = "from clearair.apps.cli import main; main()"
    arguments = [
        "train",
        "smoke",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "run"),
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    arguments += ["--device", "cpu", "--views", "1", "--no-validate-start", "--save", str(tmp_path / "model")]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not process.stdout.readline().startswith(b"step 25 "):
        pass
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert b"Traceback" not in errors
    step = load_checkpoint(tmp_path / "run" / LATEST).step
    assert f"step {step} of 60 is saved; to continue, use the same command with --resume".encode() in errors
    assert 25 <= load_checkpoint(tmp_path / "run" / LATEST).step < 60
    assert b"| mean |" in output
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_what_a_run_returns_is_the_average_of_its_weights(tmp_path):
    plan = Plan(steps=3, decay_steps=0, ema=0.5)
    seen: list[Tensor] = []

    class Watched(MatrixTask):
        updates = 1

        def compare(self, batch: Tensor, generator: torch.Generator) -> Terms:
            seen.append(self.network.weight.detach().clone())
            return super().compare(batch, generator)

    task = Watched(plan)
    average = run(task, tmp_path, report=silent)
    seen.append(task.network.weight.detach().clone())
    expected = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        expected = expected.lerp(weight, 1 - min(0.5, step / (step + 10)))
    assert torch.allclose(average.weight, expected)
    assert not torch.allclose(average.weight, seen[-1])


def test_a_gradient_is_no_longer_than_the_clip(tmp_path):
    task = trained(tmp_path, Plan(steps=1, decay_steps=0, clip=1e-4))
    gradients = [weight.grad for weight in task.network.parameters()]
    norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
    assert 0.9e-4 < norm < 1.1e-4


def test_an_annealed_copy_is_kept_apart_and_the_run_goes_on_from_before(tmp_path):
    plan = Plan(steps=10_000)
    trained(tmp_path, plan, max_minutes=0.01, anneal_minutes=0.005)
    latest, annealed = (load_checkpoint(tmp_path / name) for name in (LATEST, ANNEALED))
    assert 0 < latest.step < annealed.step
    went_on = trained(tmp_path, plan, resume=True, max_minutes=0)
    assert went_on.drawn[0] == latest.step


def test_a_run_that_ends_by_its_steps_before_it_anneals_says_so(tmp_path):
    lines: list[str] = []
    run(MatrixTask(), tmp_path, max_minutes=1, anneal_minutes=0.5, report=lines.append)
    assert [line for line in lines if "The run has 12 steps" in line and "--steps" in line]
    lines.clear()
    run(MatrixTask(), tmp_path / "other", report=lines.append)
    assert not [line for line in lines if "steps long" in line]


def test_the_rate_falls_once_where_a_run_anneals_near_the_end_of_its_steps(tmp_path):
    rates: list[float] = []

    class Falling(Plan):
        """Half way down its own decay, for ever."""

        def rate(self, step: int) -> float:
            return 0.5

    class Watched(MatrixTask):
        def optimizers(self):
            self.made = super().optimizers()
            return self.made

        def compare(self, batch, generator):
            rates.append(self.made[0].param_groups[0]["lr"] / self.plan.learning_rate)
            return super().compare(batch, generator)

    run(Watched(Falling(steps=100_000)), tmp_path, max_minutes=0.01, anneal_minutes=0.01, report=silent)
    # A quarter of the time the annealing is less far down than the run itself.
    assert max(rates) == pytest.approx(0.5)
    assert sum(rate == pytest.approx(0.5) for rate in rates) > 0.1 * len(rates)
    assert min(rates) < 0.25
    assert not (tmp_path / STABLE).exists()  # it would hold weights that are being annealed
