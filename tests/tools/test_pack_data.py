"""Training data in one tar: its size, what it loses, and that it trains and validates like the folder."""

import subprocess
import sys
import tarfile

import numpy as np
import pytest
import pyvips
import torch
from pack_data import _is_photo, main, pack

from clearair.data.photos import find_pairs, find_photos, load_training_photos
from clearair.data.pixels import load_pixels
from clearair.data.splits import held_out
from clearair.data.validation import validation_sets
from clearair.errors import DataError, OutputError, UsageError


def write(path, seed):
    """A picture with some texture, 64 x 64."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, 180, 64)[:, None, None]
    noise = np.random.default_rng(seed).integers(0, 60, (64, 64, 1))
    pyvips.Image.new_from_array(np.repeat(rows + noise, 3, axis=2).astype(np.uint8)).write_to_file(str(path))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(21):
        write(root / "train" / "clean" / "here" / f"{index:02}.png", index)
    write(root / "train" / "clean" / "night" / "dark.png", 30)
    (root / "train" / "held_out.toml").write_text(
        '[unusual]\ndark = ["night/dark.png"]\n[left_out]\nfiles = ["input/twin.png"]\n'
    )
    for index, name in enumerate((*(f"{i}.png" for i in range(9)), "twin.png")):
        write(root / "train" / "lowlight" / "set" / "input" / name, index)
        write(root / "train" / "lowlight" / "set" / "target" / name, index)
    write(root / "train" / "regions" / "BSDS500" / "00_0.png", 40)
    (root / "train" / "blur").mkdir()
    np.savez(root / "train" / "blur" / "kernels.npz", k0=np.eye(3))
    return root


@pytest.fixture(scope="module")
def tar(data, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "data.tar"
    pack(data, target, megabytes=0.115)
    return target


def unpacked(tar, beside):
    folder = beside / "unpacked"
    with tarfile.open(tar) as file:
        file.extractall(folder, filter="data")
    return folder


def test_the_budget_is_kept_and_used(data, tmp_path):
    packed = pack(data, tmp_path / "a.tar", megabytes=0.115)
    assert (tmp_path / "a.tar").stat().st_size == packed.size <= 115_000
    assert packed.size > 100_000
    assert packed.quality is not None


def test_a_larger_budget_loses_less(data, tmp_path):
    small, large = (pack(data, tmp_path / f"{size}.tar", megabytes=size) for size in (0.1, 0.13))
    assert min(small.lost["clean"]) < min(large.lost["clean"])


def test_what_is_said_to_be_lost_is_what_is_lost(data, tmp_path):
    packed = pack(data, tmp_path / "a.tar", megabytes=0.115)
    folder = unpacked(tmp_path / "a.tar", tmp_path)
    found = []
    for before, after in zip(
        *(find_photos(root / "train" / "clean") for root in (data, folder)), strict=True
    ):
        error = (load_pixels(before).float() - load_pixels(after).float()).square().mean()
        found.append(10 * torch.log10(255**2 / error).item())
    assert found == pytest.approx(packed.lost["clean"], abs=1e-2)


def test_where_all_fits_every_file_stays_as_it_is(data, tmp_path):
    packed = pack(data, tmp_path / "a.tar", megabytes=45)
    assert packed.quality is None
    assert packed.lost == {}
    folder = unpacked(tmp_path / "a.tar", tmp_path)
    for path in (path for path in data.rglob("*") if path.is_file()):
        assert (folder / path.relative_to(data)).read_bytes() == path.read_bytes()


def test_maps_and_kernels_stay_as_they_are(data, tar, tmp_path):
    folder = unpacked(tar, tmp_path)
    for name in ("train/regions/BSDS500/00_0.png", "train/blur/kernels.npz"):
        assert (folder / name).read_bytes() == (data / name).read_bytes()


def test_noise_is_not_packed_away():
    assert not _is_photo("train/noise/set/input/a.jpg")
    assert not _is_photo("train/noise/set/target/a.jpg")
    assert _is_photo("train/rain/set/input/a.jpg")


def test_the_same_data_make_the_same_file(data, tar, tmp_path):
    pack(data, tmp_path / "again.tar", megabytes=0.115)
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_the_same_pictures_are_held_out_from_the_packed_data(data, tar, tmp_path):
    folder = unpacked(tar, tmp_path)

    def parts(root):
        clean, pairs = find_photos(root / "train" / "clean"), find_pairs(root, "lowlight")
        apart = held_out(root)
        return [
            [
                [str(path.relative_to(root).with_suffix("")) for path in part]
                for part in apart.split(clean, "clean")
            ],
            [
                [str(one.relative_to(root).with_suffix("")) for one, _ in part]
                for part in apart.split(pairs, "lowlight")
            ],
        ]

    assert any(path.suffix == ".webp" for path in find_photos(folder / "train" / "clean"))
    assert parts(folder) == parts(data)
    photos = load_training_photos(folder)
    assert len(photos.clean) == 19  # less the first and last by turn, and the unusual one
    assert len(photos.pairs["lowlight"]) == 7


def test_validation_meets_the_same_views_but_for_the_loss(data, tar, tmp_path):
    folder = unpacked(tar, tmp_path)
    (before,), (after,) = (
        validation_sets(root, views=2, side=32, kinds=["clean"]) for root in (data, folder)
    )
    assert 0 < (before.clean - after.clean).abs().mean() < 0.05


def test_an_existing_file_is_replaced_only_when_asked(data, tmp_path):
    target = tmp_path / "a.tar"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        pack(data, target, megabytes=0.115)
    assert target.read_bytes() == b"mine"
    pack(data, target, megabytes=45, overwrite=True)
    assert tarfile.is_tarfile(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_picture_of_the_data_is_never_the_output(data):
    with pytest.raises(UsageError, match="input"):
        pack(data, data / "train" / "clean" / "here" / "00.png", megabytes=45, overwrite=True)


def test_what_cannot_fit_is_refused_and_nothing_is_written(data, tmp_path):
    with pytest.raises(DataError, match=r"0\.01 MB"):
        pack(data, tmp_path / "a.tar", megabytes=0.01)
    assert not list(tmp_path.iterdir())


def test_two_pictures_of_one_name_are_refused(tmp_path):
    write(tmp_path / "train" / "clean" / "a.png", 0)
    write(tmp_path / "train" / "clean" / "a.jpg", 0)
    with pytest.raises(DataError, match="two pictures"):
        pack(tmp_path, tmp_path / "a.tar", megabytes=1)


def test_without_libvips_pillow_reads_the_same_pixels(tar, tmp_path):
    folder = unpacked(tar, tmp_path)
    program = f"""
import sys
sys.modules["pyvips"] = None  # as where it is not installed
import torch
from pathlib import Path
from clearair.data.photos import load_training_photos
torch.save(load_training_photos(Path({str(folder)!r})).clean, {str(tmp_path / "pixels.pt")!r})
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    for one, other in zip(
        torch.load(tmp_path / "pixels.pt"), load_training_photos(folder).clean, strict=True
    ):
        assert torch.equal(one, other)


def test_the_command_says_what_was_lost(data, tmp_path, monkeypatch, capsys):
    target = tmp_path / "a.tar"
    words = ["pack_data.py", str(data), "-o", str(target), "--megabytes", "0.115"]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    said = capsys.readouterr().out
    assert "as WebP of quality" in said
    assert "clean: PSNR to the originals" in said
    assert target.stat().st_size <= 115_000
    assert main() == 1  # since the target exists now
    assert capsys.readouterr().err.startswith(str(target))
