"""The paper's network: a U-shaped backbone, guided at every level by How, Where and What (Fig. 2).

| equation | what | where |
|---|---|---|
| 2-4 | quality guidance (QGM) | `quality.py` |
| 5-6 | mask average pooling (MAP) | `overview.py` and `ClearAIR._tokens` |
| 7-9 | attention to regions (SCA) | `regions.py` |
| 10-14 | degradation prompts and guidance (DAM) | `degradation.py` |

What the product does around it (tone, caution, lattice) is in `clearair.finishing`.

Shapes: B images, C channels, H x W pixels, N regions, s = stem, h x w cells of s x s pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.errors import ConfigError
from clearair.network.blocks import make_block
from clearair.network.config import NetworkConfig
from clearair.network.degradation import ContentTokens, DegradationGuidance, DegradationPrompt
from clearair.network.layers import Conv2d
from clearair.network.overview import Overview, survey
from clearair.network.quality import QualityAdapter, QualityGuidance
from clearair.network.regions import RegionAttention, RegionTokens, membership
from clearair.percepts import Guidance


@dataclass(frozen=True)
class Judgement:
    """Everything that is computed once for a whole picture and used for all its windows."""

    quality: Tensor
    """(B, F) adapted quality embedding."""
    tokens: RegionTokens
    """Regions, pooled from the shallow features of the whole picture."""
    content: Tensor
    """(B, T, P) content tokens."""
    prompts: Tensor
    """(B, N or 1, P) degradation prompt of each region, or of the image."""


@dataclass(frozen=True)
class Hints:
    """The judgement, and where its regions lie in a window; every level reads from it."""

    judgement: Judgement
    members: list[Tensor]
    """For each level (B, N, H, W): which region each position belongs to."""


class GuidanceModules(nn.Module):
    """QGM, SCA and DAM of one level, in the configured order."""

    def __init__(self, config: NetworkConfig, level: int, channels: int | None = None) -> None:
        super().__init__()
        channels = channels or config.channels[level]
        inner, heads = config.inner(channels), config.heads[level]
        self.level = level
        self.order = config.order
        self.how = QualityGuidance(channels, config.prompt_dim)
        self.where = RegionAttention(channels, config.channels[0], inner, heads)
        self.what = DegradationGuidance(channels, config.prompt_dim, config.prompt_dim, inner, heads)

    def forward(self, x: Tensor, hints: Hints) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        for perception in self.order:
            if perception == "how":
                x = self.how(x, hints.judgement.quality)
            elif perception == "where":
                x = self.where(x, hints.judgement.tokens)
            else:
                judgement, members = hints.judgement, hints.members[self.level]
                x = self.what(x, judgement.content, judgement.prompts, members)
        return x


class Downsample(nn.Module):
    """Half the resolution, more channels: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, channels: int, out_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        if config.resampling == "conv3x3":
            self.body = nn.Sequential(
                nn.Conv2d(channels, out_channels // 4, 3, padding=1, bias=False), nn.PixelUnshuffle(2)
            )
        else:
            self.body = nn.Sequential(nn.Conv2d(channels, out_channels, 2, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        return self.body(x)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Twice the resolution, fewer channels: (B, C, H, W) -> (B, C', 2H, 2W)."""

    def __init__(self, channels: int, out_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        if config.resampling == "conv3x3":
            self.body = nn.Sequential(
                nn.Conv2d(channels, 4 * out_channels, 3, padding=1, bias=False), nn.PixelShuffle(2)
            )
        else:
            self.body = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, bias=False),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', 2H, 2W)."""
        return self.body(x)  # type: ignore[no-any-return]


class ClearAIR(nn.Module):
    """Restores a degraded image with `Guidance` on its quality, its regions and its damage.

    ClearAIR (AAAI 2026, arXiv 2601.02763), Fig. 2. In the encoder the guidance modules of a level come
    before its blocks, in the decoder after them. The output is the input plus what the network adds.

    `judge` computes once what needs the whole picture; `residual` then works on any window of it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels, bottom = config.channels, len(config.channels) - 1
        pixels = 3 * config.stem**2
        self.adapter = QualityAdapter(config.quality_dim, config.prompt_dim)
        self.content = ContentTokens(config.content_dim, config.content_tokens, config.prompt_dim)
        self.prompt = DegradationPrompt(config.degradation_dim, config.prompts, config.prompt_dim)
        self._add_learned_percepts()

        self.extraction = self._conv(pixels, channels[0])
        self.encoder_guidance = nn.ModuleList([GuidanceModules(config, i) for i in range(bottom + 1)])
        self.encoder = nn.ModuleList([self._blocks(i, config.blocks[i]) for i in range(bottom + 1)])
        self.down = nn.ModuleList([Downsample(channels[i], channels[i + 1], config) for i in range(bottom)])

        # From the coarsest level up: the input width of each decoder level, and its own width.
        widths = [2 * channels[0] if i == 0 and config.wide_decoder else channels[i] for i in range(bottom)]
        below = [*widths[1:], channels[bottom]]
        self.up = nn.ModuleList([Upsample(below[i], channels[i], config) for i in range(bottom)])
        self.reduce = nn.ModuleList(
            [
                nn.Identity()
                if widths[i] == 2 * channels[i]
                else nn.Conv2d(2 * channels[i], widths[i], 1, bias=config.conv_bias)
                for i in range(bottom)
            ]
        )
        self.decoder = nn.ModuleList(
            [self._blocks(i, config.decoder_blocks[i], widths[i]) for i in range(bottom)]
        )
        self.decoder_guidance = nn.ModuleList([GuidanceModules(config, i, widths[i]) for i in range(bottom)])
        self.refinement = self._blocks(0, config.refinement_blocks, widths[0])
        self.reconstruction = self._conv(widths[0], pixels)

    def _add_learned_percepts(self) -> None:
        """Table 7: missing percepts are replaced by one learnable parameter, the same for every image."""
        config = self.config
        if config.quality == "learned":
            self.learned_quality = nn.Parameter(torch.randn(1, config.quality_dim))
        if config.regions == "learned":
            self.learned_regions = nn.Parameter(torch.randn(1, config.region_count, config.channels[0]))
        if config.degradation == "learned":
            self.learned_content = nn.Parameter(torch.randn(1, config.content_dim))
            self.learned_degradation = nn.Parameter(torch.randn(1, 1, config.degradation_dim))

    def _conv(self, inputs: int, outputs: int) -> nn.Conv2d:
        config = self.config
        return Conv2d(inputs, outputs, 3, padding=1, padding_mode=config.padding, bias=config.conv_bias)

    def _blocks(self, level: int, count: int, channels: int | None = None) -> nn.Sequential:
        config = self.config
        return nn.Sequential(
            *(
                make_block(
                    config.block[level],
                    channels or config.channels[level],
                    config.heads[level],
                    config.expansion,
                    config.conv_bias,
                    config.norm_bias,
                    config.padding,
                )
                for _ in range(count)
            )
        )

    def forward(self, image: Tensor, guidance: Guidance) -> Tensor:
        """Restore whole pictures: (B, 3, H, W) in [0, 1] -> (B, 3, H, W), not clamped; any H, W >= 1.

        Raises ConfigError when the guidance is not of this image or not of the sizes the network knows.
        """
        self._check(image, guidance)
        judgement = self.judge(guidance, survey(image, guidance.labels, self.config))
        cells = self.residual(self.extraction(self.to_cells(image)), guidance.labels, judgement)
        return image + self.to_image(cells, (image.shape[2], image.shape[3]))

    def judge(self, guidance: Guidance, overview: Overview) -> Judgement:
        """The judgement of a picture for all its windows, from its percepts and its overview."""
        config, batch = self.config, len(guidance.quality)
        quality, content = guidance.quality, guidance.content
        # A prompt for each region needs perceived regions.
        is_local = config.local_degradation and config.regions == "perceived"
        local = guidance.local_degradation if is_local else guidance.degradation[:, None]
        if config.quality == "learned":
            quality = self.learned_quality.expand(batch, -1)
        if config.degradation == "learned":
            content = self.learned_content.expand(batch, -1)
            local = self.learned_degradation.expand(batch, -1, -1)
        return Judgement(
            self.adapter(quality), self._tokens(overview), self.content(content), self.prompt(local)
        )

    def to_cells(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3 s^2, h, w), filled up to the network's multiple by repeating the border."""
        config = self.config
        height, width = image.shape[-2:]
        pad = (0, -width % config.multiple, 0, -height % config.multiple)
        # Replicate: reflection fails on sides shorter than the pad.
        # A graph that is exported takes any size.
        fills = torch.compiler.is_exporting() or any(pad)
        padded = F.pad(image, pad, mode="replicate") if fills else image
        return F.pixel_unshuffle(padded, config.stem) if config.stem > 1 else padded

    def to_image(self, cells: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 3 s^2, h, w) -> (B, 3, H, W), the opposite of `to_cells`."""
        image = F.pixel_shuffle(cells, self.config.stem) if self.config.stem > 1 else cells
        return image[..., : size[0], : size[1]]

    def residual(self, shallow: Tensor, labels: Tensor, judgement: Judgement) -> Tensor:
        """What the network adds to a window of judged pictures, (B, 3 s^2, h, w) in cells.

        `shallow` (B, C, h, w) are the window's shallow features, `labels` (B, H, W) its own part of the map.
        """
        height, width = labels.shape[-2:]
        pad = (0, -width % self.config.multiple, 0, -height % self.config.multiple)
        if torch.compiler.is_exporting() or any(pad):
            labels = F.pad(labels[:, None].float(), pad, mode="replicate")[:, 0].to(labels.dtype)
        hints = Hints(judgement, self._members(labels))

        x = shallow
        skips: list[Tensor] = []
        for level, (guide, blocks) in enumerate(zip(self.encoder_guidance, self.encoder, strict=True)):
            if level:
                skips.append(x)
                x = self.down[level - 1](x)
            x = blocks(guide(x, hints))
        for level in reversed(range(len(skips))):
            x = self.reduce[level](torch.cat([self.up[level](x), skips[level]], dim=1))
            x = self.decoder_guidance[level](self.decoder[level](x), hints)
        residual: Tensor = self.reconstruction(self.refinement(x))
        return residual

    def _members(self, labels: Tensor) -> list[Tensor]:
        members = [membership(labels, self.config.region_count, self.config.stem)]
        for _ in self.config.channels[1:]:
            members.append(F.avg_pool2d(members[-1], 2))
        return members

    def _tokens(self, overview: Overview) -> RegionTokens:
        """Mask average pooling (MAP; ClearAIR, eqs. 5-6) of the shallow features of the whole picture.

        Eq. 7 then spreads the means over their regions; `RegionAttention` needs no such map.
        """
        if self.config.regions == "learned":
            features = self.learned_regions.expand(len(overview.areas), -1, -1)
            return RegionTokens(features, torch.ones_like(features[..., 0]))
        weight, bias = self.extraction.weight, self.extraction.bias
        means = overview.neighbourhoods.flatten(0, 1)  # (B * N, 3 s^2, 3, 3)
        features = F.conv2d(means, weight, bias).reshape(*overview.areas.shape, -1)
        return RegionTokens(features, overview.areas)

    def _check(self, image: Tensor, guidance: Guidance) -> None:
        config = self.config
        if image.dim() != 4 or image.shape[1] != 3:
            raise ConfigError(f"The network takes (B, 3, H, W), got {tuple(image.shape)}.")
        expected = {
            "labels": (image.shape[0], *image.shape[-2:]),
            "quality": (image.shape[0], config.quality_dim),
            "content": (image.shape[0], config.content_dim),
            "local_degradation": (image.shape[0], config.region_count, config.degradation_dim),
        }
        for name, shape in expected.items():
            got = tuple(getattr(guidance, name).shape)
            if got != shape:
                raise ConfigError(f"The network needs guidance.{name} of shape {shape}, got {got}.")


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
