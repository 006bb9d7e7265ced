"""The recognizer: two views of a picture, one head, and embeddings that follow it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearair.perception.compact.geometry import RECOGNIZER_SIDE, recognizer_crops
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.compact.recognition import Recognizer
from clearair.perception.compact.weights import new_recognizer
from clearair.perception.confidence import Caution


@pytest.fixture
def recognizer(tiny_eyes) -> Recognizer:
    """With prototypes along the axes of the embedding, as far as there are axes."""
    torch.manual_seed(1)
    made = new_recognizer(tiny_eyes.config).eval()
    made.prototypes.copy_(torch.eye(*made.prototypes.shape))
    return made.requires_grad_(False)


@pytest.mark.parametrize(
    ("size", "crop"), [((1000, 1500), (224, 224)), ((200, 500), (192, 224)), ((1, 40), (32, 32))]
)
def test_crops_are_as_large_as_the_picture_allows(size, crop):
    assert recognizer_crops(*size)[0] == crop
    assert max(crop) <= RECOGNIZER_SIDE


@pytest.mark.parametrize("size", [(1, 1), (33, 90), (160, 160), (300, 420), (2000, 40)])
def test_an_array_is_seen_as_a_tensor_is(recognizer, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(
            recognizer.features_of(image), recognizer.features(tensor), atol=1e-3, rtol=1e-3
        )


def test_nothing_missed_leaves_an_embedding_as_it_is(recognizer):
    own = torch.nn.functional.normalize(torch.randn(2, 5, 6), dim=2)
    torch.testing.assert_close(recognizer.moved(own, torch.zeros(2, 8)), own)


def test_full_trust_in_a_sure_kind_gives_its_prototype(recognizer):
    amounts = torch.zeros(1, 8)
    amounts[0, 3] = 1
    own = torch.nn.functional.normalize(torch.randn(1, 4, 6), dim=2)
    moved = recognizer.moved(own, amounts)
    torch.testing.assert_close(moved, recognizer.prototypes[3].expand_as(moved))


def test_the_more_is_missed_the_further_an_embedding_moves(recognizer):
    own = torch.nn.functional.normalize(torch.randn(1, 6), dim=1)
    amounts = torch.zeros(1, 8)
    similarity = []
    for amount in (0.0, 0.15, 0.35, 0.5):
        amounts[0, 2] = amount
        similarity.append(float(recognizer.moved(own, amounts)[0] @ recognizer.prototypes[2]))
    assert similarity == sorted(similarity)
    assert similarity[0] < similarity[-1] < 1


def test_what_the_head_finds_is_what_is_reported(tiny_eyes, recognizer):
    recognizer.head.weight.zero_()
    recognizer.head.bias.copy_(torch.tensor([-9.0, -9, 2, -9, -9, -9, -9, -9]))
    caution = Caution({"haze": (0.5, 0.9)}, {})
    picture = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)  # evidence enough
    percepts = CompactPerceiver(tiny_eyes, recognizer, caution).perceive_image(picture)
    haze = 1 / (1 + np.exp(-2))
    assert dict(zip(percepts.names, percepts.probabilities, strict=True))["haze"] == pytest.approx(haze, 1e-4)
    assert percepts.tone == pytest.approx((haze - 0.5) / 0.4, abs=1e-4)


def test_a_batch_and_a_picture_are_told_alike(tiny_eyes, recognizer):
    perceiver = CompactPerceiver(tiny_eyes, recognizer)
    recognizer.trust.fill_(0.4)
    image = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    percepts = perceiver.told(perceiver.perceive_image(image), ["rain", "haze"])
    guidance = perceiver.perceive(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    there = torch.tensor([[float(name in ("rain", "haze")) for name in percepts.names]])
    declared = perceiver.declared(guidance, there)
    torch.testing.assert_close(
        torch.from_numpy(percepts.guidance.degradation), declared.degradation, atol=1e-3, rtol=0
    )
    assert percepts.change == float(declared.change) == 1
    assert percepts.tone == float(declared.tone) == 1


def test_a_picture_declared_clean_may_not_be_changed(tiny_eyes, recognizer):
    perceiver = CompactPerceiver(tiny_eyes, recognizer)
    percepts = perceiver.told(perceiver.perceive_image(np.zeros((40, 40, 3), np.uint8)), [])
    assert percepts.change == percepts.tone == percepts.guidance.coarse == 0


def test_other_weights_have_another_fingerprint(tiny_eyes, recognizer):
    without = CompactPerceiver(tiny_eyes).identity
    before = CompactPerceiver(tiny_eyes, recognizer).identity
    recognizer.trust.fill_(0.25)
    after = CompactPerceiver(tiny_eyes, recognizer).identity
    assert len({without.fingerprint, before.fingerprint, after.fingerprint}) == 3
