"""Restormer's public weights become a backbone, and nothing is taken or left in silence."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tests.network.conftest import random_guidance
from tests.network.test_restormer import restormer
from tests.test_weights import Intruder

from clearair.apps.cli import cli
from clearair.errors import ConfigError, ModelError, OutputError
from clearair.models import load_model
from clearair.models.restormer import import_restormer
from clearair.network import BASE, Guidance

State = dict[str, torch.Tensor]
WIDTH, BLOCKS, REFINEMENT, HEADS = 8, (2, 3, 2, 3), 2, (1, 2, 4, 8)
FEWER = (1, 2, 2, 1)


def random_weights(*, bias: bool, seed: int = 0) -> State:
    """Under the names and in the shapes of the published files, only narrower."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / math.sqrt(math.prod(shape[1:]))

    state = {"patch_embed.proj.weight": randn(WIDTH, 3, 3, 3)}

    def level(name: str, channels: int, heads: int, count: int) -> None:
        hidden = int(2.66 * channels)
        for index in range(count):
            block = f"{name}.{index}"
            for norm in ("norm1", "norm2"):
                state[f"{block}.{norm}.body.weight"] = 1 + 0.2 * torch.randn(channels, generator=generator)
                if bias:
                    state[f"{block}.{norm}.body.bias"] = 0.2 * torch.randn(channels, generator=generator)
            state[f"{block}.attn.temperature"] = 1 + torch.rand(heads, 1, 1, generator=generator)
            state[f"{block}.attn.qkv.weight"] = randn(3 * channels, channels, 1, 1)
            state[f"{block}.attn.qkv_dwconv.weight"] = randn(3 * channels, 1, 3, 3)
            state[f"{block}.attn.project_out.weight"] = randn(channels, channels, 1, 1)
            state[f"{block}.ffn.project_in.weight"] = randn(2 * hidden, channels, 1, 1)
            state[f"{block}.ffn.dwconv.weight"] = randn(2 * hidden, 1, 3, 3)
            state[f"{block}.ffn.project_out.weight"] = randn(channels, hidden, 1, 1)

    for index in range(3):
        channels = WIDTH * 2**index
        level(f"encoder_level{index + 1}", channels, HEADS[index], BLOCKS[index])
        level(f"decoder_level{index + 1}", max(channels, 2 * WIDTH), HEADS[index], BLOCKS[index])
        state[f"down{index + 1}_{index + 2}.body.0.weight"] = randn(channels // 2, channels, 3, 3)
        state[f"up{index + 2}_{index + 1}.body.0.weight"] = randn(4 * channels, 2 * channels, 3, 3)
        if index:
            state[f"reduce_chan_level{index + 1}.weight"] = randn(channels, 2 * channels, 1, 1)
    level("latent", 8 * WIDTH, HEADS[3], BLOCKS[3])
    level("refinement", 2 * WIDTH, HEADS[0], REFINEMENT)
    state["output.weight"] = 0.2 * randn(3, 2 * WIDTH, 3, 3)
    return state


@pytest.fixture
def weights() -> State:
    return random_weights(bias=True)


@pytest.fixture
def published(tmp_path: Path, weights: State) -> Path:
    path = tmp_path / "deraining.pth"
    torch.save({"params": weights}, path)
    return path


@pytest.mark.parametrize("bias", [True, False])
def test_with_all_blocks_the_network_computes_what_restormer_does(tmp_path, bias):
    state = random_weights(bias=bias)
    torch.save({"params": state}, tmp_path / "file.pth")
    taken = import_restormer(tmp_path / "file.pth", blocks=None)
    assert taken.network.config.norm_bias == bias
    assert taken.left == ()
    image = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    guidance = random_guidance(taken.network.config, (24, 32))
    with torch.no_grad():
        theirs = restormer({name: value.double() for name, value in state.items()}, image.double())
        assert (taken.network(image, guidance) - theirs).abs().max() < 1e-5
        told = vars(guidance).items()
        wide = Guidance(**{name: v.double() if v.is_floating_point() else v for name, v in told})
        assert (taken.network.double()(image.double(), wide) - theirs).abs().max() < 1e-10
    assert (theirs - image).abs().max() > 0.1


def test_the_first_blocks_of_each_level_are_taken(published, weights):
    taken = import_restormer(published, blocks=FEWER)
    assert taken.network.config == replace(
        BASE,
        channels=(8, 16, 32, 64),
        blocks=FEWER,
        decoder_blocks=FEWER[:3],
        refinement_blocks=REFINEMENT,
    )
    ours = taken.network.state_dict()
    for name, theirs in {
        "encoder.1.1.attn.qkv.weight": "encoder_level2.1.attn.qkv.weight",
        "encoder.3.0.norm2.bias": "latent.0.norm2.body.bias",
        "decoder.0.0.ffn.dwconv.weight": "decoder_level1.0.ffn.dwconv.weight",
        "up.2.body.0.weight": "up4_3.body.0.weight",
        "reduce.1.weight": "reduce_chan_level2.weight",
        "refinement.1.attn.temperature": "refinement.1.attn.temperature",
        "reconstruction.weight": "output.weight",
    }.items():
        assert torch.equal(ours[name], weights[theirs]), name
    assert set(taken.taken) | set(taken.left) == set(weights)
    assert "latent.1.norm1.body.weight" in taken.left
    assert "latent.0.norm1.body.weight" in taken.taken
    assert {name.split(".")[0] for name in taken.new} == {
        "adapter",
        "content",
        "prompt",
        "encoder_guidance",
        "decoder_guidance",
    }


def test_blocks_that_the_file_lacks_are_new(published):
    taken = import_restormer(published, blocks=(2, 3, 2, 4))
    assert any(name.startswith("encoder.3.3.") for name in taken.new)
    assert taken.left == ()


def test_the_report_says_what_was_and_was_not_taken(published):
    report = import_restormer(published, blocks=FEWER).report()
    assert "LayerNorm WithBias" in report
    assert re.search(r"encoder_level1 +the first 1 of 2 blocks", report)
    assert re.search(r"encoder_level3 +all of 2 blocks", report)
    assert re.search(r"between +patch_embed.proj, .*output", report)
    left = 11 * (1 + 1 + 0 + 2 + 1 + 1)
    assert f"not taken  {left} tensors" in report
    assert "encoder_guidance" in report


def test_importing_twice_gives_the_same_network(published):
    one, other = (import_restormer(published).network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["output.weight", "latent.1.ffn.dwconv.weight", "down2_3.body.0.weight"])
def test_tensors_that_do_not_fit_are_named(tmp_path, weights, name):
    path = tmp_path / "file.pth"
    rest = {key: value for key, value in weights.items() if key != name}
    for state in (rest, {**weights, name: weights[name][:1]}, {**rest, f"{name}_": weights[name]}):
        torch.save({"params": state}, path)
        with pytest.raises(ModelError, match=rf"file\.pth: does not fit Restormer: .*{name}"):
            import_restormer(path)


@pytest.mark.parametrize("channels", [1, 6])
def test_files_for_grey_and_dual_pixel_pictures_do_not_fit(tmp_path, weights, channels):
    torch.save(
        {"params": {**weights, "patch_embed.proj.weight": torch.zeros(8, channels, 3, 3)}}, tmp_path / "f.pth"
    )
    with pytest.raises(ModelError, match=rf"patch_embed.proj.weight is \(8, {channels}, 3, 3\) instead"):
        import_restormer(tmp_path / "f.pth")


@pytest.mark.parametrize("content", [{"params": {"a": torch.zeros(1)}}, {"a": 1}, [torch.zeros(1)]])
def test_the_file_of_another_model_is_recognised(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth: .*not Restormer's"):
        import_restormer(tmp_path / "other.pth")


def test_block_counts_of_other_than_four_levels_are_refused(published):
    with pytest.raises(ConfigError, match="4 levels"):
        import_restormer(published, blocks=(1, 2))


def test_the_command_writes_a_model_that_restores_as_restormer_does(published, weights):
    done = CliRunner().invoke(cli, ["models", "import", str(published), "--blocks", "all"])
    assert done.exit_code == 0, done.output
    assert "not taken  nothing" in done.stdout
    network = load_model(published.with_suffix("")).build()
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        ours = network(image, random_guidance(network.config, (16, 16)))
        assert (ours - restormer(weights, image)).abs().max() < 1e-5


def test_the_command_does_not_replace_a_model_unasked(published, tmp_path):
    command = ["models", "import", str(published), "-o", str(tmp_path / "model"), "--blocks", "1,2,2,1"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    with pytest.raises(OutputError, match="overwrite=True"):
        cli.main(command, standalone_mode=False)
    assert CliRunner().invoke(cli, [*command, "--overwrite"]).exit_code == 0


@pytest.mark.parametrize("blocks", ["3,5", "a,b,c,d", ""])
def test_the_command_refuses_odd_block_counts(published, blocks):
    done = CliRunner().invoke(cli, ["models", "import", str(published), "--blocks", blocks])
    assert done.exit_code == 2


def test_the_command_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.pth"):
        cli.main(["models", "import", str(tmp_path / "nowhere.pth")], standalone_mode=False)


def test_code_in_the_file_runs_only_when_it_is_trusted(tmp_path, weights):
    path, made = tmp_path / "file.pth", tmp_path / "made"
    torch.save({"params": weights, "extra": Intruder(made)}, path)
    with pytest.raises(ModelError, match="trust_pickle=True"):
        cli.main(["models", "import", str(path)], standalone_mode=False)
    assert not made.exists()
    done = CliRunner().invoke(cli, ["models", "import", str(path), "--trust-pickle"])
    assert done.exit_code == 0, done.output
    assert made.exists()


def test_a_harmless_extra_needs_trust_as_well(tmp_path, weights):
    path = tmp_path / "file.pth"
    torch.save({"params": weights, "options": argparse.Namespace(lr=1)}, path)
    with pytest.raises(ModelError, match=r"argparse\.Namespace"):
        import_restormer(path)
    assert import_restormer(path, trust_pickle=True).taken
