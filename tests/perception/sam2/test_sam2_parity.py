"""The perceiver against the plain reference, from the image to the masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearair.perception import load_regions
from clearair.perception.sam2 import MaskSettings
from clearair.perception.sam2.names import expected_names
from clearair.perception.sam2.pixels import normalised, to_square
from clearair.perception.sam2.sizes import read_config, sizes_from_shapes, with_square
from tests.perception.sam2.conftest import TINY
from tests.perception.sam2.reference import Reference, standardised

FEATURES, IOU, LOGITS = 1e-4, 1e-5, 6e-5
SHAPES = [(96, 128), (128, 40), (20, 200), (1, 1)]


@pytest.fixture(scope="module")
def reference(authors_file) -> Reference:
    tensors = torch.load(authors_file, weights_only=True)["model"]
    return Reference(
        tensors,
        side=128,
        stages=[1, 1, 2, 1],
        windows=[4, 4, 4, 2],
        far=[3],
        heads=1,
        decoder_heads=2,
    )


@pytest.fixture(scope="module")
def regions(authors_file):
    return load_regions("sam2", authors_file, config=TINY)


def photo(astronaut: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    tiled = np.tile(astronaut, (1, 2, 1))
    return np.ascontiguousarray(tiled[: shape[0], : shape[1]])


def authors_grid(shape: tuple[int, int], side: int) -> torch.Tensor:
    """Four points a side in the middle of equal parts of the photo, in its pixels, then in the square."""
    height, width = shape
    places = [(width * (x + 0.5) / 4, height * (y + 0.5) / 4) for y in range(4) for x in range(4)]
    return torch.tensor([(x / width * side, y / height * side) for x, y in places], dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_features_logits_and_predicted_ious_are_those_of_the_reference(reference, regions, astronaut, shape):
    image = photo(astronaut, shape)
    if shape == (1, 1):
        image = np.full((1, 1, 3), 130, np.uint8)
    seen = reference.features(reference.pixels(image))
    logits, ious = reference.masks(seen, authors_grid(shape, 128))
    ours = regions.model.get_image_embeddings(normalised(to_square(image, 128))[None])
    for one, other in zip(reversed(ours), seen, strict=True):
        assert float((one.double() - other).abs().max()) < FEATURES
    found, scores = regions.ask(image)
    assert found.shape == (48, 32, 32)
    assert float((scores.double() - ious.flatten()).abs().max()) < IOU
    difference = found.double().clamp(-32, 32) - logits.flatten(0, 1).clamp(-32, 32)
    assert float(difference.abs().max()) < LOGITS
    # Points, masks and photos are told apart by far more than that.
    assert float(logits.std(dim=0).mean()) > 100 * LOGITS
    assert float(ious.std()) > 100 * IOU


def test_a_dark_image_is_seen_as_a_brighter_one(reference, regions, astronaut):
    dark = (astronaut * 0.12).astype(np.uint8)
    square = torch.from_numpy(dark).permute(2, 0, 1)[None].float() / 255
    square = torch.nn.functional.interpolate(square, (128, 128), mode="bilinear", antialias=True).double()
    mean = float((square.mean(dim=(0, 2, 3)) * torch.tensor([0.299, 0.587, 0.114]).double()).sum())
    assert mean < 0.2
    brighter = square ** (np.log(0.3) / np.log(mean))
    points = authors_grid(dark.shape[:2], 128)
    expected, _ = reference.masks(reference.features(standardised(brighter)), points)
    as_it_is, _ = reference.masks(reference.features(reference.pixels(dark)), points)
    found = regions.ask(dark)[0].double()
    assert float((found - expected.flatten(0, 1)).abs().max()) < 10 * LOGITS
    assert float((found - as_it_is.flatten(0, 1)).abs().max()) > 100 * LOGITS


TRUNKS = {
    "tiny": {"embed_dim": 96, "num_heads": 1, "stages": [1, 2, 7, 2], "global_att_blocks": [5, 7, 9]},
    "small": {"embed_dim": 96, "num_heads": 1, "stages": [1, 2, 11, 2], "global_att_blocks": [7, 10, 13]},
    "base": {"embed_dim": 112, "num_heads": 2, "stages": [2, 3, 16, 3], "global_att_blocks": [12, 16, 20]},
    "large": {"embed_dim": 144, "num_heads": 2, "stages": [2, 6, 36, 4], "global_att_blocks": [23, 33, 43]},
}
"""What the authors' own configs say of Hiera."""


@pytest.mark.parametrize("size", TRUNKS)
def test_of_a_published_file_shapes_say_what_the_authors_config_does(size):
    from transformers import Sam2Config, Sam2Model

    windows = [8, 4, 16, 8] if size == "large" else [8, 4, 14, 7]
    behind = [14, 14] if size == "base" else [7, 7]
    trunk = TRUNKS[size] | {"window_spec": windows, "window_pos_embed_bkg_spatial_size": behind}
    channels = [trunk["embed_dim"] * 2**stage for stage in (3, 2, 1, 0)]
    neck = {"d_model": 256, "backbone_channel_list": channels}
    stated = with_square(read_config({"model": {"image_encoder": {"trunk": trunk, "neck": neck}}}))
    with torch.device("meta"):
        ours = Sam2Model(Sam2Config(**stated)).state_dict()
        named = expected_names(ours, {"image_encoder.trunk.pos_embed": torch.zeros(1)})
    told = with_square(sizes_from_shapes(named))
    one, other = (Sam2Config(**sizes).to_dict() for sizes in (stated, told))
    assert other == one


def test_the_settings_are_those_of_the_authors():
    assert MaskSettings(dark=0) == MaskSettings(
        points_per_side=4,
        points_per_batch=16,
        predicted_iou=0.7,
        stability=0.95,
        stability_offset=1.0,
        box_overlap=0.7,
        regions=16,
        dark=0,
    )
