"""Nothing but the protocol is needed to guide, save and load a restorer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from clearair.errors import ModelError
from clearair.finishing import FinishedNetwork
from clearair.models import load_model
from clearair.models.stamp import PerceiverStamp
from clearair.network import TINY, Guidance
from clearair.network.guidance import to_arrays
from clearair.perception import Percepts, load_compact
from clearair.perception.protocol import Identity
from clearair.restorer import Restorer
from clearair.runtime.pytorch import PyTorchRuntime


class BrightnessPerceiver:
    """Knows nothing but how bright a picture is."""

    identity = Identity(
        "brightness", "0" * 64, TINY.quality_dim, TINY.content_dim, TINY.degradation_dim, TINY.region_count
    )

    def to(self, device: torch.device | str) -> BrightnessPerceiver:
        return self

    def perceive(self, images: Tensor) -> Guidance:
        mean = images.mean(dim=(1, 2, 3))[:, None]
        return Guidance(
            quality=mean.expand(-1, TINY.quality_dim),
            labels=torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8),
            content=mean.expand(-1, TINY.content_dim),
            degradation=mean.expand(-1, TINY.degradation_dim),
            local_degradation=mean[:, None].expand(-1, TINY.region_count, TINY.degradation_dim),
            tone=torch.zeros(len(images)),
            change=torch.ones(len(images)),
            coarse=torch.ones(len(images)),
        )

    def perceive_image(self, image: np.ndarray) -> Percepts:
        guidance = self.perceive(torch.from_numpy(image / 255.0).float().permute(2, 0, 1)[None])
        return Percepts(
            score=5.0,
            levels=np.eye(5, dtype=np.float32)[0],
            guidance=to_arrays(guidance),
            names=("darkness",),
            probabilities=np.ones(1, np.float32),
            local_probabilities=np.ones((TINY.region_count, 1), np.float32),
        )


@pytest.fixture
def restorer():
    torch.manual_seed(0)
    runtime = PyTorchRuntime(FinishedNetwork(TINY), device="cpu", precision="fp32")
    return Restorer(runtime, BrightnessPerceiver())


def test_a_restorer_is_guided_by_any_perceiver(restorer):
    result = restorer(np.full((40, 50, 3), 90, np.uint8))
    assert result.image.shape == (40, 50, 3)
    assert result.percepts.names == ("darkness",)
    assert result.percepts.guidance.quality == pytest.approx(90 / 255)


def test_a_model_records_what_its_perceiver_says_of_itself(restorer, tmp_path):
    restorer.save_pretrained(tmp_path / "model")
    saved = load_model(tmp_path / "model").perceivers
    assert saved == PerceiverStamp.of(BrightnessPerceiver())
    assert saved.name == "brightness"
    with pytest.raises(ModelError, match="other perceivers: their name is brightness, but compact"):
        saved.check(PerceiverStamp.of(load_compact()))
