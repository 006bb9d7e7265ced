"""A small picture in files of every format, and what is said of a file that is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from clearair.errors import ImageError
from clearair.image import read_photo

COFFEE = data.coffee()[:120, :160]


def encoded(kind: str, image: np.ndarray = COFFEE, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def refusal(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
