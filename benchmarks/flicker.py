"""How much restored videos flicker: frame by frame, and with one judgement a shot.

Clips are made here: a photo of scikit-image, still or slowly panned, with haze or darkness that stays and
noise that differs in each frame. Flicker is the mean absolute difference of consecutive frames, in levels of
255, where the clean clip does not move; `mean` is that of the frames' mean colours, which shows as pumping.
PSNR is measured against the clean clip, since unchanged or blurred clips do not flicker either.

    python benchmarks/flicker.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import skimage.data
from command_line import parser_of
from numpy.typing import NDArray

from clearair import Restorer, degrade
from clearair.image import Photo
from clearair.perception.telling import caution_of
from clearair.percepts import Percepts
from clearair.similarity import decibels
from clearair.video.shots import Gathering, fitted

Pixels = NDArray[np.uint8]
Clip = list[Pixels]

HEIGHT, WIDTH = 192, 256
STILL = 0.5 / 255
"""Of the clean clip, the largest difference that is no motion."""


def clips(frames: int) -> dict[str, tuple[Clip, Clip]]:
    """Clean and damaged frames by name."""
    made = {}
    for name, picture, kinds, pan in (
        ("noise, still", skimage.data.coffee(), (), 0),
        ("noise, panned", skimage.data.coffee(), (), 1),
        ("haze and noise, still", skimage.data.astronaut(), ("haze",), 0),
        ("haze and noise, panned", skimage.data.astronaut(), ("haze",), 1),
        ("dark and noise, panned", skimage.data.coffee(), ("lowlight",), 1),
    ):
        large = picture[:400, : WIDTH + 120 + pan * frames]
        damaged = degrade(large, list(kinds), strength=0.6, seed=7) if kinds else large
        windows = [np.s_[100 : 100 + HEIGHT, 60 + pan * at : 60 + pan * at + WIDTH] for at in range(frames)]
        noise = [np.random.default_rng(at).normal(0, 10, (HEIGHT, WIDTH, 3)) for at in range(frames)]
        noisy = [
            (damaged[window] + each).clip(0, 255).round().astype(np.uint8)
            for window, each in zip(windows, noise, strict=True)
        ]
        made[name] = ([large[window] for window in windows], noisy)
    return made


class KeptJudgement:
    """A runtime that judges the first picture alone."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.kept: Any = None

    def judge(self, pixels: Any, percepts: Percepts) -> Any:
        """What it said of the first picture."""
        if self.kept is None:
            self.kept = self.runtime.judge(pixels, percepts)
        return self.kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)


def by_frame(restorer: Restorer, clip: Clip, *, skip: bool) -> Clip:
    return [restorer.restore_photo(Photo(each), skip_tiles=skip)[0].pixels for each in clip]


def by_shot(
    restorer: Restorer, clip: Clip, *, labels: bool = False, keep: bool = False, skip: bool = False
) -> Clip:
    gathering = Gathering()
    for each in clip[::25]:
        gathering.add(restorer.perceive(Photo(each)))
    percepts = fitted(gathering.mean(caution_of(restorer.perceiver)), HEIGHT, WIDTH)
    if labels:
        key = restorer.perceive(Photo(clip[0])).guidance
        own = {"labels": key.labels, "local_degradation": key.local_degradation}
        percepts = replace(percepts, guidance=replace(percepts.guidance, **own))
    if keep:
        restorer = Restorer(KeptJudgement(restorer.runtime), restorer.perceiver)
    return [
        restorer.restore_photo(Photo(each), percepts=percepts, skip_tiles=skip)[0].pixels for each in clip
    ]


WAYS: dict[str, Callable[[Restorer, Clip], Clip]] = {
    "input": lambda restorer, clip: clip,
    "frame by frame": lambda restorer, clip: by_frame(restorer, clip, skip=True),
    "frame by frame, no tiles skipped": lambda restorer, clip: by_frame(restorer, clip, skip=False),
    "by shot (restore_video)": lambda restorer, clip: by_shot(restorer, clip),
    "by shot, tiles skipped": lambda restorer, clip: by_shot(restorer, clip, skip=True),
    "by shot, regions of its first frame": lambda restorer, clip: by_shot(restorer, clip, labels=True),
    "by shot, tone of its first frame": lambda restorer, clip: by_shot(restorer, clip, keep=True),
}


def measured(clean: Clip, made: Clip) -> tuple[float, float, float]:
    """Flicker and mean flicker in levels, and PSNR in dB."""
    flicker, means, error = [], [], []
    for at in range(1, len(made)):
        before, now = (np.asarray(made[place], np.float64) for place in (at - 1, at))
        moved = np.abs(np.asarray(clean[at], float) - clean[at - 1]).max(axis=2) / 255
        flicker.append(np.abs(now - before)[moved <= STILL].mean())
        means.append(np.abs((now - before)[moved <= STILL].mean(axis=0)).mean())
        error.append(((now - clean[at]) ** 2).mean())
    return float(np.mean(flicker)), float(np.mean(means)), decibels(float(np.mean(error)), peak=255)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), help="only these")
    parser.add_argument("--clips", default="", help="only those whose name has this in it")
    args = parser.parse_args()
    restorer = Restorer.from_pretrained(backend="onnx")
    for name, (clean, damaged) in clips(args.frames).items():
        if args.clips not in name:
            continue
        print(f"\n| {name} | flicker | mean | PSNR |\n| --- | --- | --- | --- |")
        for way in args.ways:
            flicker, mean, psnr = measured(clean, WAYS[way](restorer, damaged))
            print(f"| {way} | {flicker:.2f} | {mean:.3f} | {psnr:.2f} |", flush=True)


if __name__ == "__main__":
    main()
