"""Saved models come back exactly, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearair.errors import ClearAirError, ModelError, OutputError
from clearair.finishing import FinishedNetwork
from clearair.models import CATALOGUE, find_model, load_model, save_model
from clearair.models.stamp import PerceiverStamp
from clearair.network import TINY
from clearair.perception import load_compact
from clearair.restorer import Restorer

SMALL = replace(TINY, quality_dim=32, content_dim=64, degradation_dim=64, region_count=16)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return FinishedNetwork(SMALL)


@pytest.fixture
def folder(network, tmp_path):
    save_model(network, tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, change):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_a_model_comes_back_with_its_config_and_float16_weights(network, folder):
    saved = load_model(folder)
    assert saved.network == SMALL
    for name, value in saved.build().state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, network.state_dict()[name].half().float()), name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"nonsense.*compact"):
        load_model("nonsense")


def test_a_file_is_not_a_model(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="not a file"):
        load_model(path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\x80\x04K\x01.", b"\xff" * 40])
def test_a_foreign_file_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        load_model(folder)


def test_a_truncated_file_of_weights_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(folder)


def test_every_kind_of_misfit_is_listed_at_once(folder):
    def change(weights):
        del weights["extraction.weight"]
        weights["foreign"] = torch.zeros(1)
        weights["reconstruction.weight"] = torch.zeros(2)

    change_weights(folder, change)
    with pytest.raises(ModelError) as error:
        load_model(folder)
    for part in ("missing: extraction.weight", "unexpected: foreign", "reconstruction.weight is (2,)"):
        assert part in str(error.value)


def test_weights_that_are_not_finite_are_refused(folder):
    change_weights(folder, lambda weights: weights["extraction.weight"].fill_(float("nan")))
    with pytest.raises(ModelError, match=r"extraction\.weight"):
        load_model(folder)


def test_an_existing_model_is_replaced_only_when_asked(network, folder):
    before = (folder / "config.json").stat().st_mtime_ns
    with pytest.raises(OutputError, match="overwrite=True"):
        save_model(network, folder)
    assert (folder / "config.json").stat().st_mtime_ns == before
    save_model(network, folder, overwrite=True)
    assert (folder / "config.json").stat().st_mtime_ns > before


def test_weights_too_large_for_float16_are_not_saved(tmp_path):
    network = FinishedNetwork(SMALL)
    with torch.no_grad():
        network.extraction.weight.fill_(1e6)
    with pytest.raises(ModelError, match=r"extraction\.weight"):
        save_model(network, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format 2"),
        (lambda c: c.update(dummy=True), "dummy"),
        (lambda c: c["network"].update(dummy=True), "dummy"),
        (lambda c: c["network"].update(channels=[8, 16, 32]), "3 levels"),
        (lambda c: c["network"].update(quality_dim=31), "quality_dim"),
        (lambda c: c["perceivers"].pop("fingerprint"), "fingerprint"),
        (lambda c: c["perceivers"].update(region_count="16"), "region_count"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(folder, change, message):
    change_config(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_other_perceivers_than_those_it_was_trained_with_are_refused(folder):
    change_config(folder, lambda c: c["perceivers"].update(fingerprint="0" * 64))
    with pytest.raises(ModelError, match="other perceivers: their fingerprint"):
        Restorer.from_pretrained(folder)


def test_one_changed_weight_changes_the_fingerprint():
    perceiver = load_compact()
    before = PerceiverStamp.of(perceiver)
    assert PerceiverStamp.of(load_compact()) == before
    with torch.no_grad():
        next(perceiver.eyes.parameters()).view(-1)[0] += 0.01
    assert PerceiverStamp.of(perceiver) != before


def test_the_shipped_model_fits_the_shipped_perceivers():
    saved = load_model("compact")
    saved.perceivers.check(PerceiverStamp.of(load_compact()))
    assert find_model("compact") == CATALOGUE["compact"].folder


def test_model_errors_are_clearair_errors():
    assert issubclass(ModelError, ClearAirError)
    assert ModelError.exit_code == 3
