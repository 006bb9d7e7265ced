from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from clearair.errors import ImageError, ModelError, UsageError
from clearair.finishing import FinishedNetwork
from clearair.models import load_model
from clearair.models.stamp import PerceiverStamp
from clearair.network import TINY
from clearair.perception import Degradation, load_compact
from clearair.perception.choice import Choice
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.compact.roles import CompactDegradation, CompactQuality, CompactRegions
from clearair.perception.compact.stored import shipped_folder
from clearair.perception.confidence import Caution
from clearair.perception.mixed import MixedPerceiver
from clearair.perception.telling import known_kinds, tell
from clearair.restorer import Restorer
from clearair.runtime.pytorch import PyTorchRuntime


class Halves:
    """Where: the left half, and the rest."""

    name = "halves"
    fingerprint = "1" * 64
    region_count = 4

    def to(self, device):
        return self

    def segment(self, images):
        maps = [np.zeros(image.shape[:2], np.uint8) for image in images]
        for labels in maps:
            labels[:, : labels.shape[1] // 2] = 1
        return maps


class Colour:
    """What: the mean colour, which it has no words for."""

    name = "colour"
    fingerprint = "2" * 64
    content_dim = degradation_dim = 3
    caution = Caution()

    def to(self, device):
        return self

    def identify(self, images, labels=None):
        means = np.stack([_unit(image.reshape(-1, 3)) for image in images])
        local = None
        if labels is not None:
            local = tuple(
                np.stack([_unit(image[regions == label]) for label in range(regions.max() + 1)])
                for image, regions in zip(images, labels, strict=True)
            )
        return Degradation(means, means, ("a", "b"), None, local)

    def probabilities(self, embeddings):
        return None


def _unit(pixels):
    mean = pixels.mean(axis=0) + 1
    return (mean / np.linalg.norm(mean)).astype(np.float32)


@pytest.fixture
def mixed(tiny_perceiver: CompactPerceiver) -> MixedPerceiver:
    return MixedPerceiver(CompactQuality(tiny_perceiver), Halves(), Colour())


def test_each_answers_its_question(mixed, tiny_perceiver, astronaut):
    percepts = mixed.perceive_image(astronaut)
    assert percepts.score == pytest.approx(tiny_perceiver.perceive_image(astronaut).score)
    assert percepts.labels[0, 0] == 1
    assert percepts.labels[0, -1] == 0
    np.testing.assert_allclose(
        percepts.guidance.local_degradation[0, 1], _unit(astronaut[:, :128].reshape(-1, 3))
    )
    # Regions that this image does not have are told what is true of the whole.
    np.testing.assert_array_equal(percepts.guidance.local_degradation[0, 3], percepts.guidance.degradation[0])


def test_the_three_compact_roles_together_say_what_the_compact_perceiver_says(tiny_perceiver, astronaut):
    roles = (CompactQuality, CompactRegions, CompactDegradation)
    mixed = MixedPerceiver(*(role(tiny_perceiver) for role in roles))
    one, other = mixed.perceive_image(astronaut), tiny_perceiver.perceive_image(astronaut)
    np.testing.assert_array_equal(one.labels, other.labels)
    for name in ("quality", "content", "degradation"):
        np.testing.assert_allclose(getattr(one.guidance, name), getattr(other.guidance, name), atol=1e-5)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert one.local_probabilities.shape == other.local_probabilities.shape
    assert known_kinds(mixed) == tiny_perceiver.config.kinds
    named = [tell(each, one, ["haze"]).guidance for each in (mixed, tiny_perceiver)]
    np.testing.assert_array_equal(named[0].local_degradation, named[1].local_degradation)


def test_regions_are_judged_as_by_the_compact_perceiver_alone():
    perceiver = load_compact()
    mixed = MixedPerceiver(
        CompactQuality(perceiver), CompactRegions(perceiver), CompactDegradation(perceiver)
    )
    rng = np.random.default_rng(0)
    foggy = (180 + 20 * rng.standard_normal((96, 128, 3))).clip(0, 255).astype(np.uint8)
    for image in (foggy, np.full((64, 96, 3), 235, np.uint8)):
        one, other = mixed.perceive_image(image), perceiver.perceive_image(image)
        np.testing.assert_allclose(one.local_probabilities, other.local_probabilities, atol=0.02)
        local = (each.guidance.local_degradation for each in (one, other))
        np.testing.assert_allclose(*local, atol=0.02)


def test_without_words_nothing_is_named_and_the_hand_is_free(mixed, astronaut):
    percepts = mixed.perceive_image(astronaut)
    assert percepts.names == ()
    told = percepts.to_dict()
    assert told["degradations"] == {}
    assert (told["change"], told["tone"]) == (1, 1)
    assert mixed.perceive(torch.rand(2, 3, 16, 24)).change.tolist() == [1, 1]


def test_its_identity_is_made_of_the_three(mixed, tiny_perceiver):
    identity = mixed.identity
    assert identity.name == "compact + halves + colour"
    assert (identity.quality_dim, identity.content_dim, identity.region_count) == (5, 3, 4)
    other = MixedPerceiver(CompactQuality(tiny_perceiver), Halves(), Colour())
    assert other.identity == identity
    other = MixedPerceiver(CompactQuality(tiny_perceiver), Halves(), Colour())
    other.degradation.fingerprint = hashlib.sha256(b"other weights").hexdigest()
    assert other.identity.fingerprint != identity.fingerprint


def test_a_batch_is_told_what_each_image_is_told(mixed, astronaut):
    images = torch.from_numpy(np.stack([astronaut, astronaut[::-1]])).permute(0, 3, 1, 2) / 255
    with torch.autocast("cpu", torch.bfloat16):
        guidance = mixed.perceive(images)
    alone = mixed.perceive_image(np.ascontiguousarray(astronaut[::-1]))
    np.testing.assert_array_equal(guidance.labels[1], alone.labels)
    np.testing.assert_allclose(guidance.quality[1], alone.guidance.quality[0], atol=1e-6)
    np.testing.assert_allclose(guidance.local_degradation[1], alone.guidance.local_degradation[0], atol=1e-6)


def test_other_arrays_are_refused(mixed):
    with pytest.raises(ImageError, match="RGB"):
        mixed.perceive_image(np.zeros((4, 4), np.uint8))


def test_a_model_is_saved_with_its_mix_and_refuses_others(mixed, tmp_path, astronaut):
    torch.manual_seed(0)
    from dataclasses import replace

    network = FinishedNetwork(replace(TINY, quality_dim=5, content_dim=3, degradation_dim=3, region_count=4))
    restorer = Restorer(PyTorchRuntime(network, device="cpu", precision="fp32"), mixed)
    assert restorer(astronaut[:40, :50]).image.shape == (40, 50, 3)
    restorer.save_pretrained(tmp_path / "model")
    assert load_model(tmp_path / "model").perceivers == PerceiverStamp.of(mixed)
    again = Restorer.from_pretrained(tmp_path / "model", perceiver=mixed, device="cpu")
    assert again.perceiver is mixed
    with pytest.raises(ModelError, match=r"compact \+ halves.*but compact in the ones at hand"):
        Restorer.from_pretrained(tmp_path / "model", device="cpu")


def test_tensors_are_rounded_to_8_bits_and_not_truncated(mixed, astronaut):
    level = astronaut[:64, :64]
    off = np.where(level > 0, 0.4, 0)
    told = [
        mixed.perceive(torch.from_numpy((level - part) / 255).permute(2, 0, 1)[None].float())
        for part in (0, off)
    ]
    assert torch.equal(told[0].content, told[1].content)
    assert torch.equal(told[0].quality, told[1].quality)


def test_a_choice_of_nothing_is_the_embedded_perceiver():
    assert isinstance(Choice().load(), CompactPerceiver)


@pytest.mark.parametrize("text", ["", "=x", "compact="])
def test_a_choice_that_is_no_name_is_refused(text):
    with pytest.raises(UsageError, match="NAME=WEIGHTS"):
        Choice(quality=text).load()


def test_a_choice_names_weights(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        Choice(regions=f"compact={tmp_path / 'nowhere'}").load()


class CountingPerceiver(CompactPerceiver):
    """Counts its looks."""

    looks = 0

    def look(self, image):
        self.looks += 1
        return super().look(image)


def test_an_embedded_perceiver_in_several_roles_looks_at_each_image_once(tiny_perceiver, astronaut):
    perceiver = CountingPerceiver(tiny_perceiver.eyes)
    other = np.ascontiguousarray(astronaut[::-1])
    mixed = MixedPerceiver(
        *(role(perceiver) for role in (CompactQuality, CompactRegions, CompactDegradation))
    )
    mixed.perceive_images([astronaut, other])
    assert perceiver.looks == 2
    # A look is not kept beyond the call: the image may have changed.
    mixed.perceive_images([astronaut])
    assert perceiver.looks == 3


def test_a_choice_loads_the_embedded_perceiver_once():
    loaded = Choice(regions="compact", quality="compact", degradation="compact")
    assert isinstance(loaded.load(), CompactPerceiver)
    mix = Choice(quality=f"compact={shipped_folder()}", regions=f"compact={shipped_folder()}").load()
    assert mix.quality._perceiver is mix.regions._perceiver
