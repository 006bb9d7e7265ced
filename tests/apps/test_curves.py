import json
import math
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.apps.curves import draw_lines, training_section, training_table
from clearair.data.validation import ValidationSet
from clearair.errors import TrainingError
from clearair.evaluation.examination import Examination
from clearair.training.restorer.samples import save_samples

SVG = "{http://www.w3.org/2000/svg}"


def polylines(svg):
    """The points of each curve."""
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    ]


@pytest.fixture
def run(tmp_path):
    """The folder of a run of three logged steps, validated twice, with samples."""
    folder = tmp_path / "a & b"
    folder.mkdir()
    lines = [{"step": step, "seconds": step, "loss": 1 / step, "psnr": 20.0 + step} for step in (1, 2, 3)]
    for step in (0, 3):
        scores = {"mean": 20.0 + step, "haze": 19.5 + step, "clean": 90.0}
        lines.append({"step": step, "seconds": step, "of": "run", "validation": scores, "input": scores})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    grey = torch.full((1, 3, 128, 128), 0.5)
    sets = [ValidationSet(kind, grey, grey, ("a",)) for kind in ("haze", "clean")]
    save_samples(folder, Examination(None, sets), None, torch.zeros(2, 3, 128, 128, dtype=torch.uint8))
    return folder


def test_a_rising_line_rises_in_the_picture_and_goes_from_edge_to_edge():
    (points,) = polylines(draw_lines({"a": [(0, 1.0), (5, 2.0), (10, 4.0)]}, "t", "x", "y"))
    across, down = zip(*points, strict=True)
    assert list(across) == sorted(across)
    assert list(down) == sorted(down, reverse=True)
    assert across[1] == pytest.approx((across[0] + across[2]) / 2, abs=0.11)
    assert down[0] - down[1] == pytest.approx((down[0] - down[2]) / 3, abs=0.11)


def test_lines_share_their_axes_and_say_their_last_value():
    svg = draw_lines({"low": [(0, 1), (1, 1)], "high": [(0, 3), (1, 3)]}, "t", "x", "y")
    low, high = polylines(svg)
    assert low[0][1] > high[0][1]
    assert "low 1<" in svg
    assert "high 3<" in svg


@pytest.mark.parametrize("line", [[(3, 7.0)], [(0, 0.0), (1, 0.0)], [(0, 1e-9), (1, 1e9)]])
def test_a_single_point_and_flat_or_huge_ranges_are_drawn(line):
    for points in polylines(draw_lines({"a": line}, "t", "x", "y")):
        assert all(math.isfinite(value) for point in points for value in point)
        assert len(points) == len(line)


def test_values_that_are_not_finite_are_left_out_and_nothing_gives_no_picture():
    (points,) = polylines(draw_lines({"a": [(0, 1.0), (1, math.nan), (2, 2.0)]}, "t", "x", "y"))
    assert len(points) == 2
    assert draw_lines({"a": [(0, math.inf)]}, "t", "x", "y") == ""


def test_names_cannot_break_the_page():
    ElementTree.fromstring(draw_lines({"<a> & b": [(0, 1.0)]}, "<t>", "x<", "&y"))


def test_a_run_has_its_curves_by_kind_and_its_pictures(run):
    section = training_section(run)
    assert section.count("<svg") == 3
    assert section.count("<img") == 6
    assert "haze 22.5<" in section
    assert "clean 90" not in section
    assert "a &amp; b" in section
    assert "src=" not in section.replace('src="data:', "")


def test_the_table_of_a_run_has_a_row_for_each_validation(run):
    assert training_table(run).splitlines()[-2:] == [
        "| 0 | *20.00* | *19.50* | *90.00* |",
        "| 3 | *23.00* | *22.50* | *90.00* |",
    ]


def report(*arguments):
    result = CliRunner().invoke(cli, ["report", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_command_puts_curves_into_the_report(run, tmp_path):
    report("--training", run, "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<svg") == 3
    report("--training", run, "-o", tmp_path / "page.md")
    assert "*22.50*" in (tmp_path / "page.md").read_text()


def test_a_folder_that_is_no_run_is_named_and_an_empty_report_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"log\.jsonl"):
        report("--training", tmp_path, "-o", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert CliRunner().invoke(cli, ["report", "-o", str(tmp_path / "page.md")]).exit_code == 2
