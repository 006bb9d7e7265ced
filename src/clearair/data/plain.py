"""Undamaged pictures that look damaged: blank pages, product shots, starry skies, halftones, drawings.

Nothing in them indicates damage, so a restorer must leave them alone. All are drawn deterministically.

Shapes: H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 360, 480


def plain_pictures() -> dict[str, Pixels]:
    """Every picture by name, (H, W, 3) uint8."""
    return {name: draw(np.random.default_rng(index)) for index, (name, draw) in enumerate(_DRAWN.items())}


def photographed() -> dict[str, Pixels]:
    """Photographs of the same sort from scikit-image, by name; none without that package."""
    try:
        from skimage import data
    except ImportError:
        return {}
    names = ("page", "text", "moon", "clock", "camera", "brick", "gravel", "grass")
    return {f"scikit-image's {name}": _pixels(getattr(data, name)() / 255) for name in names}


def _pixels(plane: Plane) -> Pixels:
    """(H, W) or (H, W, 3) in [0, 1] -> (H, W, 3) bytes."""
    values = plane if plane.ndim == 3 else np.repeat(plane[..., None], 3, axis=2)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _even(level: float, noise: float = 0.0) -> Callable[[np.random.Generator], Pixels]:
    def draw(generator: np.random.Generator) -> Pixels:
        return _pixels(level + noise * generator.standard_normal((HEIGHT, WIDTH)))

    return draw


def _across() -> Plane:
    return np.broadcast_to(np.linspace(0, 1, WIDTH), (HEIGHT, WIDTH))


def _down() -> Plane:
    return np.broadcast_to(np.linspace(0, 1, HEIGHT)[:, None], (HEIGHT, WIDTH))


def _gradient(low: float, high: float, noise: float = 0.004) -> Callable[[np.random.Generator], Pixels]:
    """A wall, a sky or a sheet, lit from one side."""

    def draw(generator: np.random.Generator) -> Pixels:
        light = low + (high - low) * (0.7 * _across() + 0.3 * _down())
        return _pixels(light + noise * generator.standard_normal((HEIGHT, WIDTH)))

    return draw


def _tinted(generator: np.random.Generator) -> Pixels:
    """A painted wall."""
    light = 0.82 + 0.08 * _across() + 0.003 * generator.standard_normal((HEIGHT, WIDTH))
    return _pixels(light[..., None] * np.array([1.0, 0.93, 0.8]))


def _product(low: float, high: float) -> Callable[[np.random.Generator], Pixels]:
    """A vase on white, shaded from one side."""

    def draw(generator: np.random.Generator) -> Pixels:
        across, down = _across() - 0.5, _down() - 0.55
        radius = 0.11 + 0.04 * np.cos(9 * down)
        inside = (np.abs(across) < radius) & (np.abs(down) < 0.3)
        shade = low + (high - low) * (0.5 - across / (2 * radius)).clip(0, 1)
        colour = shade[..., None] * np.array([1.0, 0.97, 0.92])
        return _pixels(np.where(inside[..., None], colour, 1.0))

    return draw


def _stars(density: float, sky: float) -> Callable[[np.random.Generator], Pixels]:
    def draw(generator: np.random.Generator) -> Pixels:
        plane = sky * (0.6 + 0.8 * _down()) + 0.004 * generator.standard_normal((HEIGHT, WIDTH))
        stars = generator.random((HEIGHT, WIDTH)) < density
        brightness = generator.random((HEIGHT, WIDTH)) ** 3
        return _pixels(np.where(stars, np.maximum(plane, 0.15 + 0.85 * brightness), plane))

    return draw


def _soft_stars(
    density: float, width: float, tint: tuple[float, float, float], *, glow: float = 0.0, noise: float = 0.0
) -> Callable[[np.random.Generator], Pixels]:
    """Stars as a lens draws them: Gaussians of `width` pixels, on a tinted sky with a glow below."""

    def draw(generator: np.random.Generator) -> Pixels:
        points = (generator.random((HEIGHT, WIDTH)) < density) * generator.random((HEIGHT, WIDTH)) ** 3
        down, across = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)
        wings = 2 * np.pi * width**2 * np.exp(-2 * (np.pi * width) ** 2 * (down**2 + across**2))
        stars = np.fft.irfft2(np.fft.rfft2(points) * wings, s=points.shape)
        light = 0.04 + glow * np.exp(-(((1 - _down()) / 0.35) ** 2)) * (0.6 + 0.4 * _across())
        sky = light[..., None] * np.array(tint) + stars[..., None]
        return _pixels(sky + noise * generator.standard_normal(sky.shape))

    return draw


def _moon(generator: np.random.Generator) -> Pixels:
    """The moon on a black sky."""
    distance = np.hypot((_across() - 0.5) * WIDTH, (_down() - 0.5) * HEIGHT)
    surface = 0.75 + 0.1 * np.cos(30 * _across()) * np.cos(24 * _down())
    return _pixels(
        np.where(distance < 70, surface, 0.008) + 0.002 * generator.standard_normal((HEIGHT, WIDTH))
    )


def _halftone(pitch: float) -> Callable[[np.random.Generator], Pixels]:
    """A portrait's light in printed dots."""

    def draw(generator: np.random.Generator) -> Pixels:
        down, across = np.mgrid[:HEIGHT, :WIDTH]
        dots = (np.cos(2 * np.pi * down / pitch) + np.cos(2 * np.pi * across / pitch)) / 4 + 0.5
        light = 0.2 + 0.6 * np.hypot(_across() - 0.5, _down() - 0.4)
        return _pixels((dots > light).astype(np.float64))

    return draw


def _colour_halftone(pitch: float, angles: Sequence[float]) -> Callable[[np.random.Generator], Pixels]:
    """The same in four inks, whose dots lie at different angles in degrees."""

    def draw(generator: np.random.Generator) -> Pixels:
        light = 0.2 + 0.6 * np.hypot(_across() - 0.5, _down() - 0.4)
        inks = [light * share for share in (0.9, 0.7, 0.5, 0.3)]
        down, across = np.mgrid[:HEIGHT, :WIDTH]
        printed = np.ones((HEIGHT, WIDTH, 3))
        for ink, angle, taken in zip(inks, angles, ((0,), (1,), (2,), (0, 1, 2)), strict=True):
            along, beside = np.cos(np.radians(angle)), np.sin(np.radians(angle))
            first, second = across * along + down * beside, down * along - across * beside
            dots = (np.cos(2 * np.pi * first / pitch) + np.cos(2 * np.pi * second / pitch)) / 4 + 0.5
            for channel in taken:
                printed[..., channel] *= dots > ink
        return _pixels(printed)

    return draw


def _text(generator: np.random.Generator) -> Pixels:
    """A page of type: lines of dark strokes on white."""
    page = np.ones((HEIGHT, WIDTH))
    for top in range(40, HEIGHT - 40, 18):
        letters = generator.random(WIDTH - 80) < 0.45
        strokes = np.repeat(letters[None], 8, axis=0) & (generator.random((8, WIDTH - 80)) < 0.8)
        page[top : top + 8, 40:-40][strokes] = 0.1
    return _pixels(page)


def _drawing(generator: np.random.Generator) -> Pixels:
    """Thin black curves on white."""
    page = np.ones((HEIGHT, WIDTH))
    across = np.arange(WIDTH)
    for phase in generator.random(6) * 6:
        rows = (HEIGHT / 2 + HEIGHT / 3 * np.sin(across / 60 + phase)).astype(int)
        for thick in range(2):
            page[(rows + thick).clip(0, HEIGHT - 1), across] = 0.0
    return _pixels(page)


def _chart(generator: np.random.Generator) -> Pixels:
    """Coloured bars on white."""
    page = np.ones((HEIGHT, WIDTH, 3))
    for index, height in enumerate(generator.integers(40, 300, 8)):
        left = 40 + 52 * index
        page[HEIGHT - 20 - height : HEIGHT - 20, left : left + 36] = generator.random(3)
    return _pixels(page)


def _checked(generator: np.random.Generator) -> Pixels:
    """A chessboard."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    return _pixels(0.15 + 0.7 * ((down // 40 + across // 40) % 2))


_DRAWN: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "white": _even(1.0),
    "black": _even(0.0),
    "grey card": _even(0.46, noise=0.004),
    "blank page": _gradient(0.93, 0.99, noise=0.003),
    "pale wall": _gradient(0.7, 0.85),
    "dim wall": _gradient(0.25, 0.4),
    "painted wall": _tinted,
    "clear night": _gradient(0.01, 0.04, noise=0.002),
    "pale product": _product(0.8, 0.97),
    "dark product": _product(0.05, 0.5),
    "few stars": _stars(0.001, 0.03),
    "many stars": _stars(0.01, 0.06),
    "moon": _moon,
    "fine halftone": _halftone(4),
    "coarse halftone": _halftone(9),
    "text": _text,
    "drawing": _drawing,
    "chart": _chart,
    "chessboard": _checked,
    "soft stars": _soft_stars(0.004, 1.2, (0.7, 0.9, 1.6)),
    "soft stars, noisy": _soft_stars(0.004, 1.0, (1.0, 1.0, 1.0), noise=0.01),
    "soft stars above a town": _soft_stars(0.003, 1.5, (1.4, 1.0, 0.7), glow=0.15, noise=0.004),
    "fine colour halftone": _colour_halftone(4, (15, 75, 0, 45)),
    "coarse colour halftone": _colour_halftone(7, (15, 75, 0, 45)),
}
