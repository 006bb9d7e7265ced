from dataclasses import replace

import torch

from clearair.data.degradations import raindrop
from clearair.data.degradations.raindrop import Form, Raindrop, _add_drops, _draw_trails, draw_raindrop

FORM = Form(longer=torch.tensor([0.0, 0.3, 0.0]), lying=torch.zeros(3), pitch=torch.tensor([0.0, 0.0, 10.0]))


def test_dry_glass_leaves_the_image_unchanged(photos, generator):
    drops = draw_raindrop(torch.ones(3), (192, 256), generator)
    dry = replace(drops, thickness=torch.zeros_like(drops.thickness))
    assert torch.allclose(dry(photos), photos, atol=1e-6)


def test_a_drop_shows_the_scene_upside_down():
    sky_above_ground = torch.linspace(1, 0, 128)[:, None].expand(1, 3, 128, 128).contiguous()
    axis = torch.arange(128) - 64.0
    distance = torch.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
    cap = (1 - (distance / 30) ** 2).clamp_min(0).sqrt() * 30
    drop = Raindrop(
        thickness=cap[None, None],
        softness=torch.tensor([3.0]),
        opacity=torch.ones(1),
        refraction=torch.tensor([50.0]),
        gain=torch.ones(1),
        glare=torch.zeros(1, 2),
        light=torch.zeros(1, 2),
        rim=torch.zeros(1),
        defocus=torch.tensor([0.7]),
    )
    image = drop(sky_above_ground)
    assert image[0, 0, 80, 64] > image[0, 0, 48, 64] + 0.1
    assert torch.allclose(image[..., :20, :], sky_above_ground[..., :20, :], atol=1e-6)


def test_drops_out_of_focus_blur_what_is_behind_them(photos, generator, monkeypatch):
    monkeypatch.setattr(raindrop, "SHARP", 0.0)
    drops = draw_raindrop(torch.ones(3), (192, 256), generator)
    covered = (drops.thickness > drops.softness[:, None, None, None]).float()
    inside = covered[..., 1:] * covered[..., :-1]
    change = (drops(photos).diff(dim=-1).abs() * inside).sum() / inside.sum()
    before = (photos.diff(dim=-1).abs() * inside).sum() / inside.sum()
    assert change < 0.8 * before


def test_the_covered_share_grows_with_strength(generator):
    drops = draw_raindrop(torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(8), (240, 320), generator)
    few, some, many = (drops.thickness > 0).float().reshape(3, -1).mean(1)
    assert 0.01 < few < some < many < 0.6


def test_heavy_drops_take_as_much_as_a_wet_window_does(photos):
    images = photos.repeat(8, 1, 1, 1)
    psnr = []
    for strength in (0.1, 0.5, 1.0):
        generator = torch.Generator().manual_seed(2)
        wet = draw_raindrop(torch.full((24,), strength), (192, 256), generator)(images)
        psnr.append(float((-10 * (wet - images).square().mean((1, 2, 3)).log10()).median()))
    assert psnr == sorted(psnr, reverse=True)
    assert 21 < psnr[0] < 28
    assert 16 < psnr[1] < 22
    assert 14 < psnr[2] < 19


def test_making_all_drops_gives_the_same_water_as_making_those_that_are_there():
    kept = torch.tensor([0.0, 0.3, 1.0])
    waters = []
    for sparing in (True, False):
        water = torch.zeros(3, 40 * 50)
        source = torch.Generator().manual_seed(0)
        _add_drops(water, (40, 50), 9, (6.0, 14.0), kept, FORM, source, sparing=sparing)
        waters.append(water)
    assert torch.allclose(*waters, atol=1e-5)
    assert waters[0][0].max() == 0
    assert waters[0][2].max() > 1


def drops_of(form: Form, radii: tuple[float, float]) -> torch.Tensor:
    """Whether there is water, (3, 200, 200): some drops on each of three windows."""
    water = torch.zeros(3, 200 * 200)
    source = torch.Generator().manual_seed(1)
    _add_drops(water, (200, 200), 60, radii, torch.ones(3), form, source, sparing=True)
    return water.reshape(3, 200, 200) > 0


def test_drops_can_be_long_and_hang_in_columns():
    wet = drops_of(FORM, (3.0, 4.0)).float()
    down, right = wet.diff(dim=1).abs().sum((1, 2)), wet.diff(dim=2).abs().sum((1, 2))
    assert right[1] / down[1] > 1.3 * right[0] / down[0]  # more of its outline runs down the window
    columns = drops_of(FORM, (1.0, 1.5)).float().mean(1)  # (3, 200)
    assert columns[2].reshape(20, 10)[:, [0, 9]].sum() == 0 < columns[0].reshape(20, 10)[:, [0, 9]].sum()


def test_trails_run_down_as_far_as_they_are_kept():
    none, all_of_them = _draw_trails((120, 160), torch.tensor([0.0, 1.0]), torch.Generator().manual_seed(0))
    assert none.max() == 0
    wet = all_of_them[0] > 0
    assert wet.any(1).sum() > 30  # rows
    assert wet.float().mean() < 0.3
    assert wet[:10].any()


def test_drops_in_focus_are_smaller_sharper_and_darker_above(monkeypatch):
    grey = torch.full((24, 3, 160, 160), 0.5)
    edges, shade = [], []
    for share in (0.0, 1.1):
        monkeypatch.setattr(raindrop, "SHARP", share)
        drops = draw_raindrop(torch.full((24,), 0.6), (160, 160), torch.Generator().manual_seed(3))
        change = drops(grey) - grey
        edges.append(float(change.diff(dim=-2).abs().amax((1, 2, 3)).median()))
        thickens = drops.thickness.diff(dim=-2) > 0  # the upper half of a drop
        shade.append(float((change.mean(1, keepdim=True)[..., 1:, :] * thickens).sum()))
    assert edges[1] > 2 * edges[0]
    assert shade[1] < shade[0] < 0
