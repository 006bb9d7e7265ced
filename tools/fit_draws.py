"""Measure real damage in the training data, as the model for synthetic damage.

    python tools/fit_draws.py lowlight --data ../shared/data
    python tools/fit_draws.py rain --data ../shared/data
    python tools/fit_draws.py depth --data ../shared/data
    python tools/fit_draws.py fog --data ../shared/data

`lowlight` fits y = g c x^gamma to every pair that is trained on, and prints the quantiles that
`clearair.data.degradations.lowlight` draws from. `rain` prints what the residuals of the pairs look like, and
those of synthetic rain on grey. `depth` prints how measured depth is spread. `fog` prints how light named
photographs of fog are, and drawn ones.

Shapes: H x W pixels.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.haze import draw_haze
from clearair.data.degradations.rain import draw_rain
from clearair.data.named import find_named
from clearair.data.photos import find_clean, find_pairs
from clearair.data.pixels import load_pixels
from clearair.data.scenes import find_scenes, load_scene
from clearair.data.splits import held_out
from clearair.similarity import decibels, luma

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FARTHEST = 60
"""Pixels up to which streaks are compared with themselves."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["lowlight", "rain", "depth", "fog"])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"lowlight": lowlight, "rain": rain, "depth": depth, "fog": fog}[options.what](options.data)


def lowlight(data: Path) -> None:
    files, _ = held_out(data).split(find_pairs(data, "lowlight"), "lowlight")
    fits = [fit_exposure(load_pixels(dark) / 255, load_pixels(bright) / 255) for dark, bright in files]
    table = torch.tensor([fit for fit in fits if fit is not None])
    print(f"{len(table)} of {len(files)} pairs; quantiles {', '.join(map(str, QUANTILES))}")
    for name, values in zip(("mean", "gain", "gamma", "warmth", "noise"), table.T, strict=True):
        print_quantiles(name, values)
    noisy = torch.corrcoef(table[:, 1:4].T)
    print(f"correlation of gamma and warmth {noisy[1, 2]:.2f}, of gain and gamma {noisy[0, 1]:.2f}")


def fit_exposure(dark: Tensor, bright: Tensor) -> tuple[float, ...] | None:
    """(3, H, W) twice, in [0, 1] -> mean of the dark one, g, gamma, log red - log blue gain, noise of 255."""
    small, target = F.avg_pool2d(dark, 4), F.avg_pool2d(bright, 4)
    usable = (target > 0.04) & (target < 0.92) & (small > 2.5 / 255)
    if usable.sum() < 500:
        return None
    # One slope for all channels, one level for each; weights make it a fit of least absolute errors.
    channel = torch.arange(3)[:, None, None].expand_as(small)[usable]
    known = torch.cat([target[usable].log()[:, None], F.one_hot(channel, 3)], dim=1).double()
    wanted = small[usable].log().double()
    weight = torch.ones_like(wanted)
    for _ in range(8):
        root = weight.sqrt()[:, None]
        solution = torch.linalg.lstsq(known * root, wanted[:, None] * root).solution[:, 0]
        weight = 1 / (wanted - known @ solution).abs().clamp_min(0.02)
    gamma, red, green, blue = solution.tolist()
    gain = math.exp((red + green + blue) / 3)
    return dark.mean().item(), gain, gamma, red - blue, flat_noise(dark) * 255


def flat_noise(picture: Tensor) -> float:
    """Standard deviation of the noise in the flattest fifth of 8 x 8 blocks."""
    kernel = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None] / 6
    high = F.conv2d(picture[:, None], kernel)[:, 0]
    blocks = F.unfold(high[:, None], 8, stride=8)  # (3, 64, N)
    return blocks.std(dim=1).quantile(0.2).item()


def rain(data: Path) -> None:
    print("| rain | PSNR | covers | mean | 99 % | fine structure | skewness | angle | along | across |")
    print("|---" * 10 + "|")
    for damaged, clean in held_out(data).split(find_pairs(data, "rain"), "rain")[0]:
        residual = (load_pixels(damaged).float() - load_pixels(clean).float()) / 255
        print_streaks(damaged.stem, residual)
    grey = torch.full((6, 3, 320, 320), 0.4)
    for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
        drawn = draw_rain(torch.full((6,), strength), (320, 320), torch.Generator().manual_seed(5))
        for index, residual in enumerate(drawn(grey) - grey):
            print_streaks(f"synthetic {strength} {index}", residual)


def print_streaks(name: str, residual: Tensor) -> None:
    """Statistics of added light (3, H, W); values of 255, lengths in px at which half the correlation is
    left."""
    psnr = decibels(residual.square().mean().item())
    light = luma(residual)[0].double()
    fine = light - F.avg_pool2d(light[None, None], 31, 1, 15, count_include_pad=False)[0, 0]
    fine = fine - fine.mean()
    angle, along, across = streak_shape(fine)
    numbers = (
        f"{psnr:.1f}",
        f"{(light > 8 / 255).double().mean():.2f}",
        f"{255 * light.mean():.1f}",
        f"{255 * light.flatten().quantile(0.99):.0f}",
        f"{255 * fine.std():.1f}",
        f"{(fine / fine.std()).pow(3).mean():.1f}",
        f"{angle:.0f}",
        f"{along:.1f}",
        f"{across:.1f}",
    )
    print(f"| {name} | {' | '.join(numbers)} |")


def streak_shape(fine: Tensor) -> tuple[float, float, float]:
    """(H, W) of mean 0 -> degrees off the vertical, and px along and across over which half is lost."""
    padded = [2 * side for side in fine.shape]
    correlation = torch.fft.irfft2(torch.fft.rfft2(fine, s=padded).abs() ** 2)
    middle = torch.roll(correlation, (FARTHEST, FARTHEST), (0, 1))[: 2 * FARTHEST + 1, : 2 * FARTHEST + 1]
    middle = middle / middle[FARTHEST, FARTHEST]
    away = torch.arange(0, FARTHEST, 0.25, dtype=torch.float64)

    def profile(degrees: float) -> Tensor:
        turn = math.radians(degrees)
        grid = torch.stack([away * math.sin(turn), away * math.cos(turn)], dim=1)[None, None] / FARTHEST
        return F.grid_sample(middle[None, None], grid, align_corners=True)[0, 0, 0]

    def half(degrees: float) -> float:
        below = (profile(degrees) < 0.5).nonzero()[:, 0]
        return float(away[below[0]]) if len(below) else float(FARTHEST)

    angle = max(range(-90, 90, 2), key=lambda degrees: profile(degrees)[4:40].mean().item())
    return float(angle), half(angle), half(angle + 90)


def depth(data: Path) -> None:
    nearest, curve = [], []
    for photo, file in find_scenes(data):
        values = load_scene(photo, file).depth.float() / 255
        near, middle = values.quantile(0.01).item(), values.median().item()
        nearest.append(near)
        curve.append(math.log(max(middle - near, 1e-3) / (1 - near)) / math.log(0.5))
    print(f"{len(nearest)} maps; quantiles {', '.join(map(str, QUANTILES))}")
    print_quantiles("nearest, relative to the farthest", torch.tensor(nearest))
    print_quantiles("curve, so that half of the picture is nearer than 0.5 ** curve", torch.tensor(curve))


def fog(data: Path) -> None:
    paths = [photo.path for photo in find_named(data) if photo.kind == "haze" and not photo.held_out]
    print(f"{len(paths)} photographs; quantiles {', '.join(map(str, QUANTILES))}")
    print_lightness("photographs", torch.stack([small(path) for path in paths]))
    files, _ = held_out(data).split(find_clean(data), "clean")
    clean = torch.stack([small(path) for path in files])
    generator = torch.Generator().manual_seed(0)
    drawn = draw_haze(clean, torch.rand(len(clean), generator=generator), generator)
    print(f"{len(clean)} scenes")
    print_lightness("scenes", clean)
    print_lightness("drawn haze and fog", drawn(clean))
    print_lightness("the same without shorter exposures", replace(drawn, lighter=None)(clean))


def small(path: Path) -> Tensor:
    """(3, 96, 96) in [0, 1]."""
    return F.adaptive_avg_pool2d(load_pixels(path) / 255, 96)


def print_lightness(name: str, pictures: Tensor) -> None:
    light = luma(pictures).flatten(1)
    print_quantiles(f"{name}, mean luma", light.mean(1))
    print_quantiles(f"{name}, 99th percentile of luma", light.quantile(0.99, dim=1))


def print_quantiles(name: str, values: Tensor) -> None:
    levels = torch.tensor(QUANTILES, dtype=values.dtype)
    print(f"{name}: ({', '.join(f'{value:.3f}' for value in values.quantile(levels))})")


if __name__ == "__main__":
    main()
