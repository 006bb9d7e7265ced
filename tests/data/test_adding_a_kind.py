"""A copy of the package with one more kind of damage: one module, one entry, and nothing else is edited."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import skimage.data

import clearair

MODULE = '''
"""Scratches: bright upright lines, as on old film."""

import torch
from torch import Tensor

from clearair.data.degradations.sampling import uniform
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.LENS,)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """Lines that hide a column each."""
    columns = uniform(conditions.generator, len(pictures), 1, 1, pictures.shape[-1], like=pictures)
    lines = (columns < 0.02 + 0.1 * strength[:, None, None, None]).to(pictures)
    return (lambda light: torch.lerp(light, torch.ones_like(light), lines),)
'''
ENTRY = """    Kind("scratches", "scratched", 0.05, coarse=True, partners=("noise",)),
"""
SCRIPT = """
import sys
from pathlib import Path

import torch

from clearair.apps.cli.program import cli
from clearair.data.mixtures import MIXTURES
from clearair.data.validation import validation_sets
from clearair.errors import ConfigError
from clearair.perception import load_compact
from clearair.perception.confidence import COARSE
from clearair.training.perceivers.recognition import RecognizerRecipe, train_recognizer
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.recipes import get_recipe

torch.set_num_threads(1)
data, out = map(Path, sys.argv[1:])


def run(*words):
    assert not cli.main([str(word) for word in words], standalone_mode=False), words


run("restore", "--help")
run("degrade", "--help")
run("degrade", data / "train/clean/coffee.png", "-o", out / "scratched.png", "--with", "scratches")
(made,) = validation_sets(data, views=2, side=64, kinds=["scratches"])
assert (made.damaged > made.clean).any()
assert "scratches" in COARSE
assert ("scratches", "noise") in MIXTURES
assert get_recipe("compact").mix.single["scratches"] == 0.05

eyes = ("far_pixels=1024", "far_widths=4,4,4,4", "near_side=16", "near_crops=4", "near_widths=4,4,4")
run(
    *("train", "perceivers", "--data", data, "--out", out / "eyes", "--steps", 2),
    *("batch=3", "crops=32", "steps=2", "warmup=1", *(f"eyes.{field}" for field in eyes)),
)
run(
    *("train", "smoke", "--data", data, "--out", out / "restorer", "--steps", 1, "--views", 0),
    *("batch=2", "view=64", "patch=64", "mix.single.scratches=9"),
)
assert PerceiverRecipe().eyes.kinds[-1] == "scratches"
assert "scratches" not in load_compact().config.kinds  # the kinds that the shipped weights know
try:
    train_recognizer(RecognizerRecipe(), data, out)
except ConfigError as error:
    assert "train perceivers" in str(error)
else:
    raise AssertionError("fitted a recognizer to perceivers that do not know all kinds")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("package")
    source, copy = Path(clearair.__file__).parent, root / "clearair"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    (copy / "models" / "weights").symlink_to(source / "models" / "weights")
    (copy / "data" / "degradations" / "scratches.py").write_text(MODULE)
    kinds = (copy / "kinds.py").read_text()
    end = ')\n"""Every kind of damage'
    assert kinds.count(end) == 1
    (copy / "kinds.py").write_text(kinds.replace(end, ENTRY + end))
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    (root / "train" / "clean").mkdir(parents=True)
    for name in ("astronaut", "chelsea", "coffee"):
        pixels = np.ascontiguousarray(getattr(skimage.data, name)()[:120, :150])
        pyvips.Image.new_from_array(pixels).write_to_file(str(root / "train" / "clean" / f"{name}.png"))
    return root


def test_a_kind_is_one_module_and_one_entry(package, photos, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, str(script), str(photos), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert (
        " ".join(run.stdout.split()).count("blur, lowlight, scratches") == 2
    )  # of `restore --help` and `degrade --help`
    assert (tmp_path / "scratched.png").is_file()
