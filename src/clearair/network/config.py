"""The shape of the network, as one frozen value, and its presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from clearair.errors import ConfigError

Block = Literal["restormer", "gated", "conv"]
Resampling = Literal["conv3x3", "bilinear"]
Padding = Literal["zeros", "replicate"]
Perception = Literal["how", "where", "what"]
Source = Literal["perceived", "learned"]

THUMBNAIL = 128
"""Side in pixels of the picture that the tone stage looks at, whatever the aspect of the picture."""
GUIDANCE_SIZES = ("quality_dim", "content_dim", "degradation_dim", "region_count")
"""Fields that a network and its perceivers must agree on: the sizes of what they exchange."""
STRIP = 128
"""Rows of a picture that are surveyed at a time; a multiple of every stem."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides which weights the network has. Nothing about a machine or a run.

    Raises ConfigError when the fields contradict each other.
    """

    channels: tuple[int, ...] = (48, 96, 192, 384)
    """Channels of each level, finest first; the last level is the bottom of the U."""
    blocks: tuple[int, ...] = (3, 5, 6, 8)
    """Transformer blocks of each encoder level, finest first (the paper's setting)."""
    decoder_blocks: tuple[int, ...] = (3, 5, 6)
    """Blocks of each decoder level, finest first; one level fewer than the encoder."""
    refinement_blocks: int = 4
    """Further blocks at the finest level, after the decoder."""
    heads: tuple[int, ...] = (1, 2, 4, 8)
    """Attention heads of each level."""
    block: tuple[Block, ...] = ("restormer", "restormer", "restormer", "restormer")
    """Kind of block of each level: `restormer` is the paper's PTB."""
    expansion: float = 2.66
    """Hidden channels of a block's feed-forward part, relative to its own."""
    norm_bias: bool = True
    """LayerNorm subtracts the mean and adds a bias (Restormer's "WithBias")."""
    conv_bias: bool = False
    """Convolutions inside blocks have a bias."""
    wide_decoder: bool = True
    """The finest decoder level keeps the 2C channels of the concatenated skip, as Restormer's does."""
    stem: int = 1
    """Pixel-unshuffle before the first level: 2 means that the finest level works at half resolution."""
    resampling: Resampling = "conv3x3"
    """Between levels: Restormer's 3x3 convolution before the (un)shuffle; or a strided convolution down and
    interpolation up, which cannot draw the lattice that shuffled channels of unequal size do; the last
    shuffle, to full resolution, is then freed of it."""
    padding: Padding = "zeros"
    """Padding of convolutions: Restormer's zeros, or replicated border values, which leave no frame around
    the picture."""
    tone: bool = False
    """Exposure, colour and haze are corrected once for the whole picture before the detail network."""
    cautious: bool = False
    """The picture is changed only as far as the perceivers are sure that something is wrong with it."""
    order: tuple[Perception, ...] = ("how", "where", "what")
    """Order of the guidance modules at each level (the paper's Table 6 permutes it)."""
    quality: Source = "perceived"
    """IQA: the quality embedding is perceived, or one learnable vector (Table 7)."""
    regions: Source = "perceived"
    """SGU: region tokens are pooled from the image, or learnable (Table 7)."""
    degradation: Source = "perceived"
    """TI: content and degradation embeddings are perceived, or learnable (Table 7)."""
    local_degradation: bool = True
    """The degradation prompt is formed for each region; otherwise once for the image."""
    quality_dim: int = 32
    content_dim: int = 64
    degradation_dim: int = 64
    region_count: int = 16
    """N, labels a region map may use, the background 0 included."""
    prompts: int = 8
    """K learnable degradation prompts (eq. 10)."""
    prompt_dim: int = 256
    """D_p, entries of a degradation prompt, and of the adapted quality embedding."""
    content_tokens: int = 16
    """Tokens the content embedding becomes: over a single one the softmax would be constant."""
    guidance_ratio: float = 1.0
    """Inner channels of SCA and DAM, relative to the level's own."""

    def __post_init__(self) -> None:
        self._check_levels()
        self._check_choices()
        positive = (
            "quality_dim",
            "content_dim",
            "degradation_dim",
            "prompts",
            "prompt_dim",
            "content_tokens",
        )
        for name in (*positive, "region_count"):
            if getattr(self, name) < 1:
                raise ConfigError(f"NetworkConfig.{name} must be at least 1, got {getattr(self, name)}.")
        if self.region_count > 256:
            raise ConfigError(f"NetworkConfig.region_count must fit a byte, got {self.region_count}.")

    def _check_levels(self) -> None:
        """Fields that have one entry a level agree on the number of levels and fit each other."""
        levels = len(self.channels)
        lengths = {"blocks": levels, "heads": levels, "block": levels, "decoder_blocks": levels - 1}
        for name, length in lengths.items():
            if len(getattr(self, name)) != length:
                raise ConfigError(
                    f"NetworkConfig.{name} needs {length} entries for {levels} levels, "
                    f"got {len(getattr(self, name))}."
                )
        if levels < 2:
            raise ConfigError(f"NetworkConfig.channels needs at least 2 levels, got {levels}.")
        for channels, heads in zip(self.channels, self.heads, strict=True):
            if channels < 2 or heads < 1 or channels % heads or channels % 2:
                raise ConfigError(
                    f"NetworkConfig: {channels} channels must be even and divide by {heads} heads."
                )
        if self.resampling == "conv3x3" and any(channels % 4 for channels in self.channels[1:]):
            raise ConfigError("NetworkConfig.resampling conv3x3 needs multiples of 4 below the first level.")
        if min(*self.blocks, *self.decoder_blocks, self.refinement_blocks) < 0 or not self.expansion > 0:
            raise ConfigError("NetworkConfig needs block counts of at least 0 and a positive expansion.")

    def _check_choices(self) -> None:
        """Check fields that allow only a few words or numbers."""
        if sorted(self.order) != sorted(get_args(Perception)):
            raise ConfigError(f"NetworkConfig.order must permute how, where, what; got {self.order}.")
        for kind in self.block:
            if kind not in get_args(Block):
                raise ConfigError(f"NetworkConfig.block: {kind!r} is none of {get_args(Block)}.")
        choices = {
            "quality": Source,
            "regions": Source,
            "degradation": Source,
            "resampling": Resampling,
            "padding": Padding,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(f"NetworkConfig.{name} must be one of {get_args(allowed)}.")
        if self.stem not in (1, 2):
            raise ConfigError(f"NetworkConfig.stem must be 1 or 2, got {self.stem}.")

    @property
    def multiple(self) -> int:
        """Both sides of an image must be multiples of this; the network pads by itself."""
        return int(self.stem * 2 ** (len(self.channels) - 1))

    def fills_beyond(self, side: int) -> bool:
        """Whether the network pads beyond the last cell of a picture with this side in pixels."""
        return -(-side // self.stem) * self.stem % self.multiple > 0

    def inner(self, channels: int) -> int:
        """Channels inside SCA and DAM of a level with this many channels."""
        return max(8, 8 * math.ceil(channels * self.guidance_ratio / 8))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """The opposite of `to_dict`. Raises ConfigError for a field that does not exist."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"NetworkConfig has no field {', '.join(unknown)}.")
        fitted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fitted)


BASE = NetworkConfig()
"""The paper's configuration, about 31M trainable parameters."""

COMPACT = NetworkConfig(
    channels=(64, 128, 256),
    blocks=(2, 3, 5),
    decoder_blocks=(2, 3),
    heads=(1, 2, 4),
    block=("conv", "gated", "gated"),
    refinement_blocks=0,
    expansion=2.0,
    conv_bias=True,
    wide_decoder=False,
    stem=2,
    resampling="bilinear",
    padding="replicate",
    tone=True,
    cautious=True,
    prompt_dim=64,
    content_tokens=8,
    guidance_ratio=0.5,
)
"""Made for CPUs: works at half resolution and below; ships inside the package."""

TINY = NetworkConfig(
    channels=(8, 16),
    blocks=(1, 1),
    decoder_blocks=(1,),
    heads=(1, 2),
    block=("conv", "restormer"),
    refinement_blocks=1,
    quality_dim=4,
    content_dim=6,
    degradation_dim=5,
    region_count=4,
    prompts=3,
    prompt_dim=8,
    content_tokens=2,
)
"""Milliseconds on a CPU; for tests."""
