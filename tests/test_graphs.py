"""Lists of graphs and sessions: what is refused, and that nothing is reported to anybody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from clearair.errors import ModelError
from clearair.graphs import GRAPHS, Session, describe_graphs, read_graphs, same_config
from clearair.models.catalogue import find_model
from clearair.models.stored import read_model
from clearair.network.config import COMPACT
from clearair.perception.compact.stored import shipped_folder


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "perceivers"
    shutil.copytree(shipped_folder(), copy)
    return copy


def weights_of(graphs, name):
    return {weight: np.zeros((1,), np.float32) for weight in graphs.graphs[name].weights}


def test_a_folder_without_a_list_has_no_graphs(tmp_path):
    assert read_graphs(tmp_path) is None


def test_the_shipped_graphs_are_those_of_the_shipped_configuration():
    graphs = read_graphs(find_model("compact"))
    assert same_config(graphs.config, COMPACT.to_dict())
    assert set(graphs.graphs) == {"judge", "window", "keep_tone"}
    stored = read_model("compact")
    used = {name for graph in graphs.graphs.values() for name in graph.weights}
    assert used <= set(stored.weights)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "config": {}, "graphs": {"a": {}}}']
)
def test_a_damaged_list_is_refused_in_one_line(folder, content):
    (folder / GRAPHS).write_bytes(content)
    with pytest.raises(ModelError, match=r"graphs\.json: .*run `clearair export` again") as caught:
        read_graphs(folder)
    assert "\n" not in str(caught.value)


def test_a_list_of_another_format_is_refused(folder):
    values = json.loads((folder / GRAPHS).read_text())
    (folder / GRAPHS).write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(ModelError, match="format 99, but this version of clearair reads 1"):
        read_graphs(folder)


def test_a_list_names_no_file_outside_its_folder(folder):
    values = json.loads((folder / GRAPHS).read_text())
    values["graphs"]["look"]["file"] = "../../look.onnx"
    (folder / GRAPHS).write_text(json.dumps(values))
    assert read_graphs(folder).graphs["look"].path == folder / "look.onnx"


def test_a_missing_and_a_changed_graph_are_named(folder):
    graphs = read_graphs(folder)
    weights = weights_of(graphs, "look")
    (folder / "look.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"look\.onnx: is damaged"):
        graphs.open("look", weights)
    (folder / "look.onnx").unlink()
    with pytest.raises(ModelError, match=r"look\.onnx: is missing"):
        graphs.open("look", weights)
    with pytest.raises(ModelError, match="lists no graph 'gaze'"):
        graphs.open("gaze", weights)


def test_weights_of_another_model_are_refused(folder):
    graphs = read_graphs(folder)
    with pytest.raises(ModelError, match=r"needs .* weights that the model lacks"):
        graphs.open("look", {})
    with pytest.raises(ModelError, match=r"look\.onnx: ONNX Runtime .* cannot run it"):
        graphs.open("look", weights_of(graphs, "look"))  # of another shape


def test_what_is_no_graph_is_refused(tmp_path):
    listed = describe_graphs({}, {"nonsense": (b"nonsense", [])})
    (tmp_path / GRAPHS).write_bytes(listed)
    (tmp_path / "nonsense.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot run it"):
        Session(read_graphs(tmp_path).graphs["nonsense"], {})


def test_a_forked_process_runs_a_session_of_its_parent():
    code = """
import os, sys
import numpy as np
from clearair.runtime.loading import load_perceiver
perceiver = load_perceiver()
image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
expected = perceiver.perceive_image(image).probabilities
child = os.fork()
if child == 0:
    same = np.array_equal(perceiver.perceive_image(image).probabilities, expected)
    sys.exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


LEAVE_NO_TRACE = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
import numpy as np
from clearair import Restorer
restorer = Restorer.from_pretrained(backend="onnx")
restorer(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8), damage="noise")
import os
sockets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if
           os.path.exists(f"/proc/self/fd/{fd}")]
sys.exit(bool(seen or any(name.startswith("socket:") for name in sockets)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_restoring_opens_no_socket_and_leaves_the_home_folder_alone(tmp_path):
    """ONNX Runtime would report its use and write a device id, unless the variable CI is there."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG")}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-c", LEAVE_NO_TRACE]
    if (unshare := shutil.which("unshare")) and subprocess.run(
        [unshare, "-rn", "true"], check=False, capture_output=True
    ).returncode == 0:
        command = [unshare, "-rn", *command]  # without routes
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=120)
    assert not list(home.rglob("*"))


def test_an_old_onnx_runtime_is_refused_with_what_to_do(monkeypatch):
    import onnxruntime

    from clearair.graphs import onnx_runtime

    assert onnx_runtime() is onnxruntime
    monkeypatch.setattr(onnxruntime, "__version__", "1.9.0")
    with pytest.raises(ModelError, match=r"1\.9\.0 is too old, 1\.22 is needed: pip install --upgrade"):
        onnx_runtime()
