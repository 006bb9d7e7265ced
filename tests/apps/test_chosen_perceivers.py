"""The options that name perceivers, as people give them: what is loaded, and the line when it cannot be."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from safetensors.torch import save_file

pytest.importorskip("transformers", reason="needs the extra sam2")
pytest.importorskip("sentencepiece", reason="needs the extra deqa")

import torch

from clearair.apps.cli import cli, main
from clearair.apps.cli.options import DEQA_PRECISIONS
from clearair.image import Photo, write_photo
from clearair.models import save_model
from clearair.network import TINY, ClearAIR
from clearair.perception.choice import Choice
from clearair.perception.deqa.loading import PRECISIONS
from tests.perception.paper import write_paper_files


@dataclass(frozen=True)
class Done:
    """How the program ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def program(monkeypatch, capsys):
    """Run the program in this process, as `clearair` does."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["clearair", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    write_paper_files(root)
    return root


@pytest.fixture
def files(published: Path, tmp_path: Path) -> Path:
    """Copies that a test may spoil, and a photo."""
    shutil.copytree(published, tmp_path / "files")
    write_photo(Photo(skimage.data.chelsea()[:60, :90]), tmp_path / "files" / "photo.png")
    return tmp_path / "files"


def refused(done: Done, code: int = 3) -> str:
    """The one line of a run that did nothing."""
    lines = [line for line in done.err.splitlines() if line.startswith("clearair: ")]
    assert (done.code, done.out, len(lines)) == (code, "", 1), done
    assert done.err.splitlines()[-1] == lines[0]  # and no traceback
    return lines[0]


def test_deqa_is_loaded_in_16_bits_unless_another_precision_is_chosen(program, files):
    deqa = f"--quality=deqa={files / 'deqa'}"
    assert "in bf16 on cpu" in program("inspect", files / "photo.png", deqa).err
    done = program(
        "inspect", files / "photo.png", deqa, "--quality-precision=fp32", "--quality-device=cpu", "--json"
    )
    assert "in fp32 on cpu" in done.err
    assert 1 <= json.loads(done.out)[0]["score"] <= 5


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs the extra deqa-gpu")
def test_deqa_can_be_loaded_in_8_bits(program, files):
    deqa = (f"--quality=deqa={files / 'deqa'}", "--quality-precision=int8")
    done = program("inspect", files / "photo.png", *deqa)
    assert done.code == 0
    assert "in int8 on cpu" in done.err


def test_the_precisions_in_the_help_are_the_library_s():
    assert set(DEQA_PRECISIONS) == set(PRECISIONS)


@pytest.mark.parametrize("command", ["inspect", "restore", "train", "ablate", "evaluate"])
def test_every_command_that_takes_perceivers_takes_their_precision(command):
    told = CliRunner().invoke(cli, [command, "--help"]).stdout
    assert "--quality-precision" in told
    assert "--quality-device" in told


def test_the_embedded_perceiver_has_no_precision_to_choose(program, files):
    for option in ("--quality-precision=bf16", "--quality-device=cpu"):
        done = program("inspect", files / "photo.png", option)
        assert "are for deqa=FOLDER" in refused(done, code=2)


def test_a_precision_that_does_not_exist_is_wrong_usage(program, files):
    done = program("inspect", files / "photo.png", "--quality-precision=fp8")
    assert done.code == 2
    assert "'fp8' is not one of 'fp32', 'bf16'" in done.err


def test_a_device_that_is_not_there_is_wrong_usage(program, files):
    deqa = f"--quality=deqa={files / 'deqa'}"
    done = program("inspect", files / "photo.png", deqa, "--quality-device=abacus")
    assert "There is no device 'abacus' here" in refused(done, code=2)


def test_what_was_perceived_in_other_bits_is_perceived_again(program, files):
    cache = files / "percepts"
    deqa = (f"--quality=deqa={files / 'deqa'}", f"--cache-percepts={cache}")
    for precision, entries in (("bf16", 1), ("bf16", 1), ("fp32", 2), ("bf16", 2)):
        done = program("inspect", files / "photo.png", *deqa, f"--quality-precision={precision}")
        assert done.code == 0, done.err
        assert len(list(cache.glob("*/*.safetensors"))) == entries


def test_a_weight_file_that_changed_is_perceived_with_again(program, files):
    cache, weights = files / "percepts", files / "sam2" / "model.safetensors"
    chosen = (f"--regions=sam2={files / 'sam2'}", f"--cache-percepts={cache}")
    assert program("inspect", files / "photo.png", *chosen).code == 0
    from safetensors.torch import load_file

    tensors = load_file(weights)
    save_file(tensors | {"no_memory_embedding": tensors["no_memory_embedding"] + 1}, weights)
    assert program("inspect", files / "photo.png", *chosen).code == 0
    assert len(list(cache.glob("*/*.safetensors"))) == 2


class Trap:
    """What a pickle with code in it unpickles to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_model_of_other_perceivers_is_evaluated_with_them(program, files):
    chosen = {"regions": f"sam2={files / 'sam2'}", "degradation": f"daclip={files / 'daclip.pt'}"}
    perceiver = Choice(**chosen).load()
    sizes = ("quality_dim", "content_dim", "degradation_dim", "region_count")
    config = replace(TINY, **{name: getattr(perceiver.identity, name) for name in sizes})
    save_model(ClearAIR(config), files / "model", perceivers=perceiver)
    for side in ("low", "high"):
        (files / side).mkdir()
        shutil.copy(files / "photo.png", files / side / "a.png")
    words = ("evaluate", files / "model", "--pairs", files / "low", files / "high")
    assert "trained with" in refused(program(*words))
    options = [f"--{question}={choice}" for question, choice in chosen.items()]
    done = program(*words, *options, "--json", files / "run.json")
    assert done.code == 0, done.err
    record = json.loads((files / "run.json").read_text())
    assert record["perceivers"]["fingerprint"] == perceiver.identity.fingerprint
    assert record["results"][0]["images"] == 1


def test_a_missing_and_a_truncated_shard_are_named(program, files):
    shard = files / "deqa" / "model-00002-of-00003.safetensors"
    deqa = f"--quality=deqa={files / 'deqa'}"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert f"{shard.name}: truncated" in refused(program("inspect", files / "photo.png", deqa))
    shard.unlink()
    assert f"1 files are missing: {shard.name}" in refused(program("inspect", files / "photo.png", deqa))


def test_truncated_files_are_named(program, files):
    for option, path in (
        ("--regions=sam2", files / "sam2" / "model.safetensors"),
        ("--degradation=daclip", files / "daclip.pt"),
    ):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert path.name in refused(program("inspect", files / "photo.png", f"{option}={path}"))


@pytest.mark.parametrize("question", ["quality=deqa", "regions=sam2", "degradation=daclip"])
def test_the_file_of_another_model_is_refused(program, files, question):
    other = files / "other"
    other.mkdir()
    save_file({"encoder.weight": torch.zeros(3, 3)}, other / "model.safetensors")
    (other / "config.json").write_text('{"model_type": "mplug_owl2"}')
    line = refused(program("inspect", files / "photo.png", f"--{question}={other}"))
    assert "not the weights of DeQA-Score" in line or "is not SAM 2's" in line or "is not DA-CLIP's" in line


@pytest.mark.parametrize("question", ["quality=deqa", "regions=sam2", "degradation=daclip"])
def test_code_in_a_pickle_is_not_run(program, files, question):
    bad, sprung = files / "bad", files / "sprung"
    bad.mkdir()
    (bad / "config.json").write_text('{"model_type": "mplug_owl2"}')
    weights = bad / ("model.safetensors" if question == "quality=deqa" else "model.pt")
    if weights.suffix == ".pt":
        torch.save({"model": Trap(sprung), "state_dict": Trap(sprung)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Trap(sprung)))
    refused(program("inspect", files / "photo.png", f"--{question}={bad}"))
    assert not sprung.exists()


def test_photos_of_a_pixel_a_panorama_and_a_black_one_are_perceived(program, files):
    shapes = {"pixel": (1, 1), "panorama": (8, 320), "black": (40, 60)}
    for name, shape in shapes.items():
        level = 0 if name == "black" else 130
        write_photo(Photo(np.full((*shape, 3), level, np.uint8)), files / f"{name}.png")
    done = program(
        "inspect",
        *(files / f"{name}.png" for name in shapes),
        f"--quality=deqa={files / 'deqa'}",
        f"--regions=sam2={files / 'sam2'}",
        f"--degradation=daclip={files / 'daclip.pt'}",
        "--json",
    )
    assert done.code == 0
    records = json.loads(done.out)
    assert len(records) == 3
    for record in records:
        assert 1 <= record["score"] <= 5
        assert len(record["regions"]) >= 1
        assert sum(record["degradations"].values()) == pytest.approx(1, abs=1e-4)
