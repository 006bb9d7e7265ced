"""Run the network with ONNX Runtime on the CPU, without PyTorch: NumPy tiles in, NumPy tiles out."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ClearAirError, ModelError
from clearair.graphs import GRAPHS, GraphFolder, Opens, Runs, read_graphs, same_config
from clearair.memory import is_shortage
from clearair.models.catalogue import CATALOGUE
from clearair.models.stamp import PerceiverStamp
from clearair.models.stored import CONFIG, WEIGHTS, StoredModel, check_folder
from clearair.network.config import NetworkConfig
from clearair.perception.protocol import Perceiver
from clearair.percepts import Percepts
from clearair.placing import make_folder, write_atomically
from clearair.runtime.protocol import Precision
from clearair.runtime.survey import survey
from clearair.tiling import Window
from clearair.weights import in_float32

Judgement = dict[str, NDArray[np.float32]]
"""The judgement of a picture, under the input names of the graphs."""


_KEPT = 640 * 640
"""Largest window, in pixels, whose memory is kept for the next one; larger ones are rare."""


class OnnxRuntime:
    """A stored network and its graphs. Raises ModelError when they do not fit each other."""

    def __init__(self, stored: StoredModel, graphs: Opens) -> None:
        self.stored = stored
        self._graphs = graphs
        self._weights = in_float32(stored.weights, stored.folder / WEIGHTS)
        self._sessions: dict[str, Runs] = {}
        self._opening = threading.Lock()
        self._early: threading.Thread | None = None
        self._is_short = False

    def open_early(self) -> None:
        """Build the graphs that most pictures need in a thread, while the caller loads other things."""
        self._early = threading.Thread(target=self._open_most, name="clearair-graphs")
        _early.add(self)
        self._early.start()

    def wait(self) -> None:
        """Wait until no graph is being built."""
        if self._early is not None:
            self._early.join()

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu"."""
        return "cpu"

    @property
    def precision(self) -> Precision:
        """What it computes in: "fp32"."""
        return "fp32"

    @property
    def is_cautious(self) -> bool:
        """Whether the network changes a picture only as far as its percepts allow."""
        return self.stored.network.cautious

    @property
    def corrects_tone(self) -> bool:
        """Whether the network has a tone stage."""
        return self.stored.network.tone

    @property
    def tile_pixel_bytes(self) -> int:
        """Bytes per pixel of a tile: 1.5 times what `benchmarks/memory.py --tiles` measures.

        A network that works at full resolution has four times the positions.
        """
        return 700 if self.stored.network.stem > 1 else 2800

    @property
    def runs_side_by_side(self) -> bool:
        """Whether several threads restore more pictures than one: it holds no lock while it computes."""
        return True

    def judge(self, pixels: NDArray[Any], percepts: Percepts) -> Judgement:
        """The judgement of a picture (H, W, 3), uint8, uint16 or float in [0, 1], for all its windows.

        The picture is read in strips, so that memory grows with its width alone.
        """
        guidance = percepts.guidance
        told = {
            name: np.asarray(getattr(guidance, name), np.float32)
            for name in ("quality", "content", "degradation", "local_degradation")
        }
        seen = survey(pixels, percepts.labels, self.stored.network)
        shares = {"share": guidance.tone, "change": guidance.change, "coarse": guidance.coarse}
        return {
            **self._session("judge").run({**told, **seen}),
            **{name: np.asarray(value, np.float32) for name, value in shares.items()},
            "size": np.array(pixels.shape[:2], np.float32),
        }

    def restore(
        self,
        pixels: NDArray[np.float32],
        percepts: Percepts,
        judgement: Judgement,
        window: Window,
        *,
        keep_tone: bool = False,
    ) -> NDArray[np.float32]:
        """A window (h, w, 3) in [0, 1] of the judged picture -> (h, w, 3), not clipped."""
        name = "keep_tone" if keep_tone and self.corrects_tone else "window"
        inputs: dict[str, NDArray[Any]] = {
            **judgement,
            "window": np.ascontiguousarray(pixels.transpose(2, 0, 1))[None],
            "labels": np.ascontiguousarray(percepts.labels[window.slices])[None],
            "origin": np.array([window.top, window.left], np.float32),
        }
        gives_back = self._is_short or window.height * window.width > _KEPT
        try:
            restored: NDArray[np.float32] = self._session(name).run(inputs, give_back=gives_back)["restored"]
        except MemoryError:
            self._is_short = True  # the next stage, such as encoding, needs this memory
            raise
        values: NDArray[np.float32] = restored[0].transpose(1, 2, 0)
        return values

    @contextmanager
    def memory_errors(self) -> Iterator[None]:
        """Turn ONNX Runtime's own out-of-memory errors into MemoryError."""
        try:
            yield
        except RuntimeError as error:
            if is_shortage(error):
                raise MemoryError("there is too little memory") from error
            raise

    def save(self, folder: Path | str, perceiver: Perceiver, *, overwrite: bool = False) -> None:
        """Copy the model's files. Raises OutputError, and ModelError for other perceivers than its own."""
        folder = Path(folder)
        check_folder(folder, overwrite=overwrite)
        self.stored.perceivers.check(PerceiverStamp.of(perceiver))
        names = [WEIGHTS, CONFIG]
        if isinstance(self._graphs, GraphFolder) and self._graphs.path == self.stored.folder:
            names += [*(graph.path.name for graph in self._graphs.graphs.values()), GRAPHS]
        data = {name: (self.stored.folder / name).read_bytes() for name in names}
        make_folder(folder)
        for name, content in data.items():
            write_atomically(folder / name, content, overwrite=True)

    def _open_most(self) -> None:
        with suppress(ClearAirError, MemoryError):  # the first picture that needs the graph raises the error
            for name in ("judge", "window"):
                self._session(name)

    def _session(self, name: str) -> Runs:
        with self._opening:
            if name not in self._sessions:
                self._sessions[name] = self._graphs.open(name, self._weights)
            return self._sessions[name]


_early: weakref.WeakSet[OnnxRuntime] = weakref.WeakSet()


def _wait_for_all() -> None:
    for runtime in _early:
        runtime.wait()


if hasattr(os, "register_at_fork"):
    # A forked process has none of these threads, and would wait for locks that they held.
    os.register_at_fork(before=_wait_for_all)


def graphs_for(folder: Path, network: NetworkConfig) -> GraphFolder | None:
    """The graphs in a model's folder, or else those of a model that ships and has the same configuration.

    Raises ModelError for graphs beside it that are of another configuration.
    """
    own = read_graphs(folder)
    if own is not None:
        if not same_config(own.config, network.to_dict()):
            raise ModelError(f"{own.path}: holds graphs of another model; run `clearair export` again.")
        return own
    for entry in CATALOGUE.values():
        shipped = read_graphs(entry.folder)
        if shipped is not None and same_config(shipped.config, network.to_dict()):
            return shipped
    return None
