"""Raindrops on a window or lens: small lenses that show a blurred, flipped, shifted piece of the scene.

The camera looks at what is behind the glass, and drops are soft, or the drops themselves are in focus. Then
there are more and smaller ones, down to mist, and some run down: ranges chosen beside photographs.

Shapes: B images, H x W positions, N drops of one size class, M of them used, P x P pixels of a drop's patch.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.sampling import (
    chance,
    constant,
    feature_scale,
    gaussian_blur,
    normal,
    per_sample,
    random_indices,
    uniform,
)
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.LENS,)
RADII = ((0.8, 2.5), (2.5, 6.0), (6.0, 14.0), (14.0, 36.0))
"""Range of the radius, in px at nominal size, of each size class."""
SHARES = (0.0, 0.15, 0.4, 0.45)
"""How the covered area is divided among the size classes, on average, where the drops are out of focus."""
SHARP_SHARES = (0.3, 0.4, 0.35, 0.2)
"""Largest share of each size class where the drops are in focus."""
RARITY = (3.0, 1.0, 2.0, 3.0)
"""Exponent of each class: the larger it is, the rarer is a share close to the largest."""
SHARP = 0.45
"""Share of windows whose drops are in focus."""
COVERAGE = (0.12, 1.50)
"""Area of all drops, relative to the picture's, at strength 0 and 1; about half is left by overlaps."""
LONGER = 0.35
"""How much longer than wide a drop in focus is, at most: the difference, relative to the sum."""
BEADS, PITCH = 0.15, (9.0, 22.0)
"""Share of the windows in focus on which drops hang in columns, and the distance of these in px."""
RUNNING, TRAILS = 0.3, 4
"""Share of the windows in focus down which drops run, and how many do at most."""
LOBES = ((2, 0.18), (3, 0.1), (5, 0.05))
"""Waves round a drop's outline: how many, and how large they are at most, relative to the radius."""
DEFOCUS = (0.8, 5.0)
"""Range of the blur of what is on the glass: standard deviation in px at nominal size."""
SOFT = 1.8
"""Blur, in the same px, above which half the resolution is enough."""
STEEPEST = 2.0
"""Largest slope that is followed; steeper rims of drops reflect rather than refract."""


@dataclass(frozen=True)
class Raindrop:
    """Drops on glass, y = (1 - m) x + m r, where r is the scene refracted by the drops (Qian et al., 2018).

    Where the camera looks past the glass, m and m r are blurred by what is out of focus at its distance.
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
    """(B,) up to 1: how much darker a drop's outline is; below 0 it is brighter."""
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
        rows = torch.linspace(-1 + 1 / height, 1 - 1 / height, height, device=scene.device, dtype=scene.dtype)
        columns = torch.linspace(-1 + 1 / width, 1 - 1 / width, width, device=scene.device, dtype=scene.dtype)
        grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], dim=2)
        grid = grid + shift.permute(0, 2, 3, 1)
        return F.grid_sample(scene, grid, padding_mode="reflection", align_corners=False)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_raindrop`, as `DamageModule` requires."""
    size = (pictures.shape[-2], pictures.shape[-1])
    return (draw_raindrop(strength, size, conditions.generator),)


def draw_raindrop(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Raindrop:
    """Drops for (B,) strengths in [0, 1] and images of (H, W)."""
    batch, scale = len(strength), feature_scale(size)
    sharp = chance(generator, SHARP, like=strength)
    cover = (COVERAGE[0] + (COVERAGE[1] - COVERAGE[0]) * strength) / COVERAGE[1]
    water = torch.zeros(batch, size[0] * size[1], device=strength.device, dtype=strength.dtype)
    beads = sharp * chance(generator, BEADS, like=strength)
    form = Form(
        longer=sharp * LONGER * uniform(generator, batch, like=strength),
        lying=0.3 * normal(generator, batch, like=strength),
        pitch=beads * scale * uniform(generator, batch, like=strength, low=PITCH[0], high=PITCH[1]),
    )
    for radii, soft_share, sharp_share, rarity in zip(RADII, SHARES, SHARP_SHARES, RARITY, strict=True):
        most = max(soft_share, sharp_share)
        area = math.pi * (scale * sum(radii) / 2) ** 2
        number = max(1, round(COVERAGE[1] * most * size[0] * size[1] / area))
        # Some windows carry a mist of fine drops, others a few big ones.
        soft = soft_share * uniform(generator, batch, like=strength, low=0.4, high=1.0)
        small = sharp_share * uniform(generator, batch, like=strength, low=0.15) ** rarity
        kept = cover * torch.where(sharp > 0, small, soft) / most
        sparing = strength.device.type == "cpu"
        _add_drops(water, size, number, radii, kept, form, generator, sparing=sparing)
    water = water.reshape(batch, 1, *size)
    running = random_indices(generator, RUNNING, like=strength)
    if len(running):
        kept = (sharp * (0.2 + 0.8 * strength))[running]
        water[running] = torch.maximum(water[running], _draw_trails(size, kept, generator))
    angle = math.pi * (0.5 + 0.3 * (1 - 0.7 * sharp) * normal(generator, batch, like=strength))
    # The sky, upside down, lights the lower side of a drop: where the water thins downwards.
    shading = _either(sharp, (-0.05, -0.45), (0.0, -0.15), generator)
    glare = uniform(generator, batch, 2, like=strength)
    low, high = DEFOCUS
    blur = low + (high - low) * uniform(generator, batch, like=strength) ** 1.5
    focused = 0.35 + 1.2 * uniform(generator, batch, like=strength) ** 2
    return Raindrop(
        thickness=water,
        softness=_either(sharp, (0.4, 1.2), (1.5, 5.0), generator),
        opacity=_either(sharp, (0.9, 1.0), (0.8, 1.0), generator),
        refraction=min(size) * _either(sharp, (0.3, 0.8), (0.15, 0.5), generator),
        gain=uniform(generator, batch, like=strength, low=0.75, high=1.25),
        glare=torch.stack([(0.6 - 0.35 * sharp) * glare[:, 0], 0.6 + 0.4 * glare[:, 1]], 1),
        light=torch.stack([angle.cos(), angle.sin()], 1) * shading[:, None],
        rim=_either(sharp, (-0.3, 0.7), (0.0, 0.25), generator),
        defocus=scale * torch.where(sharp > 0, focused, blur),
    )


def _either(
    sharp: Tensor, one: tuple[float, float], other: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """(B,) numbers of the first range where the drops are in focus, of the second elsewhere."""
    number = uniform(generator, len(sharp), like=sharp)
    return torch.where(
        sharp > 0, one[0] + (one[1] - one[0]) * number, other[0] + (other[1] - other[0]) * number
    )


@dataclass(frozen=True)
class Form:
    """What the drops of a window have in common."""

    longer: Tensor
    """(B,) by how much they are longer than wide, as `LONGER`."""
    lying: Tensor
    """(B,) angle between their long side and the vertical."""
    pitch: Tensor
    """(B,) distance in px of the columns in which they hang; 0 where they lie anywhere."""


def _add_drops(
    water: Tensor,
    size: tuple[int, int],
    number: int,
    radii: tuple[float, float],
    kept: Tensor,
    form: Form,
    generator: torch.Generator,
    *,
    sparing: bool,
) -> None:
    """Raise `water` (B, H * W) to N irregular caps; of each sample's, the share `kept` (B,) is used.

    Cosines are needed only for drops that are used. But counting these would wait for the GPU: unless
    `sparing`, all are computed, and the surplus is flat.
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
    pitch, longer, lying = form.pitch[sample], form.longer[sample], form.lying[sample]  # (M,) each
    column = second * width
    hanging = (torch.floor(column / pitch.clamp_min(1)) + 0.5 + 0.3 * (wobble[5] - 0.5)) * pitch
    column = torch.where(pitch > 0, hanging.clamp(0, width - 1), column)
    row, column = (first * height).long()[:, None, None], column.long()[:, None, None]
    radius = (radii[0] + (radii[1] - radii[0]) * third**2)[:, None, None]
    angle = torch.atan2(down.to(water), right.to(water))
    # Three waves round the outline, each of random size and phase: a cos(n t + p) as a sum of two products.
    waves, sizes = [], []
    for (lobes, most), amount, phase in zip(LOBES, wobble[:3], wobble[3:], strict=True):
        waves += [torch.cos(lobes * angle), torch.sin(lobes * angle)]
        turn = 2 * math.pi * phase
        sizes += [most * amount * turn.cos(), -most * amount * turn.sin()]
    # Longer than wide: one more wave of two lobes, whose phase is that of the window.
    sizes[0], sizes[1] = sizes[0] - longer * (2 * lying).cos(), sizes[1] - longer * (2 * lying).sin()
    outline = 1 + torch.einsum("wm,wpq->mpq", torch.stack(sizes), torch.stack(waves))
    outline = outline / (1 + longer[:, None, None])
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


def _draw_trails(size: tuple[int, int], kept: Tensor, generator: torch.Generator) -> Tensor:
    """Water (n, 1, H, W) of drops that run down and of their trails; the share kept of these is there."""
    (height, width), scale = size, feature_scale(size)
    rows = torch.arange(height, device=kept.device).to(kept)[:, None] / scale
    columns = torch.arange(width, device=kept.device).to(kept) / scale
    water = torch.zeros(len(kept), 1, height, width, device=kept.device, dtype=kept.dtype)

    def draw(low: float, high: float) -> Tensor:
        return per_sample(uniform(generator, len(kept), like=kept, low=low, high=high))

    for _ in range(TRAILS):
        there = draw(0, 1) < per_sample(kept)
        thick, end = draw(0.8, 2.2), draw(0.1, 1.3) * height / scale
        sway = draw(0.5, 4) * torch.sin(rows / draw(8, 30) + draw(0, 7))
        sway = sway + draw(0.2, 1.5) * torch.sin(rows / draw(3, 8) + draw(0, 7))  # (n, 1, H, 1)
        aside = columns - (draw(0, 1) * width / scale + sway)
        trail = thick * (0.7 + 0.3 * torch.sin(rows / draw(4, 15))) * (rows < end)
        head = ((2 * thick) ** 2 - ((rows - end) / 1.5) ** 2).clamp_min(0).sqrt()
        half = torch.maximum(trail, head)
        water = torch.maximum(water, (half.square() - aside.square()).clamp_min(0).sqrt() * there)
    return water


def _slope(height: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 2, H, W): its change to the right and downwards, per px."""
    padded = F.pad(height, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return torch.cat([right, down], dim=1)


def _defocused(glass: Tensor, defocus: Tensor, scale: float) -> Tensor:
    """(B, 4, H, W) blurred by (B,) px each; what is soft enough anyway, at half the resolution."""
    # Compute both for all: selecting the soft ones would wait for the GPU.
    sharp = gaussian_blur(glass, defocus, math.ceil(2.2 * SOFT), int(scale))
    if min(glass.shape[-2:]) < 16:
        return sharp
    soft = gaussian_blur(glass, defocus, math.ceil(2.2 * DEFOCUS[1] / 2), 2 * int(scale))
    return torch.where(per_sample(defocus > SOFT * scale), soft, sharp)


def _out_of_focus(image: Tensor) -> Tensor:
    """The scene as a drop shows it: (B, 3, H, W), smoothed over about a 15th of the short side."""
    height, width = image.shape[-2:]
    shrink = max(1, min(height, width) // 30)
    small = F.interpolate(image, (max(1, height // shrink), max(1, width // shrink)), mode="area")
    small = F.avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
