"""ONNX Runtime against PyTorch: the same pictures, percepts and errors."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import torch

from clearair import ModelError, Restorer, UsageError
from clearair.models.catalogue import find_model
from clearair.network.config import BASE, COMPACT
from clearair.network.overview import survey as survey_of_tensors
from clearair.perception.compact.stored import shipped_folder
from clearair.runtime.loading import load_perceiver, load_runtime
from clearair.runtime.onnx import OnnxRuntime
from clearair.runtime.pytorch import PyTorchRuntime
from clearair.runtime.survey import survey


@pytest.fixture(scope="module")
def light():
    return Restorer.from_pretrained(backend="onnx")


@pytest.fixture(scope="module")
def heavy():
    return Restorer.from_pretrained(backend="torch", device="cpu", precision="fp32")


def noisy(size, seed=0):
    height, width = size
    photo = skimage.data.coffee()[:height, :width].astype(float)
    return (photo + np.random.default_rng(seed).normal(0, 25, photo.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(96, 131), (40, 600), (1, 1), (7, 5)])
@pytest.mark.parametrize("options", [{}, {"damage": "haze,noise"}, {"damage": "lowlight", "keep_tone": True}])
def test_both_backends_give_the_same_picture(light, heavy, size, options):
    picture = noisy(size)
    first, second = light(picture, **options), heavy(picture, **options)
    assert np.abs(first.image.astype(int) - second.image.astype(int)).max() <= 1
    assert first.done == second.done
    np.testing.assert_allclose(first.percepts.probabilities, second.percepts.probabilities, atol=1e-4)
    if options and size == (96, 131):
        assert not np.array_equal(first.image, picture)


def test_perceivers_are_the_same_ones(light, heavy):
    assert light.perceiver.identity == heavy.perceiver.identity
    picture = noisy((300, 400))
    ours, theirs = (each.perceiver.perceive_image(picture) for each in (light, heavy))
    assert np.array_equal(ours.labels, theirs.labels)
    for name in ("quality", "content", "degradation", "local_degradation"):
        np.testing.assert_allclose(getattr(ours.guidance, name), getattr(theirs.guidance, name), atol=1e-4)
    assert ours.score == pytest.approx(theirs.score, abs=1e-4)
    told, expected = (
        each.perceiver.told(percepts, ["haze", "rain"]) for each, percepts in ((light, ours), (heavy, theirs))
    )
    np.testing.assert_allclose(told.guidance.degradation, expected.guidance.degradation, atol=1e-4)
    np.testing.assert_allclose(
        told.guidance.local_degradation, expected.guidance.local_degradation, atol=1e-4
    )


@pytest.mark.parametrize("config", [COMPACT, BASE], ids=["replicate", "zeros"])
@pytest.mark.parametrize("size", [(64, 64), (65, 33), (1, 1), (7, 300), (130, 129), (257, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_overview_in_numpy_is_that_of_tensors(config, size, dtype):
    generator = np.random.default_rng(0)
    pixels = generator.random((*size, 3), np.float32)
    if dtype != np.float32:
        pixels = (pixels * np.iinfo(dtype).max).astype(dtype)
    labels = generator.integers(0, config.region_count, size, dtype=np.uint8)
    values = pixels if dtype == np.float32 else pixels / np.float32(np.iinfo(dtype).max)
    image = torch.from_numpy(values).permute(2, 0, 1)[None]
    expected = survey_of_tensors(image, torch.from_numpy(labels)[None], config)
    for name, value in survey(pixels, labels, config).items():
        np.testing.assert_allclose(value, getattr(expected, name).numpy(), atol=2e-6, rtol=1e-5)


def test_everything_works_where_pytorch_is_not_installed(tmp_path):
    source = tmp_path / "photo.png"
    from PIL import Image

    Image.fromarray(noisy((64, 80))).save(source)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "import clearair\n"
        f"result = clearair.Restorer.from_pretrained()({str(source)!r}, damage='noise')\n"
        f"result.save({str(tmp_path / 'better.png')!r})\n"
        "assert clearair.inspect(result.image).score >= 1\n"
        "try:\n"
        "    clearair.Restorer.from_pretrained(device='cuda')\n"
        "except clearair.MissingExtraError as error:\n"
        "    assert 'clearair[torch]' in str(error)\n"
        "else:\n"
        "    sys.exit('a GPU without PyTorch')\n"
        "try:\n"
        f"    clearair.degrade({str(source)!r}, 'haze')\n"
        "except clearair.MissingExtraError as error:\n"
        "    assert 'degrade needs PyTorch' in str(error)\n"
        "else:\n"
        "    sys.exit('damage without PyTorch')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "better.png").exists()


def test_a_model_of_the_shipped_configuration_needs_no_graphs_of_its_own(tmp_path, light):
    light.save_pretrained(tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").glob("*.onnx")} == {
        "judge.onnx",
        "keep_tone.onnx",
        "window.onnx",
    }
    (tmp_path / "mine").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tmp_path / "copy" / name, tmp_path / "mine" / name)
    again = Restorer.from_pretrained(tmp_path / "mine", backend="onnx")
    picture = noisy((48, 64))
    assert np.array_equal(again(picture).image, light(picture).image)


def test_graphs_of_another_model_are_refused(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find_model("compact"), folder)
    text = (folder / "graphs.json").read_text()
    (folder / "graphs.json").write_text(text.replace('"prompt_dim": 64', '"prompt_dim": 128'))
    with pytest.raises(ModelError, match=r"graphs of another model; run `clearair export` again"):
        load_runtime(folder, backend="onnx")


def test_a_model_without_graphs_runs_on_pytorch_and_says_so(tmp_path):
    from clearair.finishing import FinishedNetwork
    from clearair.models import save_model
    from clearair.network.config import NetworkConfig

    small = NetworkConfig(**{**COMPACT.to_dict(), "channels": (8, 16, 32)})
    save_model(FinishedNetwork(small), tmp_path / "small")
    assert isinstance(load_runtime(tmp_path / "small")[0], PyTorchRuntime)
    with pytest.raises(ModelError, match="has no graphs for ONNX Runtime: write them with `clearair export`"):
        load_runtime(tmp_path / "small", backend="onnx")


def test_the_backend_can_be_chosen(light, heavy, monkeypatch):
    assert isinstance(light.runtime, OnnxRuntime)
    assert isinstance(heavy.runtime, PyTorchRuntime)
    with pytest.raises(UsageError, match="computes on the CPU in fp32"):
        load_runtime("compact", backend="onnx", precision="bf16")
    monkeypatch.setenv("CLEARAIR_BACKEND", "onnx")
    assert isinstance(load_runtime("compact")[0], OnnxRuntime)
    monkeypatch.setenv("CLEARAIR_BACKEND", "tpu")
    with pytest.raises(
        UsageError, match="CLEARAIR_BACKEND=tpu: there is no such backend; use auto, onnx, torch"
    ):
        load_runtime("compact")
    with pytest.raises(UsageError, match="backend=tflite: there is no such backend"):
        load_runtime("compact", backend="tflite")


def test_perceivers_without_graphs_are_those_that_were_asked_for(tmp_path):
    from clearair.perception.compact.config import EyesConfig
    from clearair.perception.compact.eyes import CompactEyes
    from clearair.perception.compact.weights import save_perceiver

    save_perceiver(CompactEyes(EyesConfig()), tmp_path)
    assert load_perceiver(tmp_path).identity.fingerprint != load_perceiver().identity.fingerprint


def test_a_fork_waits_for_graphs_that_are_being_built():
    program = (
        "import os, numpy as np\n"
        "from clearair import Restorer\n"
        "restorer = Restorer.from_pretrained(backend='onnx')\n"
        "restorer.runtime.open_early()\n"  # again, so that the fork surely meets it
        "child = os.fork()\n"
        "if child == 0:\n"
        "    restorer(np.full((32, 32, 3), 90, np.uint8), damage='noise')\n"
        "    os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "7", done.stderr


@pytest.mark.parametrize("which", ["model", "perceivers"])
def test_weights_that_are_not_finite_are_refused(tmp_path, which):
    from safetensors.numpy import load_file, save_file

    source = find_model("compact") if which == "model" else shipped_folder()
    shutil.copytree(source, tmp_path / "mine")
    file = tmp_path / "mine" / "model.safetensors"
    weights = load_file(file)
    name = next(iter(weights))
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, file)
    with pytest.raises(ModelError, match=rf"model\.safetensors: 1 tensor not finite: {name}; copy it again"):
        load_runtime(tmp_path / "mine", backend="onnx") if which == "model" else load_perceiver(file.parent)
