"""Weight files are read without running what is in them."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clearair.errors import ModelError
from clearair.weights import NUMPY_NUMBERS, check_fit, find_weights, read_weight_file


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def zipped(path: Path, content: object) -> None:
    torch.save(content, path)


def legacy(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def pickled(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [zipped, legacy, pickled])
def test_code_in_a_pickle_does_not_run(tmp_path, write):
    made = tmp_path / "made"
    write(tmp_path / "evil.pt", {"state_dict": Intruder(made)})
    with pytest.raises(ModelError, match=r"evil\.pt") as caught:
        read_weight_file(tmp_path / "evil.pt", allowed=NUMPY_NUMBERS)
    assert not made.exists()
    assert "\n" not in str(caught.value)


def test_what_a_refused_pickle_names_is_told(tmp_path):
    torch.save(Intruder(tmp_path / "made"), tmp_path / "evil.pt")
    with pytest.raises(ModelError, match=r"names \w+\.mkdir"):
        read_weight_file(tmp_path / "evil.pt")


def test_code_runs_only_for_those_who_trust_it(tmp_path):
    made = tmp_path / "made"
    torch.save(Intruder(made), tmp_path / "evil.pt")
    read_weight_file(tmp_path / "evil.pt", trust_pickle=True)
    assert made.exists()


@pytest.mark.parametrize("content", [b"", b"hello world " * 9, b"\x80\x02}q\x00"])
def test_a_file_of_something_else_is_one_line(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.pt: cannot be opened safely"):
        read_weight_file(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.45, 0.7, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, suffix, share):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)({"a": torch.rand(5000)}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"damaged|not a whole") as caught:
        read_weight_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_either_numpy_are_allowed_where_asked_for(tmp_path, module):
    path = tmp_path / "run.pt"
    torch.save({"loss": np.float64(0.25)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(path, "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"cnumpy._core.multiarray", b"c" + module.encode()))
    assert read_weight_file(path, allowed=NUMPY_NUMBERS) == {"loss": 0.25}
    with pytest.raises(ModelError, match="names numpy"):
        read_weight_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        find_weights(tmp_path / "nowhere.pt")


def test_a_folder_must_hold_one_weight_file(tmp_path):
    with pytest.raises(ModelError, match="there are 0"):
        find_weights(tmp_path)
    (tmp_path / "a.pt").touch()
    (tmp_path / "readme.md").touch()
    assert find_weights(tmp_path) == tmp_path / "a.pt"
    (tmp_path / "b.safetensors").touch()
    with pytest.raises(ModelError, match=r"there are 2: a\.pt, b\.safetensors"):
        find_weights(tmp_path)


def test_everything_that_does_not_fit_is_listed():
    weights = {"a": torch.zeros(2), "b": torch.zeros(3), "nan": torch.tensor([float("nan")])}
    expected = {"b": torch.zeros(4), "c": torch.zeros(1), "nan": torch.zeros(1)}
    with pytest.raises(ModelError) as caught:
        check_fit(weights, expected, Path("file.pt"), "Test")
    assert str(caught.value) == (
        "file.pt: does not fit Test: 1 tensor missing: c; 1 tensor unexpected: a; "
        "1 tensor of another shape: b is (3,) instead of (4,); 1 tensor not finite: nan."
    )


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_torchscript_file_is_called_by_its_name(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match=r"net\.pt: a TorchScript file is a program"):
        read_weight_file(tmp_path / "net.pt")
