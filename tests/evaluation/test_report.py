import json

import pytest

from clearair.errors import DataError
from clearair.evaluation.report import markdown, page, read_run, tables


def run_file(tmp_path, psnr=38.0, images=100, multiple=1, asked=None):
    result = {
        "benchmark": "Rain100L",
        "protocol": {"multiple": multiple, "noise_seed": 0, "rounded": True},
        "images": images,
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


def test_every_table_has_our_row_and_what_was_not_measured_stays_empty(tmp_path):
    found = tables([run_file(tmp_path)])
    assert [table.number for table in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 10]
    assert all(table.rows[-1].measured for table in found)
    (derain,) = [table for table in found if table.setting == "single-derain"]
    assert derain.rows[-1].values == {("Rain100L", "PSNR"): 38.0, ("Rain100L", "SSIM"): 0.9}
    assert found[3].rows[-1].values == {}


def test_ours_shows_the_difference_to_the_published_row(tmp_path):
    assert "*38.00* (-0.52)" in markdown([run_file(tmp_path)])  # 38.52 in Table 10


def test_the_best_is_bold_unless_only_a_part_was_measured(tmp_path):
    assert "***50.00*** (+11.48)" in markdown([run_file(tmp_path, 50.0)])
    text = markdown([run_file(tmp_path, 50.0, images=3)])
    assert "*50.00* (+11.48, 3 of 100 images)" in text
    assert "***50.00***" not in text


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


def test_the_page_needs_no_other_file(tmp_path):
    text = page([run_file(tmp_path)])
    assert "<b>" in text
    assert 'class="ours"' in text
    assert "src=" not in text.replace('src="data:', "")
    assert "href" not in text


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DataError, match=r"other\.json"):
        read_run(tmp_path / "other.json")
