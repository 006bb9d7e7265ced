import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.training.restorer.losses import (
    StrongView,
    clue_reuse,
    draw_strong_view,
    gradient_share,
    image_weights,
    spectrum_error,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clean() -> torch.Tensor:
    return torch.rand(2, 3, 48, 48, generator=generator())


@given(seed=st.integers(0, 1000))
def test_a_perfect_restoration_costs_nothing(seed):
    clean = torch.rand(2, 3, 24, 24, generator=generator(seed))
    assert clue_reuse(clean, clean, draw_strong_view(2, 24, generator(seed)), gamma=0.05) == 0


@pytest.mark.parametrize("seed", range(10))
def test_neither_black_nor_blurred_nor_dark_wins(clean, seed):
    view = draw_strong_view(2, 48, generator(seed))
    blurred = StrongView((0, 0, 48), view.kernel, torch.ones(2, 3, 1, 1)).strong(clean)
    perfect = clue_reuse(clean, clean, view, gamma=0.05)
    for worse in (torch.zeros_like(clean), blurred, 0.7 * clean):
        assert clue_reuse(worse, clean, view, gamma=0.05) > perfect


def test_gradient_descent_from_a_blurred_picture_sharpens_it(clean):
    view = draw_strong_view(2, 48, generator(3))
    full = StrongView((0, 0, 48), view.kernel, torch.ones(2, 3, 1, 1))
    image = full.strong(clean).requires_grad_()
    clue_reuse(image, clean, full, gamma=0.05).backward()
    stepped = image.detach() - 1e3 * image.grad
    assert (stepped - clean).square().mean() < (image.detach() - clean).square().mean()


def test_the_reference_takes_no_gradient(clean):
    clean.requires_grad_()
    restored = torch.rand(2, 3, 48, 48, requires_grad=True)
    clue_reuse(restored, clean, draw_strong_view(2, 48, generator()), gamma=0.05).backward()
    assert clean.grad is None
    assert restored.grad is not None


def test_the_blur_keeps_a_flat_picture_flat():
    flat = torch.full((1, 3, 20, 20), 0.4)
    view = draw_strong_view(1, 20, generator())
    unjittered = StrongView((0, 0, 20), view.kernel, torch.ones(1, 3, 1, 1))
    assert torch.allclose(unjittered.strong(flat), flat, atol=1e-6)


def test_the_papers_form_rewards_a_flat_picture_and_ignores_the_clean_one(clean):
    view = draw_strong_view(2, 48, generator())
    level = StrongView(view.window, view.kernel, torch.ones(2, 3, 1, 1))
    flat = torch.full_like(clean, 0.5)
    assert clue_reuse(flat, clean, level, 0.05, "paper") < 1e-12
    assert clue_reuse(clean, clean, level, 0.05, "paper") > 1e-5
    assert clue_reuse(flat, clean, level, 0.05, "anchored") > 1e-5
    weak = level.weak(clean)
    by_hand = 0.05 * ((weak - level.strong(weak)) ** 2).mean()
    assert torch.isclose(clue_reuse(clean, flat, level, 0.05, "paper"), by_hand)


def test_a_balanced_error_has_the_gradient_of_its_logarithm(clean):
    restored = (clean + torch.tensor([0.02, 0.3])[:, None, None, None]).requires_grad_()
    weights = image_weights(restored, clean, 1.0)
    (balanced,) = torch.autograd.grad(((restored - clean).abs().mean((1, 2, 3)) * weights).sum(), restored)
    (logarithm,) = torch.autograd.grad(
        ((restored - clean).abs().mean((1, 2, 3)) + 0.005).log().sum() * 0.03, restored
    )
    torch.testing.assert_close(balanced, logarithm)
    assert not weights.requires_grad
    assert torch.equal(image_weights(restored, clean, 0.0), torch.ones(2))


def test_balanced_by_fine_errors_a_veil_costs_an_image_no_weight(clean):
    # Sides that squares of 16 pixels do not divide.
    clean = clean[..., :40, :37]
    grain = 0.02 * (torch.arange(37) % 2 * 2 - 1.0)
    veil = torch.zeros(40, 37)
    veil[16:32] = 0.2
    light, dim = image_weights(clean + grain + torch.stack([0 * veil, veil])[:, None], clean, 1.0, fine=True)
    assert torch.isclose(light, dim)
    # About 0.02 of error: not quite, since 37 pixels do not have as many bright as dark columns.
    assert torch.isclose(light, torch.tensor(0.03 / 0.025), rtol=0.01)
    whole, less = image_weights(clean + grain + torch.stack([0 * veil, veil])[:, None], clean, 1.0)
    assert less < whole / 3


def test_the_spectrum_of_a_perfect_restoration_is_that_of_the_clean_picture(clean):
    assert spectrum_error(clean, clean) == 0


@pytest.mark.parametrize("side", [16, 32])
def test_a_constant_error_is_one_coefficient_of_the_spectrum(side):
    clean = torch.zeros(1, 3, side, side)
    # Orthonormal: all of the error, 0.1 * side, in one of side * (side / 2 + 1) coefficients.
    expected = torch.tensor(0.1 * side / (side * (side // 2 + 1)))
    assert torch.isclose(spectrum_error(clean + 0.1, clean), expected)


def test_white_errors_cost_about_the_same_in_windows_of_any_size():
    generator = torch.Generator().manual_seed(0)
    small, large = (
        spectrum_error(torch.randn(1, 3, side, side, generator=generator), torch.zeros(1, 3, side, side))
        for side in (32, 128)
    )
    assert torch.isclose(small, large, rtol=0.05)


def test_the_share_of_a_mean_absolute_error_is_one(clean):
    restored = (clean + 0.1).requires_grad_()
    assert torch.isclose(gradient_share((restored - clean).abs().mean(), restored), torch.tensor(1.0))
    assert torch.isclose(gradient_share(3 * (restored - clean).mean(), restored), torch.tensor(3.0))


def test_the_detach_changes_the_gradient_and_not_the_value(clean):
    view = draw_strong_view(2, 48, generator(5))
    gradients = {}
    values = {}
    for form in ("paper", "detached"):
        restored = clean.clone().requires_grad_()
        values[form] = clue_reuse(restored, clean, view, 0.05, form)
        values[form].backward()
        gradients[form] = restored.grad
    assert torch.equal(values["paper"], values["detached"])
    assert not torch.allclose(gradients["paper"], gradients["detached"])


def test_the_papers_form_blurs_and_with_the_detach_it_sharpens(clean):
    kernel = draw_strong_view(2, 48, generator(3)).kernel
    level = StrongView((0, 0, 48), kernel, torch.ones(2, 3, 1, 1))
    for form, blurs in (("paper", True), ("detached", False)):
        image = level.strong(clean).requires_grad_()
        clue_reuse(image, clean, level, 0.05, form).backward()
        stepped = image.detach() - 1e3 * image.grad
        assert (stepped.var() < image.detach().var()) == blurs


def test_weights_of_one_change_nothing_and_others_count_where_they_are(clean):
    view = draw_strong_view(2, 48, generator(1))
    restored = torch.rand(2, 3, 48, 48, generator=generator(2))
    even = clue_reuse(restored, clean, view, 0.05)
    assert torch.equal(clue_reuse(restored, clean, view, 0.05, weight=torch.ones(2, 1, 48, 48)), even)
    top, left, side = view.window
    outside = torch.ones(2, 1, 48, 48)
    outside[..., top : top + side, left : left + side] = 0
    assert clue_reuse(restored, clean, view, 0.05, weight=outside) == 0
