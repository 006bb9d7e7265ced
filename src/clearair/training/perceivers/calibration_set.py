"""The pictures for fitting the kind heads: whole pictures, parts, and scenes that only look damaged.

Shapes: B images, H x W pixels, K kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from clearair.data.degradations import KINDS, degrade
from clearair.data.degradations.regional import draw_mask
from clearair.data.pairs import generator_for
from clearair.data.pixels import quantized, reduced
from clearair.data.styles import draw_style
from clearair.kinds import REGISTRY
from clearair.training.perceivers.calibration import LabelledImages
from clearair.training.perceivers.lookalikes import is_dark, is_pale
from clearair.training.perceivers.samples import (
    PerceiverRecipe,
    Photo,
    draw_batch,
    random_crop,
)

NIGHT_WHOLE, NIGHT_VIEW, REAL_DARK = 12.0, 6.0, 8.0
"""Weights of dark scenes for low light, whole and in part, and of real low-light pictures: they are few, and
mistakes with them cost most."""
MIST_WHOLE, MIST_VIEW = 6.0, 3.0
"""Weights of misty scenes for haze, whole and in part."""
DAMAGES = 3
"""Kinds of damage each photograph is shown with."""
SIDES, SCALES = (160, 256), (0.4, 1.0)
"""Sides of views in pixels, and the factors by which the photo is resized for them."""


def importance() -> Tensor:
    """(K,) weight of each kind when present, relative to absent."""
    return torch.tensor([kind.importance for kind in REGISTRY])


def draw_calibration_set(
    photos: Sequence[Photo], pairs: Sequence[Photo], recipe: PerceiverRecipe, steps: range
) -> Iterator[LabelledImages]:
    """Training's own batches of these steps, then every photograph and every pair, in a fixed order."""
    for step in steps:
        batch = draw_batch(photos, pairs, recipe, generator_for(recipe.seed, step))
        yield LabelledImages(batch.images, batch.kinds)
    yield from real_light(pairs)
    yield from nights(photos, generator_for(recipe.seed, steps.stop))
    yield from mists(photos, generator_for(recipe.seed, steps.stop + 2))
    yield from photographs(photos, generator_for(recipe.seed, steps.stop + 1))
    yield from parts(photos, generator_for(recipe.seed, steps.stop + 3))


def real_light(pairs: Sequence[Photo]) -> Iterator[LabelledImages]:
    """Underexposed scenes, and the same scenes well exposed."""
    for pair in pairs:
        assert pair.dark is not None
        yield LabelledImages(picture(pair.dark), named("lowlight"), REAL_DARK, "lowlight")
        yield LabelledImages(picture(pair.clean), named())


def nights(photos: Sequence[Photo], generator: torch.Generator) -> Iterator[LabelledImages]:
    """Scenes that are meant to be dark."""
    dark = [photo for photo in photos if is_dark(photo.clean)]
    return lookalike_views("lowlight", dark, NIGHT_WHOLE, NIGHT_VIEW, generator)


def mists(photos: Sequence[Photo], generator: torch.Generator) -> Iterator[LabelledImages]:
    """Scenes that are meant to be pale or misty."""
    pale = [photo for photo in photos if is_pale(photo.clean)]
    return lookalike_views("haze", pale, MIST_WHOLE, MIST_VIEW, generator)


def lookalike_views(
    kind: str, photos: Sequence[Photo], weight: float, of_views: float, generator: torch.Generator
) -> Iterator[LabelledImages]:
    """Undamaged photographs that look damaged: whole, reduced, mirrored, and views."""
    for photo in photos:
        for pixels in (photo.clean, reduced(photo.clean)):
            whole = picture(pixels)
            yield LabelledImages(torch.cat([whole, whole.flip(3)]), named().expand(2, -1), weight, kind)
        for side in SIDES:
            view = random_crop(photo, side, SCALES, generator)
            yield LabelledImages(picture(view.clean), named(), of_views, kind)


def photographs(
    photos: Sequence[Photo], generator: torch.Generator, first: int = 0
) -> Iterator[LabelledImages]:
    """Each photograph, whole, reduced or a view: unchanged, in another style, and damaged in turn."""
    for index, photo in enumerate(photos, first):
        second, is_view = divmod(index % 4, 2)
        if is_view:
            pixels = random_crop(photo, SIDES[second], SCALES, generator).clean
        else:
            pixels = reduced(photo.clean) if second else photo.clean
        clean = picture(pixels)
        yield LabelledImages(clean, named())
        yield LabelledImages(quantized(draw_style(clean, generator, 1.0)(clean).clamp(0, 1)), named())
        for turn in range(DAMAGES):
            kind = KINDS[(DAMAGES * index + turn * len(KINDS) // DAMAGES) % len(KINDS)]
            damaged = degrade(clean, [(kind,)], generator)
            yield LabelledImages(quantized(damaged.image.clamp(0, 1)), damaged.kinds)


def parts(photos: Sequence[Photo], generator: torch.Generator, first: int = 0) -> Iterator[LabelledImages]:
    """A view of each photograph, damaged in one part only: each kind in turn."""
    for index, photo in enumerate(photos, first):
        pixels = random_crop(photo, SIDES[index // len(KINDS) % 2], SCALES, generator).clean
        clean = picture(pixels)
        damaged = degrade(clean, [(KINDS[index % len(KINDS)],)], generator)
        mask = draw_mask(clean, generator)
        image = quantized(torch.lerp(clean, damaged.image, mask).clamp(0, 1))
        yield LabelledImages(image, damaged.kinds, inside=mask[:, 0] > 0.5)


def named(*kinds: str) -> Tensor:
    """(1, K) bool: these kinds."""
    return torch.tensor([[kind in kinds for kind in KINDS]])


def picture(pixels: Tensor) -> Tensor:
    """(3, H, W) uint8 -> (1, 3, H, W) in [0, 1]."""
    return pixels[None].float() / 255
