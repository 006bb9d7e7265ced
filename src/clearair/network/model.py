"""The restorer: a U-shaped backbone, guided at every level by How, Where and What.

Shapes: B images, C channels, H x W pixels, N regions.
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
from clearair.network.guidance import Guidance
from clearair.network.quality import QualityAdapter, QualityGuidance
from clearair.network.regions import RegionAttention, RegionTokens, membership, pool_regions


@dataclass(frozen=True)
class Hints:
    """Guidance made ready once for a forward pass; every level reads from it."""

    quality: Tensor
    """(B, F) adapted quality embedding."""
    tokens: RegionTokens
    """Regions, pooled from the shallow features."""
    content: Tensor
    """(B, T, P) content tokens."""
    prompts: Tensor
    """(B, N or 1, P) degradation prompt of each region, or of the image."""
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
                x = self.how(x, hints.quality)
            elif perception == "where":
                x = self.where(x, hints.tokens)
            else:
                x = self.what(x, hints.content, hints.prompts, hints.members[self.level])
        return x


class Downsample(nn.Module):
    """Half the resolution, more channels: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, channels: int, out_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        if config.resampling == "conv3x3":
            self.body = nn.Sequential(
                nn.Conv2d(channels, out_channels // 4, 3, padding=1, bias=False), nn.PixelUnshuffle(2)
            )
        else:  # a 2x2 convolution of stride 2 is an unshuffle and a 1x1 convolution in one pass
            self.body = nn.Sequential(nn.Conv2d(channels, out_channels, 2, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        return self.body(x)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Twice the resolution, fewer channels: (B, C, H, W) -> (B, C', 2H, 2W)."""

    def __init__(self, channels: int, out_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        wide = config.resampling == "conv3x3"
        self.body = nn.Sequential(
            nn.Conv2d(channels, 4 * out_channels, 3 if wide else 1, padding=1 if wide else 0, bias=False),
            nn.PixelShuffle(2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', 2H, 2W)."""
        return self.body(x)  # type: ignore[no-any-return]


class ClearAIR(nn.Module):
    """Restores a degraded image, told by `Guidance` how bad it is, where, and what is wrong.

    ClearAIR (AAAI 2026, arXiv 2601.02763), Fig. 2. In the encoder the guidance modules of a level come
    before its blocks, in the decoder after them. The output is the input plus what the network adds.
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

        self.extraction = nn.Conv2d(pixels, channels[0], 3, padding=1, bias=config.conv_bias)
        self.encoder_guidance = nn.ModuleList([GuidanceModules(config, i) for i in range(bottom + 1)])
        self.encoder = nn.ModuleList([self._blocks(i, config.blocks[i]) for i in range(bottom + 1)])
        self.down = nn.ModuleList([Downsample(channels[i], channels[i + 1], config) for i in range(bottom)])

        # Seen from below: what a decoder level receives, and the width it works at.
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
        self.reconstruction = nn.Conv2d(widths[0], pixels, 3, padding=1, bias=config.conv_bias)

    def _add_learned_percepts(self) -> None:
        """Table 7: what is not perceived is one learnable parameter, the same for every image."""
        config = self.config
        if config.quality == "learned":
            self.learned_quality = nn.Parameter(torch.randn(1, config.quality_dim))
        if config.regions == "learned":
            self.learned_regions = nn.Parameter(torch.randn(1, config.region_count, config.channels[0]))
        if config.degradation == "learned":
            self.learned_content = nn.Parameter(torch.randn(1, config.content_dim))
            self.learned_degradation = nn.Parameter(torch.randn(1, 1, config.degradation_dim))

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
                )
                for _ in range(count)
            )
        )

    def forward(self, image: Tensor, guidance: Guidance) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, H, W), not clamped; any H, W >= 1.

        Raises ConfigError when the guidance is not of this image or not of the sizes the network knows.
        """
        self._check(image, guidance)
        height, width = image.shape[-2:]
        labels = guidance.labels
        if height % self.config.multiple or width % self.config.multiple:
            pad = (0, -width % self.config.multiple, 0, -height % self.config.multiple)
            # Replicate: reflection fails on sides shorter than the pad.
            padded = F.pad(image, pad, mode="replicate")
            labels = F.pad(labels[:, None].float(), pad, mode="replicate")[:, 0].to(labels.dtype)
        else:
            padded = image

        x = F.pixel_unshuffle(padded, self.config.stem) if self.config.stem > 1 else padded
        x = self.extraction(x)
        hints = self._hints(x, labels, guidance)

        skips: list[Tensor] = []
        for level, (guide, blocks) in enumerate(zip(self.encoder_guidance, self.encoder, strict=True)):
            if level:
                skips.append(x)
                x = self.down[level - 1](x)
            x = blocks(guide(x, hints))
        for level in reversed(range(len(skips))):
            x = self.reduce[level](torch.cat([self.up[level](x), skips[level]], dim=1))
            x = self.decoder_guidance[level](self.decoder[level](x), hints)
        residual = self.reconstruction(self.refinement(x))
        if self.config.stem > 1:
            residual = F.pixel_shuffle(residual, self.config.stem)
        restored: Tensor = image + residual[..., :height, :width].to(image.dtype)
        return restored

    def _hints(self, shallow: Tensor, labels: Tensor, guidance: Guidance) -> Hints:
        config, batch = self.config, shallow.shape[0]
        members = [membership(labels, config.region_count, config.stem)]
        for _ in config.channels[1:]:
            members.append(F.avg_pool2d(members[-1], 2))

        quality, content = guidance.quality, guidance.content
        # A prompt for each region needs regions that were seen.
        is_local = config.local_degradation and config.regions == "perceived"
        local = guidance.local_degradation if is_local else guidance.degradation[:, None]
        tokens = pool_regions(shallow, members[0])
        if config.quality == "learned":
            quality = self.learned_quality.expand(batch, -1)
        if config.regions == "learned":
            features = self.learned_regions.expand(batch, -1, -1)
            tokens = RegionTokens(features, torch.ones_like(features[..., 0]))
        if config.degradation == "learned":
            content = self.learned_content.expand(batch, -1)
            local = self.learned_degradation.expand(batch, -1, -1)
        return Hints(self.adapter(quality), tokens, self.content(content), self.prompt(local), members)

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
