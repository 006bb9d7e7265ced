"""Published folders, whole and damaged."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.perception.deqa.checkpoint import (
    TINY,
    official_weights,
    tiny_config,
    write_config,
    write_shards,
)

from clearair.errors import ModelError, UsageError
from clearair.perception import load_quality
from clearair.perception.deqa.memory import announce, free_bytes, weight_bytes
from clearair.perception.deqa.perceiver import files_of
from clearair.perception.deqa.placement import place

FIRST = "model-00001-of-00003.safetensors"
LAST = "model-00003-of-00003.safetensors"


def refused(folder: Path, **options) -> str:
    with pytest.raises(ModelError) as caught:
        load_quality("deqa", weights=folder, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) in line or options
    return line


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    for old in folder.glob("*.safetensors"):
        old.unlink()
    write_shards(folder, weights)


def test_the_public_door_loads_a_published_folder(folder, photos, capsys):
    quality = load_quality("deqa", weights=str(folder), device="cpu", precision="fp32").assess(photos)
    assert quality.score.shape == (7,)
    assert np.isfinite(quality.embedding).all()
    assert ((quality.score >= 1) & (quality.score <= 5)).all()
    np.testing.assert_allclose(quality.levels @ [5, 4, 3, 2, 1], quality.score, atol=1e-6)
    assert re.fullmatch(r"DeQA-Score needs [\d.]+ GB .* in fp32 on cpu; .* free\.\n", capsys.readouterr().err)


def test_one_file_without_an_index_is_the_same_model(folder, weights, photos):
    expected = load_quality("deqa", weights=folder).assess(photos)
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    save_file(weights, folder / "model.safetensors")
    np.testing.assert_array_equal(load_quality("deqa", weights=folder).assess(photos).score, expected.score)


def test_a_model_outlives_its_files(folder, photos):
    deqa = load_quality("deqa", weights=folder)
    expected = deqa.assess(photos)
    for file in folder.glob("*.safetensors"):
        file.write_bytes(b"")
    np.testing.assert_array_equal(deqa.assess(photos).score, expected.score)


def test_sizes_missing_from_the_config_come_from_the_tensors(folder, photos):
    expected = load_quality("deqa", weights=folder).assess(photos)
    heads = {"num_attention_heads": 4}
    visual = {"visual_model": {"num_attention_heads": 3}, "visual_abstractor": heads | {"grid_size": None}}
    write_config(folder, heads | {"rms_norm_eps": 1e-5, "visual_config": visual})
    np.testing.assert_array_equal(load_quality("deqa", weights=folder).assess(photos).score, expected.score)


def test_what_neither_config_nor_tensors_say_is_as_the_authors_code_has_it(folder, photos):
    stated = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "num_key_value_heads": 4}
    expected = load_quality("deqa", weights=folder, config=stated).assess(photos)
    silent = tiny_config()
    for name in stated:
        silent.pop(name, None)
    write_config(folder, silent)
    np.testing.assert_array_equal(
        load_quality("deqa", weights=folder).assess(photos).embedding, expected.embedding
    )


def test_config_overrides_the_folders_own(folder, photos):
    own = load_quality("deqa", weights=folder).assess(photos)
    changed = load_quality("deqa", weights=folder, config={"rms_norm_eps": 0.1}).assess(photos)
    assert np.abs(own.score - changed.score).max() > 1e-3
    path = folder.parent / "other.json"
    path.write_text(json.dumps(TINY))
    (folder / "config.json").unlink()
    again = load_quality("deqa", weights=folder, config=path).assess(photos)
    np.testing.assert_array_equal(again.score, own.score)


@pytest.mark.parametrize("shard", [FIRST, LAST])
def test_a_missing_shard_is_named(folder, shard):
    (folder / shard).unlink()
    assert shard in refused(folder)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_truncated_shard_is_named(folder, size):
    content = (folder / LAST).read_bytes()
    (folder / LAST).write_bytes(content[:size])
    assert f"{LAST}: truncated" in refused(folder)


def test_another_file_instead_of_a_shard_is_named(folder):
    (folder / LAST).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n" * 9)
    assert LAST in refused(folder)


def test_missing_unexpected_and_misshaped_tensors_are_all_listed(folder, weights):
    changed = dict(weights)
    del changed["model.layers.1.self_attn.k_proj.multiway.1.weight"]
    del changed["model.vision_model.post_layernorm.bias"]
    changed["model.layers.3.mlp.up_proj.weight"] = torch.zeros(2, 2)
    changed["lm_head.weight"] = torch.zeros(400, 31)
    rewrite(folder, changed)
    line = refused(folder)
    assert "2 tensors missing: model.layers.1.self_attn.k_proj.multiway.1.weight, model.vision_model" in line
    assert "1 tensor of another shape: lm_head.weight is (400, 31) instead of (400, 32)" in line
    assert "unexpected: model.layers.3.mlp.up_proj.weight" in refused(folder, config={"num_hidden_layers": 3})


def test_an_index_that_promises_too_much_is_refused(folder):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.layers.9.extra"] = FIRST
    path.write_text(json.dumps(index))
    assert "model.layers.9.extra" in refused(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weight_map": {"a": "../../secret"}}'])
def test_a_broken_index_is_refused(folder, content):
    (folder / "model.safetensors.index.json").write_text(content)
    assert "index.json" in refused(folder)


def test_a_tensor_in_two_shards_is_refused(folder, weights):
    save_file({name: weights[name] for name in list(weights)[:2]}, folder / FIRST)
    save_file(weights, folder / LAST)
    assert "is also in" in refused(folder)


def test_the_weights_of_another_model_are_refused(folder):
    rewrite(folder, {f"encoder.block.{n}.weight": torch.zeros(3, 3) for n in range(50)})
    assert "not the weights of DeQA-Score" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llama"}, "model_type of config is 'llama'"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"visual_config": 3}, "visual_config"),
        ({"hidden_size": "many"}, "hidden_size is 'many'"),
        ({"rms_norm_eps": -1}, "rms_norm_eps"),
        ({"num_attention_heads": 5}, "32 cannot be divided among 5 heads"),
        ({"num_key_value_heads": 3}, "4 cannot be divided among 3"),
        ({"hidden_size": 10**30}, "hidden_size is 10"),
        ({"intermediate_size": True}, "intermediate_size is True"),
        ({"rms_norm_eps": 10**30}, "rms_norm_eps"),
        ({"num_hidden_layers": 10**6}, "no such network has more than 1000"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(folder, changes, said):
    write_config(folder, tiny_config(**changes))
    assert said in refused(folder)


@pytest.mark.parametrize("content", [None, "", "[]", "\x00", "[" * 100_000])
def test_a_missing_or_broken_config_is_named(folder, content):
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder)


def test_pickles_are_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    for name in ("pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        write_config(tmp_path, TINY)
        refused(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    assert "nowhere" in refused(tmp_path / "nowhere")


def test_weights_must_be_given():
    with pytest.raises(UsageError, match="folder"):
        load_quality("deqa")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(folder, weights, value):
    changed = dict(weights)
    changed["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], value)
    rewrite(folder, changed)
    assert "model.norm.weight is not finite" in refused(folder)


def test_values_too_large_for_16_bits_are_named(folder, weights):
    changed = dict(weights)
    changed["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], 1e6)
    rewrite(folder, changed)
    assert "not finite in fp16" in refused(folder, precision="fp16")


def test_integers_are_refused(folder, weights):
    rewrite(folder, weights | {"model.norm.weight": torch.ones(32, dtype=torch.int8)})
    assert "torch.int8" in refused(folder)


def test_half_precision_files_are_read_in_any_precision(folder, weights, photos):
    expected = load_quality("deqa", weights=folder).assess(photos)
    rewrite(folder, {name: value.half() for name, value in weights.items()})
    deqa = load_quality("deqa", weights=folder)
    assert {value.dtype for value in deqa.network.state_dict().values()} == {torch.float32}
    np.testing.assert_allclose(deqa.assess(photos).score, expected.score, atol=0.01)


def test_the_rotary_table_of_older_files_is_accepted_only_when_it_is_right(folder, weights, photos):
    expected = load_quality("deqa", weights=folder).assess(photos)
    table = 10000.0 ** -(torch.arange(4) / 4)
    tables = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": table.clone() for n in range(3)}
    rewrite(folder, weights | tables)
    np.testing.assert_array_equal(load_quality("deqa", weights=folder).assess(photos).score, expected.score)
    tables["model.layers.2.self_attn.rotary_emb.inv_freq"] = table**1.1
    rewrite(folder, weights | tables)
    assert "layers.2.self_attn.rotary_emb.inv_freq" in refused(folder)


@pytest.mark.parametrize("option", [{"precision": "bf16"}, {"config": {}}])
def test_options_of_deqa_are_not_for_compact(option):
    with pytest.raises(UsageError, match="compact"):
        load_quality("compact", **option)


def test_unknown_precisions_and_devices_are_refused(folder):
    with pytest.raises(UsageError, match="fp8"):
        load_quality("deqa", weights=folder, precision="fp8")
    with pytest.raises(UsageError, match="abacus"):
        load_quality("deqa", weights=folder, device="abacus")


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_few_bits_without_their_library_are_refused(folder, precision):
    assert "needs bitsandbytes: pip install 'clearair[deqa-gpu]'" in refused(folder, precision=precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would take the GPU")
def test_auto_takes_the_cpu_where_there_is_no_gpu(folder, photos):
    expected = load_quality("deqa", weights=folder).assess(photos)
    found = load_quality("deqa", weights=folder, device="auto").assess(photos)
    np.testing.assert_array_equal(found.score, expected.score)


def test_what_cannot_fit_is_refused_before_anything_is_loaded(capsys):
    with pytest.raises(
        ModelError, match=r"needs 1\d{9}.* GB .* in fp32 on cpu, but .* are free; bf16 needs half"
    ):
        place(torch.nn.Linear(1, 1), "cpu", "fp32", 10**18, 10)
    assert capsys.readouterr().err == ""


def test_what_fits_is_announced_where_the_system_does_not_say(capsys):
    announce("DeQA-Score", 16 * 10**9, 4 * 10**8, float("inf"), precision="bf16", where="cpu")
    assert capsys.readouterr().err == "DeQA-Score needs 16.40 GB of memory in bf16 on cpu.\n"


def test_free_memory_is_a_number():
    assert free_bytes(torch.device("cpu")) > 0


def test_memory_is_counted_from_the_shapes():
    shapes = {"a": (10, 64), "b": (100,)}
    assert weight_bytes(shapes, "fp32", frozenset()) == 4 * 740
    assert weight_bytes(shapes, "bf16", frozenset()) == 2 * 740
    assert weight_bytes(shapes, "int8", {"a"}) == 640 + 200
    assert weight_bytes(shapes, "nf4", {"a"}) == 360 + 200


def test_every_file_that_matters_is_known(folder):
    assert {path.name for path in files_of(folder)} == {path.name for path in folder.iterdir()}


_PEAK = """
import sys
import clearair.perception.deqa.perceiver as perceiver

def kilobytes(entry):
    return int(next(l for l in open("/proc/self/status") if l.startswith(entry)).split()[1])

small, large = map(perceiver.Path, sys.argv[1:])
perceiver.load_deqa(small)  # what PyTorch imports on the way is not ours
before = kilobytes("VmHWM")
deqa = perceiver.load_deqa(large)
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_needs_the_memory_of_the_model_once(folder):
    config = tiny_config(hidden_size=512, intermediate_size=2048, num_hidden_layers=10)
    weights, large = official_weights(config), folder.parent / "large"
    write_shards(large, weights)
    write_config(large, config)
    (large / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    size = sum(value.nbytes for value in weights.values()) / 1024
    run = [sys.executable, "-c", _PEAK, str(folder), str(large)]
    peak = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert size > 150_000
    assert 0.9 * size < peak < 1.5 * size  # the allocator keeps some; a second copy would make it 2
