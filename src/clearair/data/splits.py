"""Which pictures of a data folder are held out: never trained on, by the restorer or by its perceivers.

The one place that knows; training, validation and benchmarks all ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

HELD_OUT = {"clean": 20, "rain": 20, "lowlight": 8}
"""Of the pictures or pairs below `train/KIND`, sorted by path, every n-th is held out, the first included."""

TRAINED_WHOLE = {"rain": ("GTRAIN",)}
"""Sets below `train/KIND` of which nothing is held out; they do not count when others take turns."""

HELD_OUT_CAMERAS = ("Canon80D",)
"""Cameras whose pairs below `train/noise` are all held out: what a network does to the noise of one that it
was trained on says little of others. Their files are called as in `Canon80D_8_8_800_GO_8.jpg`."""

UNUSUAL = {
    "dark": (
        "BSD400/42044.jpg",
        "deepin/deepin_036.jpg",
        "elementary/elementary_003.jpg",
        "elementary/elementary_008.jpg",
        "elementary/elementary_017.jpg",
        "popos/popos_006.jpg",
        "solus/solus_020.jpg",
    ),
    "bright": (
        "coworking/cow_054.jpg",
        "elementary/elementary_023.jpg",
        "elementary/elementary_024.jpg",
        "mate/mate_001.jpg",
    ),
    "grey or flat": ("BSD400/105053.jpg", "BSD400/80099.jpg", "popos/popos_001.jpg"),
    "misty": (
        "BSD400/15088.jpg",
        "BSD400/55067.jpg",
        "elementary/elementary_001.jpg",
        "elementary/elementary_022.jpg",
        "elementary/elementary_040.jpg",
        "solus/solus_001.jpg",
    ),
    "grainy": (
        "BSD400/147021.jpg",
        "BSD400/346016.jpg",
        "imagenet_samples/n02009912_american_egret.jpg",
    ),
    "people": (
        "BSD400/15062.jpg",
        "BSD400/16004.jpg",
        "BSD400/189029.jpg",
        "BSD400/189096.jpg",
        "BSD400/302003.jpg",
        "BSD400/302022.jpg",
        "BSD400/368037.jpg",
    ),
}
"""Held out besides, by the last two parts of their path below `train/clean`: pictures that are meant to look
as others do when damaged, and people of all skin tones. None of them may be changed."""


TWINS = ("BSD400/107014.jpg", "input/s182_0.webp")
"""Neither trained on nor validated on: what shows the scene of a held-out pair, by the last two parts of its
path (of a pair the damaged one's)."""


def split(items: Sequence[T], kind: str) -> tuple[list[T], list[T]]:
    """Divide the sorted pictures or pairs of a kind into those for training and those held out.

    Unusual pictures are not for training, and among the held out only when their turn makes them so.
    """
    if kind == "noise":
        held_out = [item for item in items if _camera(item) in HELD_OUT_CAMERAS]
    else:
        whole = TRAINED_WHOLE.get(kind, ())
        held_out = [item for item in items if _set_of(item) not in whole][:: HELD_OUT[kind]]
    kept = set(held_out)
    return [item for item in items if item not in kept and not _is_barred(item)], held_out


def unusual(photos: Iterable[Path]) -> dict[Path, str]:
    """Those of the clean photographs that are unusual, and why."""
    reasons = {path: why_unusual(path) for path in photos}
    return {path: why for path, why in reasons.items() if why is not None}


def undamaged(photos: Sequence[Path]) -> dict[Path, str]:
    """Clean photographs that were never trained on and must stay as they are: held out, or why unusual."""
    return dict.fromkeys(split(photos, "clean")[1], "held out") | unusual(photos)


def why_unusual(item: object) -> str | None:
    """What is unusual about a clean photograph given by its path; None for all others and for pairs."""
    return next((why for why, names in UNUSUAL.items() if _is_among(item, names)), None)


def _is_barred(item: object) -> bool:
    return why_unusual(item) is not None or _is_among(item, TWINS)


def _is_among(item: object, names: Iterable[str]) -> bool:
    """Whether a picture, or the damaged one of a pair, is on a list, whatever its format."""
    path = _path(item)
    return path is not None and _name(path) in {_name(Path(name)) for name in names}


def _path(item: object) -> Path | None:
    """The path of a picture, or of the damaged one of a pair."""
    path = item[0] if isinstance(item, tuple) else item
    return path if isinstance(path, Path) else None


def _camera(item: object) -> str:
    path = _path(item)
    return "" if path is None else path.name.partition("_")[0]


def _set_of(item: object) -> str:
    """SET of a pair whose damaged picture is `train/KIND/SET/input/NAME`."""
    path = _path(item)
    return "" if path is None else path.parent.parent.name


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"
