"""The authors' file and everything that can be wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clearair.errors import ModelError, UsageError
from clearair.perception import load_degradation
from tests.perception.daclip.conftest import saved
from tests.perception.daclip.reference import EMBEDDING, random_state
from tests.test_weights import Intruder

CONFIG = {
    "embed_dim": EMBEDDING,
    "vision_cfg": {"image_size": 224, "layers": 3, "width": 128, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 3},
    "custom_text": True,
}


@pytest.fixture
def expected(blind, noise):
    return blind.identify([noise]).degradation


def degradation(path, noise, **options):
    return load_degradation("daclip", weights=path, **options).identify([noise]).degradation


def test_names_may_come_from_several_gpus(tmp_path, wordless, noise, expected):
    state = {f"module.{name}": value for name, value in wordless.items()}
    np.testing.assert_array_equal(degradation(saved(tmp_path / "a.pt", state), noise), expected)


def test_the_state_may_stand_alone(tmp_path, wordless, noise, expected):
    torch.save(wordless, tmp_path / "a.pt")
    np.testing.assert_array_equal(degradation(tmp_path / "a.pt", noise), expected)


def test_a_training_checkpoint_with_numbers_and_optimizer_loads(tmp_path, wordless, noise, expected):
    others = {"loss": np.float64(0.5), "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}}
    np.testing.assert_array_equal(degradation(saved(tmp_path / "a.pt", wordless, **others), noise), expected)


@pytest.mark.parametrize("left_out", ["visual.", "clip.visual."])
def test_safetensors_need_the_image_tower_only_once(tmp_path, wordless, noise, expected, left_out):
    state = {name: value for name, value in wordless.items() if not name.startswith(left_out)}
    save_file(state, tmp_path / "daclip.safetensors")
    np.testing.assert_array_equal(degradation(tmp_path / "daclip.safetensors", noise), expected)
    np.testing.assert_array_equal(degradation(tmp_path, noise), expected)


def test_half_precision_is_computed_in_full(tmp_path, wordless, noise, expected):
    state = {name: value.half() for name, value in wordless.items()}
    found = degradation(saved(tmp_path / "a.pt", state), noise)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize(
    "kind", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.sparse_coo]
)
def test_tensors_that_are_no_plain_floating_point_are_refused(tmp_path, wordless, kind):
    name = "clip.visual.class_embedding"
    value = wordless[name]
    value = value.to_sparse() if kind is torch.sparse_coo else value.to(kind)
    path = saved(tmp_path / "a.pt", {**wordless, name: value})
    with pytest.raises(ModelError) as caught:
        load_degradation("daclip", weights=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_config_that_agrees_changes_nothing(tmp_path, wordless, noise, expected, wrapped):
    config = {"model_cfg": CONFIG, "preprocess_cfg": {}} if wrapped else CONFIG
    path = saved(tmp_path / "a.pt", wordless)
    np.testing.assert_array_equal(degradation(path, noise, config=config), expected)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    np.testing.assert_array_equal(degradation(tmp_path, noise), expected)


def test_a_config_says_how_many_heads(tmp_path, wordless, noise, expected):
    path = saved(tmp_path / "a.pt", wordless)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "head_width": 32}}))
    for found in (degradation(path, noise, config=config), degradation(tmp_path, noise)):
        assert np.abs(found - expected).max() > 1e-3


def test_heads_that_nothing_tells_are_asked_for(tmp_path, wordless):
    narrow = {name: value[..., :48] for name, value in wordless.items() if name.endswith("class_embedding")}
    path = saved(tmp_path / "a.pt", {**wordless, **narrow})
    with pytest.raises(ModelError, match="width 48 cannot have 0 heads; a config must say"):
        load_degradation("daclip", weights=path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vision_cfg": {"layers": 4}}, r"missing: .*resblocks\.3\."),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, "layers must be a positive number"),
        ({"vision_cfg": {}, "quick_gelu": True}, "quick_gelu = True"),
        ({"vision_cfg": {"timm_model_name": "vit"}}, "timm_model_name"),
        ({"vision_cfg": {}, "embed_dim": 0}, "embed_dim"),
        ({"vision_config": {}}, "not an open_clip model config"),
        ({"vision_cfg": {"mlp_ratio": float("nan")}}, "do not make a DA-CLIP"),
        ({"vision_cfg": {"width": 64 * 10**30}}, "do not make a DA-CLIP"),
    ],
)
def test_a_config_of_another_network_is_refused(tmp_path, wordless, config, message):
    path = saved(tmp_path / "a.pt", wordless)
    with pytest.raises(ModelError, match=message):
        load_degradation("daclip", weights=path, config=config)


@pytest.mark.parametrize(
    "name",
    [
        "clip.visual.proj",
        "visual.proj",
        "visual_control.class_embedding",
        "visual_control.transformer.zero_modules.2.bias",
        "visual_control.transformer.transformer.resblocks.0.mlp.c_fc.weight",
        "clip.visual.transformer.resblocks.1.attn.in_proj_bias",
    ],
)
def test_tensors_that_are_missing_misshapen_or_unknown_are_named(tmp_path, wordless, name):
    rest = {key: value for key, value in wordless.items() if key != name}
    misshapen = {**wordless, name: wordless[name][..., :-1]}
    unknown = {**wordless, f"{name}_new": wordless[name]}
    for state, key in ((rest, name), (misshapen, name), (unknown, f"{name}_new")):
        with pytest.raises(ModelError, match=rf"fit DA-CLIP: .*{key}") as caught:
            load_degradation("daclip", weights=saved(tmp_path / "a.pt", state))
        assert "\n" not in str(caught.value)


def test_part_of_a_text_tower_is_an_error(tmp_path, wordless):
    state = {**wordless, "clip.text_projection": torch.zeros(128, EMBEDDING)}
    with pytest.raises(ModelError, match=r"missing: .*clip\.token_embedding\.weight"):
        load_degradation("daclip", weights=saved(tmp_path / "a.pt", state))


def test_duplicates_that_differ_are_an_error(tmp_path, wordless):
    state = {**wordless, "visual.proj": wordless["visual.proj"] + 1}
    with pytest.raises(ModelError, match=r"clip\.visual\.proj and its duplicate visual\.proj differ"):
        load_degradation("daclip", weights=saved(tmp_path / "a.pt", state))


@pytest.mark.parametrize("content", [{"params": {"a": torch.zeros(1)}}, {"a": torch.zeros(1)}, [1], {}])
def test_the_file_of_another_model_is_recognised(tmp_path, content):
    torch.save(content, tmp_path / "restormer.pth")
    with pytest.raises(ModelError, match=r"restormer\.pth: .*DA-CLIP's"):
        load_degradation("daclip", weights=tmp_path / "restormer.pth")


def test_a_plain_clip_is_not_taken_for_it(tmp_path, wordless):
    state = {name: value for name, value in wordless.items() if name.startswith("visual.")}
    with pytest.raises(ModelError, match=r"no tensor is named visual_control"):
        load_degradation("daclip", weights=saved(tmp_path / "clip.pt", state))


def test_code_in_the_file_does_not_run(tmp_path, wordless):
    path = saved(tmp_path / "a.pt", wordless, extra=Intruder(tmp_path / "made"))
    with pytest.raises(ModelError, match=r"mkdir, which may run code"):
        load_degradation("daclip", weights=path)
    assert not (tmp_path / "made").exists()


def test_a_truncated_file_is_one_line(tmp_path, wordless):
    path = saved(tmp_path / "a.pt", wordless)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"a\.pt: cannot be opened safely"):
        load_degradation("daclip", weights=path)


def test_weights_are_asked_for():
    with pytest.raises(UsageError, match="needs weights"):
        load_degradation("daclip")


def test_without_pillow_the_extra_is_named():
    code = (
        "import sys\nsys.modules['PIL'] = None\n"
        "from clearair.errors import ModelError\nfrom clearair.perception import load_degradation\n"
        "try:\n    load_degradation('daclip', weights='x.pt')\nexcept ModelError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "The perceiver 'daclip' needs Pillow: pip install 'clearair[daclip]'.\n"


def test_other_weights_have_another_fingerprint(tmp_path, blind, wordless):
    again = load_degradation("daclip", weights=saved(tmp_path / "a.pt", wordless))
    other = load_degradation("daclip", weights=saved(tmp_path / "b.pt", random_state(text=False, seed=1)))
    assert again.fingerprint == blind.fingerprint != other.fingerprint
