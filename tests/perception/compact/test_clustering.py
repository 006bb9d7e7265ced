"""Region maps from embeddings: a partition with an order, the same every time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearair.perception.compact.clustering import cluster_regions


def blocks(*columns: tuple[int, float]) -> torch.Tensor:
    """An embedding (1, 2, 16, W) of vertical stripes, each (width, value)."""
    row = torch.cat([torch.full((width,), value) for width, value in columns])
    return torch.stack([row, -row]).expand(16, 2, -1).permute(1, 0, 2)[None].contiguous()


def test_well_separated_stripes_are_found_and_numbered_by_area():
    labels = cluster_regions(blocks((4, 5.0), (16, 0.0), (8, -5.0)), 1.0, 15, (16, 28))
    assert labels.dtype == torch.uint8
    assert labels[0, :, 6:18].unique().tolist() == [1]
    assert labels[0, :, 22:].unique().tolist() == [2]
    assert labels[0, :, :2].unique().tolist() == [3]


def test_stripes_closer_than_the_radius_are_one_region():
    labels = cluster_regions(blocks((8, 0.0), (8, 0.2)), 1.0, 15, (64, 64))
    assert labels.unique().tolist() == [1]


def test_a_flat_image_is_one_region():
    assert cluster_regions(torch.zeros(1, 4, 12, 12), 1.0, 15, (48, 48)).unique().tolist() == [1]


def test_what_lies_far_from_every_allowed_region_belongs_to_none():
    labels = cluster_regions(blocks((12, 0.0), (8, 9.0), (4, -9.0)), 1.0, 2, (16, 24))
    assert labels[0, :, 21:].unique().tolist() == [0]
    assert labels.unique().tolist() == [0, 1, 2]


def test_a_region_below_the_smallest_area_falls_to_a_neighbour_or_to_none():
    embedding = torch.zeros(1, 2, 64, 64)
    embedding[:, :, :2, :2] = 1.2
    assert cluster_regions(embedding, 1.0, 15, (64, 64)).unique().tolist() == [1]
    embedding[:, :, :2, :2] = 9.0
    assert cluster_regions(embedding, 1.0, 15, (64, 64)).unique().tolist() == [0, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 15), st.integers(4, 20), st.integers(4, 20))
def test_labels_are_consecutive_bounded_and_ordered(seed, regions, height, width):
    embedding = 2 * torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(seed))
    labels = cluster_regions(embedding, 1.0, regions, (height, width))
    assert labels.shape == (2, height, width)
    assert int(labels.max()) <= regions
    assert torch.equal(labels, cluster_regions(embedding, 1.0, regions, (height, width)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_one_image_is_clustered_as_in_a_batch(seed):
    values = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(seed)).repeat_interleave(4, 2)
    embedding = 3 * values.repeat_interleave(4, 3)
    together = cluster_regions(embedding, 1.0, 15, (16, 16))
    alone = torch.cat([cluster_regions(image[None], 1.0, 15, (16, 16)) for image in embedding])
    assert (together == alone).float().mean() > 0.99


@pytest.mark.parametrize("size", [(16, 16), (33, 70)])
def test_the_map_has_the_size_asked_for(size):
    assert cluster_regions(torch.rand(1, 3, 4, 4), 1.0, 3, size).shape == (1, *size)
