"""What `out` means: a file, a folder, or a mistake."""

from pathlib import Path

import pytest

from clearair.errors import UsageError
from clearair.files.planning import plan_batch


def targets(plan):
    return [job.target for job in plan.jobs]


@pytest.mark.parametrize("name", ["b.xyz", "b.txt", "b.jp"])
def test_one_file_into_another_of_an_unknown_kind_is_refused(folder, name):
    for photo in (folder / "a.jpg", str(folder / "a.jpg")):
        with pytest.raises(
            UsageError, match=rf"not a format that can be written; use .*, or .*{name}. for a folder"
        ):
            plan_batch(photo, folder / name)
    with pytest.raises(UsageError, match="for a folder"):
        plan_batch([], str(folder / name), listed=[folder / "a.jpg"])


@pytest.mark.parametrize("name", ["b.xyz/", "b.jpg/", "results", "results.2024", "v1.2", "my.results"])
def test_a_slash_or_a_name_like_a_folder_s_makes_a_folder(folder, name):
    plan = plan_batch(folder / "a.jpg", f"{folder}/{name}")
    assert targets(plan) == [folder / name / "a.jpg"]
    assert plan.out == folder / name


def test_several_pictures_or_a_folder_that_is_there_need_no_slash(folder):
    assert targets(plan_batch([folder / "a.jpg", folder / "b.png"], folder / "c.xyz")) == [
        folder / "c.xyz" / "a.jpg",
        folder / "c.xyz" / "b.png",
    ]
    assert targets(plan_batch(folder / "sub", folder / "c.xyz")) == [folder / "c.xyz" / "a.jpg"]
    (folder / "d.xyz").mkdir()
    assert targets(plan_batch(folder / "a.jpg", folder / "d.xyz")) == [folder / "d.xyz" / "a.jpg"]


@pytest.mark.parametrize(("paths", "out"), [("", None), (["a.jpg", ""], None), ("a.jpg", "")])
def test_an_empty_name_is_not_the_folder_one_is_in(paths, out):
    with pytest.raises(UsageError, match="is empty"):
        plan_batch(paths, out)
    assert targets(plan_batch("a.jpg", "results")) == [Path("results/a.jpg")]


@pytest.mark.parametrize(
    "out", ["http://example.com/out", "file:///tmp/out", "s3:/bucket/out", "s3:/b/a.jpg"]
)
def test_an_address_of_no_store_is_not_a_folder_of_that_name(folder, out):
    with pytest.raises(UsageError, match=r"neither a folder nor an address of a store") as raised:
        plan_batch(folder / "a.jpg", out)
    assert str(raised.value).startswith(out)


def test_a_suffix_is_a_str(folder):
    with pytest.raises(UsageError, match="not int"):
        plan_batch(folder / "a.jpg", suffix=5)
