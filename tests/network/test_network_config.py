import json
from dataclasses import replace

import pytest

from clearair.errors import ConfigError
from clearair.network import BASE, COMPACT, TINY, NetworkConfig


@pytest.mark.parametrize("config", [BASE, COMPACT, TINY])
def test_a_config_survives_json(config):
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_field_is_named():
    with pytest.raises(ConfigError, match="no field depth"):
        NetworkConfig.from_dict({**TINY.to_dict(), "depth": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1,)}, "blocks needs 2 entries"),
        ({"heads": (1, 2, 4)}, "heads needs 2 entries"),
        ({"block": ("conv",)}, "block needs 2 entries"),
        ({"decoder_blocks": (1, 1)}, "decoder_blocks needs 1 entries"),
        ({"channels": (8, 15)}, "15 channels must be even"),
        ({"heads": (1, 3)}, "divide by 3 heads"),
        ({"order": ("how", "where")}, "order must permute"),
        ({"order": ("how", "how", "what")}, "order must permute"),
        ({"quality": "guessed"}, "quality must be one of"),
        ({"regions": ""}, "regions must be one of"),
        ({"degradation": "None"}, "degradation must be one of"),
        ({"block": ("conv", "dense")}, "'dense' is none of"),
        ({"resampling": "bilinear"}, "resampling must be one of"),
        ({"stem": 3}, "stem must be 1 or 2"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"region_count": 0}, "region_count must be at least 1"),
        ({"region_count": 257}, "fit a byte"),
    ],
)
def test_a_contradiction_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **changes)


def test_a_network_of_one_level_is_refused():
    with pytest.raises(ConfigError, match="at least 2 levels"):
        replace(TINY, channels=(8,), blocks=(1,), heads=(1,), block=("conv",), decoder_blocks=())


def test_both_sides_are_multiples_of_the_coarsest_cell():
    assert (BASE.multiple, TINY.multiple, replace(TINY, stem=2).multiple) == (8, 2, 4)
