import json
from dataclasses import replace

import pytest
import torch

from clearair.errors import ConfigError
from clearair.network import BASE, COMPACT, TINY, ClearAIR, NetworkConfig
from tests.network.conftest import random_guidance


@pytest.mark.parametrize("config", [BASE, COMPACT, TINY])
def test_a_config_survives_json(config):
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_misspelt_field_is_named():
    with pytest.raises(ConfigError, match="chanels"):
        NetworkConfig.from_dict({"chanels": [8, 16]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blocks", (1,)),
        ("heads", (1, 2, 3)),
        ("decoder_blocks", (1, 1)),
        ("channels", (8, 15)),
        ("order", ("how", "how", "what")),
        ("block", ("conv", "dense")),
        ("resampling", "nearest"),
        ("padding", "reflect"),
        ("channels", (8, 18)),
        ("heads", (0, 2)),
        ("blocks", (-1, 1)),
        ("expansion", 0.0),
        ("stem", 3),
        ("quality", "guessed"),
        ("prompts", 0),
        ("region_count", 300),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(field, value):
    with pytest.raises(ConfigError):
        replace(TINY, **{field: value})


def test_guidance_of_another_size_is_refused():
    network, image = ClearAIR(TINY), torch.rand(1, 3, 8, 8)
    with pytest.raises(ConfigError, match="labels"):
        network(image, random_guidance(TINY, (8, 9)))
    with pytest.raises(ConfigError, match="quality"):
        network(image, random_guidance(replace(TINY, quality_dim=9), (8, 8)))


def test_guidance_whose_parts_do_not_belong_together_is_refused():
    one, two = random_guidance(TINY, (4, 4)), random_guidance(TINY, (4, 4), batch=2)
    with pytest.raises(ConfigError, match="quality"):
        replace(one, quality=two.quality)
    with pytest.raises(ConfigError, match="local"):
        replace(one, degradation=one.degradation[:, :2])


def test_a_window_crops_only_the_labels():
    guidance = random_guidance(TINY, (10, 12))
    window = guidance.window(2, 3, 4, 5)
    assert torch.equal(window.labels, guidance.labels[:, 2:6, 3:8])
    assert window.quality is guidance.quality
