"""`clearair ablate` from its command line to the files it leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from clearair.ablation.budget import Budget
from clearair.ablation.runs import Ablation, Bench, read_result, run_ablation
from clearair.apps.cli.program import cli
from clearair.errors import ConfigError, OutputError, TrainingError, UsageError
from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.fields import override
from clearair.training.loop.loop import Interrupted, run
from clearair.training.restorer.recipes import smoke
from clearair.training.restorer.task import RestorerTask
from clearair.training.restorer.variants import FAMILIES

TINY = ("batch=1", "view=64", "patch=32")
NO_VALUES = json.dumps(
    {
        "variant": "local",
        "seed": 1,
        "steps": 2,
        "seconds": 1.0,
        "parameters": 9,
        "psnr": {},
        "input_psnr": {},
        "settings": {},
    }
)


def ablate(data, out, *arguments, family="degradation", budget="2steps"):
    """What a run prints; errors are raised."""
    words = ["ablate", family, *TINY, "--recipe", "smoke", "--data", data, "--out", out, "--budget", budget]
    words += ["--views", 1, "--threads", 1, *arguments]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def weights(folder):
    return load_checkpoint(folder / "latest.safetensors").below("average")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of an ablation of two variants and two seeds."""
    out = tmp_path_factory.mktemp("ablation")
    ablate(data, out, "--seeds", "1,2")
    return out


def test_every_variant_and_seed_is_trained_and_lands_in_the_tables(finished):
    values = json.loads((finished / "table.json").read_text())
    assert [(result["variant"], result["seed"]) for result in values["results"]] == [
        ("local", 1),
        ("global", 1),
        ("local", 2),
        ("global", 2),
    ]
    assert all(result["steps"] == 2 for result in values["results"])
    text = (finished / "table.md").read_text()
    assert "| local |" in text
    assert "| global |" in text
    assert "±" in text


def test_what_is_finished_is_not_trained_again(data, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/latest.safetensors")}
    output = ablate(data, finished, "--seeds", "1,2")
    assert "step 2" not in output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == 4


def test_a_seed_can_be_added(data, finished, tmp_path):
    values = json.loads((finished / "table.json").read_text())
    ablate(data, finished, "--seeds", "1,2,3", "--only", "local")
    again = json.loads((finished / "table.json").read_text())
    assert again["results"][:4] == values["results"]  # they stay in the table
    assert [(result["variant"], result["seed"]) for result in again["results"][4:]] == [("local", 3)]


def test_other_settings_in_the_same_folder_are_named(data, finished):
    with pytest.raises(TrainingError, match="budget 2 steps -> 3 steps"):
        ablate(data, finished, budget="3steps")
    with pytest.raises(TrainingError, match="alpha"):
        ablate(data, finished, "alpha=3")


def test_another_family_in_the_same_folder_is_refused(data, finished):
    with pytest.raises(OutputError, match="holds the table of the family degradation"):
        ablate(data, finished, family="order")


def test_an_unfinished_run_of_other_settings_is_refused(data, finished, tmp_path):
    shutil.copytree(finished / "local-seed1", tmp_path / "local-seed1")
    (tmp_path / "local-seed1" / "result.json").unlink()
    with pytest.raises(TrainingError, match=r"budget 2 steps -> 3 steps"):
        ablate(data, tmp_path, "--only", "local", budget="3steps")
    with pytest.raises(TrainingError, match="start None -> "):
        ablate(data, tmp_path, "--only", "local", "--start", finished / "local-seed1" / "latest.safetensors")
    assert not (tmp_path / "table.md").exists()


class TrippedBench(Bench):
    """Interrupted as by Ctrl-C, while the held-out views are looked at for the second time."""

    looks = 0

    def held_out_views(self, views):
        self.looks += 1
        if self.looks == 2:
            raise Interrupted(torch.nn.Identity())
        return super().held_out_views(views)


def test_an_ablation_that_was_interrupted_goes_on_to_the_same_weights(data, finished, tmp_path):
    recipe = override(smoke(), TINY)
    ablation = Ablation(FAMILIES["degradation"], recipe, Budget(2, "steps"), (1,), views=1)
    with pytest.raises(Interrupted):
        list(run_ablation(ablation, tmp_path, TrippedBench(data), report=lambda line: None))
    assert read_result(tmp_path / "local-seed1/result.json") is not None
    assert read_result(tmp_path / "global-seed1/result.json") is None
    done = list(run_ablation(ablation, tmp_path, Bench(data), report=lambda line: None))
    assert [result.variant for result in done] == ["local", "global"]
    for variant in ("local", "global"):
        straight, resumed = (weights(root / f"{variant}-seed1") for root in (finished, tmp_path))
        assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_run_that_is_half_done_is_resumed_to_the_same_weights(data, finished, tmp_path):
    recipe = Budget(2, "steps").shorten(override(smoke(), TINY))
    task = RestorerTask(replace(recipe, seed=1), data)
    folder = tmp_path / "local-seed1"
    run(task, folder, max_minutes=0, report=lambda line: None)
    assert load_checkpoint(folder / "latest.safetensors").step == 1
    ablate(data, tmp_path, "--only", "local")
    straight, resumed = (weights(root / "local-seed1") for root in (finished, tmp_path))
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    both = [read_result(root / "local-seed1/result.json").psnr for root in (finished, tmp_path)]
    assert both[0] == both[1]


def test_a_budget_of_minutes_ends_by_the_clock(data, tmp_path):
    ablate(data, tmp_path, "--only", "local", budget="0.02min")
    result = read_result(tmp_path / "local-seed1/result.json")
    assert result.steps >= 1
    assert result.seconds < 60


@pytest.mark.parametrize("text", ["[]", "{}", "nothing", '{"psnr": 3}', NO_VALUES])
def test_a_damaged_result_is_named(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(TrainingError, match=r"result\.json"):
        read_result(tmp_path / "result.json")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"family": "ordr"}, "did you mean 'order'"),
        ((), {"budget": "20"}, "200steps or 30min"),
        (("--seeds", "1,x"), {}, "such as 1,2"),
        (("--seeds", "1,1"), {}, "different seeds"),
        (("--only", "lokal"), {}, "did you mean 'local'"),
        (("steps=5",), {}, "steps=5: the budget or the variants"),
        (("clue_reuse=detached",), {"family": "icrm"}, "clue_reuse=detached: the budget or the variants"),
    ],
)
def test_a_mistake_is_answered_in_one_line_before_anything_is_trained(
    data, tmp_path, arguments, options, message
):
    with pytest.raises(UsageError, match=message) as error:
        ablate(data, tmp_path / "out", *arguments, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_misspelt_field_or_recipe_is_answered_with_the_nearest(data, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        ablate(data, tmp_path, "alpa=3")
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        ablate(data, tmp_path, "--recipe", "smal")


@pytest.mark.parametrize("words", [["ablate"], ["ablate", "order"], ["ablate", "a", "b"]])
def test_what_is_missing_is_said(words):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", ["table.md", "table.json"])
def test_a_file_of_something_else_is_not_replaced_by_a_table(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name}: exists already"):
        ablate(tmp_path, tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_the_list_shows_families_with_their_variants():
    output = CliRunner().invoke(cli, ["ablate", "--list"]).output.splitlines()
    assert [line.split()[0] for line in output] == [*FAMILIES]
    assert "How-Where-What" in output[0]
