"""Small layers that every part of the network shares.

Shapes: B images, C channels, H x W positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.guided import guided

COARSE = 9
"""Side in pixels of the means that tell what is coarse from detail."""
GUIDED_STEP, GUIDED_REACH = 4, 8
"""Pixels to a place of the guided filter, and places on either side of its means."""
GUIDED_SOFTNESS = 0.0005
"""Variance of the light (0..1) below which the filter smooths instead of keeping an edge."""
BLOCK = 4
"""Side, in cells, of the blocks over which a lattice is averaged first."""


class LayerNorm(nn.Module):
    """Normalise each position over its channels, with Restormer's two variants.

    With `bias` it is the usual LayerNorm; without, the mean stays in the values and only the spread is
    divided out (Restormer's "BiasFree": a noise level then scales through the network unharmed).
    """

    def __init__(self, channels: int, bias: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        # Channels last is the layout we compute in: this view is contiguous there and nothing is copied.
        x = x.permute(0, 2, 3, 1)
        weight = self.weight.to(x.dtype)
        if self.bias is not None:
            x = F.layer_norm(x, weight.shape, weight, self.bias.to(x.dtype), self.eps)
        else:
            variance = at_least_float32(x).var(-1, keepdim=True, unbiased=False)
            x = (x * (variance + self.eps).rsqrt().to(x.dtype)) * weight
        return x.permute(0, 3, 1, 2)


class Conv2d(nn.Conv2d):
    """PyTorch's convolution, whose border values are repeated in the type that the features have.

    Under autocast on a CPU PyTorch widens them to float32 for that, and narrows them again: two copies of
    every map, which take longer than many of the convolutions.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        if self.padding_mode != "replicate":
            return super().forward(x)
        assert isinstance(self.padding, tuple)
        down, right = self.padding
        if torch.compiler.is_compiling():
            # What is compiled expects another memory layout of the padding's gradient than it has.
            rows = torch.cat(
                [x[:, :, :1].expand(-1, -1, down, -1), x, x[:, :, -1:].expand(-1, -1, down, -1)], 2
            )
            edges = rows[..., :1].expand(-1, -1, -1, right), rows[..., -1:].expand(-1, -1, -1, right)
            padded = torch.cat([edges[0], rows, edges[1]], dim=3)
        else:
            with torch.autocast(x.device.type, enabled=False):
                padded = F.pad(x, (right, right, down, down), mode="replicate")
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def spreading(linear: nn.Linear) -> nn.Linear:
    """Begin with outputs of about twice the usual spread: logits, or keys, that choose from the start.

    At PyTorch's own scale a softmax over them would begin nearly uniform and pass on almost no gradient.
    """
    nn.init.normal_(linear.weight, std=2 * linear.in_features**-0.5)
    return linear


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened: its sums over many values would lose most of them. Doubles stay doubles."""
    return x if x.dtype == torch.float64 else x.float()


def without_lattice(added: Tensor, there: Tensor, stem: int) -> Tensor:
    """Let what is added to a picture draw no lattice; both are cells, (B, 3 s^2, h, w).

    The pixels of a cell of s x s come from channels of their own. Where these differ in the same way over
    about 20 x 20 cells, a lattice is drawn: a pattern of the shuffle, not of the picture. What is left of it
    is a share, 0 to 1, of the one that is there, faded (the noise of that frequency has a mean of its own
    over so few cells). The share is the least squares fit around: a lattice that is always the same, however
    faint, has nothing in common with what is there, and goes.
    """
    added, there = at_least_float32(added), at_least_float32(there)  # or rounding would leave a lattice again
    drawn, found = _differences(added, stem), _differences(there, stem)
    with torch.no_grad():  # what is asked of the network is a picture, and not a better fit
        common, size = ((part * found).sum(dim=1, keepdim=True) for part in (drawn, found))
        faded = (-_around(common) / _around(size).clamp_min(1e-12)).clamp(0, 1)
    excess = _around(drawn) + faded * _around(found)
    height, width = added.shape[2:]
    excess = F.interpolate(excess, scale_factor=float(BLOCK), mode="bilinear", align_corners=False)
    return added - excess[..., :height, :width]


def _differences(cells: Tensor, stem: int) -> Tensor:
    """How the pixels of a cell differ from a smooth picture, averaged over blocks.

    Of their difference from the cell's mean a slope is no lattice: without it, it would become a staircase.
    Blocks begin where tiles may begin, so that tiles and the whole agree.
    """
    blocks = F.avg_pool2d(cells, BLOCK, ceil_mode=True)
    parts = blocks.reshape(len(cells), -1, stem**2, *blocks.shape[2:])
    means = cells.reshape(len(cells), -1, stem**2, *cells.shape[2:]).mean(dim=2)  # (B, 3, h, w)
    down, across = (F.avg_pool2d(slope, BLOCK, ceil_mode=True) / stem for slope in _slopes(means))
    places = torch.arange(stem, device=cells.device, dtype=cells.dtype) - (stem - 1) / 2
    rows, columns = (
        place.flatten()[:, None, None] for place in torch.meshgrid(places, places, indexing="ij")
    )
    slope = down[:, :, None] * rows + across[:, :, None] * columns
    return (parts - parts.mean(dim=2, keepdim=True) - slope).flatten(1, 2)


def _slopes(means: Tensor) -> tuple[Tensor, Tensor]:
    """How much (B, C, h, w) grows from one place to the next, down and across."""
    down, across = (
        torch.gradient(means, dim=dim)[0] if means.shape[dim] > 1 else torch.zeros_like(means)
        for dim in (2, 3)
    )
    return down, across


def _around(blocks: Tensor) -> Tensor:
    """The mean over the 5 x 5 blocks around each."""
    return F.avg_pool2d(blocks, 5, 1, 2, count_include_pad=False)


def coarse_part(x: Tensor) -> Tensor:
    """What of (B, C, H, W) is left of it after two means over `COARSE` x `COARSE` pixels."""
    return _mean(_mean(x, COARSE // 2), COARSE // 2)


def tonal_part(x: Tensor, picture: Tensor) -> Tensor:
    """What of x follows the light of the picture, both (B, C, H, W): a change of tone, place by place.

    Around every place the line that says best what x is by the picture's mean channel. So it has the
    picture's edges and draws no rims beside them.
    """
    height, width = x.shape[2:]
    size = (-(-height // GUIDED_STEP), -(-width // GUIDED_STEP))
    guide = picture.mean(dim=1, keepdim=True)
    small, light = F.adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(guide, size)
    return guided(small, light, guide, lambda values: _mean(values, GUIDED_REACH), GUIDED_SOFTNESS)


def _mean(x: Tensor, reach: int) -> Tensor:
    """The mean over (2 reach + 1)^2 places around each of (B, C, H, W), whose border values are repeated."""
    count = 2 * reach + 1
    for dim, pad in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        length = x.shape[dim]
        padded = F.pad(x, pad, mode="replicate")
        # Shifted sums take a tenth of the time that average pooling does on a CPU.
        x = sum((padded.narrow(dim, k, length) for k in range(1, count)), padded.narrow(dim, 0, length))
        x = x / count
    return x


def to_pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C), one row a pixel; no copy in channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_maps(pixels: Tensor, height: int, width: int) -> Tensor:
    """(B, H*W, C) -> (B, C, H, W), the opposite of `to_pixels`."""
    return pixels.reshape(pixels.shape[0], height, width, -1).permute(0, 3, 1, 2)
