"""Small layers that every part of the network shares.

Shapes: B images, C channels, H x W positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    """PyTorch's convolution with border values repeated in the type of the features.

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
            # Compiled code expects another memory layout for the gradient of the padding.
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
    """Initialise for outputs of about twice the usual spread: logits, or keys, that differ from the start.

    At PyTorch's own scale a softmax over them would begin nearly uniform and pass on almost no gradient.
    """
    nn.init.normal_(linear.weight, std=2 * linear.in_features**-0.5)
    return linear


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened: its sums over many values would lose most of them. Doubles stay doubles."""
    return x if x.dtype == torch.float64 else x.float()


def to_pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C), one row a pixel; no copy in channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_maps(pixels: Tensor, height: int, width: int) -> Tensor:
    """(B, H*W, C) -> (B, C, H, W), the opposite of `to_pixels`."""
    return pixels.reshape(pixels.shape[0], height, width, pixels.shape[2]).permute(0, 3, 1, 2)
