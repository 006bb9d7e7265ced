"""DeQA-Score in 8 and 4 bits, through bitsandbytes, here on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.perception.deqa.checkpoint import official_weights, tiny_config, write_config, write_shards

from clearair.errors import ModelError
from clearair.perception.deqa.perceiver import load_deqa
from clearair.perception.deqa.quantised import check_can_quantise, quantised_layer

library = pytest.importorskip("bitsandbytes.nn")

CPU = torch.device("cpu")


@pytest.fixture
def wide(tmp_path: Path, tokenizer: bytes) -> Path:
    """Wide enough for NF4, whose scales belong to 64 inputs each."""
    sizes = tiny_config(hidden_size=64, intermediate_size=128)
    write_shards(tmp_path / "wide", official_weights(sizes))
    write_config(tmp_path / "wide", sizes)
    (tmp_path / "wide" / "tokenizer.model").write_bytes(tokenizer)
    return tmp_path / "wide"


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.02), ("nf4", 0.15)])
def test_a_layer_keeps_what_so_few_bits_can_hold(precision, most):
    generator = torch.Generator().manual_seed(0)
    weight, features = (torch.randn(*shape, generator=generator) for shape in ((96, 128), (5, 7, 128)))
    expected = features @ weight.T
    found = quantised_layer(weight, precision, CPU)(features.half()).float()
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < most


@pytest.mark.parametrize(("precision", "bits"), [("int8", 8), ("nf4", 4)])
def test_layers_of_the_language_model_take_as_many_bits_and_no_others_do(wide, precision, bits):
    network = load_deqa(wide, precision=precision).network
    plain = load_deqa(wide, precision="fp16").network
    shapes = {
        name: module.weight.shape for name, module in plain.named_modules() if type(module) is torch.nn.Linear
    }
    kinds = (library.Linear8bitLt, library.Linear4bit)
    few = {name for name, module in network.named_modules() if isinstance(module, kinds)}
    assert few
    assert few == {name for name in shapes if name.startswith("model.layers.")}
    for name in few:
        weight = network.get_submodule(name).weight
        assert weight.numel() * weight.element_size() * 8 == bits * shapes[name].numel()


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.15), ("nf4", 0.6)])
def test_scores_stay_near_those_of_all_bits(wide, photos, precision, most):
    expected = load_deqa(wide).assess(photos)
    found = load_deqa(wide, precision=precision).assess(photos)
    assert np.abs(found.score - expected.score).max() < most


def test_a_device_that_bitsandbytes_does_not_know_is_refused():
    with pytest.raises(ModelError, match="needs a GPU or a CPU; on mps take bf16"):
        check_can_quantise("int8", torch.device("mps"))
