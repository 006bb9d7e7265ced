"""Calibration: what is fitted, and that nothing else changes."""

from __future__ import annotations

import torch

from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes, picture_clues
from clearair.perception.compact.judging import pooled_by_region
from clearair.training.perceivers.calibration import LabelledImages, calibrate, fit_head

WEIGHT, BIAS = torch.tensor([[1.5, -0.5, 0.0], [0.3, 0.0, 2.0]]), torch.tensor([0.5, -1.0])


def draws(count: int = 40_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings, and presence of two kinds drawn from the probabilities that WEIGHT and BIAS mean."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(count, 3, generator=generator)
    chances = (embeddings @ WEIGHT.T + BIAS).sigmoid()
    return embeddings, torch.rand(count, 2, generator=generator) < chances


def fit(importance: float = 1.0, ridge: float = 0.0, shift: float = 0.0, scale: float = 1.0):
    embeddings, present = draws()
    counts, ridges = torch.ones(len(embeddings), 2), torch.tensor([ridge, 0.0])
    return fit_head(scale * embeddings + shift, present, counts, torch.tensor([importance, 1.0]), ridges)


def test_the_head_that_the_pictures_were_drawn_from_is_found():
    weight, bias = fit()
    torch.testing.assert_close(weight, WEIGHT, atol=0.06, rtol=0)
    torch.testing.assert_close(bias, BIAS, atol=0.06, rtol=0)


def test_where_embeddings_lie_and_how_far_they_spread_changes_no_probability():
    (weight, bias), (moved_weight, moved_bias) = fit(ridge=0.05), fit(ridge=0.05, shift=2.0, scale=5.0)
    embeddings, _ = draws(100)
    moved = (5 * embeddings + 2) @ moved_weight.T + moved_bias
    torch.testing.assert_close(moved, embeddings @ weight.T + bias, atol=0.02, rtol=0)


def test_a_ridge_makes_weights_smaller_and_leaves_the_other_kind():
    free, ridged = fit()[0], fit(ridge=0.1)[0]
    assert ridged[0].norm() < 0.7 * free[0].norm()
    assert torch.cosine_similarity(ridged[0], free[0], dim=0) > 0.99
    torch.testing.assert_close(ridged[1], free[1], atol=0.02, rtol=0)


def test_importance_makes_one_kind_more_likely_and_leaves_the_other():
    _, bias = fit(importance=4.0)
    assert 1.0 < bias[0] - BIAS[0] < 1.7  # log 4 = 1.39
    assert abs(bias[1] - BIAS[1]) < 0.06


def test_a_picture_that_counts_nothing_changes_nothing():
    embeddings, present = draws()
    wrong = ~present
    counts = torch.cat([torch.ones(len(embeddings), 2), torch.zeros(len(embeddings), 2)])
    weight, _ = fit_head(
        embeddings.repeat(2, 1), torch.cat([present, wrong]), counts, torch.ones(2), torch.zeros(2)
    )
    torch.testing.assert_close(weight, WEIGHT, atol=0.06, rtol=0)


def test_a_kind_never_seen_stays_finite():
    present = torch.tensor([[True, False]]).expand(30, 2)
    weight, bias = fit_head(
        torch.randn(30, 3), present, torch.ones(30, 2), torch.ones(2), torch.full((2,), 0.01)
    )
    assert weight.isfinite().all()
    assert bias.isfinite().all()


def test_only_the_kind_heads_change_and_the_mean_probability_fits():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    before = {name: value.clone() for name, value in eyes.state_dict().items()}
    images, kinds = torch.rand(64, 3, 48, 48), torch.zeros(64, 8, dtype=torch.bool)
    kinds[:48, 2] = True
    calibrate(eyes, [LabelledImages(images[:32], kinds[:32]), LabelledImages(images[32:], kinds[32:])])
    changed = {name for name, value in eyes.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"{head}.{name}" for head in ("kind_head", "picture_kind_head") for name in ("weight", "bias")
    }
    with torch.no_grad():
        sight = eyes(images)
        for logits in (
            eyes.kind_logits(sight.degradation),
            eyes.picture_kind_head(picture_clues(sight)),
        ):
            mean = logits.sigmoid().mean(0)
            assert abs(float(mean[2]) - 0.75) < 0.08
            assert mean[[0, 1, 3, 4, 5, 6, 7]].max() < 0.3


def test_of_whole_pictures_the_exposure_tells_haze_and_low_light_alone():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    images = torch.rand(64, 3, 48, 48) * torch.linspace(0.1, 1, 64)[:, None, None, None]
    kinds = (torch.arange(64) < 32)[:, None].expand(-1, 8)  # the dark ones, of which all kinds are said
    calibrate(eyes, [LabelledImages(images, kinds)])
    weight = eyes.picture_kind_head.weight[:, eyes.config.degradation_dim :]
    told = [bool(row.any()) for row in weight]
    assert told == [kind in ("haze", "lowlight") for kind in eyes.config.kinds]
    with torch.no_grad():
        sight = eyes(images)
        whole, places = eyes.picture_kind_head(picture_clues(sight)), eyes.kind_logits(sight.degradation)
    noise, dark = eyes.config.kinds.index("noise"), eyes.config.kinds.index("lowlight")
    torch.testing.assert_close(whole[:, noise], places[:, noise])
    assert not torch.allclose(whole[:, dark], places[:, dark])
    with torch.no_grad():
        assert torch.equal(eyes.picture_kind_logits(sight), torch.minimum(whole, places))


def test_pictures_that_count_more_decide():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    images = torch.rand(8, 3, 48, 48)
    dark, light = torch.ones(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    calibrate(
        eyes, [LabelledImages(images, dark, weight=9.0), LabelledImages(images, light)]
    )  # the same pictures, called both
    with torch.no_grad():
        mean = eyes.kind_logits(eyes(images).degradation).sigmoid().mean()
    assert abs(float(mean) - 0.9) < 0.05


def test_a_picture_may_count_more_for_one_kind_alone():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    images = torch.rand(8, 3, 48, 48)
    dark, light = torch.ones(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    calibrate(eyes, [LabelledImages(images, dark, 9.0, "haze"), LabelledImages(images, light)])
    with torch.no_grad():
        mean = eyes.kind_logits(eyes(images).degradation).sigmoid().mean(0)
    haze = eyes.config.kinds.index("haze")
    assert abs(float(mean[haze]) - 0.9) < 0.05
    others = torch.cat([mean[:haze], mean[haze + 1 :]])
    torch.testing.assert_close(others, torch.full_like(others, 0.5), atol=0.05, rtol=0)


def test_a_damaged_part_is_named_and_the_rest_is_not():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    images, kinds = torch.full((32, 3, 64, 64), 0.5), torch.zeros(32, 8, dtype=torch.bool)
    left = torch.zeros(32, 64, 64, dtype=torch.bool)
    left[:, :, :32] = True
    noise = 0.2 * torch.randn(images.shape)
    noisy = kinds.clone()
    noisy[:, 0] = True
    half = images + noise * left[:, None]
    calibrate(
        eyes,
        [
            LabelledImages(images, kinds),
            LabelledImages(images + noise, noisy),
            LabelledImages(half, noisy, inside=left),
        ],
    )
    with torch.no_grad():
        outside, inside = pooled_by_region(eyes(half), left.to(torch.uint8), 2).unbind(1)
        assert eyes.kind_logits(inside)[:, 0].min() > 0 > eyes.kind_logits(outside)[:, 0].max()
