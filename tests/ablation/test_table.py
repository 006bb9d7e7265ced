import json
from statistics import stdev

import pytest
from click.testing import CliRunner

from clearair.ablation.budget import Budget
from clearair.ablation.runs import Ablation, Result
from clearair.ablation.table import grid, read_grid, rows, to_dict
from clearair.apps.cli.program import cli
from clearair.errors import DataError
from clearair.training.restorer.recipes import small
from clearair.training.restorer.variants import FAMILIES


def ablation(name="order", seeds=(1, 2)):
    return Ablation(FAMILIES[name], small(), Budget(10, "steps"), seeds)


def result(variant, seed, haze, rain, clean=50.0):
    psnr = {"haze": haze, "rain": rain, "clean": clean}
    return Result(variant, seed, 10, 3.0, 700_000, psnr, psnr, {})


FULL, OTHER = "How-Where-What", "Where-What-How"
RESULTS = [
    result(OTHER, 1, 19.0, 29.0),
    result(FULL, 1, 20.0, 30.0),
    result(OTHER, 2, 21.5, 31.5, clean=90.0),
    result(FULL, 2, 22.0, 32.0),
]


def test_values_are_means_over_seeds_and_differences_are_taken_seed_by_seed():
    other, full = rows(ablation(), RESULTS)
    assert (other.variant, full.variant) == (OTHER, FULL)
    assert other.psnr["haze"].mean == pytest.approx(20.25)
    assert other.psnr["haze"].deviation == pytest.approx(stdev([19.0, 21.5]))
    assert other.difference["haze"].mean == pytest.approx(-0.75)
    assert other.difference["haze"].deviation == pytest.approx(stdev([-1.0, -0.5]))
    assert full.difference is None


def test_the_mean_leaves_undamaged_pictures_out():
    other, _ = rows(ablation(), RESULTS)
    assert other.psnr["mean"].mean == pytest.approx((19 + 29 + 21.5 + 31.5) / 4)


def test_a_single_seed_has_no_spread():
    text = grid("order", ablation(seeds=(1,)), RESULTS[:2]).markdown()
    assert "±" not in text
    assert "| -1.00 |" in text


@pytest.mark.parametrize(("lead", "bold"), [(0.1, False), (0.5, True)])
def test_one_seed_says_so_and_a_lead_below_chance_is_not_bold(lead, bold):
    results = [result(OTHER, 1, 20.0, 30.0), result(FULL, 1, 20.0 + lead, 30.0 + lead)]
    text = grid("order", ablation(seeds=(1,)), results).markdown()
    assert ("**" in text) is bold
    assert "One seed: differences below about 0.2 dB mean nothing." in text
    assert "One seed" not in grid("order", ablation(), RESULTS).markdown()


def test_a_single_variant_is_compared_with_nothing_and_not_bold(tmp_path):
    alone = to_dict("order", ablation(seeds=(1,)), RESULTS[:1])
    (tmp_path / "table.json").write_text(json.dumps(alone))
    read = read_grid(tmp_path / "table.json")
    assert read.best is None
    assert "**" not in read.markdown()
    assert "<b>" not in read.html()


def test_a_seed_that_only_one_of_two_has_is_not_compared():
    other, _ = rows(ablation(), [RESULTS[0], RESULTS[3]])
    assert other.difference is None


def test_the_published_values_stand_beside_and_are_called_so():
    text = grid("order", ablation(), RESULTS).markdown()
    assert "paper: Rain100L PSNR" in text
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {FULL} |")]
    assert line.endswith("| 38.21 | 0.986 |")
    assert "**26.00" in line  # the best mean
    assert (
        "paper:"
        not in grid("icrm", ablation("icrm"), [result("paper", 1, 20.0, 30.0)]).markdown().split("\n-")[0]
    )


def test_the_size_of_the_network_is_stated():
    assert (
        "32-64-128 channels, 1-2-3 blocks, 0.70 M parameters" in grid("order", ablation(), RESULTS).markdown()
    )


def test_the_plain_values_can_be_written_and_hold_every_result():
    values = json.loads(json.dumps(to_dict("order", ablation(), RESULTS), allow_nan=False))
    assert len(values["results"]) == 4
    assert values["variants"][OTHER]["difference"]["rain"]["mean"] == pytest.approx(-0.75)


def test_a_written_table_is_read_back_and_shown_in_a_report(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(to_dict("order", ablation(), RESULTS, ["<b>"])))
    read = read_grid(path)
    assert read == grid("order", ablation(), RESULTS, ["<b>"])
    html = read.html()
    assert html.count("<tr") == 3
    assert "<b>26.00 ±" in html
    assert "&lt;b&gt;" in html
    output = tmp_path / "report.md"
    words = ["report", "--ablation", str(path), "-o", str(output)]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert "## Ablation: order" in output.read_text()


WRONG_BEST = (
    '{"table": {"title": "t", "heads": ["a", "b", "c"], "lines": [["1", "2", "3"]], "best": 7, "notes": []}}'
)


@pytest.mark.parametrize("text", ["[]", "{}", "x", '{"table": {"title": 1}}', WRONG_BEST])
def test_a_table_of_something_else_is_named(tmp_path, text):
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(DataError, match=r"table\.json"):
        read_grid(tmp_path / "table.json")
