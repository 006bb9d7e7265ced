"""The network: shapes, unit lengths, cost, and that folding the normalisation changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from clearair.errors import ConfigError
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes, folded, unfolded


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (7, 300), (65, 33)])
def test_shapes_do_not_depend_on_the_size_of_the_image(tiny_eyes, size):
    config = tiny_eyes.config
    sight = tiny_eyes(torch.rand(2, 3, *size))
    assert sight.levels.shape == (2, 5)
    assert sight.quality.shape == (2, config.quality_dim)
    assert sight.content.shape == (2, config.content_dim)
    assert sight.degradation.shape == (2, config.degradation_dim)
    height, width = sight.dense_degradation.shape[2:]
    assert sight.dense_degradation.shape[:2] == (2, config.degradation_dim)
    assert sight.regions.shape == (2, config.region_dim, 4 * height, 4 * width)


def test_embeddings_have_length_one(tiny_eyes):
    sight = tiny_eyes(torch.rand(2, 3, 48, 48))
    for vectors in (sight.content, sight.degradation, sight.dense_degradation):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones_like(vectors[:, 0]))


def test_the_score_is_the_expectation_of_the_levels(tiny_eyes):
    sight = tiny_eyes(torch.rand(1, 3, 48, 48))
    expected = (sight.levels.softmax(dim=1) * torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])).sum(dim=1)
    torch.testing.assert_close(sight.score, expected)


def test_the_kinds_are_linear_in_the_embedding(tiny_eyes):
    first, second = torch.randn(2, 3, tiny_eyes.config.degradation_dim)
    middle = tiny_eyes.kind_logits((first + second) / 2)
    torch.testing.assert_close(middle, (tiny_eyes.kind_logits(first) + tiny_eyes.kind_logits(second)) / 2)


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(3)
    eyes = CompactEyes(EyesConfig(far_pixels=4096), normed=True)
    eyes.train()(torch.rand(4, 3, 96, 96))  # moves the running averages away from their start
    images = torch.rand(2, 3, 80, 60)
    with torch.no_grad():
        normed, plain = eyes.eval()(images), folded(eyes)(images)
    for name, value in vars(plain).items():
        torch.testing.assert_close(value, getattr(normed, name), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("size", "most"), [((256, 256), 0.6e9), ((1000, 1000), 0.7e9)])
def test_perceiving_is_cheap(size, most):
    eyes = CompactEyes(EyesConfig()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        eyes(torch.rand(1, 3, *size))
    assert counter.get_total_flops() / 2 <= most
    assert sum(parameter.numel() for parameter in eyes.parameters()) <= 1.2e6


def test_a_config_survives_json():
    config = EyesConfig(near_crops=9, far_widths=(4, 8, 8, 8))
    assert EyesConfig.from_dict({**config.to_dict(), "far_widths": [4, 8, 8, 8]}) == config


def test_an_unknown_field_is_refused():
    with pytest.raises(ConfigError, match="colour"):
        EyesConfig.from_dict({"colour": 1})


@pytest.mark.parametrize("field", [{"far_widths": (1, 2)}, {"near_side": 20}, {"region_count": 300}])
def test_a_config_that_makes_no_sense_is_refused(field):
    with pytest.raises(ConfigError, match=next(iter(field))):
        EyesConfig(**field)


def test_unfolding_changes_nothing_but_scales_every_kernel_to_one(tiny_eyes):
    batches = [torch.rand(3, 3, 96, 80, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    normed = unfolded(tiny_eyes, batches)
    images = torch.rand(2, 3, 64, 90)
    with torch.no_grad():
        before, after, again = tiny_eyes(images), normed(images), folded(normed)(images)
    for name, value in vars(before).items():
        torch.testing.assert_close(getattr(after, name), value, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(getattr(again, name), value, atol=1e-4, rtol=1e-4)
    kernel = normed.far.stages[0][0].weight
    torch.testing.assert_close(kernel.flatten(1).norm(dim=1), torch.ones(len(kernel)))


def test_what_unfolding_takes_away_is_what_the_batches_have(tiny_eyes):
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    normed = unfolded(tiny_eyes, [images]).train()
    with torch.no_grad():
        measured, stored = normed(images), normed.eval()(images)
    torch.testing.assert_close(measured.quality, stored.quality, atol=0.02, rtol=0.02)
