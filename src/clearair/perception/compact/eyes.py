"""The compact perceiver's network: two views of an image, one feature map, four heads.

Shapes: B images, H x W pixels, h x w positions at stride 16 of the far view, K kinds, Q / D_c / D_d / E
entries of the quality, content, degradation and region embeddings, E_x of the exposure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.geometry import EXPOSURE_DIM, near_grid
from clearair.perception.compact.views import exposure, far_view, near_crops, sampled

LEVEL_VALUES = (5.0, 4.0, 3.0, 2.0, 1.0)
THUMBNAIL = 8
"""Side in pixels of the undamaged thumbnail that the content embedding can reconstruct."""
SHARPNESS = 8.0
"""Logits of unit vectors need a scale to become certain."""


@dataclass(frozen=True)
class Sight:
    """All outputs of the network for a batch."""

    levels: Tensor
    """(B, 5) logits from excellent to bad."""
    quality: Tensor
    """(B, Q)."""
    content: Tensor
    """(B, D_c), length one."""
    degradation: Tensor
    """(B, D_d), length one, of the whole image."""
    dense_degradation: Tensor
    """(B, D_d, h, w), length one at each position."""
    regions: Tensor
    """(B, E, 4h, 4w) region embedding: close within a region that people see, far apart between regions."""
    contrast: Tensor
    """(B,) standard deviation of the far view; 0 for a uniform image."""
    pieces: Tensor
    """(B, P, R, C) features of each crop of the near view."""
    exposure: Tensor
    """(B, E_x) how light is spread over the whole image."""

    @property
    def score(self) -> Tensor:
        """(B,) expected quality in 1..5."""
        return self.levels.softmax(dim=1) @ self.levels.new_tensor(LEVEL_VALUES)


class CompactEyes(nn.Module):
    """How, where and what in one pass over a far and a near view of the image.

    `normed` adds batch normalisation behind every convolution: for training only, `folded` removes it.
    """

    def __init__(self, config: EyesConfig, *, normed: bool = False) -> None:
        super().__init__()
        self.config = config
        self.far = FarTrunk(config.far_widths, normed)
        self.near = NearNet(config.near_widths, normed)
        seen, dense = config.far_widths[-1] + 2 * config.near_widths[-1], config.dense_width
        self.fusion = nn.Sequential(_conv(seen, dense, 1, 1, normed), _Residual(dense, normed))
        kinds = len(config.kinds)
        self.to_degradation = nn.Conv2d(dense, config.degradation_dim, 1)
        self.peak_to_degradation = nn.Linear(dense, config.degradation_dim)
        self.kind_head = nn.Linear(config.degradation_dim, kinds)
        self.piece_kind_head = nn.Linear(2 * config.near_widths[-1], kinds)
        self.strength_head = nn.Linear(config.degradation_dim, kinds)
        self.to_quality = nn.Sequential(
            nn.Linear(2 * dense, 96), nn.ReLU(inplace=True), nn.Linear(96, config.quality_dim)
        )
        self.level_head = nn.Linear(config.quality_dim, len(LEVEL_VALUES))
        self.quality_strength_head = nn.Linear(config.quality_dim, kinds)
        self.to_content = ContentHead(config.far_widths[-1], config.content_dim)
        self.thumbnail_head = nn.Linear(config.content_dim, 3 * THUMBNAIL**2)
        self.to_regions = RegionDecoder(config.far_widths[1:], config.region_dim, normed)
        self.affinity = nn.Parameter(torch.tensor([2.0, 0.0]))
        self.picture_kind_head = nn.Linear(config.degradation_dim + EXPOSURE_DIM, kinds)

    def forward(self, images: Tensor) -> Sight:
        """RGB in [0, 1], (B, 3, H, W), any size."""
        config = self.config
        grid = near_grid(images.shape[2], images.shape[3], config.near_crops, config.near_spacing)
        return self.see(
            far_view(images, config.far_pixels),
            near_crops(images, config.near_side, grid),
            grid,
            sampled(images),
        )

    def see(self, far: Tensor, near: Tensor, grid: tuple[int, int], sample: Tensor) -> Sight:
        """Everything seen in the two views, (B, 3, 16h, 16w) and (B, R * C, 3, S, S) with its (R, C).

        `sample` (B, 3, ., .) are pixels of the image for its exposure.
        """
        values = far.flatten(1)
        contrast = (values - values.mean(dim=1, keepdim=True)).square().mean(dim=1).sqrt()
        far = _exposed(far)
        features = self.far(far)
        pieces = (
            self.near(near.flatten(0, 1)).view(near.shape[0], *grid, -1).permute(0, 3, 1, 2)
        )  # (B, ., R, C)
        around = F.interpolate(pieces, features[-1].shape[2:], mode="bilinear", align_corners=False)
        dense = self.fusion(torch.cat([features[-1], around], dim=1))
        mean, peak = dense.mean(dim=(2, 3)), dense.amax(dim=(2, 3))
        local = self.to_degradation(dense)
        degradation = local.mean(dim=(2, 3)) + self.peak_to_degradation(peak)
        quality = self.to_quality(torch.cat([mean, peak], dim=1))
        return Sight(
            levels=self.level_head(quality),
            quality=quality,
            content=self.to_content(features[-1], far),
            degradation=_unit(degradation),
            dense_degradation=_unit(local),
            regions=self.to_regions(features[1:]),
            contrast=contrast,
            pieces=pieces,
            exposure=exposure(sample),
        )

    def kind_logits(self, degradation: Tensor) -> Tensor:
        """Unit degradation embeddings (..., D_d), of a place or a picture -> logits of the kinds (..., K)."""
        logits: Tensor = self.kind_head(SHARPNESS * degradation)
        return logits

    def picture_kind_logits(self, sight: Sight) -> Tensor:
        """Logits of the kinds in whole images (B, K): the lower of the local logits and of those of all
        features.

        A night scene and a photo in too little light may look alike in their places and differ in their
        lamps, or have the same light and differ in their places: both must agree.
        """
        with torch.autocast(
            sight.exposure.device.type, enabled=False
        ):  # bf16 is too imprecise for so many features
            places = self.kind_logits(sight.degradation.float())
            return torch.minimum(places, self.picture_kind_head(picture_clues(sight).float()))

    def piece_kind_logits(self, pieces: Tensor) -> Tensor:
        """Crops (B, P, R, C) -> logits of the kinds in each (B, R, C, K); an auxiliary loss for `near`."""
        logits: Tensor = self.piece_kind_head(pieces.permute(0, 2, 3, 1))
        return logits

    def strengths(self, degradation: Tensor) -> Tensor:
        """Unit degradation embeddings (..., D_d) -> strength of each kind (..., K), about 0..1; linear."""
        strengths: Tensor = self.strength_head(SHARPNESS * degradation)
        return strengths

    def thumbnail(self, content: Tensor) -> Tensor:
        """Unit content embeddings (B, D_c) -> the undamaged scene as (B, 3, 8, 8), sRGB; linear."""
        picture: Tensor = self.thumbnail_head(SHARPNESS * content)
        return picture.view(-1, 3, THUMBNAIL, THUMBNAIL)

    def same_region_logits(self, distance: Tensor) -> Tensor:
        """Squared distance of two region embeddings -> logit that people see one region there."""
        return self.affinity[0] - (self.affinity[1].exp() + 0.1) * distance

    @property
    def region_radius(self) -> Tensor:
        """() distance of two region embeddings up to which they are taken for one region.

        A little over half of that at which people are as likely to see one as two: it covers human maps best.
        """
        return 0.55 * (self.affinity[0].clamp_min(0.1) / (self.affinity[1].exp() + 0.1)).sqrt()


def picture_clues(sight: Sight) -> Tensor:
    """The features that predict the kinds in whole images: embedding and exposure, (B, D_d + E_x)."""
    return torch.cat([SHARPNESS * sight.degradation, sight.exposure], dim=1)


class FarTrunk(nn.Module):
    """Features of the far view at strides 2, 4, 8 and 16."""

    def __init__(self, widths: tuple[int, ...], normed: bool) -> None:
        super().__init__()
        stages = [_conv(6, widths[0], 3, 2, normed)]
        for narrow, wide in itertools.pairwise(widths):
            stages.append(nn.Sequential(_conv(narrow, wide, 3, 2, normed), _Residual(wide, normed)))
        self.stages = nn.ModuleList(stages)

    def forward(self, far: Tensor) -> list[Tensor]:
        """(B, 6, 16h, 16w) -> one map a stage, finest first."""
        features = []
        for stage in self.stages:
            far = stage(far)
            features.append(far)
        return features


class NearNet(nn.Module):
    """One vector a native-resolution crop: mean and spread of its fine structure."""

    def __init__(self, widths: tuple[int, ...], normed: bool) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            _conv(24, fine, 3, 1, normed),
            _conv(fine, fine, 3, 1, normed),
            _conv(fine, middle, 3, 2, normed),
            _conv(middle, middle, 3, 1, normed),
            _conv(middle, coarse, 3, 2, normed),
            _conv(coarse, coarse, 3, 1, normed),
        )

    def forward(self, crops: Tensor) -> Tensor:
        """(M, 3, S, S) -> (M, 2 * widths[-1])."""
        detail = crops - _smoothed(crops)
        # The signed root makes grain of one grey level in the dark count beside an edge of a hundred.
        detail = detail.sign() * (detail.abs() + 1e-6).sqrt()
        pixels = torch.cat([crops - 0.5, 2.0 * detail], dim=1)
        if torch.is_autocast_enabled(
            pixels.device.type
        ):  # the convolution would do the same, but after all copies
            pixels = pixels.to(torch.get_autocast_dtype(pixels.device.type))
        # Narrow convolutions are nearly twice as fast with channels last.
        features = self.layers[0](pixels).contiguous(memory_format=torch.channels_last)
        for layer in list(self.layers)[1:]:
            features = layer(features)
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)


class ContentHead(nn.Module):
    """Content head: coarse features and colours, with their positions."""

    def __init__(self, width: int, content_dim: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, 16, 1)
        self.mix = nn.Sequential(
            nn.Linear(16 * 16 + 6 * THUMBNAIL**2, 128), nn.ReLU(inplace=True), nn.Linear(128, content_dim)
        )

    def forward(self, features: Tensor, far: Tensor) -> Tensor:
        """(B, C, h, w), (B, 6, 16h, 16w) -> (B, D_c), length one."""
        places = _reduced(self.squeeze(features), 4).flatten(1)
        colours = _reduced(far, THUMBNAIL).flatten(1)
        return _unit(self.mix(torch.cat([places, colours], dim=1)))


class RegionDecoder(nn.Module):
    """From coarse to fine: an embedding of each stride-4 position in which regions lie apart."""

    def __init__(self, widths: tuple[int, ...], region_dim: int, normed: bool) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.from_coarse = _conv(coarse, middle, 1, 1, normed)
        self.at_middle = _conv(middle, fine, 3, 1, normed)
        self.at_fine = _conv(fine + 2, fine, 3, 1, normed)
        self.out = nn.Conv2d(fine, region_dim, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features at strides 4, 8 and 16 -> (B, E, 4h, 4w)."""
        fine, middle, coarse = features
        middle = middle + F.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear")
        fine = fine + F.interpolate(self.at_middle(middle), scale_factor=2.0, mode="bilinear")
        embedding: Tensor = self.out(self.at_fine(torch.cat([fine, _places(fine)], dim=1)))
        return embedding


class _Residual(nn.Module):
    """x + two 3x3 convolutions: dense, which a CPU runs several times faster per operation than depthwise."""

    def __init__(self, width: int, normed: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width, 3, 1, normed), _conv(width, width, 3, 1, normed))

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = features + self.body(features)
        return out


def _conv(inputs: int, outputs: int, kernel: int, stride: int, normed: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    norm = [nn.BatchNorm2d(outputs)] if normed else []
    return nn.Sequential(convolution, *norm, nn.ReLU(inplace=True))


def _smoothed(image: Tensor) -> Tensor:
    """Mean of the 3x3 pixels around each, of those that exist: (B, C, H, W) -> the same.

    By sums of shifted copies, since average pooling takes nine times as long on a CPU.
    """
    for dim in (2, 3):
        length = image.shape[dim]
        total, count = image.clone(), torch.ones(length, device=image.device, dtype=image.dtype)
        for to, of in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            total[(slice(None),) * dim + (to,)] += image[(slice(None),) * dim + (of,)]
            count[to] += 1
        image = total / count.reshape([-1] + [1] * (3 - dim))
    return image


def _exposed(far: Tensor) -> Tensor:
    """Add a copy whose exposure does not depend on the light (Reinhard et al., 2002): 3 -> 6 channels."""
    relative = far / (far.mean(dim=(1, 2, 3), keepdim=True) + 0.004)
    return torch.cat([far, relative / (1.0 + relative)], dim=1) - 0.5


def _reduced(x: Tensor, side: int) -> Tensor:
    """Adaptive average pooling: (B, C, H, W) -> (B, C, side, side)."""
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(x, side)
    # An exported graph knows no adaptive pooling of a size that may vary: a product with two matrices.
    down, across = (_averages(length, side, x.device) for length in x.shape[2:])
    return down @ x @ across.T


def _averages(length: int, parts: int, device: torch.device) -> Tensor:
    """(parts, length): the mean of each of the parts into which adaptive pooling divides a length."""
    part, place = torch.arange(parts, device=device)[:, None], torch.arange(length, device=device)
    inside = (place >= part * length // parts) & (place < ((part + 1) * length + parts - 1) // parts)
    return inside.float() / inside.float().sum(dim=1, keepdim=True)


def _places(features: Tensor) -> Tensor:
    """Where each position lies: (B, 2, h, w), both sides spanning about -1..1."""
    height, width = features.shape[2:]
    # Counted in tensors alone: a size that may vary enters an exported graph as a tensor, not as a number.
    counts = (torch.arange(1, side + 1, device=features.device).float() for side in (height, width))
    rows, columns = ((2 * count - 1) / count[-1:] - 1 for count in counts)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).to(features.dtype)
    return grid.expand(features.shape[0], 2, height, width)


def _unit(vectors: Tensor) -> Tensor:
    """Length one along dimension 1, in float32."""
    return F.normalize(vectors.float(), dim=1)


def folded(eyes: CompactEyes) -> CompactEyes:
    """The same function without batch normalisation, for inference: the shipped form."""
    plain = CompactEyes(eyes.config).eval()
    state = eyes.state_dict()
    weights = {name: value.clone() for name, value in state.items() if name in plain.state_dict()}
    for name, module in eyes.named_modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            assert isinstance(module[0], nn.Conv2d)
            joined = torch.nn.utils.fusion.fuse_conv_bn_eval(module[0].eval(), module[1].eval())
            assert joined.bias is not None
            weights[f"{name}.0.weight"], weights[f"{name}.0.bias"] = joined.weight, joined.bias
    plain.load_state_dict({name: value.detach().float() for name, value in weights.items()})
    return plain


@torch.no_grad()
def unfolded(eyes: CompactEyes, images: Sequence[Tensor]) -> CompactEyes:
    """The opposite of `folded`: put normalisation that changes nothing behind every convolution, to train on.

    Its statistics are measured on batches (B, 3, H, W) and compensated by its gain and offset. Kernels are
    scaled to length one, so that one step size suits them all.
    """
    normed = CompactEyes(eyes.config, normed=True).eval()
    seen: dict[str, list[Tensor]] = {}

    def watch(name: str, convolution: nn.Conv2d) -> RemovableHandle:
        def remember(_module: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> None:
            moments = torch.stack([out.mean(dim=(0, 2, 3)), out.square().mean(dim=(0, 2, 3))])
            seen.setdefault(name, []).append(moments)

        return convolution.register_forward_hook(remember)

    blocks = {
        name: module
        for name, module in normed.named_modules()
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d)
    }
    convolutions = {name: eyes.get_submodule(f"{name}.0") for name in blocks}
    handles = [watch(name, module) for name, module in convolutions.items() if isinstance(module, nn.Conv2d)]
    for batch in images:
        eyes(batch)
    for handle in handles:
        handle.remove()
    plain = eyes.state_dict()
    normed.load_state_dict({**normed.state_dict(), **plain})
    for name, block in blocks.items():
        convolution, norm = block[0], block[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert convolution.bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, square = torch.stack(seen[name]).mean(dim=0)
        length = convolution.weight.flatten(1).norm(dim=1).clamp_min(1e-6)
        convolution.weight.div_(length[:, None, None, None])
        norm.running_mean.copy_((mean - convolution.bias) / length)
        norm.running_var.copy_((square - mean.square()).clamp_min(0) / length.square())
        norm.weight.copy_(length * (norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(mean)
        convolution.bias.zero_()
    return normed
