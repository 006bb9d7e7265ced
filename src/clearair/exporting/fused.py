"""`FinishedNetwork.restore` of a window, arranged as ONNX Runtime computes it fastest on a CPU.

The answer is the same up to rounding. The stream of features is kept one row a pixel, the layout in which
norms, attention to a few tokens and padding are cheap; maps exist only around convolutions. What depends on
the picture alone (keys, values and what they are multiplied with) is multiplied out once, not for each pixel.
All weights are the network's own parameters; what is derived from them is constant when a graph is loaded.

Shapes: B images, H x W pixels of the window, h x w positions of a level, P = h * w, C channels, N regions,
s = stem, G = cells of the tone grid along each axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.exporting.guided import Extent, FeatureJudgement, guided, layer_norm, to_image
from clearair.finishing import FinishedNetwork
from clearair.finishing.coarse import COARSE, GUIDED_REACH, GUIDED_SOFTNESS, GUIDED_STEP
from clearair.finishing.lattice import without_lattice
from clearair.finishing.tone import CELLS
from clearair.network.blocks import ConvBlock, GatedConvBlock
from clearair.network.config import NetworkConfig
from clearair.network.layers import to_maps, to_pixels
from clearair.network.model import Downsample, Upsample

AT_ONCE = 2
"""Cells along the guide whose share is added in one product: more take more memory, fewer more passes."""


def is_supported(config: NetworkConfig) -> bool:
    """Whether `FusedNetwork` knows every part of such a network; others are exported as they are."""
    return (
        set(config.block) <= {"conv", "gated"}
        and config.resampling == "bilinear"
        and config.padding == "replicate"
        and {config.quality, config.regions, config.degradation} == {"perceived"}
        and config.local_degradation
        and not config.wide_decoder
        and config.norm_bias
        and config.conv_bias
        and config.tone
        and config.cautious
    )


@dataclass(frozen=True)
class _Level:
    """What the blocks of one level share."""

    height: int
    width: int
    ring: Tensor
    """((h + 2) * (w + 2),) the position that each has when the border is repeated."""
    members: Tensor
    """(B, P, N) how much of each position belongs to each region."""


class FusedNetwork(nn.Module):
    """Restores windows as its network does. Raises ValueError for a network it does not know."""

    def __init__(self, network: FinishedNetwork, *, keep_tone: bool = False) -> None:
        super().__init__()
        if not is_supported(network.config):
            raise ValueError("This network has parts that FusedNetwork does not know.")
        self.network = network
        self.keep_tone = keep_tone

    def forward(
        self,
        window: Tensor,
        labels: Tensor,
        quality: Tensor,
        features: Tensor,
        areas: Tensor,
        content: Tensor,
        prompts: Tensor,
        grid: Tensor,
        share: Tensor,
        change: Tensor,
        coarse: Tensor,
        origin: Tensor,
        size: Tensor,
    ) -> Tensor:
        """(B, 3, H, W) and its labels (B, H, W) -> (B, 3, H, W), not clamped.

        The rest is the fields of a `FinishedJudgement`, with the window's `origin` (2,), down and right, and
        the `size` (2,) of the whole picture as float32.
        """
        toned, gain = self._toned(window, grid, origin, size)
        share, change, coarse = (value[:, None, None, None] for value in (share, change, coarse))
        toned = window + share * (toned - window)
        added = self._added(
            window, toned, labels, FeatureJudgement(quality, features, areas, content, prompts)
        )
        if self.keep_tone:
            free, held = coarse * (1 - share), added
        else:
            free, held = coarse, added - share * _tonal_part(added, toned)
        added = added - (1 - free) * _twice_mean(held)
        if self.keep_tone:
            gain = 1 + share * (gain - 1)
            return window + change * (added / gain.clamp_min(1))
        return window + change * (toned + added - window)

    def _toned(self, window: Tensor, grid: Tensor, origin: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """The window in its full change of tone (B, 3, H, W), and how much steeper that is (B, 1, H, W).

        The weight of a grid cell is a product of hat functions: down times across times guide. So a row of
        pixels is a product of matrices, without lookups per pixel.
        """
        cells = torch.arange(CELLS, dtype=torch.float32)
        down, across = (
            _hats((start + torch.arange(length) + 0.5) * (CELLS / whole) - 0.5, cells)
            for start, length, whole in zip(origin.unbind(), window.shape[2:], size.unbind(), strict=True)
        )  # (H, G), (W, G)
        guide = (self.network.tone._guide(window) * CELLS - 0.5).clamp(0, CELLS - 1)  # (B, H, W)
        batch, _, height, width = window.shape
        # The grid at each row: (B, H, G along the guide, 4 x 3, G across); the 4 factors come first.
        table = grid.reshape(batch, 3, 4, CELLS, CELLS, CELLS).permute(0, 4, 3, 2, 1, 5)
        rows = (down @ table.reshape(batch, CELLS, -1)).reshape(batch, height, CELLS, 12, CELLS)
        affine = None
        for first in range(0, CELLS, AT_ONCE):
            some = cells[first : first + AT_ONCE]
            hats = (1 - (guide[:, :, None] - some[:, None]).abs()).relu()  # (B, H, AT_ONCE, W)
            weights = (hats[:, :, :, None] * across.T).reshape(batch, height, AT_ONCE * CELLS, width)
            part = (
                rows[:, :, first : first + AT_ONCE].transpose(2, 3).reshape(batch, height, 12, -1) @ weights
            )
            affine = part if affine is None else affine + part
        assert affine is not None
        slopes = affine.reshape(batch, height, 4, 3, width)
        red, green, blue = window.transpose(1, 2)[:, :, None].unbind(3)  # (B, H, 1, W)
        toned = slopes[:, :, 0] * red + slopes[:, :, 1] * green + slopes[:, :, 2] * blue + slopes[:, :, 3]
        gain = affine[:, :, :9].sum(dim=2)[:, None] / 3
        return toned.transpose(1, 2), gain

    def _added(self, window: Tensor, toned: Tensor, labels: Tensor, judgement: FeatureJudgement) -> Tensor:
        """What the paper's network adds, (B, 3, H, W)."""
        network, config = self.network, self.network.config
        stem, levels = config.stem, len(config.channels)
        height, width = window.shape[2:]
        extent = Extent.of(window, config)
        sizes, members = extent.sizes, extent.members(labels, config)
        scales = [_Level(*size, _ring(*size), member) for size, member in zip(sizes, members, strict=True)]
        cells = [extent.cells(image, stem) for image in (window, toned)]
        both = F.pad(torch.cat(cells, dim=1), (1, 1, 1, 1), mode="replicate")
        weight = torch.cat([network.extraction.weight, network.toned_extraction.weight], dim=1)
        biases = network.extraction.bias, network.toned_extraction.bias
        assert biases[0] is not None
        assert biases[1] is not None
        x = to_pixels(F.conv2d(both, weight, biases[0] + biases[1]))
        skips: list[Tensor] = []
        for i, (guide, blocks) in enumerate(zip(network.encoder_guidance, network.encoder, strict=True)):
            if i:
                skips.append(x)
                x = to_pixels(_inner(network.down[i - 1])(to_maps(x, *sizes[i - 1])))
            x = _blocks(blocks, guided(guide, x, judgement, scales[i].members), scales[i])
        for i in reversed(range(levels - 1)):
            x = self._joined(i, x, skips[i], sizes[i + 1])
            x = _blocks(network.decoder[i], x, scales[i])
            x = guided(network.decoder_guidance[i], x, judgement, scales[i].members)
        x = _blocks(network.refinement, x, scales[0])
        last = network.reconstruction
        added = F.conv2d(_bordered(x, scales[0]), last.weight, last.bias)
        if stem > 1:
            added = without_lattice(added, cells[1], stem)
        return to_image(added, *sizes[0], stem)[..., :height, :width]

    def _joined(self, level: int, low: Tensor, skip: Tensor, size: tuple[int, int]) -> Tensor:
        """The input of a decoder level: from the coarser level, and from the encoder.

        Interpolation and 1x1 convolutions commute, so both of those that follow each other are one below.
        """
        reduce, up = self.network.reduce[level], _inner(self.network.up[level])[0]
        assert isinstance(reduce, nn.Conv2d)
        assert isinstance(up, nn.Conv2d)
        channels = skip.shape[2]
        weight = reduce.weight[:, :, 0, 0]
        low = F.linear(low, weight[:, :channels] @ up.weight[:, :, 0, 0])
        low = F.interpolate(to_maps(low, *size), scale_factor=2.0, mode="bilinear", align_corners=False)
        return to_pixels(low) + F.linear(skip, weight[:, channels:], reduce.bias)


def _inner(resampling: nn.Module) -> nn.Sequential:
    """The layers of a `Downsample` or an `Upsample`."""
    assert isinstance(resampling, Downsample | Upsample)
    return resampling.body


def _hats(places: Tensor, cells: Tensor) -> Tensor:
    """How much each cell counts at each place, linearly between two: (n,), (G,) -> (n, G)."""
    places = places.clamp(0, cells.shape[0] - 1)
    return (1 - (places[:, None] - cells).abs()).relu()


def _ring(height: int, width: int) -> Tensor:
    down, right = (torch.arange(-1, side + 1).clamp(0, side - 1) for side in (height, width))
    return (down[:, None] * width + right).flatten()


def _bordered(x: Tensor, level: _Level) -> Tensor:
    """(B, P, C) -> (B, C, h + 2, w + 2), the border repeated; whole rows of memory are copied."""
    return to_maps(x.index_select(1, level.ring), level.height + 2, level.width + 2)


def _blocks(blocks: nn.Module, x: Tensor, level: _Level) -> Tensor:
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        x = _conv_block(block, x, level) if isinstance(block, ConvBlock) else _gated_block(block, x, level)
    return x


def _conv_block(block: ConvBlock, x: Tensor, level: _Level) -> Tensor:
    mixed = F.conv2d(_bordered(x, level), block.mix.weight, block.mix.bias).relu()
    return x + to_pixels(block.project_out(mixed))


def _gated_block(block: nn.Module, x: Tensor, level: _Level) -> Tensor:
    """The gate and the value each have convolutions of their own, so that no map is split.

    A border can be repeated before a 1x1 convolution as well as after it; there are fewer channels before.
    """
    assert isinstance(block, GatedConvBlock)
    normed = _bordered(layer_norm(block.norm1, x), level)
    gate, value = (
        F.conv2d(F.conv2d(normed, inner, inner_bias), outer, outer_bias, groups=len(outer))
        for inner, inner_bias, outer, outer_bias in zip(
            *_halves(block.project_in), *_halves(block.dwconv), strict=True
        )
    )
    x = x + to_pixels(block.project_out(gate * value))
    normed = to_maps(layer_norm(block.norm2, x), level.height, level.width)
    gate, value = (
        F.conv2d(normed, weight, bias) for weight, bias in zip(*_halves(block.ffn_in), strict=True)
    )
    return x + to_pixels(block.ffn_out(gate * value))


def _halves(conv: nn.Conv2d) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The weights and biases of the first and the second half of its output channels."""
    assert conv.bias is not None
    return conv.weight.chunk(2), conv.bias.chunk(2)


def _twice_mean(x: Tensor) -> Tensor:
    """See `finishing.coarse.coarse_part`: (B, 3, H, W) -> the same."""
    reach = COARSE // 2
    for _ in range(2):
        x = _sum_of_nine(F.pad(x, (reach, reach, 0, 0), mode="replicate"), 3)
        x = _sum_of_nine(F.pad(x, (0, 0, reach, reach), mode="replicate"), 2) / COARSE**2
    return x


def _sum_of_nine(x: Tensor, dim: int) -> Tensor:
    """Sums over `COARSE` = 3 x 3 neighbours, as sums of three sums of three: half the passes over memory."""
    for step in (1, 3):
        length = x.shape[dim] - 2 * step
        x = x.narrow(dim, 0, length) + x.narrow(dim, step, length) + x.narrow(dim, 2 * step, length)
    return x


def _tonal_part(x: Tensor, picture: Tensor) -> Tensor:
    """See `finishing.coarse.tonal_part`: its means and its interpolation are products with small matrices."""
    height, width = x.shape[2:]
    rows, columns = (height + GUIDED_STEP - 1) // GUIDED_STEP, (width + GUIDED_STEP - 1) // GUIDED_STEP
    guide = picture.mean(dim=1, keepdim=True)
    # A product with a transposed matrix would transpose it again in every run.
    shrink = _pooling(height, rows, 0), _pooling(width, columns, 1)
    means = _mean_matrix(rows, GUIDED_REACH, 0), _mean_matrix(columns, GUIDED_REACH, 1)
    stretch = _stretching(rows, height, 0), _stretching(columns, width, 1)

    def applied(matrices: tuple[Tensor, Tensor], values: Tensor) -> Tensor:
        return matrices[0] @ (values @ matrices[1])

    small = shrink[0] @ torch.cat([guide, x], dim=1) @ shrink[1]  # (B, 4, rows, columns)
    light = small[:, :1]
    mean = applied(means, torch.cat([small, light * small], dim=1))
    mean_light, mean_values, products = mean[:, :1], mean[:, 1:4], mean[:, 4:]
    moments = products - mean_light * mean[:, :4]
    slope = moments[:, 1:] / (moments[:, :1] + GUIDED_SOFTNESS)
    lines = applied(means, torch.cat([slope, mean_values - slope * mean_light], dim=1))
    lines = stretch[0] @ lines @ stretch[1]
    return lines[:, :3] * guide + lines[:, 3:]


def _axes(rows: Tensor, columns: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The axes of a matrix that multiplies from the left (side 0), or of its transpose from the right."""
    return (rows[:, None], columns) if side == 0 else (rows, columns[:, None])


def _mean_matrix(count: int, reach: int, side: int) -> Tensor:
    """(n, n): means over 2 reach + 1 places, of which those beyond an end are that end."""
    places = torch.arange(count)
    here, there = _axes(places, places, side)
    before, after = (reach - here).clamp_min(0), (reach - (count - 1 - here)).clamp_min(0)
    near = ((here - there).abs() <= reach).float()
    return (near + before * (there == 0) + after * (there == count - 1)) / (2 * reach + 1)


def _pooling(count: int, parts: int, side: int) -> Tensor:
    """(parts, count): means over parts that cover all, as adaptive average pooling divides them."""
    part, place = _axes(torch.arange(parts), torch.arange(count), side)
    start, end = part * count // parts, ((part + 1) * count + parts - 1) // parts
    return ((place >= start) & (place < end)).float() / (end - start)


def _stretching(count: int, places: int, side: int) -> Tensor:
    """(places, count): linear interpolation between the centres of `count` parts."""
    centres = ((torch.arange(places) + 0.5) * (count / places) - 0.5).clamp(0, count - 1)
    place, part = _axes(centres, torch.arange(count, dtype=torch.float32), side)
    return (1 - (place - part).abs()).relu()
