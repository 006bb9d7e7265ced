import torch

from clearair.data.degradations.rain import Rain, _draw_streaks, draw_rain


def test_rain_without_streaks_and_veil_leaves_the_image_unchanged(photos):
    rain = Rain(
        torch.zeros(3, 1, 192, 256),
        torch.ones(3, 3),
        torch.ones(3),
        torch.zeros(3, 1, 1, 1),
        torch.ones(3, 3),
    )
    assert torch.equal(rain(photos), photos)


def test_see_through_streaks_add_their_light(photos):
    streaks = torch.rand(3, 1, 192, 256)
    rain = Rain(streaks, torch.full((3, 3), 0.8), torch.zeros(3), torch.zeros(3, 1, 1, 1), torch.ones(3, 3))
    assert torch.allclose(rain(photos), (photos + 0.8 * streaks).clamp(0, 1))


def test_opaque_streaks_hide_the_scene(photos):
    rain = Rain(
        torch.ones(3, 1, 192, 256),
        torch.full((3, 3), 0.8),
        torch.ones(3),
        torch.zeros(3, 1, 1, 1),
        torch.ones(3, 3),
    )
    assert torch.allclose(rain(photos), torch.full_like(photos, 0.8), atol=1e-6)


def test_streaks_are_thin_and_long(generator):
    streaks = draw_rain(torch.full((16,), 0.4), (256, 256), generator).streaks
    across, along = streaks.diff(dim=-1).abs().mean(), streaks.diff(dim=-2).abs().mean()
    assert across > 1.5 * along


def test_heavier_rain_covers_more(generator):
    covered = draw_rain(torch.tensor([0.0, 1.0]).repeat_interleave(16), (128, 128), generator)
    drizzle, cloudburst = (covered.streaks.mean((1, 2, 3)).reshape(2, 16)).mean(1)
    assert 0 < drizzle < 0.05
    assert 0.1 < cloudburst < 0.6
    assert (covered.veil[:16] == 0).all()
    assert covered.veil[16:].max() > 0.2
    assert ((covered.veil >= 0) & (covered.veil <= 1)).all()


def test_the_same_seed_falls_harder_at_greater_strength(photos):
    error = []
    for strength in (0.02, 0.25, 0.5, 0.75, 1.0):
        generator = torch.Generator().manual_seed(4)
        rain = draw_rain(torch.full((24,), strength), (192, 256), generator)
        error.append((rain(photos.repeat(8, 1, 1, 1)) - photos.repeat(8, 1, 1, 1)).square().mean((1, 2, 3)))
    means = [float(each.mean()) for each in error]
    assert means == sorted(means)
    assert -10 * error[0].median().log10() > 30  # hardly visible


def test_the_veil_of_rain_as_photographed_grows_with_the_distance():
    distance = torch.linspace(0, 1, 64).expand(64, 1, 64, 64)
    veil = draw_rain(torch.ones(64), (64, 64), torch.Generator().manual_seed(5), distance).veil
    near, far = veil[..., :8].mean((1, 2, 3)), veil[..., -8:].mean((1, 2, 3))
    assert (far - near).max() > 0.3
    assert ((far > near + 0.02).float().mean()) > 0.2


def test_streaks_grow_with_large_pictures():
    def roughness(side: int) -> float:
        generator = torch.Generator().manual_seed(1)
        streaks = draw_rain(torch.full((4,), 0.5), (side, side), generator).streaks
        return (streaks.diff(dim=-1).abs().mean() / streaks.mean()).item()

    assert roughness(1024) < 0.7 * roughness(512)


def sort_of_rain(sort: float, strength: float = 0.5) -> torch.Tensor:
    """Streaks (8, 1, 256, 256): 0 alone, 0.3 grain, 0.44 mist, 0.6 as photographed, 0.9 layers."""
    generator = torch.Generator().manual_seed(3)
    return _draw_streaks(torch.full((8,), strength), (256, 256), generator, torch.full((8,), sort))


def test_rain_of_one_kind_is_sparse_and_grain_is_dense():
    alone, grain = ((sort_of_rain(sort) > 0.03).float().mean((1, 2, 3)) for sort in (0.0, 0.3))
    assert alone.median() < 0.35
    assert grain.median() > 1.5 * alone.median()


def test_fine_streaks_in_mist_are_faint_before_a_glow_that_changes_slowly():
    streaks = sort_of_rain(0.44)
    glow = torch.nn.functional.avg_pool2d(streaks, 33, stride=8)
    assert glow.mean() > 0.05
    assert (glow.amax((1, 2, 3)) - glow.amin((1, 2, 3))).median() > 0.05
    assert streaks.diff(dim=-1).abs().mean() < 0.25 * sort_of_rain(0.9).diff(dim=-1).abs().mean()


def test_rain_as_photographed_is_always_seen():
    heavy = sort_of_rain(0.6, 1.0)
    assert (heavy.amax((1, 2, 3)) > 0.2).all()
    assert heavy.mean() > 2 * sort_of_rain(0.6, 0.2).mean()


def test_streaks_are_as_wide_as_those_of_real_pairs():
    streaks = sort_of_rain(0.0)
    flat = streaks - streaks.mean((2, 3), keepdim=True)
    spectrum = torch.fft.rfft2(flat).abs() ** 2
    correlation = torch.fft.irfft2(spectrum)[:, 0]
    beside = correlation[:, 0, :6] / correlation[:, 0, :1]  # 0 to 5 px to the right
    assert 0.3 < beside[:, 1].median() < 0.9
    assert beside[:, 5].median() < 0.4
