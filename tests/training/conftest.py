from pathlib import Path

import numpy as np
import pytest
import pyvips
import skimage.data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as training wants it, from the pictures that scikit-image brings."""
    return write_data(tmp_path_factory.mktemp("data"))


def write_data(root: Path) -> Path:
    clean = root / "train" / "clean"
    clean.mkdir(parents=True)
    for name in ("astronaut", "chelsea", "coffee"):
        pixels = getattr(skimage.data, name)()[:240, :300]
        pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).write_to_file(str(clean / f"{name}.png"))
    for side, factor in (("target", 1.0), ("input", 0.2)):
        folder = root / "train" / "lowlight" / "here" / side
        folder.mkdir(parents=True)
        for index in range(9):
            pixels = (skimage.data.coffee()[: 200 + index, :220] * factor).astype(np.uint8)
            pyvips.Image.new_from_array(pixels).write_to_file(str(folder / f"{index}.png"))
    return root
