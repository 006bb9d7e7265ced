import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from clearair.errors import TrainingError
from clearair.training.loop.checkpoint import capture, load_checkpoint, read_standing, save_checkpoint


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


def test_a_file_that_is_cut_off_and_a_folder_are_refused(checkpoint, tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(checkpoint, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TrainingError, match="cut off: "):
        load_checkpoint(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(TrainingError, match="folder: "):
        load_checkpoint(tmp_path / "folder")


def test_others_may_read_a_checkpoint_as_the_umask_allows(checkpoint, tmp_path):
    (tmp_path / "usual").touch()
    save_checkpoint(checkpoint, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    "about", [None, "[]", "{", '{"step": 3}', '{"step": 3, "recipe": 5, "seconds": 1}', "[" * 100_000]
)
def test_a_file_that_says_nothing_sensible_of_its_run_is_refused(tmp_path, about):
    path = tmp_path / "a.safetensors"
    save_file({"network.weight": torch.zeros(2)}, path, None if about is None else {"clearair": about})
    for read in (load_checkpoint, read_standing):
        with pytest.raises(TrainingError, match=r"a\.safetensors: not a checkpoint"):
            read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_does_not_replace_a_good_checkpoint(checkpoint, tmp_path, value):
    path = tmp_path / "a.safetensors"
    save_checkpoint(checkpoint, path)
    before = path.read_bytes()
    checkpoint.tensors["network.weight"].data[0, 0] = value
    with pytest.raises(TrainingError, match=r"network\.weight"):
        save_checkpoint(checkpoint, path)
    assert path.read_bytes() == before
