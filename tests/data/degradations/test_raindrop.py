from dataclasses import replace

import torch

from clearair.data.degradations.raindrop import Raindrop, _add_drops, draw_raindrop


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


def test_drops_blur_what_is_behind_them(photos, generator):
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
        _add_drops(water, (40, 50), 9, (6.0, 14.0), kept, torch.Generator().manual_seed(0), sparing=sparing)
        waters.append(water)
    assert torch.allclose(*waters, atol=1e-5)
    assert waters[0][0].max() == 0
    assert waters[0][2].max() > 1
