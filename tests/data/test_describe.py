import pytest
import pyvips
import torch
from skimage import data as pictures

from clearair.data.degradations import KINDS
from clearair.data.describe import as_markdown, contact_sheet, describe


@pytest.fixture(scope="module")
def damage(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    clean = pictures.astronaut()[:128, 100:292]
    for index in range(3):
        path = root / "train" / "clean" / "here" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyvips.Image.new_from_array(clean).write_to_file(str(path))
        for half, pixels in (("input", clean // 8), ("target", clean)):
            path = root / "train" / "lowlight" / "set" / half / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyvips.Image.new_from_array(pixels).write_to_file(str(path))
    return describe(root, views=6, side=64)


def test_every_kind_is_described_once_and_real_pairs_are_measured(damage):
    assert [kind.kind for kind in damage] == list(KINDS)
    assert all(len(kind.made) == 6 for kind in damage)
    real = {kind.kind: kind.real for kind in damage if len(kind.real)}
    clean = torch.from_numpy(pictures.astronaut()[:128, 100:292]).double()
    expected = -10 * ((clean - clean // 8) / 255).square().mean().log10()
    assert set(real) == {"lowlight"}
    assert real["lowlight"].tolist() == pytest.approx([expected.item()] * 2, abs=1e-3)  # one is held out


def test_the_table_has_ordered_quantiles_and_a_dash_where_nothing_is_real(damage):
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:-1] for line in as_markdown(damage).splitlines()[2:]
    }
    assert [cell.strip() for cell in rows["haze"][3:]] == ["-", "-", "-", "0"]
    for cells in rows.values():
        low, middle, high = map(float, cells[:3])
        assert low <= middle <= high


def test_the_sheet_shows_real_pictures_at_the_end_of_their_row(damage):
    sheet = contact_sheet(damage)
    assert sheet.shape == (3, 68 * len(KINDS), 68 * 8)
    row = list(KINDS).index("lowlight") * 68
    last = sheet[:, row + 2 : row + 66, -66:-2]
    expected = torch.from_numpy(pictures.astronaut()[:128, 100:292] // 8).permute(2, 0, 1)[:, 32:96, 64:128]
    assert torch.equal(last, expected)
    assert sheet[:, :64, -66:-2].eq(255).all()
