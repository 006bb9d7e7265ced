"""Saved perceivers come back as they were, and broken ones are refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearair.errors import ModelError
from clearair.perception.compact.weights import load_eyes, save_eyes


@pytest.fixture
def folder(tmp_path, tiny_eyes):
    save_eyes(tiny_eyes, tmp_path)
    return tmp_path


def test_loading_returns_what_was_saved_to_half_precision(folder, tiny_eyes):
    loaded = load_eyes(folder)
    assert loaded.config == tiny_eyes.config
    for name, value in tiny_eyes.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        load_eyes(tmp_path / "nowhere")


def test_a_missing_tensor_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["level_head.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing.*level_head\.bias"):
        load_eyes(folder)


def test_an_unknown_tensor_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "third_eye": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="third_eye"):
        load_eyes(folder)


def test_a_tensor_of_another_shape_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "level_head.bias": torch.zeros(7)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"level_head\.bias .*\(7,\), expected \(5,\)"):
        load_eyes(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "level_head.bias": torch.full((5,), torch.nan)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="not finite"):
        load_eyes(folder)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"colour": 1}', '{"near_side": "x"}'])
def test_a_damaged_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_eyes(folder)


def test_a_truncated_weights_file_is_refused(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_eyes(folder)


def test_a_config_of_another_network_does_not_fit_the_weights(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quality_dim": 9}))
    with pytest.raises(ModelError, match="has shape"):
        load_eyes(folder)
