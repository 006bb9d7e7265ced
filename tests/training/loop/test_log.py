import json

import pytest

from clearair.errors import OutputError, TrainingError
from clearair.training.loop.log import append, mend, read_log


def test_an_unfinished_last_line_is_passed_over_and_mended(tmp_path):
    log = tmp_path / "log.jsonl"
    append(log, {"step": 1})
    with log.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_log(log) == [{"step": 1}]
    mend(log)
    append(log, {"step": 2})
    assert [json.loads(line) for line in log.read_text().splitlines()] == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ["{", "5", "[]"])
def test_a_damaged_line_is_named(tmp_path, line):
    log = tmp_path / "log.jsonl"
    log.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(TrainingError, match=r"log\.jsonl: line 2 is .*; delete it"):
        read_log(log)


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"log\.jsonl: cannot be written"):
        append(tmp_path / "none" / "log.jsonl", {"step": 1})
