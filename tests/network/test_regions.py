import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.network.regions import (
    RegionAttention,
    RegionTokens,
    attend,
    drop_regions,
    membership,
)

REGIONS = 5


@st.composite
def partitions(draw: st.DrawFn) -> torch.Tensor:
    """(1, H, W) labels, with empty regions and regions of one pixel among them."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    used = draw(st.lists(st.integers(0, REGIONS - 1), min_size=1, max_size=REGIONS, unique=True))
    seed = draw(st.integers(0, 10_000))
    picked = torch.randint(len(used), (height * width,), generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(used)[picked]
    if draw(st.booleans()):
        labels[0] = REGIONS - 1
        labels[1:][labels[1:] == REGIONS - 1] = used[0] if used[0] != REGIONS - 1 else 0
    return labels.view(1, height, width)


def literal_attention(module: RegionAttention, x: torch.Tensor, features: torch.Tensor, labels: torch.Tensor):
    """Eqs. 5-9 as they are written: a map of region means, and attention from every pixel to every pixel."""
    spread = torch.zeros_like(features)
    for label in labels.unique():
        mask = (labels == label)[:, None]
        mean = (features * mask).sum(dim=(2, 3), keepdim=True) / mask.sum()
        spread = spread + mean * mask
    pixels = module.norm(spread.flatten(2).transpose(1, 2))  # (1, H*W, C)
    query = module.to_query(module.norm_query(x)).flatten(2).transpose(1, 2)
    key, value = module.to_key(pixels), module.to_value(pixels)
    outputs = []
    for part in zip(*(t.chunk(module.heads, dim=2) for t in (query, key, value)), strict=True):
        q, k, v = part
        outputs.append((q @ k.transpose(1, 2) / q.shape[2] ** 0.5).softmax(dim=2) @ v)
    mixed = torch.cat(outputs, dim=2).transpose(1, 2).view(1, -1, *x.shape[2:])
    return x + module.project_out(mixed)


@given(labels=partitions(), heads=st.sampled_from([1, 2]), seed=st.integers(0, 100))
def test_region_tokens_give_the_same_as_literal_pixel_to_pixel_attention(labels, heads, seed):
    torch.manual_seed(seed)
    module = RegionAttention(6, 4, 8, heads).double()
    torch.nn.init.normal_(module.project_out.weight)
    x = torch.randn(1, 6, *labels.shape[1:], dtype=torch.float64)
    features = torch.randn(1, 4, *labels.shape[1:], dtype=torch.float64)
    with torch.no_grad():
        members = membership(labels, REGIONS).double()
        areas = members.sum(dim=(2, 3))
        means = torch.einsum("bnhw,bchw->bnc", members, features) / areas.clamp_min(1e-6)[..., None]
        tokens = RegionTokens(means, areas)
        fast, literal = module(x, tokens), literal_attention(module, x, features, labels)
    assert (fast - literal).abs().max() < 1e-10


@given(labels=partitions())
def test_membership_is_a_partition_of_unity(labels):
    members = membership(labels, REGIONS)
    assert torch.equal(members.sum(dim=1), torch.ones(labels.shape))
    assert torch.equal(members.argmax(dim=1), labels)


def test_a_coarse_cell_belongs_to_its_regions_by_area():
    labels = torch.tensor([[[0, 1], [1, 1]]])
    assert membership(labels, 2, stride=2).flatten().tolist() == [0.25, 0.75]


@given(labels=partitions(), probability=st.floats(0, 1), seed=st.integers(0, 100))
def test_dropped_regions_join_the_background(labels, probability, seed):
    dropped = drop_regions(labels, REGIONS, probability, torch.Generator().manual_seed(seed))
    changed = dropped != labels
    assert torch.all(dropped[changed] == 0)
    for label in labels.unique():
        assert len(dropped[labels == label].unique()) == 1


def test_all_or_no_regions_are_dropped_at_the_ends():
    labels = torch.arange(5).view(1, 1, 5)
    assert torch.equal(drop_regions(labels, 5, 0.0, torch.Generator()), labels)
    assert torch.equal(drop_regions(labels, 5, 1.0, torch.Generator()), torch.zeros_like(labels))


def test_region_attention_starts_as_the_identity():
    x = torch.randn(2, 6, 4, 4)
    assert torch.equal(
        RegionAttention(6, 4, 8, 2)(x, RegionTokens(torch.randn(2, 3, 4), torch.ones(2, 3))), x
    )


def test_a_token_of_no_area_is_never_attended():
    query, value = torch.randn(1, 4, 3, 3), torch.tensor([[[1.0] * 4, [1e6] * 4]])
    mixed = attend(query, torch.randn(1, 2, 4), value, 1, torch.tensor([[3.0, 0.0]]).log())
    assert torch.allclose(mixed, torch.ones_like(mixed))


@pytest.mark.parametrize("bias", [None, torch.zeros(1, 1)])
def test_a_single_token_is_simply_taken(bias):
    mixed = attend(torch.randn(1, 4, 2, 2), torch.randn(1, 1, 4), torch.full((1, 1, 4), 7.0), 2, bias)
    assert torch.allclose(mixed, torch.full_like(mixed, 7.0))
