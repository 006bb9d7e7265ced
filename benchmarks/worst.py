"""Find and show the worst results among free pictures with every kind of damage.

    python benchmarks/worst.py --sheet examples/worst.jpg

Each of scikit-image's "astronaut" (NASA, public domain), "coffee" and "chelsea" (CC0) is damaged in every
way, weakly to strongly, or left as it is, whole and reduced. The table lists those whose PSNR falls most, or
rises least, one for each kind of damage; the sheet shows the first of them: damaged, restored, as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch
from command_line import parser_of
from numpy.typing import NDArray
from PIL import Image

from clearair import Restorer
from clearair.data.degradations import KINDS
from clearair.degrading import degrade_photo
from clearair.evaluation.harm import TOLERANCE, Change
from clearair.evaluation.metrics import psnr
from clearair.image import Photo

Pixels = NDArray[np.uint8]

PICTURES = ("astronaut", "coffee", "chelsea")
SIDES = (400, 200)
"""Longer sides in pixels to which a picture is reduced."""
STRENGTHS = (0.2, 0.5, 0.8)
MIXTURES = (("haze", "rain"), ("lowlight", "noise"), ("rain", "noise"), ("haze", "jpeg"), ("snow", "blur"))
GAP = 8


@dataclass(frozen=True)
class Case:
    """A picture and its result."""

    kinds: tuple[str, ...]
    clean: Pixels
    damaged: Pixels
    restored: Pixels
    change: Change


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--model", default="compact", help="name or folder")
    parser.add_argument("--sheet", type=Path, help="JPEG to write; replaced where it exists")
    parser.add_argument("--rows", type=int, default=4, help="pictures on the sheet")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    restorer = Restorer.from_pretrained(options.model, device="cpu")
    cases: list[Case] = []
    for name in PICTURES:
        for side in SIDES:
            clean = reduced(getattr(skimage.data, name)(), side)
            cases += [case(restorer, f"{name}, {side} px", clean, (), 0.0)]
            for kinds in (*((kind,) for kind in KINDS), *MIXTURES):
                for strength in STRENGTHS:
                    cases.append(case(restorer, f"{name}, {side} px, {strength}", clean, kinds, strength))
    untouched = [each for each in cases if not each.kinds]
    print(
        f"Undamaged: {min(each.change.psnr for each in untouched):.2f} dB at the worst of {len(untouched)}."
    )
    hurt = [each for each in cases if each.kinds]
    harmed = sum(each.change.is_harmed for each in hurt)
    print(f"{harmed} of {len(hurt)} damaged come out more than {TOLERANCE} dB below what came in.\n")
    hurt.sort(key=gained, reverse=True)
    worst = list({each.kinds: each for each in hurt}.values())  # the last of each kind of damage
    worst.sort(key=gained)
    print("| damage | worst | PSNR in | out | change |\n|---|---|---|---|---|")
    for each in worst:
        change = each.change
        numbers = f"{change.input_psnr:.2f} | {change.psnr:.2f} | {gained(each):+.2f}"
        print(f"| {change.kind} | {change.name} | {numbers} |")
    if options.sheet:
        rows = [beside(each.damaged, each.restored, each.clean) for each in worst[: options.rows]]
        width = max(row.shape[1] for row in rows)
        padded = [
            np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows
        ]
        Image.fromarray(np.concatenate(padded)).save(options.sheet, quality=85)


def case(restorer: Restorer, name: str, clean: Pixels, kinds: tuple[str, ...], strength: float) -> Case:
    """Damage a picture, where there are kinds of damage, and restore it."""
    damaged = clean
    if kinds:
        damaged = degrade_photo(Photo(clean), kinds, strength=strength, seed=7).pixels
    restored: Pixels = restorer(damaged).image
    change = Change(name, " + ".join(kinds), psnr(damaged, clean), psnr(restored, clean))
    return Case(kinds, clean, damaged, restored, change)


def gained(case: Case) -> float:
    """How many dB."""
    return case.change.psnr - case.change.input_psnr


def reduced(picture: Pixels, side: int) -> Pixels:
    """(H, W, 3) with this longer side."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def beside(*pictures: Pixels) -> Pixels:
    """Pictures (H, W, 3) of one height as one."""
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts: list[Pixels] = []
    for picture in pictures:
        parts += [picture, gap]
    return np.concatenate(parts[:-1], axis=1)


if __name__ == "__main__":
    main()
