import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.data.degradations import haze as haze_draws
from clearair.data.degradations.depth import estimate_depth, find_sky
from clearair.data.degradations.haze import DARKEST, Haze, draw_haze


def test_no_scattering_leaves_the_image_unchanged(photos):
    haze = Haze(torch.zeros(3), torch.full((3, 3), 0.8), torch.rand(3, 1, 192, 256))
    assert torch.allclose(haze(photos), photos, atol=1e-6)


@given(st.floats(0, 3), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_light_is_mixed_by_the_law_of_koschmieder(beta, airlight, depth, scene):
    haze = Haze(torch.tensor([beta]), torch.full((1, 3), airlight), torch.full((1, 1, 2, 2), depth))
    transmission = torch.exp(torch.tensor(-beta * depth))
    expected = transmission * scene + (1 - transmission) * airlight
    assert torch.allclose(haze(torch.full((1, 3, 2, 2), scene)), expected.expand(1, 3, 2, 2), atol=1e-5)


def test_infinitely_far_things_take_the_colour_of_the_air(photos):
    airlight = torch.tensor([[0.9, 0.8, 0.7]]).expand(3, 3)
    image = Haze(torch.full((3,), 1e3), airlight, torch.ones(3, 1, 192, 256))(photos)
    assert torch.allclose(image, airlight[:, :, None, None].expand_as(image))


def test_drawn_haze_keeps_the_statistics_of_reside(photos, generator):
    haze = draw_haze(photos.repeat(8, 1, 1, 1), torch.linspace(0, 1, 24), generator)
    farthest = torch.exp(-haze.beta)
    assert farthest[0] > 0.6
    assert farthest[-1] < 0.12
    assert ((haze.airlight >= 0.6) & (haze.airlight <= 1)).all()
    assert (haze.airlight.amax(1) - haze.airlight.amin(1)).max() < 0.15


def test_estimated_depth_fills_its_range_and_is_smooth(photos, generator):
    depth = estimate_depth(photos, generator)
    assert depth.shape == (3, 1, 192, 256)
    assert torch.allclose(depth.amin((1, 2, 3)), torch.zeros(3), atol=1e-6)
    assert torch.allclose(depth.amax((1, 2, 3)), torch.ones(3), atol=1e-6)
    assert depth.diff(dim=-1).abs().mean() < 0.5 * photos.diff(dim=-1).abs().mean()


def test_what_is_lower_in_the_picture_is_nearer_on_average(photos, generator):
    depth = estimate_depth(photos.repeat(8, 1, 1, 1), generator).mean((0, 1, 3))
    assert depth[:48].mean() > depth[-48:].mean() + 0.1


def test_the_thickest_haze_hides_as_much_as_heavy_haze_of_reside(photos, generator):
    images = photos.repeat(8, 1, 1, 1)
    hazy = draw_haze(images, torch.ones(24), generator)(images)
    psnr = -10 * (hazy - images).square().mean((1, 2, 3)).log10()
    assert 6 < psnr.median() < 12
    assert psnr.min() < 9


def test_haze_in_linear_light_is_thinner_in_the_dark_than_in_the_file(photos):
    beta, airlight, depth = torch.ones(3), torch.full((3, 3), 0.9), torch.ones(3, 1, 192, 256)
    file = Haze(beta, airlight, depth, torch.zeros(3, dtype=torch.bool))(photos)
    light = Haze(beta, airlight, depth, torch.ones(3, dtype=torch.bool))(photos)
    assert torch.equal(file, Haze(beta, airlight, depth)(photos))
    assert (light - file).abs().mean() > 0.01
    white = torch.full_like(photos, 0.9)
    assert torch.allclose(
        Haze(beta, airlight, depth, torch.ones(3, dtype=torch.bool))(white), white, atol=1e-5
    )


def test_a_photograph_exposed_for_fog_is_hardly_lighter_than_its_scene(photos):
    beta, airlight, depth = torch.full((3,), 2.0), torch.full((3, 3), 0.95), torch.ones(3, 1, 192, 256)
    usual = Haze(beta, airlight, depth)(photos)
    lighter = torch.tensor([1.0, 1.2, torch.inf])
    exposed = Haze(beta, airlight, depth, lighter=lighter)(photos)
    wanted = (lighter * photos.mean((1, 2, 3))).clamp_min(DARKEST)
    assert torch.allclose(exposed.mean((1, 2, 3))[:2], wanted[:2], atol=1e-3)
    assert (exposed[:2] < usual[:2]).all()
    assert torch.equal(exposed[2], usual[2])
    none = Haze(torch.zeros(3), airlight, depth, lighter=torch.ones(3))(photos)
    assert torch.allclose(none, photos, atol=1e-6)  # it makes nothing darker that has no haze


def test_sky_is_what_is_smooth_bright_and_open_above():
    picture = torch.full((1, 3, 96, 128), 0.1)
    picture[:, :, :40] = torch.tensor([0.6, 0.75, 0.95])[:, None, None]
    picture[:, :, 70:90] = torch.tensor([0.6, 0.75, 0.95])[:, None, None]  # a lake
    sky = find_sky(picture)
    assert sky[..., 5:30, :].min() > 0.6
    assert sky[..., 55:, :].max() < 0.2


def test_depth_is_estimated_only_where_none_is_given(photos):
    depth = torch.zeros(3, 1, 192, 256)
    depth[1] = torch.linspace(1, 5, 256)
    drawn = draw_haze(photos, torch.ones(3), torch.Generator().manual_seed(0), depth)
    alone = draw_haze(photos, torch.ones(3), torch.Generator().manual_seed(0))
    assert torch.equal(drawn.depth[[0, 2]], alone.depth[[0, 2]])
    assert not torch.equal(drawn.depth[1], alone.depth[1])


def test_fog_veils_what_is_near_and_drifts(photos, monkeypatch):
    depth = torch.linspace(0, 10, 256).expand(24, 1, 192, 256)
    thickness = []
    for share in (0.0, 1.1):
        monkeypatch.setattr(haze_draws, "FOG", share)
        generator = torch.Generator().manual_seed(0)
        drawn = draw_haze(photos.repeat(8, 1, 1, 1), torch.full((24,), 0.8), generator, depth)
        assert ((drawn.airlight >= 0.5) & (drawn.airlight <= 1)).all()
        thickness.append(1 - torch.exp(-drawn.beta[:, None, None] * drawn.depth[:, 0]))
    haze, fog = thickness
    assert fog[..., :8].mean() > haze[..., :8].mean() + 0.2
    assert fog[..., :8].std((1, 2)).mean() > 0.02
    assert (fog[..., -8:].mean((1, 2)) > fog[..., :8].mean((1, 2))).float().mean() > 0.8
