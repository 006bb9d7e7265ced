import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.data.checking import check_data
from clearair.data.fingerprints import take_fingerprint
from clearair.data.leaks import find_leaks
from clearair.image import Photo, write_photo

COPIES = {
    "plain": lambda image: image,
    "turned": np.rot90,
    "turned twice": lambda image: np.rot90(image, 2),
    "mirrored": lambda image: image[:, ::-1],
    "resized": lambda image: image[::2, ::2],
    "cropped": lambda image: image[40:300, 120:440],
    "cropped to 60 %": lambda image: image[120:360, 30:337],
    "cropped to 50 %": lambda image: image[20:220, 200:456],
    "cropped to 50 % and shrunk": lambda image: image[20:220:2, 100:356:2],
    "cropped, turned and mirrored": lambda image: np.rot90(image[40:340, 120:480])[::-1],
}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("test") / "astronaut.png"
    write_photo(Photo(skimage.data.astronaut()[:400]), path)
    return path


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "cat", "immunohistochemistry"])
@pytest.mark.parametrize(("share", "corner"), [(0.6, 0.9), (0.6, 0.2), (0.5, 0.5), (0.5, 0.1)])
def test_crops_of_many_pictures_are_found(tmp_path, name, share, corner):
    image = getattr(skimage.data, name)()
    (height, width), paths = image.shape[:2], [tmp_path / "whole.png", tmp_path / "crop.jpg"]
    top, left = (round(corner * (1 - share) * side) for side in (height, width))
    crop = image[top : top + round(share * height), left : left + round(share * width)]
    for path, pixels in zip(paths, (image, np.rot90(crop)), strict=True):
        write_photo(Photo(np.ascontiguousarray(pixels)), path)
    whole, part = map(take_fingerprint, paths)
    for train, test in ((part, whole), (whole, part)):
        (leak,) = find_leaks([train], [test])
        assert "cropped" in leak.how
        assert "turned" in leak.how


def test_pictures_of_waves_and_slopes_that_only_look_alike_raise_no_alarm(tmp_path):
    looks = []
    y, x = np.mgrid[0:200, 0:300] / 40
    for index, phase in enumerate(np.linspace(0, 3, 12)):
        waves = 128 + 60 * np.sin(x * (1 + phase / 3) + phase) + 40 * np.cos(y + phase * x / 2)
        waves += np.random.default_rng(index).normal(0, 2, waves.shape)
        path = tmp_path / f"{index}.png"
        write_photo(Photo(np.repeat(waves.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)), path)
        looks.append(take_fingerprint(path))
    assert find_leaks(looks[:6], looks[6:]) == []


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_and_described(tmp_path, target, copy):
    path = tmp_path / "copy.jpg"
    write_photo(Photo(np.ascontiguousarray(COPIES[copy](skimage.data.astronaut()[:400]))), path)
    (leak,) = find_leaks([take_fingerprint(path)], [take_fingerprint(target)])
    assert (leak.train, leak.test) == (path, target)
    assert ("cropped" in leak.how) == copy.startswith("cropped")
    assert ("turned" in leak.how) == ("turned" in copy)


def test_other_pictures_raise_no_alarm(tmp_path, target):
    looks = []
    for name in ("coffee", "chelsea", "rocket"):
        path = tmp_path / f"{name}.png"
        write_photo(Photo(getattr(skimage.data, name)()), path)
        looks.append(take_fingerprint(path))
    assert find_leaks(looks, [take_fingerprint(target)]) == []


def test_the_command_names_leaks_and_what_does_not_fit(tmp_path):
    image = skimage.data.astronaut()[:300, :400]
    for name in ("train/clean/here/a.png", "test/CBSD68/target/b.png", "test/Rain100L/input/c.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_photo(Photo(image if name[-5] != "c" else image[:, ::-1].copy()), tmp_path / name)
    done = CliRunner().invoke(cli, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert "a.png shows" in done.output
    assert "(mirrored)" in done.output
    assert "input: has no folder `target` beside it" in done.output
    assert "CBSD68: 1 of 68" in done.output


@pytest.mark.parametrize("blank", [0, 1])
def test_a_picture_with_nothing_in_it_is_no_leak_of_another(tmp_path, target, blank):
    path = tmp_path / "blank.png"
    write_photo(Photo(np.full((60, 80, 3), 128, np.uint8)), path)
    looks = [take_fingerprint(path), take_fingerprint(target)]
    assert find_leaks([looks[blank]], [looks[1 - blank]]) == []


def test_a_clean_picture_of_many_damaged_ones_is_compared_once(tmp_path):
    image = np.ascontiguousarray(skimage.data.astronaut()[:64, :80])
    for name in ("OTS/clear/1.png", *(f"OTS/haze/part1/1_{beta}.png" for beta in range(4))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(image), tmp_path / name)
    told = []
    report = check_data(tmp_path, on_done=lambda what, done, total: told.append((what, total)))
    assert report.sets == {"OTS": (4, 72135)}
    assert ("reading train", 1) in told


@pytest.mark.parametrize("options", [[], ["--no-leaks"]])
def test_without_scikit_image_one_line_says_what_to_install(tmp_path, options):
    (tmp_path / "test").mkdir()
    write_photo(Photo(skimage.data.astronaut()[:40, :50]), tmp_path / "test" / "a.png")
    code = "import sys; sys.modules['skimage'] = None; from clearair.apps.cli import main; main()"
    command = [sys.executable, "-c", code, "data", "check", str(tmp_path), *options]
    process = subprocess.run(command, capture_output=True, text=True)
    hint = "needs scikit-image: pip install 'clearair[data]' (--no-leaks skips it)\n"
    if options:
        assert hint not in process.stderr
        assert process.stdout == "0 problems, 0 leaks\n"
    else:
        assert process.stderr == f"clearair: The search for leaks {hint}"
    assert process.returncode == (0 if options else 2)
