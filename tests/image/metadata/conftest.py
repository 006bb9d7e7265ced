import io

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms
from skimage import data

PRIVATE_TAG = 0xBEEF


@pytest.fixture(scope="session")
def coffee() -> np.ndarray:
    """(40, 56, 3)."""
    return np.ascontiguousarray(data.coffee()[100:140, 150:206])


@pytest.fixture(scope="session")
def srgb() -> bytes:
    """A colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="session")
def exif() -> bytes:
    """A block with a tag that no model of EXIF knows, as makers put their own into it."""
    block = Image.Exif()
    block[0x010F] = "Maker"
    block.get_ifd(0x8769)[PRIVATE_TAG] = "private"
    return block.tobytes()[6:]


@pytest.fixture
def saved(coffee):
    """Pillow's file of a picture, the coffee by default."""

    def save(kind: str, picture: np.ndarray = coffee, **options) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, **options)
        return file.getvalue()

    return save


@pytest.fixture
def by_libvips_alone():
    """Read and written again by plain libvips, which is told to keep everything."""

    def copy(content: bytes, writer: str) -> bytes:
        image = pyvips.Image.new_from_buffer(content, "")
        return bytes(getattr(image, f"{writer}save_buffer")(keep="all"))

    return copy
