import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.data.leaks import find_leaks
from clearair.data.looks import look_at
from clearair.image import Photo, write_photo

COPIES = {
    "plain": lambda image: image,
    "turned": np.rot90,
    "turned twice": lambda image: np.rot90(image, 2),
    "mirrored": lambda image: image[:, ::-1],
    "resized": lambda image: image[::2, ::2],
    "cropped": lambda image: image[40:300, 120:440],
    "cropped, turned and mirrored": lambda image: np.rot90(image[40:340, 120:480])[::-1],
}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("test") / "astronaut.png"
    write_photo(Photo(skimage.data.astronaut()[:400]), path)
    return path


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_and_described(tmp_path, target, copy):
    path = tmp_path / "copy.jpg"
    write_photo(Photo(np.ascontiguousarray(COPIES[copy](skimage.data.astronaut()[:400]))), path)
    (leak,) = find_leaks([look_at(path)], [look_at(target)])
    assert (leak.train, leak.test) == (path, target)
    assert ("cropped" in leak.how) == copy.startswith("cropped")
    assert ("turned" in leak.how) == ("turned" in copy)


def test_other_pictures_raise_no_alarm(tmp_path, target):
    looks = []
    for name in ("coffee", "chelsea", "rocket"):
        path = tmp_path / f"{name}.png"
        write_photo(Photo(getattr(skimage.data, name)()), path)
        looks.append(look_at(path))
    assert find_leaks(looks, [look_at(target)]) == []


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
