"""Tone, once for the whole picture: a bilateral grid of affine colour transforms, sliced at full resolution.

Haze and darkness are smooth changes of colour. Judging them needs the whole picture, but undoing them needs
no detail (HDRNet, Gharbi et al., SIGGRAPH 2017; for haze Zheng et al., CVPR 2021).

Shapes: B images, H x W pixels of a picture, h x w of a window of it, T = side of the thumbnail, F and D_d
entries of the quality feature and of the degradation embedding, G = cells of the grid along each axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.network.layers import Conv2d
from clearair.similarity import BT601

CELLS = 8
"""G: cells of the grid across, down, and along the guide."""
WIDTHS = (16, 32, 64, 96)
"""Channels at strides 2, 4, 8 and 16 of the thumbnail of 128 pixels; the last has the grid's 8 x 8 cells."""


Origin = tuple[int, int] | tuple[Tensor, Tensor]
"""How far down and right the corner of windows lies in their pictures; one for all, or (B, 1) each."""


@dataclass(frozen=True)
class Tone:
    """A change of tone for a whole picture, which can be applied to any window of it."""

    grid: Tensor
    """(B, 12, G, G, G) affine transforms (3 x 4, row by row): along the guide, down, across."""
    share: Tensor
    """(B,) in [0, 1]: how much of the change is made."""
    size: tuple[int, int]
    """H and W of the whole picture."""


class ToneStage(nn.Module):
    """Decides on a `Tone` from a thumbnail and the percepts, and applies it. Starts as the identity."""

    def __init__(self, quality_dim: int, degradation_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [_conv(inputs, outputs, stride=2), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        width = WIDTHS[-1]
        self.local = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width))
        self.overall = nn.Sequential(
            _conv(width, width, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(width * 16, 2 * width),
            nn.ReLU(),
        )
        self.told = nn.Sequential(nn.Linear(quality_dim + degradation_dim, 2 * width), nn.GELU())
        self.norm = nn.LayerNorm(degradation_dim)
        self.join = nn.Linear(4 * width, width)
        self.to_grid = nn.Conv2d(width, 12 * CELLS, 1)
        nn.init.zeros_(self.to_grid.weight)
        assert self.to_grid.bias is not None
        with torch.no_grad():
            identity = torch.eye(3, 4).flatten()  # (12,)
            self.to_grid.bias.copy_(identity[:, None].expand(12, CELLS).flatten())
        # The guide begins as the root of the luma, which tells dark tones apart.
        bend = nn.Conv2d(8, 1, 1, bias=False)
        nn.init.zeros_(bend.weight)
        self.guide = nn.Sequential(nn.Conv2d(6, 8, 1), nn.ReLU(), bend)

    def decide(
        self, thumbnail: Tensor, quality: Tensor, degradation: Tensor, share: Tensor, size: tuple[int, int]
    ) -> Tone:
        """(B, 3, T, T), (B, F), (B, D_d), (B,) and the size of the whole picture -> its change of tone."""
        features = self.trunk(thumbnail - 0.5)
        told = self.told(torch.cat([quality, self.norm(degradation)], dim=1))
        overall = self.join(torch.cat([self.overall(features), told], dim=1))
        features = F.relu(self.local(features) + overall[:, :, None, None])
        grid = self.to_grid(features).unflatten(1, (12, CELLS))
        return Tone(grid, share, size)

    def forward(self, window: Tensor, tone: Tone, origin: Origin = (0, 0)) -> Tensor:
        """(B, 3, h, w) in [0, 1], whose corner lies at `origin` of the whole picture -> the same, toned.

        The new value of a pixel depends on its colour and position in the picture, not on the window.
        """
        affine = self._sliced(window, tone, origin)
        homogeneous = torch.cat([window, torch.ones_like(window[:, :1])], dim=1)  # (B, 4, h, w)
        toned = (affine * homogeneous[:, None]).sum(dim=2)
        return window + tone.share[:, None, None, None] * (toned - window)

    def gain(self, window: Tensor, tone: Tone, origin: Origin = (0, 0)) -> Tensor:
        """The gain of a grey difference: (B, 3, h, w) -> (B, 1, h, w)."""
        affine = self._sliced(window, tone, origin)
        slope = affine[:, :, :3].sum(dim=(1, 2))[:, None] / 3
        return 1 + tone.share[:, None, None, None] * (slope - 1)

    def _sliced(self, window: Tensor, tone: Tone, origin: Origin) -> Tensor:
        """The grid at each pixel's place and guide: affine transforms (B, 3, 4, h, w)."""
        down, across = (
            (origin[axis] + torch.arange(length, dtype=torch.float32, device=window.device) + 0.5)
            * (2 / tone.size[axis])
            - 1
            for axis, length in enumerate(window.shape[2:])
        )
        down, across = down[..., :, None], across[..., None, :]
        guide = 2 * self._guide(window) - 1  # (B, h, w)
        places = torch.stack([across.expand_as(guide), down.expand_as(guide), guide], dim=3)[:, None]
        sliced = F.grid_sample(tone.grid, places, padding_mode="border", align_corners=False)
        return sliced.reshape(len(window), 3, 4, *window.shape[2:])

    def _guide(self, window: Tensor) -> Tensor:
        red, green, blue = window.unbind(1)
        luma = BT601[0] * red + BT601[1] * green + BT601[2] * blue
        roots = window.clamp_min(1e-4).sqrt()
        bent: Tensor = self.guide(torch.cat([window, roots], dim=1) - 0.5)[:, 0]
        return luma.clamp_min(1e-4).sqrt() + bent


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return Conv2d(inputs, outputs, 3, stride=stride, padding=1, padding_mode="replicate")
