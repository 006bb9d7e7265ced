"""Measure how much real damage is detected, and the rate of false alarms.

    python benchmarks/recognition.py --data ../shared/data

Of each test set: in how many pictures its kind of damage is found (its probability lies above the start of
its ramp, so that something is done about it), with the recognizer and with the eyes alone, each with its own
ramps; and of undamaged sets, in how many any kind is. Nothing here was trained on or fitted to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from measuring import processor_seconds
from sample_pictures import noise, read_pixels

from clearair import Restorer
from clearair.data.photos import find_photos
from clearair.perception import load_compact
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.percepts import Percepts

DAMAGED = {
    "real/rain": "rain",
    "real/raindrop": "raindrop",
    "real/haze": "haze",
    "real/snow-Snow100K-realistic": "snow",
    "real/snow-Snow100K-synthetic": "snow",
    "real/blur": "blur",
    "real/lowlight-LOLv1-eval15": "lowlight",
    "RESIDE-OTS/input": "haze",
    "RainDrop/input": "raindrop",
    "Rain100L/input": "rain",
    "GoPro/input": "blur",
}
UNDAMAGED = ("CBSD68/target", "Rain100L/target", "RESIDE-OTS/target", "RainDrop/target")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds test/")
    parser.add_argument("--weights", type=Path, help="folder of perceivers; those that ship by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--time", action="store_true", help="also compare the look with restoring a megapixel"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    whole = load_compact(options.weights)
    perceivers = (CompactPerceiver(whole.eyes), whole)
    print("| pictures | number | kind | eyes alone | with the recognizer | mean share |")
    print("| --- | --- | --- | --- | --- | --- |")
    sets = [(folder, [kind], kind) for folder, kind in DAMAGED.items()]
    sets += [(folder, whole.config.kinds, "any") for folder in UNDAMAGED]
    for folder, kinds, word in sets:
        images = [read_pixels(path) for path in find_photos(options.data / "test" / folder)]
        alone, seen = ([look.perceive_image(image) for image in images] for look in perceivers)
        before = sum(found(percepts, kinds, perceivers[0]) for percepts in alone)
        after = sum(found(percepts, kinds, whole) for percepts in seen)
        share = np.mean([percepts.change for percepts in seen])
        print(f"| {folder} | {len(images)} | {word} | {before} | {after} | {share:.2f} |", flush=True)
    if options.time:
        compare_times(perceivers)


def found(percepts: Percepts, kinds: Sequence[str], perceiver: CompactPerceiver) -> bool:
    """Whether one of these kinds is likely enough to cause a change."""
    likely = dict(zip(percepts.names, percepts.probabilities, strict=True))
    return any(likely[kind] > perceiver.caution.ramp(kind)[0] for kind in kinds)


def compare_times(perceivers: tuple[CompactPerceiver, CompactPerceiver]) -> None:
    """Looks at a noisy picture of 1024 x 1024 pixels, and restoring it whole."""
    image = noise(1024, 1024)
    restorer = Restorer.from_pretrained(device="cpu")
    spent = {}
    for name, work in (
        ("eyes alone", lambda: perceivers[0].perceive_image(image)),
        ("with the recognizer", lambda: perceivers[1].perceive_image(image)),
        ("restore", lambda: restorer(image, damage="noise")),
    ):
        work()
        spent[name] = min(processor_seconds(work) for _ in range(3))
    print("\n| work on one megapixel | CPU seconds | share of restoring |\n| --- | --- | --- |")
    for name, seconds in spent.items():
        print(f"| {name} | {seconds:.2f} | {seconds / spent['restore']:.1%} |")


if __name__ == "__main__":
    main()
