import json

import pytest

from clearair.errors import DataError
from clearair.evaluation.published import published_tables, tables_with
from clearair.evaluation.report import markdown, page, read_run


def run_file(tmp_path, psnr=38.0, images=100, multiple=1, asked=None):
    result = {
        "benchmark": "Rain100L",
        "protocol": {"multiple": multiple, "noise_seed": 0, "rounded": True},
        "images": images,
        "input_psnr": 25.0,
        **({} if asked is None else {"asked_images": asked, "skipped_images": asked - images}),
        "published_images": 100,
        "manifest": "abc",
        "psnr": psnr,
        "ssim": 0.9,
        "scores": [],
    }
    path = tmp_path / f"run{psnr}.json"
    path.write_text(json.dumps({"model": "ours", "version": "1", "results": [result]}))
    return read_run(path)


def test_only_tables_of_methods_with_a_value_of_ours_are_shown(tmp_path):
    run = run_file(tmp_path)
    found = tables_with([run])
    assert [(table.number, table.setting) for table in found] == [
        (2, "three"),
        (3, "five"),
        (10, "single-derain"),
    ]
    assert found[2].rows[-1].values == {("Rain100L", "PSNR"): 38.0, ("Rain100L", "SSIM"): 0.9}
    assert "ablation" not in markdown([run])
    assert "Table 4" not in markdown([run])


def test_a_set_that_nobody_published_has_the_own_table_alone(tmp_path):
    run = run_file(tmp_path)
    run["results"][0]["benchmark"] = "mine"
    text = markdown([run])
    assert "| ours | mine | 100 |" in text
    assert "Published" not in text


def test_what_was_measured_comes_first_and_says_what_one_seed_is_worth(tmp_path):
    for text in (markdown([run_file(tmp_path)], ["EXTRA"]), page([run_file(tmp_path)], extra=["EXTRA"])):
        order = [text.index(word) for word in ("Measured with", "One seed", "EXTRA", "Published results")]
        assert order == sorted(order)
    assert "One seed" not in markdown([], ["EXTRA"])


def test_ours_shows_the_difference_to_the_published_row(tmp_path):
    assert "*38.00* (-0.52)" in markdown([run_file(tmp_path)])  # 38.52 in Table 10


def test_the_best_is_bold_unless_only_a_part_was_measured(tmp_path):
    assert "***50.00*** (+11.48)" in markdown([run_file(tmp_path, 50.0)])
    text = markdown([run_file(tmp_path, 50.0, images=3)])
    assert "*50.00* (+11.48, 3 of 100 images)" in text
    assert "***50.00***" not in text


def test_nothing_is_bold_where_nothing_of_ours_is_compared_or_chance_decides(tmp_path):
    (derain,) = [table for table in published_tables() if table.setting == "single-derain"]
    column = ("Rain100L", "PSNR")
    assert derain.best(column) is None
    published = max(row.values[column] for row in derain.rows)
    for ours, best in ((0.1, None), (-0.1, None), (1.0, published + 1), (-1.0, published)):
        (table,) = [
            table
            for table in tables_with([run_file(tmp_path, published + ours)])
            if table.setting == "single-derain"
        ]
        assert table.best(column) == (None if best is None else pytest.approx(best))


@pytest.mark.parametrize(
    ("images", "asked", "said"),
    [(99, 100, "99 of 100"), (2, 3, "2 of 100"), (100, 101, "100 of 101")],
)
def test_a_set_of_which_images_were_skipped_says_so_and_is_never_the_best(tmp_path, images, asked, said):
    text = markdown([run_file(tmp_path, 50.0, images=images, asked=asked)])
    assert f"*50.00* (+11.48, {said} images)" in text
    assert "***50.00***" not in text
    assert f"on Rain100L: {images} of {asked} images, 1 skipped, " in text


def test_numbers_of_another_protocol_say_so(tmp_path):
    assert "ours, cropped to 16" in markdown([run_file(tmp_path, multiple=16)])
    told = {**run_file(tmp_path), "damage": "rain"}
    assert "| ours, named rain | Rain100L | 100 | 25.00 | 38.00 |" in markdown([told])
    limited = {**told, "cautious": True}
    assert "| ours, named rain, limited by caution | Rain100L |" in markdown([limited])


def test_the_page_needs_no_other_file(tmp_path):
    text = page([run_file(tmp_path)])
    assert "<b>" in text
    assert 'class="ours"' in text
    assert "src=" not in text.replace('src="data:', "")
    assert "href" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": "whole"},
        {"images": "many"},
        {"psnr": "good"},
        {"scores": 5},
        {"scores": [5]},
        {"benchmark": []},
        {"manifest": None},
    ],
)
def test_entries_of_other_types_are_refused(tmp_path, changed):
    run_file(tmp_path)
    path = tmp_path / "run38.0.json"
    run = json.loads(path.read_text())
    run["results"][0] |= changed
    path.write_text(json.dumps(run))
    with pytest.raises(DataError, match="not a file that `clearair evaluate --json` wrote"):
        read_run(path)


def test_a_bar_in_a_name_does_not_end_its_cell(tmp_path):
    assert r"| a\|b | Rain100L |" in markdown([{**run_file(tmp_path), "model": "a|b"}])


def test_device_and_precision_are_said(tmp_path):
    text = markdown([{**run_file(tmp_path), "device": "cpu", "precision": "bf16"}])
    assert "rounded True, bf16 on cpu, data abc" in text


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DataError, match=r"other\.json"):
        read_run(tmp_path / "other.json")
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        read_run(tmp_path / "none.json")
