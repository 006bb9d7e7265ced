"""Check restored pictures for artefacts: tiles against the whole, lattices of strides, frames of padding.

    python benchmarks/wholeness.py --data ../shared/data

Prints Markdown tables. Pictures are held-out photographs of train/, damaged here. A lattice is measured by
its prominence (about 1 is none) and its size in 1/255, a frame by the ratio of the outer 8 pixels to the
inside (1 is none). A change of tone amplifies lattices that the damaged pictures already have, from JPEG or a
sensor, like all detail.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from artifacts import PERIODS, Floats, frame, lattice
from command_line import parser_of
from markdown_tables import print_head
from numpy.typing import NDArray
from sample_pictures import to_array

from clearair import Restorer
from clearair.data.degradations import KINDS, degrade
from clearair.data.mixtures import MIXTURES
from clearair.data.photos import find_photos
from clearair.data.pixels import load_pixels
from clearair.data.splits import held_out
from clearair.data.validation import ValidationSet, validation_sets
from clearair.evaluation.metrics import psnr
from clearair.sizing import TileSide

Image = NDArray[np.uint8]

SIDES: tuple[TileSide, ...] = (256, "auto")
STRONG = ("noise", "haze", "rain", "raindrop", "snow", "blur", "lowlight", "mixture")
"""Kinds whose removal changes much; JPEG is left out, since its own lattice is to be removed."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--model", default="compact", help="name or folder")
    parser.add_argument("--pictures", type=int, default=20, help="large pictures to restore in tiles, or 0")
    parser.add_argument("--views", type=int, default=6, help="views of each kind to look for marks in")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    whole = Restorer.from_pretrained(options.model, device=options.device, tile="off")
    report_marks(whole, options.data, options.views)
    if options.pictures:
        report_tiles(whole, options)


def report_tiles(whole: Restorer, options: argparse.Namespace) -> None:
    """Restore large pictures in tiles and as a whole, and compare the two."""
    tiled: dict[TileSide, Restorer] = {
        tile: Restorer.from_pretrained(options.model, device=options.device, tile=tile) for tile in SIDES
    }
    print_head("picture", "damage", "in", "whole", *(f"{t} to whole, dB | largest, of 255" for t in tiled))
    agreement: dict[TileSide, list[float]] = {tile: [] for tile in tiled}
    for name, kinds, damaged, clean in large_pictures(options.data, options.pictures):
        restored = whole(damaged).image
        cells = []
        for tile, restorer in tiled.items():
            other = restorer(damaged).image
            agreement[tile].append(psnr(other, restored))
            largest = int(np.abs(other.astype(int) - restored.astype(int)).max())
            cells.append(f"{agreement[tile][-1]:.2f} | {largest}")
        values = f"{psnr(damaged, clean):.2f} | {psnr(restored, clean):.2f}"
        print(f"| {name} | {' '.join(kinds)} | {values} | {' | '.join(cells)} |", flush=True)
    for tile, reached in agreement.items():
        print(f"\nTile {tile} against whole: mean {np.mean(reached):.2f} dB, lowest {min(reached):.2f} dB.")


def large_pictures(data: Path, count: int) -> Iterator[tuple[str, tuple[str, ...], Image, Image]]:
    """(name, kinds, damaged, clean) of at least a megapixel: a photograph enlarged, or four stitched."""
    photos = held_out(data).split(find_photos(data / "train" / "clean"), "clean")[1]
    damages = [*((kind,) for kind in KINDS), *MIXTURES]
    for index in range(count):
        chosen = [load_pixels(photos[(5 * index + k) % len(photos)]).float() for k in range(4)]
        if index % 2:
            name = "stitched"
            quarters = [resized(photo, 512, 640) for photo in chosen]
            picture = torch.cat([torch.cat(quarters[:2], 2), torch.cat(quarters[2:], 2)], 1)
        else:
            name = "enlarged"
            height, width = chosen[0].shape[1:]
            scale = (1.05e6 / (height * width)) ** 0.5
            picture = resized(chosen[0], round(scale * height), round(scale * width))
        kinds = damages[index % len(damages)]
        generator = torch.Generator().manual_seed(index)
        damaged = degrade(picture[None] / 255, [kinds], generator).image[0]
        size = f"{picture.shape[2]} x {picture.shape[1]}"
        yield f"{name} {size}", kinds, to_array(damaged), to_array(picture / 255)


def report_marks(whole: Restorer, data: Path, views: int) -> None:
    """Look for lattices and frames in what is added to flat and to strongly changed pictures."""
    lattices = [f"period {period} | size" for period in PERIODS]
    print_head("added to", *lattices, "frame", "mean at border, of 255", "mean inside")
    greys = np.linspace(0.02, 0.98, 9, dtype=np.float32)[:, None, None, None]
    flat = np.broadcast_to(greys, (9, 256, 256, 3))
    marks("flat grey", restored(whole, flat) - flat)
    noise = np.random.default_rng(0).normal(0, 25 / 255, flat.shape).astype(np.float32)
    noisy = np.clip(flat + noise, 0, 1)
    marks("flat grey with noise, left over", restored(whole, noisy) - np.clip(flat, 0, 1))
    sets = validation_sets(data, views=views, kinds=STRONG)
    everything = []
    for group in sets:
        damaged, clean = channels_last(group, "damaged"), channels_last(group, "clean")
        output = restored(whole, damaged)
        everything.append((damaged, clean, output))
        marks(group.kind, output - damaged)
        marks(f"{group.kind}: the damaged pictures themselves", damaged)
    damaged, clean, output = (np.concatenate(parts) for parts in zip(*everything, strict=True))
    marks("all", output - damaged)
    marks("all: error left", output - clean)
    marks("all: error before", damaged - clean)
    marks("all: the restored pictures themselves", output)
    marks("all: the clean pictures themselves", clean)


def marks(name: str, values: Floats) -> None:
    """Print a row of the table of marks."""
    found, border = lattice(values), frame(values)
    means = f"{255 * border.border_mean:+.2f} | {255 * border.inside_mean:+.2f}"
    cells = " | ".join(f"{found[p].prominence:.2f} | {255 * found[p].rms:.3f}" for p in PERIODS)
    print(f"| {name} | {cells} | {border.ratio:.2f} | {means} |", flush=True)


def restored(restorer: Restorer, pictures: Floats) -> Floats:
    """(B, H, W, 3) float in [0, 1] -> the same, restored without rounding to 8 bits."""
    return np.stack([restorer(np.ascontiguousarray(picture)).image for picture in pictures])


def channels_last(views: ValidationSet, side: str) -> Floats:
    """(B, H, W, 3) of "damaged" or "clean"."""
    image: torch.Tensor = getattr(views, side)
    return image.permute(0, 2, 3, 1).contiguous().numpy()


def resized(photo: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(3, H, W) in 0..255 -> (3, height, width)."""
    return F.interpolate(photo[None], (height, width), mode="bicubic")[0].clamp(0, 255).round()


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - started:.0f} s.")
