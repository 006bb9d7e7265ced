"""What `import clearair` offers, and what it does not load."""

import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

import clearair
from clearair import ImageError, UsageError, degrade, inspect


def test_every_public_name_is_there_and_listed():
    for name in clearair.__all__:
        assert getattr(clearair, name) is not None
    assert set(clearair.__all__) <= set(dir(clearair))
    with pytest.raises(AttributeError, match="no attribute 'Restore'"):
        clearair.Restore  # noqa: B018


def test_importing_the_package_and_its_torch_free_parts_loads_no_torch():
    code = (
        "import sys, clearair, clearair.restorer, clearair.inspection, clearair.files.batch;"
        "clearair.Result, clearair.Percepts, clearair.inspect;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NUMPY_RUNTIME = '''
import sys
sys.modules["torch"] = None  # from here on it cannot be imported

from contextlib import nullcontext
from pathlib import Path

import numpy as np

from clearair.perception.confidence import Caution
from clearair.percepts import Guidance, Percepts
from clearair.restorer import Restorer


class Brighten:
    """Runs a network of one parameter."""

    device_type, is_cautious, corrects_tone = "cpu", True, False

    def judge(self, pixels, percepts):
        return float(percepts.change)

    def restore(self, pixels, percepts, judgement, window, *, keep_tone=False):
        return pixels + np.float32(judgement * 10 / 255)

    def memory_errors(self):
        return nullcontext()


class Dark:
    """Says that every picture is dark."""

    names, caution = ("lowlight",), Caution()

    def perceive_image(self, image):
        one, ten = np.ones((1, 1), np.float32), np.ones(1, np.float32)
        labels = np.zeros((1, *image.shape[:2]), np.uint8)
        guidance = Guidance(one, labels, one, one, one[None], ten, ten, ten)
        return Percepts(1.0, np.eye(5, dtype=np.float32)[4], guidance, self.names, ten, one)


restorer = Restorer(Brighten(), Dark(), tile=64)
picture = np.full((50, 90, 3), 40, np.uint8)
result = restorer(picture)
assert (result.image == 50).all(), result.image
assert result.found == {"lowlight": 1.0}
assert (restorer(picture, damage="none").image == picture).all()
source, out = Path(sys.argv[1]), Path(sys.argv[2])
records = list(restorer.restore_many([source], out))
assert [record.error for record in records] == [None], records
print("restored without PyTorch")
'''


def test_another_runtime_restores_arrays_and_files_without_torch(tmp_path):
    Image.fromarray(skimage.data.coffee()[:60, :80]).save(tmp_path / "coffee.png")
    done = subprocess.run(
        [sys.executable, "-c", NUMPY_RUNTIME, str(tmp_path / "coffee.png"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "restored without PyTorch"
    assert (tmp_path / "out" / "coffee.png").exists()


def test_a_picture_is_inspected():
    seen = inspect(skimage.data.coffee()[:120, :160])
    assert 1 <= seen.score <= 5
    assert seen.percepts.labels.shape == (120, 160)
    assert set(seen.found) <= set(seen.percepts.names)
    assert "left as it is" in str(seen.outcome) or seen.found


def test_damage_is_drawn_from_a_seed_and_comes_back_as_it_was_given():
    picture = skimage.data.coffee()[:40, :50]
    damaged = degrade(picture, "haze", strength=0.8, seed=3)
    assert damaged.dtype == np.uint8
    assert damaged.shape == picture.shape
    assert damaged.mean() > picture.mean()
    np.testing.assert_array_equal(damaged, degrade(picture, ["haze"], strength=0.8, seed=3))
    image = degrade(Image.fromarray(picture), "haze", strength=0.8, seed=3)
    np.testing.assert_array_equal(np.asarray(image), damaged)


def test_bad_requests_are_errors_of_the_package():
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UsageError):
        degrade(picture, "hase")
    with pytest.raises(UsageError):
        degrade(picture, "haze", strength=2)
    for seed in (1 << 63, -1, 1.5):
        with pytest.raises(UsageError, match="A seed is a whole number"):
            degrade(picture, "haze", seed=seed)  # type: ignore[arg-type]
    for call in (inspect, lambda picture: degrade(picture, "haze")):
        with pytest.raises(ImageError):
            call(3)
