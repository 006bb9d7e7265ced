"""Make docs/images/serve-light.jpg and serve-dark.jpg: the page of `clearair serve` in a browser.

python -m tests.apps.server.page_pictures

Run in the repository, in an environment with `.[test]`, on a machine with Chromium and its chromedriver;
existing pictures are replaced. The photos are skimage's copies of "chelsea" (CC0), "coffee" (CC0) and
"astronaut" (NASA, public domain).
"""

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from selenium.webdriver.common.by import By

from clearair.degrading import degrade_photo
from clearair.image import Photo, write_photo
from tests.apps.server.browsing import SIZE, add_photos, browsing, see, wait_for, wait_until_done
from tests.apps.server.serving import serving

IMAGES = Path(__file__).parents[3] / "docs" / "images"
PHOTOS = (
    ("coffee.jpg", skimage.data.coffee, ("haze",), 0.5, 3),
    ("astronaut.png", skimage.data.astronaut, ("noise",), 0.5, 1),
    ("chelsea.jpg", skimage.data.chelsea, ("rain",), 0.5, 3),
)
SHOTS = (("light", 0, "serve-light.jpg"), ("dark", 1, "serve-dark.jpg"))
"""Colour scheme, place of the photo that is seen large, and file."""


def main() -> None:
    """Photograph the page once in each colour scheme."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(make_photos(folder))
        with serving(folder) as server, browsing(folder) as browser:
            browser.get(server.address)
            add_photos(browser, files)
            wait_until_done(browser)
            for scheme, photo, shot in SHOTS:
                see(browser, SIZE, scheme)
                browser.find_elements(By.CSS_SELECTOR, ".select")[photo].click()
                browser.execute_script("document.activeElement.blur()")
                images = "[...document.querySelectorAll('img.photo')]"
                wait_for(browser, f"{images}.every((image) => image.complete)")
                picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                picture.save(IMAGES / shot, quality=85, subsampling=0, optimize=True)


def make_photos(folder: Path) -> Iterator[Path]:
    """Write the degraded photos."""
    for name, source, kinds, strength, seed in PHOTOS:
        clean = Photo(np.ascontiguousarray(source()))
        quality = 92 if name.endswith(".jpg") else None
        write_photo(degrade_photo(clean, kinds, strength=strength, seed=seed), folder / name, quality=quality)
        yield folder / name


if __name__ == "__main__":
    main()
