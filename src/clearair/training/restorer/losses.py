"""The losses of a restorer: similarity to the clean picture, and its fine detail.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

ClueReuse = Literal["paper", "detached", "anchored"]
"""What ICRM compares: two views of the restoration alone, the weak one with or without a gradient; or their
difference with the clean picture's."""
_USUAL_ERROR = 0.03
_LEAST_ERROR = 0.005
"""Added to every mean absolute error, so that what is nearly right does not count without bound. With the sum
of `_USUAL_ERROR`, about the mean in training, an image counts once."""
_COARSE = 16
"""Side in pixels of the squares whose mean errors are not fine detail."""


@dataclass(frozen=True)
class StrongView:
    """ICRM's strong augmentation, drawn once: Gaussian blur and colour jitter, both linear in the image."""

    window: tuple[int, int, int]
    """Top, left and side of the weak view, a random crop."""
    kernel: Tensor
    """(k,) one-dimensional Gaussian, sums to one."""
    gain: Tensor
    """(B, 3, 1, 1) of the colour jitter."""

    def to(self, device: torch.device | str) -> StrongView:
        """Copy to a device."""
        kernel, gain = (value.to(device, non_blocking=True) for value in (self.kernel, self.gain))
        return StrongView(self.window, kernel, gain)

    def part(self, rows: slice) -> StrongView:
        """Of some of the images: window and blur are those of the whole batch."""
        return StrongView(self.window, self.kernel, self.gain[rows])

    def repeated(self, times: int) -> StrongView:
        """For `times` windows of each image, window by window."""
        return StrongView(self.window, self.kernel, self.gain.repeat(times, 1, 1, 1))

    def weak(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, side, side)."""
        top, left, side = self.window
        return image[..., top : top + side, left : left + side]

    def strong(self, weak: Tensor) -> Tensor:
        """(B, 3, side, side) -> the same shape, blurred and recoloured."""
        kernel, radius = self.kernel.to(weak), len(self.kernel) // 2
        padded = F.pad(weak, (radius,) * 4, mode="replicate")
        padded = F.conv2d(padded, kernel.expand(3, 1, 1, -1), groups=3)
        return F.conv2d(padded, kernel[:, None].expand(3, 1, -1, 1), groups=3) * self.gain.to(weak)


def draw_strong_view(batch: int, side: int, generator: torch.Generator) -> StrongView:
    """Crop at least half of the side, blur by sigma 0.5..2 pixels, jitter each channel by up to 20 %."""
    crop = int(torch.randint(max(1, side // 2), side + 1, (), generator=generator))
    top, left = (int(torch.randint(side - crop + 1, (), generator=generator)) for _ in range(2))
    sigma = 0.5 + 1.5 * float(torch.rand((), generator=generator))
    offsets = torch.arange(-6, 7, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    gain = 0.8 + 0.4 * torch.rand(batch, 3, 1, 1, generator=generator)
    return StrongView((top, left, crop), kernel / kernel.sum(), gain)


def clue_reuse(
    restored: Tensor,
    clean: Tensor,
    view: StrongView,
    gamma: float,
    form: ClueReuse = "anchored",
    weight: Tensor | None = None,
) -> Tensor:
    """ICRM (ClearAIR, eqs. 15-17), a scalar: gamma times a mean square, in one of three forms.

    `paper`: of I_w - I_s, the weak and the strong view of the restoration. That is smallest for a flat or
    black image, so it rewards blurring and darkening. `detached`: the same value, but I_w is a target without
    gradient, as in self-training; the remaining gradient sharpens. `anchored`: of (I_w - I_s) - (G_w - G_s):
    the difference of the two views, the picture's own fine detail, must be that of the clean picture, which
    takes no gradient; zero exactly for a perfect restoration.

    `weight` (B, 1, H, W) says how much the square counts at each pixel; all of them the same without it.
    """
    weak = view.weak(restored)
    difference = (weak.detach() if form == "detached" else weak) - view.strong(weak)
    if form == "anchored":
        with torch.no_grad():
            reference = view.weak(clean)
            reference = reference - view.strong(reference)
        difference = difference - reference
    squares = difference.square()
    if weight is not None:
        squares = view.weak(weight) * squares
    return gamma * squares.mean()


def image_weights(restored: Tensor, clean: Tensor, balance: float, *, fine: bool = False) -> Tensor:
    """How much each of several images counts, by its mean absolute error e: (0.03 / (e + 0.005))^balance.

    (B, 3, H, W) twice -> (B,), without gradient. With a balance of 1 the weighted L1 has the gradient of
    log(e + 0.005), so that an image counts by the share of its error, as in PSNR, instead of by its size.

    With `fine`, e is what is left of the error without its means over 16 x 16 pixels. An image with much haze
    left then counts as much as one without.
    """
    with torch.no_grad():
        difference = restored - clean
        if fine:
            coarse = F.avg_pool2d(difference, _COARSE, ceil_mode=True)
            height, width = difference.shape[-2:]
            difference -= F.interpolate(coarse, scale_factor=_COARSE)[..., :height, :width]
        errors = difference.abs().mean(dim=(1, 2, 3))
        return (_USUAL_ERROR / (errors + _LEAST_ERROR)) ** balance


def spectrum_error(restored: Tensor, clean: Tensor) -> Tensor:
    """L1 between the spectra: mean amplitude of the difference of the Fourier transforms, a scalar.

    (B, 3, H, W) twice. Orthonormal, so that its size does not depend on that of the windows. An error that
    repeats over the whole window, or is missing detail everywhere, counts more than under L1 alone.
    """
    difference: Tensor = torch.fft.rfft2(restored - clean, norm="ortho")
    return difference.abs().mean()


def gradient_share(term: Tensor, restored: Tensor) -> Tensor:
    """The size of a term's gradient relative to L1, a scalar that is only reported.

    The sum of the absolute gradient over all values of `restored`; that of a mean absolute error is 1.
    """
    (gradient,) = torch.autograd.grad(term, restored, retain_graph=True)
    return gradient.abs().sum()
