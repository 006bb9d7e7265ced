"""JPEG compression, in tensors: the 8 x 8 DCT, quantised with the standard's tables.

Shapes: B images, H x W positions, N blocks of 8 x 8.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.sampling import chance, constant, on_processor, per_sample
from clearair.data.degradations.stages import Conditions, Stage, Step
from clearair.similarity import BT601

STAGES = (Stage.FILE,)
QUALITY_RANGE = (90.0, 8.0)
"""libjpeg quality at strength 0 and 1."""
BLOCK = 8

# ITU-T T.81 (1992), tables K.1 and K.2, row by row.
LUMINANCE_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
# JFIF 1.02: RGB to Y, Cb, Cr, all in 0..255 (chroma before its shift by 128).
TO_YCBCR = (
    BT601,
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@dataclass(frozen=True)
class Jpeg:
    """What is left of an image after baseline JPEG at a libjpeg quality."""

    quality: Tensor
    """(B,) libjpeg quality in [1, 100]."""
    subsampled: Tensor
    """(B,) bool: 4:2:0 chroma instead of 4:4:4."""
    offset: tuple[int, int] = (0, 0)
    """(down, right): where in an 8 x 8 (16 x 16) block the image begins, as if cropped from a larger one."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same after compression, on the 8-bit grid."""
        height, width = clean.shape[-2:]
        top, left = self.offset
        bottom, right = -(height + top) % (2 * BLOCK), -(width + left) % (2 * BLOCK)
        padded = F.pad(clean * 255, (left, right, top, bottom), mode="replicate")
        # libjpeg rounds wherever it stores samples, and at high quality that is part of the loss.
        ycbcr = torch.einsum("dc,bchw->bdhw", constant(TO_YCBCR, like=padded), padded.round()).round()
        factor = quantisation_factor(self.quality)
        luma = _quantise(ycbcr[:, :1] - 128, LUMINANCE_TABLE, factor)
        chroma = ycbcr[:, 1:]
        # Compute both: counting the samples of each kind would wait for the GPU.
        fine, coarse = (_compress_chroma(chroma, factor, subsampled=half) for half in (False, True))
        chroma = torch.where(per_sample(self.subsampled), coarse, fine)
        decoded = torch.cat([(luma + 128).clamp(0, 255), chroma.clamp(-128, 127)], dim=1)
        rgb = torch.einsum("dc,bchw->bdhw", constant(TO_RGB, like=padded), decoded)
        return rgb[..., top : top + height, left : left + width].round().clamp(0, 255) / 255


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_jpeg`, as `DamageModule` requires."""
    return (draw_jpeg(strength, conditions.generator),)


def draw_jpeg(strength: Tensor, generator: torch.Generator) -> Jpeg:
    """Compression for (B,) strengths in [0, 1]; half of the draws begin in the middle of a block."""
    low, high = QUALITY_RANGE
    # Below quality 30 each step costs much more than above, so the strength follows the logarithm.
    quality = torch.exp(math.log(low) + (math.log(high) - math.log(low)) * strength)
    offset = (0, 0)
    choices = on_processor(generator)
    if float(torch.rand((), generator=choices, dtype=torch.float32)) < 0.5:
        down, right = torch.randint(BLOCK, (2,), generator=choices).tolist()
        offset = (down, right)
    return Jpeg(
        quality=quality.round(), subsampled=chance(generator, 0.7, like=strength).bool(), offset=offset
    )


def quantisation_factor(quality: Tensor) -> Tensor:
    """Scale of the standard tables in libjpeg, in percent, for a quality in [1, 100]."""
    quality = quality.clamp(1, 100)
    return torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)


def _compress_chroma(chroma: Tensor, factor: Tensor, *, subsampled: bool) -> Tensor:
    if not subsampled:
        return _quantise(chroma, CHROMINANCE_TABLE, factor)
    half = _quantise(F.avg_pool2d(chroma, 2).round(), CHROMINANCE_TABLE, factor)
    # Bilinear with half-pixel centres is libjpeg's "fancy upsampling".
    return F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)


def _quantise(plane: Tensor, table: tuple[tuple[int, ...], ...], factor: Tensor) -> Tensor:
    """(B, C, H, W) in -128..127 with sides multiple of 8, (B,) percent -> the decoded plane."""
    batch, channels, height, width = plane.shape
    steps = constant(table, like=plane).flatten()  # (64,)
    steps = ((steps * factor[:, None] + 50) / 100).floor().clamp(1, 255)[:, None]  # (B, 1, 64)
    blocks = plane.reshape(batch, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    blocks = blocks.transpose(3, 4).reshape(batch, -1, BLOCK * BLOCK)  # (B, N, 64)
    basis = _dct_basis().to(plane, non_blocking=True)
    decoded = (((blocks @ basis.T / steps).round() * steps) @ basis).round()
    decoded = decoded.reshape(batch, channels, height // BLOCK, width // BLOCK, BLOCK, BLOCK)
    return decoded.transpose(3, 4).reshape(plane.shape)


@cache
def _dct_basis() -> Tensor:
    """(64, 64) orthonormal: row u * 8 + v is the DCT-II basis picture of frequency (u, v), flattened."""
    position = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi * (2 * position + 1) * position[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows)
