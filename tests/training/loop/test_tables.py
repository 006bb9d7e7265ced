from __future__ import annotations

import csv
import json

from clearair.training.loop.log import LOG, append
from clearair.training.loop.tables import write_tables


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_training_and_validation_are_tables_that_follow_the_run_as_it_stands(tmp_path):
    append(tmp_path / LOG, {"step": 0, "of": "start", "views": 2, "validation": {"mean": 20.0, "rain": 21.0}})
    for step, loss in ((5, 1.0), (10, 0.9), (15, 0.8), (10, 0.7), (20, 0.6)):  # resumed from before step 10
        append(tmp_path / LOG, {"step": step, "loss": loss} | ({"icrm": 0.1} if step == 20 else {}))
    append(tmp_path / LOG, {"step": 12, "left out": "the loss is nan", "batch": "1 x haze"})
    write_tables(tmp_path)
    table = rows(tmp_path / "log.csv")
    assert [(row["step"], row["loss"]) for row in table] == [("5", "1.0"), ("10", "0.7"), ("20", "0.6")]
    assert [row["icrm"] for row in table] == ["", "", "0.1"]
    (only,) = rows(tmp_path / "validation.csv")
    assert only == {"step": "0", "of": "start", "views": "2", "mean": "20.0", "rain": "21.0"}


def test_without_a_log_there_are_no_tables(tmp_path):
    write_tables(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_log_itself_is_left_alone(tmp_path):
    append(tmp_path / LOG, {"step": 5, "loss": 1.0})
    before = (tmp_path / LOG).read_text()
    write_tables(tmp_path)
    assert json.loads(before) == json.loads((tmp_path / LOG).read_text())
