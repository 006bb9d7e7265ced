import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.training.restorer.visibility import just_noticeable_difference, visibility


def flat(level: float, side: int = 9) -> torch.Tensor:
    """A picture of one grey level out of 255."""
    return torch.full((1, 3, side, side), level / 255)


def edge(dark: float, bright: float, side: int = 12) -> torch.Tensor:
    """A vertical edge in the middle."""
    image = flat(dark, side)
    image[..., side // 2 :] = bright / 255
    return image


@pytest.mark.parametrize(("level", "threshold"), [(0, 20.0), (127, 3.0), (255, 6.0), (31.75, 11.5)])
def test_flat_grey_has_the_published_threshold(level, threshold):
    found = just_noticeable_difference(flat(level))
    assert found.shape == (1, 1, 9, 9)
    assert torch.allclose(found, torch.tensor(threshold), atol=1e-3)


@given(height=st.integers(60, 200))
def test_a_threshold_rises_where_the_picture_varies(height):
    found = just_noticeable_difference(edge(127 - height / 2, 127 + height / 2))[0, 0, 6]
    assert found[[5, 6]].min() > found[[0, 11]].max()


def test_an_edge_hides_an_eighth_of_its_height_more_or_less():
    # Beside an edge the gradient is its height; f1 = mg (0.115 + bg / 10^4) + 1/2 - bg / 100.
    found = just_noticeable_difference(edge(50, 200))[0, 0, 6, 5]
    assert found == pytest.approx(150 * (0.115 + 0.0001 * 105) + 0.5 - 1.05, rel=0.05)


def test_texture_is_masked_whichever_way_it_runs():
    stripes = edge(60, 190)
    slanted = torch.where(torch.ones(12, 12).triu() > 0, 190 / 255, 60 / 255).expand(1, 3, 12, 12)
    for picture in (stripes, stripes.mT, slanted, slanted.flip(3)):
        found = just_noticeable_difference(picture)
        assert found.max() > 2 * found.min()


def test_turning_or_mirroring_a_picture_does_the_same_to_its_thresholds():
    picture = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = just_noticeable_difference(picture)
    assert torch.allclose(just_noticeable_difference(picture.flip(3)), found.flip(3), atol=1e-3)
    assert torch.allclose(
        just_noticeable_difference(picture.rot90(1, (2, 3))), found.rot90(1, (2, 3)), atol=1e-3
    )


def test_weights_are_one_on_the_average_and_smaller_where_less_is_seen():
    picture = torch.cat([edge(10, 127), edge(127, 127)])
    weights = visibility(picture)
    assert torch.allclose(weights.mean(dim=(1, 2, 3)), torch.ones(2))
    assert torch.allclose(weights[1], torch.ones(1, 12, 12))
    assert weights[0, 0, 6, 0] < weights[0, 0, 6, 11]
