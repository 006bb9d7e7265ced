"""Checkpoints of other projects: what spandrel knows is restored with, all else is refused in one line."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from tests.test_weights import Intruder
from torch import nn

from clearair.apps.cli import cli
from clearair.errors import ClearAirError, ExistsError, MissingExtraError, ModelError
from clearair.image import Photo, read_photo, write_photo
from clearair.models import find_model
from clearair.models.catalogue import find_checkpoint, find_files
from clearair.models.public import convert_public, load_spandrel, open_public
from clearair.restorer import Restorer


@pytest.fixture
def no_spandrel(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "spandrel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spandrel", None)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "nafnet.pth"
    torch.save({"params": {"intro.weight": torch.zeros(8, 3, 3, 3)}}, path)
    return path


def run(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


def line_of(done):
    assert isinstance(done.exception, ModelError)
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_without_spandrel_one_line_says_what_to_install(no_spandrel, checkpoint, tmp_path):
    def needed(done):
        assert isinstance(done.exception, MissingExtraError)
        assert done.exception.exit_code == 2
        return str(done.exception)

    write_photo(Photo(skimage.data.chelsea()[:64, :64]), tmp_path / "photo.png")
    expected = "Checkpoints of other projects need spandrel: pip install 'clearair[spandrel]'"
    assert needed(run("restore", tmp_path / "photo.png", "--model", checkpoint)) == expected
    assert needed(run("models", "show", checkpoint)) == expected
    pairs = ["--pairs", tmp_path, tmp_path]
    assert needed(run("evaluate", checkpoint, *pairs)) == expected
    assert re.search(rf"spandrel +{re.escape(expected)}", run("info").output)


def test_a_torchvision_that_does_not_fit_is_told_in_one_line(no_spandrel, checkpoint, tmp_path, monkeypatch):
    package = tmp_path / "site" / "spandrel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms\\ndoes not exist')")
    monkeypatch.delitem(sys.modules, "spandrel")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(
        ModelError, match=r"does not fit PyTorch .*operator torchvision::nms does not"
    ) as caught:
        open_public(checkpoint)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_missed_before_spandrel_is(no_spandrel, tmp_path):
    write_photo(Photo(skimage.data.chelsea()[:64, :64]), tmp_path / "photo.png")
    for arguments in (["restore", tmp_path, "--model"], ["evaluate", "--pairs", tmp_path, tmp_path]):
        assert "none.pth: there is no such file" in line_of(run(*arguments, tmp_path / "none.pth"))
    with pytest.raises(ModelError, match=r"none\.pth: there is no such file"):
        Restorer.from_pretrained(tmp_path / "none.pth")
    with pytest.raises(ModelError, match=r"none\.pth: there is no such file"):
        find_files(tmp_path / "none.pth")


def test_names_and_folders_are_no_checkpoints(tmp_path):
    folder = tmp_path / "my.pth"
    folder.mkdir()
    assert find_checkpoint("compact") is None
    assert find_checkpoint(folder) is None
    assert find_checkpoint("photo.jpg") is None
    assert find_checkpoint("nafnet.PTH").name == "nafnet.PTH"
    assert find_files("compact") == find_model("compact")


try:
    load_spandrel()
    MISSING = ""
except (MissingExtraError, ModelError) as error:
    MISSING = str(error)
with_spandrel = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def nafnet() -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet

    network = NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1, 1, 1], dec_blk_nums=[1, 1, 1, 1])
    with torch.no_grad():  # zero in a new network, which then does nothing in its blocks
        for name, value in network.named_parameters():
            if name.endswith(("beta", "gamma")):
                value.normal_(0, 0.3)
    return network


def scunet() -> nn.Module:
    from spandrel.architectures.SCUNet import SCUNet

    return SCUNet(config=[1] * 7, dim=64)


def drunet() -> nn.Module:
    from spandrel.architectures.DRUNet import DRUNet

    modes = {"act_mode": "R", "downsample_mode": "strideconv", "upsample_mode": "convtranspose"}
    return DRUNet(in_nc=4, out_nc=3, nc=[8, 16, 32, 64], nb=2, **modes)


def fftformer() -> nn.Module:
    from spandrel.architectures.FFTformer import FFTformer

    return FFTformer(dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1)


def grey_drunet() -> nn.Module:
    from spandrel.architectures.DRUNet import DRUNet

    modes = {"act_mode": "R", "downsample_mode": "strideconv", "upsample_mode": "convtranspose"}
    return DRUNet(in_nc=2, out_nc=1, nc=[8, 16, 32, 64], nb=2, **modes)


def compact(channels: int = 3, scale: int = 1) -> nn.Module:
    from spandrel.architectures.Compact import Compact

    return Compact(num_in_ch=channels, num_out_ch=3, num_feat=8, num_conv=2, upscale=scale)


NETWORKS = {
    "NAFNet": nafnet,
    "SCUNet": scunet,
    "DRUNet": drunet,
    "FFTformer": fftformer,
}


@pytest.fixture
def saved(tmp_path):
    """Writes the weights of a network as those who publish them do."""

    def save(network, suffix=".pth"):
        path = tmp_path / f"weights{suffix}"
        if suffix == ".safetensors":
            save_file(network.state_dict(), path)
        else:
            torch.save({"params": network.state_dict()}, path)
        return path

    torch.manual_seed(0)
    return save


@pytest.fixture(scope="module")
def picture():
    return skimage.data.chelsea()[20:300, 100:420]


def restorer(path, **options):
    return Restorer.from_pretrained(path, device="cpu", precision="fp32", **options)


@with_spandrel
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_checkpoint_restores_as_its_network_does(name, suffix, saved, picture):
    import spandrel

    path = saved(NETWORKS[name](), suffix)
    picture = picture[:90, :130]  # no multiple of anything
    ours = restorer(path, tile="off")
    assert ours.runtime.model.architecture == name
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    theirs = spandrel.ModelLoader().load_from_file(path).eval()(image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours(picture).image, 255 * theirs, atol=0.51)


@with_spandrel
@pytest.mark.parametrize("name", ["NAFNet", "DRUNet", "FFTformer"])
def test_tiles_differ_from_the_whole_by_a_hundredth_of_the_change(name, saved, picture):
    path = saved(NETWORKS[name]())
    before = picture.astype(np.float32) / 255
    whole = restorer(path, tile="off")(before).image
    tiled = restorer(path, tile=128)(before).image
    change = np.abs(whole - before).mean()
    assert change > 0.01
    assert np.abs(tiled - whole).mean() < 0.01 * change


@with_spandrel
def test_a_grey_checkpoint_restores_colour_and_grey(saved, picture):
    ours = restorer(saved(grey_drunet()), tile="off")
    assert ours.runtime.model.channels == 1
    picture = picture[:64, :72]
    colour, red = ours(picture).image, ours(picture[..., 0]).image
    assert red.shape == (64, 72)
    np.testing.assert_allclose(colour[..., 0], red, atol=1)


@with_spandrel
def test_what_a_checkpoint_asks_for_is_known(saved):
    model = open_public(saved(scunet()))
    assert (model.architecture, model.sees_whole, model.code) == ("SCUNet", True, "spandrel")
    assert model.precisions == ("fp32", "bf16", "fp16")
    assert open_public(saved(fftformer())).multiple == 32
    assert not open_public(saved(nafnet())).sees_whole


@with_spandrel
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: compact(scale=4), "enlarges pictures 4 times; only networks that keep the size can be used"),
        (lambda: compact(channels=4), "makes 3 channels of 4; only RGB"),
        (lambda: nn.Linear(2, 2), "its network is none of the"),
    ],
)
def test_networks_that_do_something_else_are_refused_in_one_line(make, said, saved):
    with pytest.raises(ModelError, match=said) as caught:
        open_public(saved(make()))
    assert str(caught.value).startswith(str(saved(make())))
    assert "\n" not in str(caught.value)


@with_spandrel
def test_weights_that_do_not_fit_are_told_in_one_line(tmp_path):
    weights = nafnet().state_dict()
    weights["middle_blks.0.conv1.weight"] = torch.zeros(3, 5, 1, 1)
    torch.save(weights, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match=r"bad\.pth: does not fit NAFNet: .*conv1") as caught:
        open_public(tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)


@with_spandrel
@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, {}, {1: torch.zeros(2)}])
def test_files_without_a_network_are_told_in_one_line(tmp_path, content):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match=r"bad\.pth: ") as caught:
        open_public(tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)


@with_spandrel
def test_values_that_are_not_finite_are_told(saved):
    network = nafnet()
    network.intro.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"1 tensors are not finite, such as intro\.weight"):
        open_public(saved(network))


@with_spandrel
def test_a_model_of_ours_is_named_by_its_folder():
    file = find_model("compact") / "model.safetensors"
    with pytest.raises(ModelError, match="For a model of clearair name its folder"):
        open_public(file)


@with_spandrel
def test_code_runs_only_for_those_who_trust_it_and_is_gone_after_that(tmp_path):
    made = tmp_path / "made"
    file = tmp_path / "weights.ckpt"
    torch.save({"state_dict": nafnet().state_dict(), "callback": Intruder(made)}, file)
    write_photo(Photo(skimage.data.chelsea()[:64, :64]), tmp_path / "photo.png")
    done = run("restore", tmp_path, "--model", file)
    assert "clearair models convert FILE --trust-pickle" in str(done.exception or done.output)
    assert not made.exists()
    done = run("models", "convert", file, "--trust-pickle")
    assert done.exit_code == 0, done.output
    assert "NAFNet, from spandrel" in done.output
    assert made.exists()
    assert open_public(tmp_path / "weights.safetensors").architecture == "NAFNet"
    with pytest.raises(ExistsError):
        convert_public(file, tmp_path / "weights.safetensors", trust_pickle=True)


@with_spandrel
def test_a_whole_network_that_is_trusted_is_converted(tmp_path):
    torch.save(nafnet(), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match="refused"):
        open_public(tmp_path / "whole.pth")
    convert_public(tmp_path / "whole.pth", tmp_path / "weights.safetensors", trust_pickle=True)
    assert open_public(tmp_path / "weights.safetensors").architecture == "NAFNet"


@with_spandrel
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_weights_restore_alike(name, saved, picture, tmp_path):
    file = saved(NETWORKS[name]())
    convert_public(file, tmp_path / "converted.safetensors")
    picture = picture[:64, :64]
    before, after = (restorer(path)(picture).image for path in (file, tmp_path / "converted.safetensors"))
    np.testing.assert_array_equal(before, after)


@with_spandrel
def test_a_checkpoint_gets_metadata_batches_and_reports(saved, picture, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(2):
        write_photo(Photo(picture[index : index + 70, :100]), photos / f"{index}.jpg")
    done = run("restore", photos, "--model", saved(nafnet()), "-o", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert read_photo(tmp_path / "out" / "1.jpg").size == (100, 70)
    assert "restored" in done.output


@with_spandrel
def test_a_checkpoint_is_evaluated_and_its_harm_is_measured(saved, picture, tmp_path):
    path = saved(nafnet())
    for name in ("train/clean/here/0.png", "train/clean/here/1.png", "low/a.png", "high/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(picture[:96, :100]), tmp_path / name)
    file = tmp_path / "run.json"
    done = run("evaluate", path, "--pairs", tmp_path / "low", tmp_path / "high", "--json", file)
    assert done.exit_code == 0, done.output
    record = json.loads(file.read_text())
    assert len(record["weights"]) == 64
    assert "cautious" not in record
    harm = {}
    for options in ((), ("--cautious",)):
        out = tmp_path / f"harm{len(options)}.json"
        done = run(
            *("evaluate", path, "--data", tmp_path, "--harm", "--benchmark", "jpeg", "--every", 20),
            *("--json", out, *options),
        )
        assert done.exit_code == 0, done.output
        harm[options] = json.loads(out.read_text())["harm"]["worst"]
    assert harm[()] < 40  # a random network
    assert harm[("--cautious",)] > harm[()]
    done = run("evaluate", path, "--data", tmp_path, "--shuffle", "how")
    assert isinstance(done.exception, ClearAirError)
    assert "Shuffling needs a model of clearair" in str(done.exception)
    done = run(
        "evaluate", path, "--pairs", tmp_path / "low", tmp_path / "high", "--json", path, "--overwrite"
    )
    assert "is an input itself" in str(done.exception)
