from pathlib import Path

import numpy as np
import pytest

from clearair.errors import DataError, UsageError
from clearair.evaluation import BENCHMARKS, Evaluator, markdown_table
from clearair.evaluation.measuring import Unwatched
from clearair.evaluation.protocol import Protocol
from clearair.image import Photo, write_photo

SHARED = Path(__file__).parents[3] / "shared" / "data"


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    write_photo(Photo(pixels), path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for index in range(3):
        write(tmp_path / "test" / "CBSD68" / "target" / f"{index}.png", index)
        for side in ("input", "target"):
            write(tmp_path / "test" / "Rain100L" / side / f"{index}.png", index)
    return tmp_path


def same(image: np.ndarray) -> np.ndarray:
    return image


class Notes(Unwatched):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.images = 0
        self.skips = []

    def started(self, images):
        self.images = images

    def skipped(self, benchmark, image):
        self.skips.append((benchmark, image))


def test_doing_nothing_scores_what_came_in(data):
    (result,) = Evaluator(data, ["CBSD68-25"]).measure(same)
    assert len(result.scores) == 3
    assert result.mean("psnr") == result.mean("input_psnr")
    assert 18 < result.mean("psnr") < 23


def test_noise_is_the_same_each_time_and_differs_between_images(data):
    name = "CBSD68-50"
    first, again = (next(Evaluator(data, [name]).measure(same)) for _ in range(2))
    assert first == again
    cases = list(BENCHMARKS[name].cases(data))
    noise = [case.damaged.astype(int) - case.clean for case in cases]
    assert not np.array_equal(noise[0], noise[1])


def test_equal_pairs_are_perfect_and_the_table_has_a_row_for_each_set(data):
    results = list(Evaluator(data, ["Rain100L", "CBSD68-15"]).measure(same))
    assert results[0].mean("psnr") == 100
    table = markdown_table(results)
    assert table.count("\n") == 3
    assert "| Rain100L | 3 | 100.00 | 100.00 |" in table


def test_every_second_image_only(data):
    (result,) = Evaluator(data, ["Rain100L"], every=2).measure(same)
    assert [score.name for score in result.scores] == ["0", "2"]


def test_a_missing_set_and_an_unknown_name_are_named(data):
    with pytest.raises(DataError, match="GoPro"):
        Evaluator(data, ["GoPro"])
    with pytest.raises(UsageError, match="Rain100L"):
        Evaluator(data, ["Rain100"])


def test_an_input_without_target_is_named(data):
    write(data / "test" / "Rain100L" / "input" / "alone.png", 9)
    with pytest.raises(DataError, match=r"alone\.png"):
        Evaluator(data, ["Rain100L"])


def test_an_image_that_cannot_be_read_is_skipped_and_the_rest_is_measured(data):
    (data / "test" / "Rain100L" / "input" / "1.png").write_bytes(b"")
    notes = Notes()
    (result,) = Evaluator(data, ["Rain100L"]).measure(same, notes)
    assert [score.name for score in result.scores] == ["0", "2"]
    assert notes.skips == [("Rain100L", result.skipped[0])]
    assert "1.png: the file is empty" in result.skipped[0].error
    assert (result.complete, result.asked) == (False, 3)
    assert "| Rain100L | 2 of 3 | 100.00 |" in markdown_table([result])


def test_a_picture_of_which_a_crop_leaves_nothing_is_named(data):
    with pytest.raises(DataError, match=r"0\.png: \d+ x \d+ px, which is smaller than --crop 512"):
        list(BENCHMARKS["Rain100L"].cases(data, Protocol(multiple=512)))


def test_what_was_measured_comes_before_the_exception_that_ends_it(data):
    seen = []

    def interrupted(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return image

    notes, results = Notes(), []
    with pytest.raises(KeyboardInterrupt):
        results.extend(Evaluator(data, ["Rain100L", "CBSD68-15"]).measure(interrupted, notes))
    assert notes.images == 6
    assert [(result.benchmark, len(result.scores), result.complete) for result in results] == [
        ("Rain100L", 3, True),
        ("CBSD68-15", 2, False),
    ]


def test_our_own_mistakes_are_not_taken_for_bad_images(data):
    def wrong(image: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Evaluator(data, ["Rain100L"]).measure(wrong))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [("RESIDE-OTS", 10, 14.73), ("low light", 19, 8.9)],
)
def test_the_sets_are_as_their_sources_describe_them(name, count, expected):
    (result,) = Evaluator(SHARED, [name]).measure(same)
    assert len(result.scores) == count
    assert result.mean("psnr") == pytest.approx(expected, abs=0.4 if name == "low light" else 0.01)
