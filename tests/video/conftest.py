"""Restorers that are fast, for tests in which the model is not the point."""

from contextlib import nullcontext

import numpy as np
import pytest

from clearair.perception.confidence import Caution
from clearair.perception.protocol import Identity
from clearair.percepts import Guidance, Percepts
from clearair.restorer import Restorer

pytest.importorskip("av")


class Brighten:
    """Runs a network of one parameter."""

    device_type, is_cautious, corrects_tone = "cpu", True, False

    def __init__(self):
        self.windows = 0

    def judge(self, pixels, percepts):
        return float(percepts.change)

    def restore(self, pixels, percepts, judgement, window, *, keep_tone=False):
        self.windows += 1
        return pixels + np.float32(judgement * 20 / 255)

    def memory_errors(self):
        return nullcontext()


class Dim:
    """Says how dark pictures are, by their mean; bright ones have nothing wrong with them."""

    names, caution = ("lowlight",), Caution()
    identity = Identity("dim", "0", 1, 1, 1, 1)

    def __init__(self):
        self.seen = 0

    def perceive_image(self, image):
        self.seen += 1
        dark = np.array([image.mean() < np.iinfo(image.dtype).max / 2], np.float32)
        one = np.ones((1, 1), np.float32)
        shares = self.caution.shares(dark[None], self.names)
        labels = np.zeros((1, *image.shape[:2]), np.uint8)
        guidance = Guidance(one, labels, one, one, one[None], shares.tone, shares.change, shares.coarse)
        return Percepts(1.0, np.eye(5, dtype=np.float32)[4], guidance, self.names, dark, dark[None])


@pytest.fixture
def restorer():
    return Restorer(Brighten(), Dim(), tile=64)
