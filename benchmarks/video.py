"""Measure peak memory and seconds per frame of video clips of several lengths.

    python benchmarks/video.py --frames 30 120 480
    python benchmarks/video.py --frames 4 --size 1920x1080

Each clip is a photo of scikit-image, panned by a pixel a frame, with noise that differs in each. It has 25
frames a second and is restored in a process of its own. Prints the peak of that process's resident memory,
and seconds a frame by the clock and of the processor, without the start of the process. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
import skimage.transform
from command_line import parser_of, size_of
from measuring import peak

NOISE = 12
"""Standard deviation, in levels of 255."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 120, 480])
    parser.add_argument("--size", default="192x128", metavar="WIDTHxHEIGHT")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(restore(Path(options.child))))
        return
    width, height = size_of(options.size)
    print("| size | frames | peak | a frame | of the processor |\n| --- | --- | --- | --- | --- |")
    for count in options.frames:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder, "clip.mp4")
            write(clip, count, width, height)
            said = subprocess.run(
                [sys.executable, __file__, "--child", str(clip)], check=True, capture_output=True, text=True
            )
        found = json.loads(said.stdout)
        assert found["changed"] == count, found
        print(
            f"| {width} x {height} | {count} | {found['peak']:.0f} MB | {found['clock'] / count:.3f} s "
            f"| {found['processor'] / count:.3f} s |",
            flush=True,
        )


def write(path: Path, count: int, width: int, height: int) -> None:
    """Make a clip; the photo is as much larger as it is panned."""
    shape = (height, width + count)
    large = skimage.transform.resize(skimage.data.coffee(), shape, order=3) * 255
    drawn = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            clean = large[:, number : number + width]
            noisy = (clean + drawn.normal(0, NOISE, clean.shape)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def restore(clip: Path) -> dict[str, float]:
    """The child: restore a clip, and say what it took."""
    from clearair import Restorer, restore_video

    restorer = Restorer.from_pretrained(backend="onnx")
    clock, processor = time.perf_counter(), time.process_time()
    result = restore_video(restorer, clip, damage="noise")
    return {
        "clock": time.perf_counter() - clock,
        "processor": time.process_time() - processor,
        "peak": peak() / 1e6,
        "changed": result.changed,
    }


if __name__ == "__main__":
    main()
