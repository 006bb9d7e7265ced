"""Raindrops on a window or lens: small lenses that show a blurred, flipped, shifted piece of the scene.

Shapes: B images, H x W positions, N drops of one size class, M of them used, P x P pixels of a drop's patch.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.draws import constant, feature_scale, normal, per_sample, smear, uniform

RADII = ((2.5, 6.0), (6.0, 14.0), (14.0, 36.0))
"""Range of the radius, in px at nominal size, of each size class."""
SHARES = (0.15, 0.4, 0.45)
"""How the covered area is divided among the size classes, on average."""
COVERAGE = (0.12, 1.50)
"""Area of all drops, relative to the picture's, at strength 0 and 1; about half is left by overlaps."""
LOBES = ((2, 0.18), (3, 0.1), (5, 0.05))
"""Waves round a drop's outline: how many, and how large they are at most, relative to the radius."""
DEFOCUS = (0.8, 5.0)
"""Range of the blur of what is on the glass: standard deviation in px at nominal size."""
SOFT = 1.8
"""Blur, in the same px, above which half the resolution is enough."""
STEEPEST = 2.0
"""Slope beyond which a drop's rim, which mirrors more than it shows, is not followed."""


@dataclass(frozen=True)
class Raindrop:
    """Drops on glass, y = (1 - m) x + m r, where r is the scene refracted by the drops (Qian et al., 2018).

    The camera looks past the glass, so m and m r are blurred by what is out of focus at its distance.
    """

    thickness: Tensor
    """(B, 1, H, W) of the water, in px of the nominal picture; 0 everywhere leaves the image unchanged."""
    softness: Tensor
    """(B,) thickness at which a drop is fully seen, in the same px."""
    opacity: Tensor
    """(B,) in [0, 1]: how much of a drop's place the drop itself fills."""
    refraction: Tensor
    """(B,) how far aside a drop looks where its surface slopes by 45 degrees, in px."""
    gain: Tensor
    """(B,) brightness inside the drops, as a factor."""
    glare: Tensor
    """(B, 2) in [0, 1]: stray light in a drop: its share, and its grey relative to the scene's brightest."""
    light: Tensor
    """(B, 2) direction (right, down) of the light on the drops, as long as the change it makes."""
    rim: Tensor
    """(B,) in [0, 1]: how much darker a drop's outline is."""
    defocus: Tensor
    """(B,) standard deviation of the blur of all that is on the glass, in px."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same through a wet window."""
        cover = (self.thickness / per_sample(self.softness)).clamp(0, 1)
        cover = cover * cover * (3 - 2 * cover)
        scale = feature_scale((clean.shape[-2], clean.shape[-1]))
        slope = (_slope(self.thickness) * scale).clamp(-STEEPEST, STEEPEST)  # (B, 2, H, W)
        scene = _out_of_focus(clean)
        glare = per_sample(self.glare[:, 1]) * scene.amax((1, 2, 3), keepdim=True)
        inside = self._refracted(scene, slope) * per_sample(self.gain)
        inside = torch.lerp(inside, glare.expand_as(inside), per_sample(self.glare[:, 0]))
        inside = inside + (slope * self.light[:, :, None, None]).sum(1, keepdim=True)
        inside = inside * (1 - per_sample(self.rim) * 4 * cover * (1 - cover))
        cover = cover * per_sample(self.opacity)
        glass = torch.cat([cover * inside.clamp(0, 1.2), cover], dim=1)
        glass = _defocused(glass, self.defocus, scale)
        return (clean * (1 - glass[:, 3:]) + glass[:, :3]).clamp(0, 1)

    def _refracted(self, scene: Tensor, slope: Tensor) -> Tensor:
        """What is seen through the water, upside down in each drop."""
        height, width = scene.shape[-2:]
        shift = slope * per_sample(self.refraction) * 2 / constant([width, height], like=slope)[:, None, None]
        rows = torch.linspace(-1 + 1 / height, 1 - 1 / height, height, device=scene.device)
        columns = torch.linspace(-1 + 1 / width, 1 - 1 / width, width, device=scene.device)
        grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], dim=2)
        grid = grid + shift.permute(0, 2, 3, 1)
        return F.grid_sample(scene, grid, padding_mode="reflection", align_corners=False)


def draw_raindrop(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Raindrop:
    """Drops for (B,) strengths in [0, 1] and images of (H, W)."""
    batch, scale = len(strength), feature_scale(size)
    cover = (COVERAGE[0] + (COVERAGE[1] - COVERAGE[0]) * strength) / COVERAGE[1]
    water = torch.zeros(batch, size[0] * size[1], device=strength.device, dtype=strength.dtype)
    for radii, share in zip(RADII, SHARES, strict=True):
        area = math.pi * (scale * sum(radii) / 2) ** 2
        number = max(1, round(COVERAGE[1] * share * size[0] * size[1] / area))
        # Some windows carry a mist of fine drops, others a few big ones.
        kept = cover * uniform(generator, batch, like=strength, low=0.4, high=1.0)
        sparing = strength.device.type == "cpu"
        _add_drops(water, size, number, radii, kept, generator, sparing=sparing)
    angle = math.pi * (0.5 + 0.3 * normal(generator, batch, like=strength))
    # The sky, upside down, lights the lower side of a drop: where the water thins downwards.
    shading = -uniform(generator, batch, like=strength, high=0.15)
    glare = uniform(generator, batch, 2, like=strength)
    low, high = DEFOCUS
    return Raindrop(
        thickness=water.reshape(batch, 1, *size),
        softness=uniform(generator, batch, like=strength, low=1.5, high=5.0),
        opacity=uniform(generator, batch, like=strength, low=0.8, high=1.0),
        refraction=min(size) * uniform(generator, batch, like=strength, low=0.15, high=0.5),
        gain=uniform(generator, batch, like=strength, low=0.75, high=1.25),
        glare=torch.stack([0.6 * glare[:, 0], 0.6 + 0.4 * glare[:, 1]], 1),
        light=torch.stack([angle.cos(), angle.sin()], 1) * shading[:, None],
        rim=uniform(generator, batch, like=strength, high=0.25),
        defocus=scale * (low + (high - low) * uniform(generator, batch, like=strength) ** 1.5),
    )


def _add_drops(
    water: Tensor,
    size: tuple[int, int],
    number: int,
    radii: tuple[float, float],
    kept: Tensor,
    generator: torch.Generator,
    *,
    sparing: bool,
) -> None:
    """Raise `water` (B, H * W) to N irregular caps; of each sample's, the share `kept` (B,) is used.

    Only drops that are there are worth the cosines. But to know how many these are, a graphics card would be
    waited for: unless `sparing`, all are made, and those too many are flat.
    """
    batch, (height, width) = len(water), size
    scale = feature_scale(size)
    reach = math.ceil(1.2 * scale * radii[1])
    axis = torch.arange(-reach, reach + 1, device=water.device)
    down, right = axis[:, None], axis[None, :]
    numbers = uniform(generator, 10, batch, number, like=water)
    used = numbers[0] < kept[:, None]
    if sparing:
        sample = used.nonzero()[:, 0]  # (M,)
        numbers = numbers[1:, used]
    else:
        sample = torch.arange(batch, device=water.device).repeat_interleave(number)
        numbers = numbers[1:].flatten(1)
    first, second, third, *wobble = numbers  # (M,) each
    row, column = (first * height).long()[:, None, None], (second * width).long()[:, None, None]
    radius = (radii[0] + (radii[1] - radii[0]) * third**2)[:, None, None]
    angle = torch.atan2(down, right).to(water)
    # Three waves round the outline, each of random size and phase: a cos(n t + p) as a sum of two products.
    waves, sizes = [], []
    for (lobes, most), amount, phase in zip(LOBES, wobble[:3], wobble[3:], strict=True):
        waves += [torch.cos(lobes * angle), torch.sin(lobes * angle)]
        turn = 2 * math.pi * phase
        sizes += [most * amount * turn.cos(), -most * amount * turn.sin()]
    outline = 1 + torch.einsum("wm,wpq->mpq", torch.stack(sizes), torch.stack(waves))
    distance = (down**2 + right**2).to(water) / (scale * radius * outline) ** 2
    cap = radius * (1 - distance).clamp_min_(0).sqrt_()  # (M, P, P)
    rows, columns = row + down, column + right
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    if not sparing:
        outside = outside | ~used.flatten()[:, None, None]
    cap.masked_fill_(outside, 0)
    place = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    place = place + (sample * height * width)[:, None, None]
    water.view(-1).scatter_reduce_(0, place.flatten(), cap.flatten(), "amax")


def _slope(height: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 2, H, W): its change to the right and downwards, per px."""
    padded = F.pad(height, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return torch.cat([right, down], dim=1)


def _defocused(glass: Tensor, defocus: Tensor, scale: float) -> Tensor:
    """(B, 4, H, W) blurred by (B,) px each; what is soft enough anyway, at half the resolution."""
    # Both of all: to know which are soft, a graphics card would be waited for.
    sharp = smear(glass, defocus, math.ceil(2.2 * SOFT), int(scale))
    if min(glass.shape[-2:]) < 16:
        return sharp
    soft = smear(glass, defocus, math.ceil(2.2 * DEFOCUS[1] / 2), 2 * int(scale))
    return torch.where(per_sample(defocus > SOFT * scale), soft, sharp)


def _out_of_focus(image: Tensor) -> Tensor:
    """The scene as a drop shows it: (B, 3, H, W), smoothed over about a 15th of the short side."""
    height, width = image.shape[-2:]
    shrink = max(1, min(height, width) // 30)
    small = F.interpolate(image, (max(1, height // shrink), max(1, width // shrink)), mode="area")
    small = F.avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
