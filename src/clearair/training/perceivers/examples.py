"""Training and validation examples of the recognizer: whole pictures with their kinds of damage.

Training: photographs with synthetic damage, real pairs, and real photographs whose damage is known by name.
Validation: held-out photographs as they are and damaged, and whole sources of named photographs.

Shapes: B images, H x W pixels, K kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations import KINDS, degrade
from clearair.data.named import NamedPhoto, find_named
from clearair.data.pairs import generator_for
from clearair.data.photos import find_pairs, find_photos, readable
from clearair.data.pixels import load_pixels, quantized, reduced
from clearair.data.splits import CLEAN, held_out
from clearair.errors import ImageError
from clearair.kinds import BY_NAME, PAIRED, REGISTRY
from clearair.training.loop.loop import Report, ignore
from clearair.training.perceivers.calibration import LabelledImages, weights_of
from clearair.training.perceivers.calibration_set import (
    lookalike_views,
    named,
    parts,
    photographs,
    picture,
    real_light,
)
from clearair.training.perceivers.lookalikes import is_dark, is_pale
from clearair.training.perceivers.samples import (
    PerceiverRecipe,
    Photo,
    draw_batch,
    load_photo,
    load_photos,
    random_crop,
)

MADE = ("synthetic", "photographs", "parts")
"""Groups whose damage is drawn, from strengths that cannot be seen to strong ones."""
SMALLEST = 96
"""Side in pixels below which no crop of a named photograph falls."""
FAINT = 0.12
"""Strength up to which damage is barely visible: its label is left unknown."""
CLOSE_UP = "close-ups"
"""Groups of crops, which show less of a scene than typical photographs do."""
CLOSE = 256
"""Side in pixels of a close-up."""
TRAINED_CLOSE_UPS = 5
"""Close-ups of each training pair."""
VALIDATED_CLOSE_UPS = 2
"""Close-ups of each held-out pair; fewer, since users rarely have such crops."""
BATCH = PerceiverRecipe(
    batch=4,
    clean=0.2,
    mixed=0.25,
    partial=0.25,
    ranked=0.0,
    real_dark=0.04,
    lookalikes=0.06,
    shares=tuple(kind.recognizer_share for kind in REGISTRY),
)
"""How views are drawn; a batch holds four to eight of one size."""


@dataclass(frozen=True)
class Example:
    """Pictures of one size, and what is known about each."""

    images: Tensor
    """(B, 3, H, W) in [0, 1]."""
    label: Tensor
    """(B, K): 1 if a kind is present, 0 if absent, NaN if unknown."""
    group: str
    """Where they come from, such as `synthetic` or `haze/DAWN`."""
    weight: Tensor
    """(B, K): the weight of each for each kind."""


@dataclass(frozen=True)
class Sources:
    """The sources of the examples."""

    photos: list[Photo]
    """To be damaged; undamaged photographs of the named ones among them."""
    dark: list[Photo]
    """Scenes in low and normal light."""
    pairs: list[tuple[str, Path, Path]]
    """Kind, damaged and clean file of real pairs."""
    known: list[NamedPhoto]


def load_sources(data: Path, tell: Report = ignore) -> Sources:
    """What is trained on; `tell` receives a line for what cannot be read and is left out.

    Raises DataError without photographs to damage.
    """
    photos, dark = load_photos(data, tell=tell)
    known = [photo for photo in find_named(data) if not photo.held_out]
    bad: list[str] = []
    undamaged = [photo.path for photo in known if photo.kind == CLEAN]
    photos += readable(undamaged, lambda path: load_photo(path, data), bad)
    for error in bad:
        tell(f"left out: {error}")
    kinds = [kind for kind in PAIRED if kind != "lowlight"]
    pairs = [
        (kind, *pair) for kind in kinds for pair in held_out(data).split(find_pairs(data, kind), kind)[0]
    ]
    return Sources(photos, dark, pairs, known)


def units(sources: Sources, views: int) -> int:
    """How many numbered parts the training examples are drawn in, each by itself."""
    return len(sources.known) + len(sources.pairs) + len(sources.dark) + len(sources.photos) + _batches(views)


def draw_unit(
    sources: Sources, number: int, looks: int, seed: int, tell: Report = ignore
) -> Iterator[Example]:
    """The examples of one part; the same for the same number and seed. `tell` as for `load_sources`."""
    generator = generator_for(seed, number)
    if number < len(sources.known):
        with _left_out(tell):
            yield from _looks_at(sources.known[number], looks, generator)
        return
    number -= len(sources.known)
    if number < len(sources.pairs):
        with _left_out(tell):
            yield from _pair(sources.pairs[number], generator)
        return
    number -= len(sources.pairs)
    if number < len(sources.dark):
        yield from _as_examples("low light", real_light([sources.dark[number]]))
        return
    number -= len(sources.dark)
    if number < len(sources.photos):
        yield from _photograph(sources.photos[number], number, generator)
        return
    batch = draw_batch(sources.photos, sources.dark, BATCH, generator)
    label = batch.kinds.float()
    label[batch.kinds & (batch.strength < FAINT)] = torch.nan
    yield Example(batch.images, label, "synthetic", torch.ones_like(label))


def validation(data: Path, tell: Report = ignore) -> Iterator[Example]:
    """Held-out pictures: undamaged ones in groups `undamaged ...`, and damaged ones by kind.

    `tell` as for `load_sources`.
    """
    nothing = named().float()
    one = torch.ones(1, len(KINDS))
    apart = held_out(data)
    for path, why in apart.undamaged(find_photos(data / "train" / "clean")).items():
        with _left_out(tell):
            pixels = load_pixels(path)
            for shown in (pixels, reduced(pixels), pixels[:, :256, -288:]):
                yield Example(picture(shown), nothing, f"undamaged {why}", one)
    photos, dark = load_photos(data, held_out=True, tell=tell)
    for pair in dark:
        assert pair.dark is not None
        yield Example(picture(pair.dark), named("lowlight").float(), "lowlight, real", one)
        yield Example(picture(pair.clean), nothing, "undamaged low light", one)
    generator = generator_for(9, 8)
    for kind in PAIRED:
        files = apart.split(find_pairs(data, kind), kind)[1] if kind != "lowlight" else []
        for both in files:
            with _left_out(tell):
                yield from _validated_pair(kind, both, generator)
    for photo in find_named(data):
        if photo.held_out:
            group = f"undamaged {photo.source}" if photo.kind == CLEAN else photo.source
            with _left_out(tell):
                yield Example(picture(load_pixels(photo.path)), torch.tensor([photo.label]), group, one)
    yield from _synthetic(photos)


@contextmanager
def _left_out(tell: Report) -> Iterator[None]:
    """Pass over a picture that cannot be read."""
    try:
        yield
    except ImageError as error:
        tell(f"left out: {error}")


def _validated_pair(kind: str, files: Sequence[Path], generator: torch.Generator) -> Iterator[Example]:
    halves = [load_pixels(path) for path in files]
    one = torch.ones(1, len(KINDS))
    for half, kinds in zip(halves, _both(kind), strict=True):
        group = f"{kind}, real pairs" if kinds else f"undamaged {kind} pairs"
        yield Example(picture(half), _label_of_pair(kind, kinds), group, one)
    for kinds, shown in _close_ups(kind, halves, VALIDATED_CLOSE_UPS, generator):
        group = f"{kind}, {CLOSE_UP}" if kinds else f"undamaged {CLOSE_UP}"
        yield Example(shown, _label_of_pair(kind, kinds), group, one)


def _synthetic(photos: list[Photo]) -> Iterator[Example]:
    """Each photograph with each kind at each strength, in turn whole and a view of it."""
    generator = generator_for(9, 9)
    for index, photo in enumerate(photos):
        shown = photo.clean if index % 2 else random_crop(photo, 256, (0.5, 1.0), generator).clean
        for kind in KINDS:
            for strength in BY_NAME[kind].validation_strengths:
                made = degrade(picture(shown), [(kind,)], generator, strength)
                label = named(kind).float()
                yield Example(
                    quantized(made.image.clamp(0, 1)), label, f"{kind}, {strength}", torch.ones_like(label)
                )


def _batches(views: int) -> int:
    return -(-views // 5)  # about so many views a batch


def _looks_at(photo: NamedPhoto, looks: int, generator: torch.Generator) -> Iterator[Example]:
    """A named photograph as it is, and crops of it, every other one reduced."""
    whole = picture(load_pixels(photo.path))
    label = torch.tensor([photo.label])
    for look in range(looks):
        shown = whole if look == 0 else _piece(whole, look % 2 == 1, generator)
        yield Example(shown, label, photo.source, torch.ones_like(label))


def _piece(whole: Tensor, reduce: bool, generator: torch.Generator) -> Tensor:
    share, scale, down, right, mirror = torch.rand(5, generator=generator).tolist()
    size = [max(min(SMALLEST, side), int(side * (0.6 + 0.4 * share))) for side in whole.shape[2:]]
    top, left = (
        int(at * (side - part + 1))
        for at, side, part in zip((down, right), whole.shape[2:], size, strict=True)
    )
    piece = whole[:, :, top : top + size[0], left : left + size[1]]
    if reduce:
        small = [max(min(SMALLEST, side), int(side * (0.55 + 0.45 * scale))) for side in size]
        piece = quantized(F.interpolate(piece, small, mode="bilinear", antialias=True).clamp(0, 1))
    return piece.flip(3) if mirror < 0.5 else piece


def _pair(pair: tuple[str, Path, Path], generator: torch.Generator) -> Iterator[Example]:
    """The damaged and the clean picture of a pair, whole and a part, and close-ups of them."""
    kind, *files = pair
    halves = [load_pixels(path) for path in files]
    shown = [
        (kinds, picture(part))
        for half, kinds in zip(halves, _both(kind), strict=True)
        for part in (half, half[:, :320, -352:])
    ]
    for kinds, image in (*shown, *_close_ups(kind, halves, TRAINED_CLOSE_UPS, generator)):
        label = _label_of_pair(kind, kinds)
        yield Example(image, label, f"{kind} pairs", torch.ones_like(label))


def _close_ups(
    kind: str, halves: Sequence[Tensor], count: int, generator: torch.Generator
) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Places of the halves of a pair, what is wrong in each and (1, 3, H, W).

    Only for kinds that cover a picture evenly. Many show only something black, which is not low light.
    """
    if not BY_NAME[kind].from_camera:
        return
    height, width = halves[0].shape[1:]
    for down, right in torch.rand(count, 2, generator=generator).tolist():
        top, left = int(down * max(1, height - CLOSE + 1)), int(right * max(1, width - CLOSE + 1))
        for half, kinds in zip(halves, _both(kind), strict=True):
            yield kinds, picture(half[:, top : top + CLOSE, left : left + CLOSE])


def _both(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is wrong with the two halves of a pair."""
    return (kind,), ()


def _label_of_pair(kind: str, kinds: tuple[str, ...]) -> Tensor:
    """(1, K) of a half that has these kinds: its file is compressed, and rain comes with mist."""
    label = named(*kinds).float()
    label[0, KINDS.index("jpeg")] = torch.nan
    if kind == "rain":
        label[0, KINDS.index("haze")] = torch.nan
    return label


def _photograph(photo: Photo, number: int, generator: torch.Generator) -> Iterator[Example]:
    """A photograph as it is and damaged, all over and in a part; nights and mists in further views."""
    yield from _as_examples("photographs", photographs([photo], generator, number))
    yield from _as_examples("parts", parts([photo], generator, number))
    if is_dark(photo.clean):
        yield from _as_examples("nights", lookalike_views("lowlight", [photo], 4.0, 2.0, generator))
    if is_pale(photo.clean):
        yield from _as_examples("mists", lookalike_views("haze", [photo], 4.0, 2.0, generator))


def _as_examples(group: str, batches: Iterator[LabelledImages]) -> Iterator[Example]:
    for batch in batches:
        yield Example(batch.images, batch.kinds.float(), group, weights_of(batch, KINDS))
