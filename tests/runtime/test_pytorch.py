"""PyTorch: several windows at once, and compiled networks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch

from clearair import Restorer, UsageError
from clearair.finishing import FinishedNetwork
from clearair.models import load_model, save_model
from clearair.network import COMPACT
from clearair.network.compiling import require_compiler
from clearair.perception import load_compact
from clearair.runtime.loading import load_runtime
from clearair.runtime.pytorch import PyTorchRuntime
from clearair.tiling import Window


@pytest.mark.parametrize("keep_tone", [False, True])
def test_windows_at_once_are_restored_as_one_by_one(keep_tone):
    runtime = PyTorchRuntime(load_model("compact").build(), device="cpu", precision="fp32")
    perceiver = load_compact()
    picture = np.random.default_rng(0).integers(0, 90, (96, 120, 3), dtype=np.uint8)
    percepts = perceiver.told(perceiver.perceive_image(picture), ["noise", "lowlight"])
    judgement = runtime.judge(picture, percepts)
    windows = [Window(0, 0, 48, 40), Window(48, 80, 48, 40), Window(17, 33, 48, 40)]
    tiles = np.stack([picture[window.slices] for window in windows]).astype(np.float32) / 255
    once = runtime.restore_batch(tiles, percepts, judgement, windows, keep_tone=keep_tone)
    for tile, window, restored in zip(tiles, windows, once, strict=True):
        alone = runtime.restore(tile, percepts, judgement, window, keep_tone=keep_tone)
        assert np.abs(alone - tile).mean() > 1e-3
        np.testing.assert_allclose(restored, alone, atol=2e-6)


class SeveralAtOnce(PyTorchRuntime):
    """As on a GPU; remembers how many windows each call had, and may be short of memory for several."""

    tiles_at_once = 3

    def __init__(self, memory_for=3, **options):
        super().__init__(load_model("compact").build(), device="cpu", precision="fp32", **options)
        self.counts = []
        self.network.reconstruction.register_forward_pre_hook(self._meet)
        self.memory_for = memory_for

    def _meet(self, _module, inputs):
        self.counts.append(len(inputs[0]))
        if len(inputs[0]) > self.memory_for:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def noisy_here_and_there():
    """A photo as long as a row of tiles, with noise across the seam of two of them."""
    photo = skimage.data.astronaut()[:256].astype(float)
    picture = np.concatenate([photo, photo[:, ::-1], photo[:, :276]], axis=1)
    picture[80:160, 170:300] += np.random.default_rng(0).normal(0, 25, (80, 130, 3))
    return picture.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("memory_for", [3, 1])
def test_tiles_of_a_row_are_restored_together(memory_for):
    runtime = SeveralAtOnce(memory_for)
    picture = noisy_here_and_there()
    together = Restorer(runtime, load_compact(), tile=256)(picture, damage="noise", strength=0.5)
    single = PyTorchRuntime(load_model("compact").build(), device="cpu", precision="fp32")
    alone = Restorer(single, load_compact(), tile=256)(picture, damage="noise", strength=0.5)
    several = [count for count in runtime.counts if count > 1]
    assert several == [2]  # of the first three tiles one is left alone, and of the others none needs another
    assert together.outcome.tiles == alone.outcome.tiles
    assert together.outcome.tiles_left == alone.outcome.tiles_left > 0
    assert np.abs(together.image.astype(int) - alone.image).max() <= 1
    assert not np.array_equal(alone.image, picture)


COMPILED = """
import sys
import numpy as np
import torch
from clearair import Restorer

plain, compiled = (
    Restorer.from_pretrained(sys.argv[1], device="cpu", precision="fp32", compile=compile, backend="torch")
    for compile in (False, True)
)
for size in ((64, 72), (80, 56), (48, 48)):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    first, second = (each(picture, damage="noise").image.astype(int) for each in (plain, compiled))
    assert not np.array_equal(first, picture)
    assert np.abs(first - second).max() <= 1
counts = torch._dynamo.utils.counters
assert counts["stats"]["unique_graphs"] > 0
print(counts["stats"]["unique_graphs"])
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_network_restores_the_same_at_any_size(tmp_path):
    small = replace(
        COMPACT,
        channels=(8, 16, 24),
        blocks=(1, 1, 1),
        decoder_blocks=(1, 1),
        prompt_dim=16,
        content_tokens=4,
    )
    save_model(FinishedNetwork(small), tmp_path / "small")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED, str(tmp_path / "small")],
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_compiled_is_refused_at_once(monkeypatch):
    with pytest.raises(UsageError, match="not compiled for mps; leave out compile"):
        require_compiler("mps")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler \(no-such-compiler\)"):
        load_runtime("compact", device="cpu", compile=True)
    with pytest.raises(UsageError, match="backend onnx computes on the CPU"):
        Restorer.from_pretrained(backend="onnx", compile=True)
