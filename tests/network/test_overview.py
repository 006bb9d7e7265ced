"""Mask average pooling (eqs. 5-6) of the whole picture, against the literal formula."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from clearair.network import BASE, COMPACT, overview
from clearair.network.overview import STRIP, THUMBNAIL, survey, survey_rows
from clearair.network.regions import membership
from tests.network.conftest import random_guidance, random_network

NARROW = {"blocks": (1, 1, 1, 1), "channels": (8, 16, 32, 64), "decoder_blocks": (1, 1, 1)}
"""The paper's network, narrow and shallow; its padding and its multiple of 8 stay."""
SHALLOW = {"blocks": (1, 1, 1), "channels": (8, 16, 32), "decoder_blocks": (1, 1), "tone": False}


@pytest.mark.parametrize("size", [(64, 64), (13, 300), (1, 1), (2 * STRIP + 5, 9), (STRIP + 2, 16), (40, 7)])
@pytest.mark.parametrize(
    "config",
    [
        replace(BASE, **NARROW),
        replace(BASE, **NARROW, padding="replicate", conv_bias=True),
        replace(COMPACT, **SHALLOW),
        replace(COMPACT, **SHALLOW, padding="zeros"),
    ],
    ids=["base", "base, replicate", "compact", "compact, zeros"],
)
def test_tokens_equal_the_mean_of_the_shallow_features_of_each_region(config, size):
    network = random_network(config)
    image, guidance = torch.rand(2, 3, *size), random_guidance(config, size, batch=2)
    labels = guidance.labels.clone()
    labels[1] = 3  # a region that covers the picture
    labels[0, :2] = 5  # and one of two rows at the top
    height, width = (-(-side // config.stem) for side in size)
    with torch.no_grad():
        features = network.extraction(network.to_cells(image))[..., :height, :width]
        tokens = network._tokens(survey(image, labels, config))
    pad = (0, -size[1] % config.stem, 0, -size[0] % config.stem)
    cells = F.pad(labels[:, None].float(), pad, mode="replicate")[:, 0]
    masks = membership(cells, config.region_count, config.stem)
    counts = masks.sum(dim=(2, 3))[..., None]
    means = torch.einsum("bnhw,bchw->bnc", masks, features) / counts.clamp_min(1e-6)
    there = counts[..., 0] > 0
    assert torch.allclose(tokens.features[there], means[there], atol=1e-5)
    assert torch.allclose(tokens.areas, counts[..., 0])


def config_of(regions: int, stem: int):
    """A stem of 4 is no configuration that a network may have, but strips must not care."""
    config = replace(COMPACT, region_count=regions)
    object.__setattr__(config, "stem", stem)
    return config


@pytest.mark.parametrize("size", [(1, 1), (5, 700), (901, 7)])
def test_an_overview_is_the_same_however_it_is_read(size):
    image, labels = torch.rand(1, 3, *size), torch.randint(4, (1, *size))
    whole = survey(image, labels, config_of(4, 2))
    asked: list[int] = []

    def rows(top: int, bottom: int) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(bottom - top)
        return image[:, :, top:bottom], labels[:, top:bottom]

    read = survey_rows(rows, size, config_of(4, 2))
    assert torch.equal(read.neighbourhoods, whole.neighbourhoods)
    assert torch.allclose(read.thumbnail, F.adaptive_avg_pool2d(image, THUMBNAIL), atol=1e-6)
    assert torch.allclose(whole.areas.sum(), torch.tensor(-(-size[0] // 2) * -(-size[1] // 2) * 1.0))
    assert max(asked) <= max(STRIP + 4, 4 * THUMBNAIL)


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("height", [*range(STRIP - 3, STRIP + 6), 2 * STRIP + 1, 3 * STRIP + 3])
def test_an_overview_does_not_depend_on_where_strips_end(monkeypatch, stem, height):
    image, labels = torch.rand(1, 3, height, 6), torch.randint(3, (1, height, 6))
    strips = survey(image, labels, config_of(3, stem))
    monkeypatch.setattr(overview, "STRIP", 4 * height)
    whole = survey(image, labels, config_of(3, stem))
    assert torch.allclose(strips.neighbourhoods, whole.neighbourhoods, atol=1e-6)
    assert torch.allclose(strips.areas, whole.areas)
