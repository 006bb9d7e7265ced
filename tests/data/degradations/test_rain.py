import torch

from clearair.data.degradations.rain import Rain, draw_rain


def test_rain_without_streaks_and_veil_leaves_the_image_unchanged(photos):
    rain = Rain(
        torch.zeros(3, 1, 192, 256), torch.ones(3, 3), torch.ones(3), torch.zeros(3), torch.ones(3, 3)
    )
    assert torch.equal(rain(photos), photos)


def test_see_through_streaks_add_their_light(photos):
    streaks = torch.rand(3, 1, 192, 256)
    rain = Rain(streaks, torch.full((3, 3), 0.8), torch.zeros(3), torch.zeros(3), torch.ones(3, 3))
    assert torch.allclose(rain(photos), (photos + 0.8 * streaks).clamp(0, 1))


def test_opaque_streaks_hide_the_scene(photos):
    rain = Rain(
        torch.ones(3, 1, 192, 256), torch.full((3, 3), 0.8), torch.ones(3), torch.zeros(3), torch.ones(3, 3)
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


def test_streaks_grow_with_large_pictures():
    def roughness(side: int) -> float:
        generator = torch.Generator().manual_seed(1)
        streaks = draw_rain(torch.full((4,), 0.5), (side, side), generator).streaks
        return (streaks.diff(dim=-1).abs().mean() / streaks.mean()).item()

    assert roughness(1024) < 0.7 * roughness(512)
