"""What a decoder complains of without giving up: no tile, strip or row that it could not read is black."""

import io
import struct
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data

from clearair.errors import ImageError
from clearair.image import Photo, encode_photo, read_photo
from clearair.image.formats import sniff
from clearair.image.libvips import libvips

COFFEE = data.coffee()[100:196, 100:228]
SHORT, LONG = 3, 4


def encoded(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COFFEE).save(file, kind, **options)
    return file.getvalue()


def tiff_with(tiles: list[bytes], tags: dict[int, tuple[int, list[int]]], *, strips: bool = False) -> bytes:
    """A little-endian TIFF file with these tiles (or strips), each as it is coded."""
    places = [8 + sum(map(len, tiles[:index])) for index in range(len(tiles))]
    offsets, counts = (273, 279) if strips else (324, 325)
    tags = {**tags, offsets: (LONG, places), counts: (LONG, [len(tile) for tile in tiles])}
    body = b"".join(tiles)
    body += bytes(len(body) % 2)
    after = 8 + len(body) + 2 + 12 * len(tags) + 4
    entries = values = b""
    for number in sorted(tags):
        kind, numbers = tags[number]
        packed = struct.pack(f"<{len(numbers)}{'H' if kind == SHORT else 'I'}", *numbers)
        if len(packed) > 4:
            entries += struct.pack("<HHII", number, kind, len(numbers), after + len(values))
            values += packed
        else:
            entries += struct.pack("<HHI", number, kind, len(numbers)) + packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + values


YCBCR = {
    256: (SHORT, [128]), 257: (SHORT, [96]), 258: (SHORT, [8, 8, 8]), 259: (SHORT, [1]), 262: (SHORT, [6]),
    277: (SHORT, [3]), 284: (SHORT, [1]), 530: (SHORT, [2, 2]), 531: (SHORT, [1]),
}  # fmt: skip
TILED = {322: (SHORT, [32]), 323: (SHORT, [32])}


def halved_chroma(part: np.ndarray) -> bytes:
    """(H, W, 3) YCbCr as TIFF stores it: four of Y, one of Cb, one of Cr."""
    height, width = part.shape[:2]
    blocks = part.reshape(height // 2, 2, width // 2, 2, 3).swapaxes(1, 2).reshape(-1, 4, 3)
    return np.column_stack([blocks[..., 0], blocks[:, 0, 1:]]).astype(np.uint8).tobytes()


def as_ycbcr() -> np.ndarray:
    return np.asarray(Image.fromarray(COFFEE).convert("YCbCr"))


def refusal(content: bytes, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(content, name="photo", **options)
    return str(caught.value)


def plainly_read(content: bytes) -> np.ndarray:
    return libvips().Image.new_from_buffer(content, "", fail_on="error").numpy()


@pytest.mark.parametrize("salvage", [False, True])
def test_a_tiled_tiff_of_old_style_jpeg_is_refused_by_name(salvage):
    jpeg = encoded("jpeg")
    sizes = {322: (SHORT, [128]), 323: (SHORT, [96]), 512: (SHORT, [1])}
    tags = {**YCBCR, **sizes, 259: (SHORT, [6]), 513: (LONG, [8]), 514: (LONG, [len(jpeg)])}
    content = tiff_with([jpeg], tags)
    assert plainly_read(content).max() == 0
    assert "photo: old-style JPEG-compressed TIFF is not supported" in refusal(content, salvage=salvage)


@pytest.mark.parametrize("salvage", [False, True])
def test_a_tiled_tiff_of_uncompressed_ycbcr_is_refused_by_name(salvage):
    ycc = as_ycbcr()
    parts = [ycc[y : y + 32, x : x + 32] for y in range(0, 96, 32) for x in range(0, 128, 32)]
    content = tiff_with([halved_chroma(part) for part in parts], YCBCR | TILED)
    assert plainly_read(content).max() == 0
    assert "photo: tiled YCbCr TIFF is not supported" in refusal(content, salvage=salvage)


def test_a_tiff_of_uncompressed_ycbcr_in_strips_is_read():
    ycc = as_ycbcr()
    strips = [halved_chroma(ycc[y : y + 32]) for y in range(0, 96, 32)]
    pixels = read_photo(tiff_with(strips, {**YCBCR, 278: (SHORT, [32])}, strips=True)).pixels
    assert np.abs(pixels.astype(int) - COFFEE).mean() < 5


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits", "jpeg", "webp"])
@pytest.mark.parametrize("tile", [False, True])
def test_a_tiff_that_ends_before_its_last_tile_or_strip_is_refused(compression, tile):
    image = libvips().Image.new_from_array(COFFEE).copy(interpretation="srgb")
    size = {"tile_width": 32, "tile_height": 32} if tile else {}
    content = bytearray(image.tiffsave_buffer(compression=compression, tile=tile, **size))
    assert read_photo(bytes(content)).size == (128, 96)
    directory = int.from_bytes(content[4:8], "little")
    tag = struct.pack("<H", 324 if tile else 273)
    at = next(at for at in range(directory + 2, len(content), 12) if content[at : at + 2] == tag)
    last = int.from_bytes(content[at + 4 : at + 8], "little") - 1
    place = int.from_bytes(content[at + 8 : at + 12], "little") + 4 * last if last else at + 8
    struct.pack_into("<I", content, place, len(content) - 5)  # the data of the last one
    assert "photo: the TIFF file is damaged or ends early" in refusal(bytes(content))


def test_one_damaged_tile_is_enough():
    content = tiff_with_a_broken_tile()
    assert (plainly_read(content)[:32, :32] == 0).mean() > 0.5
    assert "photo: the TIFF file is damaged or ends early" in refusal(content)


def test_odd_tags_that_cost_no_pixels_do_not_stop_a_tiff():
    content = bytearray(encoded("tiff", tiffinfo={297: (3, 4)}))
    at = content.index(struct.pack("<HH", 297, SHORT))
    struct.pack_into("<I", content, at + 4, 1)  # one page number of the two that there must be
    with pytest.raises(libvips().Error):
        libvips().Image.new_from_buffer(bytes(content), "", fail_on="warning").avg()
    assert np.array_equal(read_photo(bytes(content)).pixels, COFFEE)


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "avif", "tiff"])
def test_nothing_that_is_cut_off_is_black(kind):
    options = {"tiff": {"compression": "tiff_lzw"}}.get(kind, {})
    content = encoded(kind, **options)
    for share in np.linspace(0.05, 0.97, 12):
        assert "damaged or ends early" in refusal(content[: int(share * len(content))])


def test_remarks_on_one_file_are_not_held_against_another_thread():
    broken, whole = encoded("png")[:3000], encoded("tiff", compression="tiff_lzw")
    failures = []

    def read_broken():
        for _ in range(20):
            refusal(broken)

    def read_whole():
        for _ in range(20):
            try:
                read_photo(whole)
            except ImageError as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for work in (read_broken, read_whole, read_whole)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def tiff_with_a_broken_tile() -> bytes:
    image = libvips().Image.new_from_array(COFFEE).copy(interpretation="srgb")
    options = {"tile": True, "tile_width": 32, "tile_height": 32}
    content = bytearray(image.tiffsave_buffer(compression="deflate", **options))
    at = content.index(b"\x78", 8)
    content[at + 40 : at + 400] = b"\xff" * 360
    return bytes(content)


def test_what_other_threads_encode_hides_no_error_and_causes_none():
    broken, whole = tiff_with_a_broken_tile(), encoded("tiff", compression="tiff_lzw")
    done = threading.Event()

    def encode():
        while not done.is_set():
            encode_photo(Photo(COFFEE), "tiff")
            encode_photo(Photo(COFFEE), "webp")

    threads = [threading.Thread(target=encode) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            assert np.array_equal(read_photo(whole).pixels, COFFEE)
            assert "damaged" in refusal(broken)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def with_frame(marker: int, precision: int) -> bytes:
    content = bytearray(encoded("jpeg"))
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4] = marker, precision
    return bytes(content)


@pytest.mark.parametrize(
    ("marker", "precision", "name"),
    [
        (0xC1, 12, "a 12-bit JPEG file"),
        (0xC3, 14, "a 14-bit lossless JPEG file"),
        (0xC5, 8, "a hierarchical JPEG file"),
        (0xF7, 8, "a JPEG-LS file"),
    ],
)
def test_a_valid_jpeg_of_a_kind_that_is_not_read_is_named(marker, precision, name):
    message = refusal(with_frame(marker, precision))
    assert message == f"photo: {name}, which is not read. Convert it to TIFF or PNG first."


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201",
        b"IIU\0\x18\0\0\0",
    ],
    ids=["CR2", "CR3", "RAF", "RW2"],
)
def test_camera_raw_is_known_by_its_first_bytes(head):
    assert sniff(head + bytes(60)) == "raw"


def test_a_salvaged_png_holds_no_chunk_that_readers_refuse():
    content = encoded("png")
    cut = content[: len(content) // 2] + b"\xe6\xf8\x92\x96\x84\x18v\xbc" + content[-40:]
    cut = cut.replace(content[33:37], struct.pack(">I", len(content) // 2 - 41 - 4), 1)
    photo = read_photo(cut, salvage=True)
    assert photo.notes
    assert np.array_equal(read_photo(encode_photo(photo)).pixels, photo.pixels)


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 16}, {"tile": (32, 32)}, {"predictor": True}])
def test_a_deflated_tiff_with_other_bytes_in_it_is_refused(options):
    file = io.BytesIO()
    tifffile.imwrite(file, COFFEE, photometric="rgb", compression="zlib", **options)
    content = bytearray(file.getvalue())
    assert np.array_equal(read_photo(bytes(content)).pixels, COFFEE)
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(50)
    assert "photo: the TIFF file is damaged" in refusal(bytes(content))
    assert read_photo(bytes(content), salvage=True).size == (128, 96)
