from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch

from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos
from clearair.data.scenes import Scene, fill_holes, find_scenes, load_scene
from clearair.errors import DataError, ImageError


def write_scene(root: Path, name: str, depth: np.ndarray, photo: np.ndarray | None = None) -> None:
    for half, values in (("depth", depth), ("image", photo)):
        path = root / "train" / "depth" / name / half / "a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if values is not None:
            picture = pyvips.Image.new_from_array(values)
            deep = picture.copy(interpretation="grey16") if half == "depth" else picture
            deep.write_to_file(str(path))


def test_depth_is_relative_to_the_farthest_and_holes_are_filled_from_around(tmp_path):
    depth = np.tile(np.linspace(1000, 4000, 80).astype(np.uint16), (60, 1))
    depth[20:30, 30:50] = 0
    write_scene(tmp_path, "room_mm", depth, np.zeros((60, 80, 3), np.uint8))
    scene = load_scene(*find_scenes(tmp_path)[0])
    relative = scene.depth[0].float() / 255
    assert scene.photo.shape[1:] == relative.shape
    assert relative.amax() > 0.95  # the border, where it is 1, is cut off
    assert relative[:, 0].mean().item() == pytest.approx(1000 / 4000, abs=0.04)
    ramp = torch.linspace(relative[0, 0], 1, relative.shape[1]).expand_as(relative)
    assert (relative - ramp).abs().max() < 0.2
    assert scene.depth.min() > 0


def test_what_has_a_large_disparity_is_near(tmp_path):
    disparity = np.full((40, 40), 50, np.uint16)
    disparity[:, 20:] = 200
    write_scene(tmp_path, "toys_disparity", disparity, np.zeros((40, 40, 3), np.uint8))
    depth = load_scene(*find_scenes(tmp_path)[0]).depth[0].float() / 255
    assert depth[:, 0].mean() == pytest.approx(1.0, abs=0.01)
    assert depth[:, -1].mean() == pytest.approx(0.25, abs=0.01)


def test_filling_keeps_what_is_known():
    values = torch.rand(1, 1, 13, 21)
    known = torch.rand(1, 1, 13, 21) < 0.2
    filled = fill_holes(values, known)
    assert torch.equal(filled[known], values[known])
    assert filled.min() >= values[known].min() - 1e-5
    assert filled.max() <= values[known].max() + 1e-5


def test_a_depth_map_without_its_picture_is_named(tmp_path):
    write_scene(tmp_path, "room_mm", np.ones((8, 8), np.uint16))
    with pytest.raises(DataError, match=r"a\.png.*\.\./image"):
        find_scenes(tmp_path)


def test_a_depth_map_that_holds_nothing_is_named(tmp_path):
    write_scene(tmp_path, "room_mm", np.zeros((8, 8), np.uint16), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="no measured depth"):
        load_scene(*find_scenes(tmp_path)[0])


def test_a_damaged_depth_map_is_named(tmp_path):
    write_scene(tmp_path, "room_mm", np.ones((8, 8), np.uint16), np.zeros((8, 8, 3), np.uint8))
    ((photo, depth),) = find_scenes(tmp_path)
    depth.write_bytes(b"junk")
    with pytest.raises(ImageError, match=r"a\.png: the depth cannot be read"):
        load_scene(photo, depth)


def test_haze_is_drawn_on_measured_depth_and_follows_it():
    near, far = (torch.full((3, 96, 48), value, dtype=torch.uint8) for value in (20, 20))
    depth = torch.cat([torch.full((1, 96, 48), 30), torch.full((1, 96, 48), 255)], 2).to(torch.uint8)
    scene = Scene(torch.cat([near, far], 2), depth)
    other = torch.full((3, 96, 96), 200, dtype=torch.uint8)
    photos = TrainingPhotos((other,), {}, (scene,))
    mix = Mix(single={"haze": 1.0}, clean=0.0, mixture=0.0, partial=0.0, looks=0.0, measured=1.0)
    pairs = draw_pairs(photos, mix, 8, 64, (0.5, 0.7), generator_for(1, 1))
    assert pairs.clean.max() < 0.1  # always the scene
    spread = pairs.damaged.amax((1, 2, 3)) - pairs.damaged.amin((1, 2, 3))
    assert spread.median() > 0.1
    never = draw_pairs(photos, Mix(**{**vars(mix), "measured": 0.0}), 8, 64, (0.5, 0.7), generator_for(1, 1))
    assert never.clean.min() > 0.5
