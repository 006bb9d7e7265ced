"""One picture in, one picture out, of the same kind."""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import skimage.data
import torch

import clearair
from clearair import inspect
from clearair.errors import ClearAirError, ImageError, OutOfMemoryError, OutputError, UsageError
from clearair.finishing import FinishedNetwork
from clearair.image import Photo, read_photo, write_photo
from clearair.network import TINY
from clearair.perception import load_compact
from clearair.restorer import Restorer
from clearair.runtime.pytorch import PyTorchRuntime

SMALL = replace(TINY, quality_dim=32, content_dim=64, degradation_dim=64, region_count=16)


def make_restorer(change=None, **options):
    torch.manual_seed(0)
    network = FinishedNetwork(SMALL)
    with torch.no_grad():
        network.reconstruction.weight.mul_(0.1)
        if change:
            change(network)
    return Restorer(PyTorchRuntime(network, device="cpu", precision="fp32"), load_compact(), **options)


@pytest.fixture(scope="module")
def restorer():
    return make_restorer(tile=64)


@pytest.fixture(scope="module")
def identity():
    return make_restorer(lambda n: n.reconstruction.weight.zero_(), tile=64)


@pytest.fixture(scope="module")
def picture():
    return skimage.data.chelsea()[40:140, 100:250]


DEPTHS = [np.uint8, np.uint16, np.float32, np.float64]
SHAPES = [(90, 70), (90, 70, 1), (90, 70, 2), (90, 70, 3), (90, 70, 4), (1, 1), (1, 130), (130, 1, 3)]


def array_of(shape, dtype):
    values = np.random.default_rng(0).random(shape)
    return (values * np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else values).astype(dtype)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_array_comes_back_in_its_own_shape_and_depth(restorer, shape, dtype):
    result = restorer(array_of(shape, dtype))
    assert result.image.shape == shape
    assert result.image.dtype == dtype
    assert result.percepts.labels.shape == shape[:2]


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_that_adds_nothing_gives_the_array_back(identity, shape, dtype):
    array = array_of(shape, dtype)
    tolerance = 0 if np.issubdtype(dtype, np.integer) else 2e-7
    np.testing.assert_allclose(identity(array).image, array, rtol=0, atol=tolerance)


def test_the_network_changes_colours_but_never_alpha(restorer, picture):
    alpha = np.arange(picture.shape[0] * picture.shape[1], dtype=np.uint8).reshape(picture.shape[:2])
    array = np.dstack([picture, alpha])
    restored = restorer(array).image
    assert not np.array_equal(restored[..., :3], picture)
    np.testing.assert_array_equal(restored[..., 3], alpha)


def test_strength_blends_from_the_exact_input_to_the_restoration(restorer, picture):
    none, half, full = (restorer(picture, strength=s).image.astype(float) for s in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(none, picture)
    np.testing.assert_allclose(half, (picture + full) / 2, atol=1.01)


def test_a_picture_in_tiles_has_no_seams_beside_the_whole(picture):
    whole = make_restorer(tile="off")(picture).image.astype(float)
    tiled = make_restorer(tile=64)(picture).image.astype(float)
    # Pooled region features differ a little from tile to tile; a seam would stand out against that.
    difference = (tiled - whole).mean(axis=2)
    assert np.abs(np.diff(difference, axis=1)).max() <= 6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_pil_image_comes_back_in_its_own_mode(identity, picture, mode):
    image = PIL.Image.fromarray(picture).convert(mode)
    image.info["dpi"] = (300, 300)
    result = identity(image).image
    assert (result.mode, result.size, result.info["dpi"]) == (mode, image.size, (300, 300))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize(("mode", "becomes"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB")])
def test_a_pil_mode_the_network_cannot_hold_becomes_the_nearest(identity, picture, mode, becomes):
    assert identity(PIL.Image.fromarray(picture).convert(mode)).image.mode == becomes


def test_a_profile_of_other_colours_does_not_stay_with_rgb(identity, picture):
    image = PIL.Image.fromarray(picture).convert("CMYK")
    image.info["icc_profile"] = b"a profile of CMYK"
    assert "icc_profile" not in identity(image).image.info


def test_colours_of_print_become_srgb_by_their_profile(identity, picture):
    image = PIL.Image.fromarray(picture).convert("LAB")
    image.info["icc_profile"] = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("LAB")).tobytes()
    result = identity(image).image
    space = PIL.ImageCms.ImageCmsProfile(io.BytesIO(result.info["icc_profile"])).profile.xcolor_space
    assert (result.mode, space.strip()) == ("RGB", "RGB")


@pytest.mark.parametrize(("mode", "see_through", "becomes"), [("RGB", (9, 9, 9), "RGBA"), ("L", 9, "LA")])
def test_a_transparent_colour_of_pil_becomes_alpha(identity, mode, see_through, becomes):
    image = PIL.Image.new(mode, (8, 8), see_through)
    image.putpixel((3, 3), 200 if mode == "L" else (200, 0, 0))
    image.info["transparency"] = see_through
    result = identity(image).image
    assert result.mode == becomes
    assert "transparency" not in result.info
    alpha = np.asarray(result)[..., -1]
    assert alpha[3, 3] == 255
    assert (alpha == 0).sum() == 63


def test_a_pil_image_that_is_cut_off_is_refused(identity, picture):
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "jpeg")
    with pytest.raises(ImageError, match="cannot be decoded"):
        identity(PIL.Image.open(io.BytesIO(file.getvalue()[:2000])))


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order_comes_back(identity, order):
    array = array_of((20, 30, 3), np.uint16).astype(f"{order}u2")
    result = identity(array).image
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


def test_a_large_picture_is_refused_when_asked_to(identity, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "photo.png")
    with pytest.raises(ImageError, match="limit of 100 pixels"):
        identity(tmp_path / "photo.png", max_pixels=100)
    (record,) = identity.restore_many(tmp_path / "photo.png", tmp_path / "out", max_pixels=100)
    assert "limit of 100 pixels" in record.error


def test_a_single_path_is_one_picture(identity, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "c1.png")
    (record,) = identity.restore_many(str(tmp_path / "c1.png"), tmp_path / "out")
    assert record.output == str(tmp_path / "out" / "c1.png")


class ShortOfMemory(PyTorchRuntime):
    """Refuses tiles above a size the way PyTorch's allocator does."""

    most = 80 * 80

    def restore(self, pixels, *arguments, **options):
        if pixels.shape[0] * pixels.shape[1] > self.most:
            torch.empty(1 << 60)
        return super().restore(pixels, *arguments, **options)


def test_too_little_memory_means_smaller_tiles_and_then_one_line(identity, picture):
    restorer = make_restorer(lambda n: n.reconstruction.weight.zero_(), tile="off")
    restorer.runtime = ShortOfMemory(restorer.runtime.network, device="cpu", precision="fp32")
    restored = restorer(picture)
    np.testing.assert_array_equal(restored.image, picture)
    assert "tiles of 75 px" in restored.photo.notes[0]
    restorer.runtime.most = 100
    with pytest.raises(OutOfMemoryError, match="not enough memory for 150 x 100 px"):
        restorer(picture)


class Brightens(PyTorchRuntime):
    """Adds light left of a column, and nothing elsewhere."""

    until = 300

    def restore(self, pixels, percepts, judgement, window, **options):
        columns = np.arange(window.left, window.left + window.width)
        return pixels + np.where(columns < self.until, np.float32(0.2), np.float32(0))[None, :, None]


@pytest.fixture
def brightens():
    """A restorer that changes only the left of a picture, in tiles of 256 px."""
    restorer = make_restorer(tile=256)
    restorer.runtime = Brightens(restorer.runtime.network, device="cpu", precision="fp32")
    return restorer


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiles_that_need_nothing_stay_bit_for_bit(brightens, dtype):
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    large = (np.random.default_rng(0).random((500, 900, 3)) * 0.7 * scale).astype(dtype)
    told = []
    photo, _, outcome = brightens.restore_photo(Photo(large), on_tile=lambda *state: told.append(state))
    whole, _, all_restored = brightens.restore_photo(Photo(large), skip_tiles=False)
    assert told == [(done, outcome.tiles) for done in range(1, outcome.tiles + 1)]
    assert 0 < outcome.tiles_left < outcome.tiles
    assert (all_restored.tiles, all_restored.tiles_left) == (outcome.tiles, 0)
    np.testing.assert_array_equal(photo.pixels[:, 300:], large[:, 300:])
    np.testing.assert_allclose(photo.pixels / scale, whole.pixels / scale, rtol=0, atol=1.01 / 255)
    assert (photo.pixels[:, :290] > large[:, :290]).all()
    assert str(outcome).endswith(f", {outcome.tiles_left} of {outcome.tiles} tiles needed nothing")


def test_a_picture_in_which_no_change_would_be_seen_is_left_as_it_is(brightens, tmp_path):
    large = np.random.default_rng(0).integers(0, 180, (500, 900, 3), np.uint8)
    result = brightens(large, strength=0.002)
    np.testing.assert_array_equal(result.image, large)
    assert (result.outcome.changed, result.outcome.tiles_left) == (False, result.outcome.tiles)
    assert result.done == "left as it is, since no change would be seen"
    brightens.runtime.until = 900
    write_photo(Photo(large), tmp_path / "photo.png")
    statuses = []
    for number, skips in enumerate((True, False)):
        (record,) = brightens.restore_many(
            tmp_path / "photo.png", tmp_path / str(number), strength=0.02, skip_tiles=skips
        )
        statuses.append(record.status)
    assert statuses == ["left", "restored"]


def test_what_judges_a_picture_by_all_of_it_is_not_judged_by_probes(brightens):
    class SeesAll(Brightens):
        sees_whole = True

    large = np.random.default_rng(0).integers(0, 180, (500, 900, 3), np.uint8)
    brightens.runtime = SeesAll(brightens.runtime.network, device="cpu", precision="fp32")
    outcome = brightens(large).outcome
    assert (outcome.changed, outcome.tiles_left) == (True, 0)
    assert outcome.tiles > 1


def test_damage_that_the_user_names_is_looked_for_in_the_same_way(brightens):
    large = np.random.default_rng(0).integers(0, 180, (500, 900, 3), np.uint8)
    outcome = brightens(large, damage="blur").outcome
    assert outcome.told == ("blur",)
    assert 0 < outcome.tiles_left < outcome.tiles


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_pictures_of_many_sizes():
    program = Path(__file__).parents[1] / "benchmarks" / "memory.py"
    done = subprocess.run(
        [sys.executable, program, "--pictures", "400"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_gives_an_array_of_its_depth_and_can_be_saved(identity, picture, tmp_path):
    write_photo(Photo(picture.astype(np.uint16) * 257), tmp_path / "photo.png")
    result = identity(tmp_path / "photo.png")
    assert result.image.dtype == np.uint16
    result.save(tmp_path / "better.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "better.png").pixels, result.image)


def test_the_quality_asked_for_holds_for_many_files(identity, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "b.png")
    many = identity.restore_many([tmp_path / "b.png"], tmp_path, format="jpeg", quality={"jpeg": 55})
    assert [read_photo(record.output).quality for record in many] == [55]
    with pytest.raises(UsageError, match="quality"):
        identity.restore_many([tmp_path / "b.png"], tmp_path / "out", quality=0)


@pytest.mark.parametrize("make", [Path, Path.read_bytes, lambda path: path.open("rb"), PIL.Image.open])
def test_a_picture_is_the_same_however_it_is_given(restorer, picture, tmp_path, make):
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(picture).save(tmp_path / "photo.png", exif=exif, dpi=(300, 300))
    restorer(tmp_path / "photo.png").save(tmp_path / "expected.png")
    with contextlib.ExitStack() as stack:
        given = make(tmp_path / "photo.png")
        if hasattr(given, "__exit__") and not isinstance(given, Path):
            stack.enter_context(given)
        result = restorer(given)
    result.save(tmp_path / "saved.png")
    expected, saved = read_photo(tmp_path / "expected.png"), read_photo(tmp_path / "saved.png")
    assert (saved.size, saved.metadata.orientation) == ((100, 150), 6)
    np.testing.assert_array_equal(saved.pixels, expected.pixels)
    np.testing.assert_allclose(saved.metadata.density, expected.metadata.density)
    buffer = io.BytesIO()
    result.save(buffer, format="webp")
    assert read_photo(buffer.getvalue()).format == "webp"


CASES = Path(__file__).parents[2] / "shared" / "cases"


@pytest.mark.data
@pytest.mark.skipif(not CASES.exists(), reason="wants the cases that lie beside a checkout")
def test_a_pil_image_of_a_photo_on_its_side_is_saved_as_from_its_path(restorer, tmp_path):
    path = CASES / "exif_orientation6_icc.jpg"
    restorer(path).save(tmp_path / "path.jpg")
    with PIL.Image.open(path) as image:
        restorer(image).save(tmp_path / "pil.jpg")
    assert (tmp_path / "pil.jpg").read_bytes() == (tmp_path / "path.jpg").read_bytes()


def test_what_is_left_as_it_is_is_written_as_it_was(restorer, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "photo.jpg")
    content = (tmp_path / "photo.jpg").read_bytes()
    (record,) = restorer.restore_many(tmp_path / "photo.jpg", tmp_path / "out", strength=0)
    assert Path(record.output).read_bytes() == content


def test_many_files_with_the_options_of_the_command(identity, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "photo.png")
    (record,) = identity.restore_many(
        tmp_path / "photo.png", suffix="_b", format="tiff", report=tmp_path / "r.json"
    )
    assert record.output == str(tmp_path / "photo_b.tif")
    assert json.loads((tmp_path / "r.json").read_text())[0]["output"] == record.output


def test_nothing_to_do_is_refused_at_the_call(identity, tmp_path):
    for paths in ([], tmp_path, iter(())):
        with pytest.raises(UsageError):
            identity.restore_many(paths, tmp_path / "out")
    with pytest.raises(UsageError, match="contradict"):
        identity.restore_many("a.png", overwrite=True, resume=True)


def test_nan_from_the_network_is_an_error_and_never_a_picture(picture, tmp_path):
    def spoil(network):
        network.reconstruction.weight.fill_(float("nan"))

    spoiled = make_restorer(spoil)
    with pytest.raises(OutputError, match="NaN"):
        spoiled(picture)
    write_photo(Photo(picture), tmp_path / "photo.png")
    (record,) = spoiled.restore_many([tmp_path / "photo.png"], tmp_path / "out")
    assert "NaN" in record.error
    assert not (tmp_path / "out" / "photo.png").exists()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), bool),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4,), np.uint8),
        np.full((4, 4, 3), 255.0),
        np.full((4, 4, 3), np.nan),
        PIL.Image.new("F", (4, 4)),
        {"not": "a picture"},
    ],
)
def test_what_is_no_picture_is_refused(restorer, picture):
    with pytest.raises(ImageError):
        restorer(picture)


def test_options_that_make_no_sense_are_refused(restorer, picture):
    with pytest.raises(UsageError, match="strength"):
        restorer(picture, strength=1.5)
    with pytest.raises(UsageError, match="tile"):
        make_restorer(tile=8)
    for path in ("a\0b.png", "out\0"):
        with pytest.raises(ClearAirError, match="NUL"):
            restorer(path)
        with pytest.raises(ClearAirError, match="NUL"):
            restorer.restore_many(["a.png"], path)
    with pytest.raises(UsageError, match="abacus"):
        PyTorchRuntime(FinishedNetwork(SMALL), device="abacus")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="fp8"):
        PyTorchRuntime(FinishedNetwork(SMALL), precision="fp8")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shipped():
    return Restorer.from_pretrained(device="cpu", precision="fp32")


def hazy(picture):
    return (0.45 * picture + 0.55 * 225).astype(np.uint8)


@pytest.mark.parametrize("maker", [hazy, np.asarray], ids=["hazy", "undamaged"])
def test_a_picture_declared_clean_comes_back_bit_by_bit(restorer, shipped, picture, maker):
    for each in (restorer, shipped):  # one of them changes every picture it is not told about
        for array in (
            maker(picture),
            maker(picture).astype(np.uint16) * 257,
            maker(picture) / np.float32(255),
        ):
            result = each(array, damage="none")
            np.testing.assert_array_equal(result.image, array)
            assert (str(result.outcome), result.outcome.told) == ("named none: left as it is", ())


def test_an_unchanged_array_keeps_every_value_and_shares_no_memory(shipped, tmp_path):
    given = np.random.default_rng(0).random((24, 32, 3))  # float64, which a photo does not hold
    before = given.copy()
    result = shipped(given, damage="none")
    np.testing.assert_array_equal(result.image, before)
    result.image[:] = 0
    np.testing.assert_array_equal(given, before)
    eight = np.full((24, 32, 3), 200, np.uint8)
    result = shipped(eight, damage="none")
    eight[:] = 0
    result.save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").pixels.min() == 200


@pytest.mark.parametrize("folder", ["", "a\0b", b"folder", 3])
def test_a_folder_without_a_usable_name_is_refused(shipped, folder):
    with pytest.raises(UsageError, match="folder"):
        shipped.save_pretrained(folder)


def test_what_is_no_perceiver_is_refused(picture):
    with pytest.raises(UsageError, match="A perceiver is an object"):
        Restorer.from_pretrained(perceiver="compact")
    with pytest.raises(UsageError, match="A perceiver is an object"):
        inspect(picture, perceiver="compact")


def test_what_is_named_is_undone_and_said(shipped, picture):
    result = shipped(picture, damage=["haze"])
    assert not np.array_equal(result.image, picture)
    assert (str(result.outcome), result.done) == ("named haze: restored", "restored")
    assert result.percepts.to_dict() == shipped(picture).percepts.to_dict()
    np.testing.assert_array_equal(result.image, shipped(picture, damage="haze").image)
    assert not np.array_equal(result.image, shipped(picture, damage="noise").image)


def test_what_was_found_decides_what_is_done(shipped, picture):
    clean = shipped(picture)
    assert (clean.found, clean.done) == ({}, "left as it is")
    np.testing.assert_array_equal(clean.image, picture)
    noise = np.random.default_rng(0).normal(0, 25, picture.shape)
    noisy = (picture + noise).clip(0, 255).astype(np.uint8)
    result = shipped(noisy)
    assert next(iter(result.found)) == "noise"
    assert result.done == "restored"
    assert shipped(noisy, strength=0.5).done == "restored by half"
    assert shipped(noisy, strength=0.3).done == "restored at 30 %"
    assert shipped(noisy, strength=0).done == "left as it is, since the strength is 0"
    assert shipped(noisy, keep_tone=True).done == "restored, exposure and colour kept"


def test_a_model_that_changes_no_pixel_did_not_restore(identity, picture):
    result = identity(picture, damage="rain")
    np.testing.assert_array_equal(result.image, picture)
    assert result.done == "left as it is, since the change is too small to alter a pixel"


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 50, 3)])
def test_a_black_or_tiny_picture_can_be_declared_damaged(shipped, shape):
    black = np.zeros(shape, np.uint8)
    result = shipped(black, damage="haze,lowlight")
    assert (result.image.shape, result.image.dtype) == (shape, np.uint8)
    assert result.outcome.told == ("haze", "lowlight")


def test_the_first_frame_of_an_animation_can_be_declared_damaged(shipped, picture, tmp_path):
    frames = [PIL.Image.fromarray(frame) for frame in (picture, 255 - picture)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (record,) = shipped.restore_many(tmp_path / "moving.gif", tmp_path / "out", damage=["haze"])
    assert record.error is None
    assert str(record.outcome) == "named haze: restored"
    assert read_photo(tmp_path / "out" / "moving.png").size == (150, 100)


def test_damage_that_does_not_exist_is_refused_before_any_picture(shipped, tmp_path):
    for call in (shipped, shipped.restore_many):
        with pytest.raises(UsageError, match="did you mean 'haze'"):
            call(tmp_path / "missing.png", damage="hase")
        with pytest.raises(UsageError, match="cannot be combined"):
            call(tmp_path / "missing.png", damage=["auto", "haze"])


def test_many_files_go_on_after_a_bad_one_and_resume(identity, picture, tmp_path):
    for name in ("a.png", "c.png"):
        write_photo(Photo(picture), tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"not a picture")
    records = list(identity.restore_many([tmp_path], tmp_path / "out"))
    assert [record.error is None for record in records] == [True, False, True]
    assert "score" in records[0].percepts
    assert [record.outcome is not None for record in records] == [True, False, True]
    again = list(identity.restore_many([tmp_path], tmp_path / "out", resume=True))
    assert [record.skipped for record in again] == [True, False, True]


def test_low_precision_stays_near_full_precision(picture):
    network = make_restorer().runtime.network
    low = Restorer(PyTorchRuntime(network, device="cpu", precision="bf16"), load_compact())
    difference = low(picture).image.astype(int) - make_restorer()(picture).image
    assert np.abs(difference).max() <= 3


def test_saving_and_loading_keeps_what_it_does(restorer, picture, tmp_path):
    restorer.save_pretrained(tmp_path / "model")
    loaded = Restorer.from_pretrained(tmp_path / "model", device="cpu", precision="fp32", tile=64)
    difference = loaded(picture).image.astype(int) - restorer(picture).image
    assert np.abs(difference).max() <= 1  # weights are stored as float16


def test_importing_the_package_loads_no_pytorch():
    code = "import sys, clearair; clearair.ClearAirError, clearair.__version__; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_the_public_names_exist():
    for name in clearair.__all__:
        assert getattr(clearair, name) is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_without_colour_gets_none(dtype):
    grey = skimage.data.camera()[:120, :150]
    scale = np.iinfo(dtype).max // 255
    picture = np.repeat(grey[..., None], 3, axis=2).astype(dtype) * dtype(scale)
    restorer = make_restorer(lambda network: network.reconstruction.weight.normal_(std=0.1))
    restored = restorer(picture, damage="noise").image
    assert not np.array_equal(restored, picture)
    np.testing.assert_array_equal(restored[..., 0], restored[..., 1])
    np.testing.assert_array_equal(restored[..., 0], restored[..., 2])
    coloured = picture.copy()
    coloured[-1, -1, 0] += 1
    restored = restorer(coloured, damage="noise").image
    assert (restored[..., 0] != restored[..., 1]).any()
