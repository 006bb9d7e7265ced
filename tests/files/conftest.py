"""A folder of small photos."""

import numpy as np
import pytest

from clearair.image import Photo, write_photo


@pytest.fixture(scope="session")
def small_photo():
    return Photo(np.full((6, 8, 3), 100, np.uint8))


@pytest.fixture
def folder(tmp_path, small_photo):
    """photos/{a.jpg, b.png, sub/a.jpg} beside files that are not to be restored."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    (root / ".thumbnails").mkdir()
    for name in ("a.jpg", "b.png", "sub/a.jpg", "b.restored.png", ".hidden.jpg", ".thumbnails/c.jpg"):
        write_photo(small_photo, root / name)
    (root / "notes.txt").write_text("not a picture")
    return root
