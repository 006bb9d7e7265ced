"""Where ONNX Runtime spends the time of one window, by kind of operator.

    python benchmarks/profile_graph.py --threads 1
    python benchmarks/profile_graph.py --threads 1 --model base-onnx --side 256

Prints a Markdown table of milliseconds a run, from ONNX Runtime's own profiler. Takes 20 seconds; with
`--plain`, which profiles the network exported as it is, some minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from command_line import keep_to_cores, parser_of
from sample_pictures import noisy_astronaut
from speed import SIDE

from clearair.graphs import onnx_runtime
from clearair.models.stored import read_model
from clearair.runtime.loading import load_perceiver
from clearair.runtime.onnx import OnnxRuntime, graphs_for
from clearair.tiling import Window

ROUNDS = 5


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="compact", help="a model with graphs (default: compact)")
    parser.add_argument("--side", type=int, default=SIDE, help="of the window, in pixels")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    keep_to_cores(options.threads)
    stored = read_model(options.model)
    graphs = graphs_for(stored.folder, stored.network)
    assert graphs is not None
    inputs = window_inputs(OnnxRuntime(stored, graphs), options.side)
    weights = {name: value.astype(np.float32) for name, value in stored.weights.items()}
    graph = graphs.graphs["window"]
    data, names = graph.path.read_bytes(), graph.weights
    if options.plain:
        data, names = plain_graph(options.model)
    times = profile(data, names, weights, inputs, options.threads)
    print("| operator | ms | share | how many |\n|---|---|---|---|")
    total = sum(value for value, _ in times.values())
    for name, (milliseconds, count) in sorted(times.items(), key=lambda entry: -entry[1][0])[:16]:
        print(f"| {name} | {milliseconds:.1f} | {100 * milliseconds / total:.0f} % | {count} |")
    print(f"| all | {total:.1f} | | |")


def window_inputs(runtime: OnnxRuntime, side: int) -> dict[str, np.ndarray]:
    """What the graph of a window takes, for the corner of a noisy picture."""
    picture = noisy_astronaut(side, side)
    percepts = load_perceiver().perceive_image(picture)
    judgement = runtime.judge(picture, percepts)
    seen: dict[str, np.ndarray] = {}
    session = runtime._session("window")
    run = session.run

    def watched(inputs: dict[str, np.ndarray], **options: bool) -> dict[str, np.ndarray]:
        seen.update(inputs)
        return run(inputs, **options)

    session.run = watched  # type: ignore[assignment]
    runtime.restore(picture.astype(np.float32) / 255, percepts, judgement, Window(0, 0, side, side))
    return seen


def plain_graph(model: str) -> tuple[bytes, tuple[str, ...]]:
    """The network itself, not the form of it that is arranged for ONNX Runtime."""
    from clearair.exporting import restorer
    from clearair.models import load_model

    restorer.form_of = lambda config: restorer._Window  # type: ignore[assignment]
    traced = restorer.window_graph(load_model(model).build())
    return traced.data, traced.weights


def profile(
    data: bytes,
    names: tuple[str, ...],
    weights: dict[str, np.ndarray],
    inputs: dict[str, np.ndarray],
    threads: int,
) -> dict[str, tuple[float, int]]:
    """Milliseconds and calls a run, by operator."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # as `clearair.graphs` opens them
    options.enable_profiling = True
    values = [runtime.OrtValue.ortvalue_from_numpy(weights[name]) for name in names]
    options.add_external_initializers(list(names), values)
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = runtime.InferenceSession(data, options)
        wanted = {entry.name for entry in session.get_inputs()}
        for _ in range(ROUNDS):
            session.run(None, {name: inputs[name] for name in wanted})
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"]] += event["dur"] / ROUNDS / 1e3
            counts[event["args"]["op_name"]] += 1
    return {name: (value, counts[name] // ROUNDS) for name, value in times.items()}


if __name__ == "__main__":
    main()
