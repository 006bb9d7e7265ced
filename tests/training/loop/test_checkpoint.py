import pytest
import torch
from torch import nn

from clearair.errors import TrainingError
from clearair.training.loop.checkpoint import capture, load_checkpoint, save_checkpoint


@pytest.fixture
def checkpoint():
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return capture(7, {"steps": 9}, network, nn.Linear(3, 2), [optimizer], 12.5)


def test_a_checkpoint_comes_back_as_it_was(checkpoint, tmp_path):
    save_checkpoint(checkpoint, tmp_path / "run" / "a.safetensors")
    back = load_checkpoint(tmp_path / "run" / "a.safetensors")
    assert (back.step, back.recipe, back.seconds) == (7, {"steps": 9}, 12.5)
    assert back.tensors.keys() == checkpoint.tensors.keys()
    assert all(torch.equal(back.tensors[name], value) for name, value in checkpoint.tensors.items())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_does_not_replace_a_good_checkpoint(checkpoint, tmp_path, value):
    path = tmp_path / "a.safetensors"
    save_checkpoint(checkpoint, path)
    before = path.read_bytes()
    checkpoint.tensors["network.weight"].data[0, 0] = value
    with pytest.raises(TrainingError, match=r"network\.weight"):
        save_checkpoint(checkpoint, path)
    assert path.read_bytes() == before
