"""Restore real photographs that have no ground truth: a contact sheet, and how many look more natural.

    python benchmarks/real.py --data ../shared/data --pristine niqe_pris_params.npz --sheet real.png

Photographs are those below DATA/test/real. The sheet shows input and output of each, with the detected
damage. An output counts as better or worse when its NIQE (Mittal et al., 2013; lower is better) changes by
more than `--same`. NIQE prefers sharp noise to smooth sky, so it supplements inspection by eye and does not
replace it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import torch
from command_line import parser_of
from PIL import Image, ImageDraw
from sample_pictures import Pixels, read_pixels

from clearair import Restorer
from clearair.data.photos import find_photos
from clearair.evaluation.niqe import load_pristine, niqe

VERDICTS = ("better", "same", "worse")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds test/")
    parser.add_argument("--model", default="compact", help="name or folder")
    parser.add_argument("--sheet", type=Path, help="PNG to write")
    parser.add_argument(
        "--pristine", type=Path, required=True, help="the authors' parameters for NIQE, niqe_pris_params.npz"
    )
    parser.add_argument("--cell", type=int, default=320, help="longer side of a picture on the sheet, in px")
    parser.add_argument("--same", type=float, default=0.1, help="a change of NIQE that means nothing")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.sheet and options.sheet.exists():
        raise SystemExit(f"{options.sheet} exists; name another file.")
    restorer = Restorer.from_pretrained(options.model, device="cpu")
    pristine = load_pristine(options.pristine)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    rows: list[tuple[str, Pixels, Pixels]] = []
    print("| photo | said to be wrong | NIQE before | after |\n|---|---|---|---|")
    for path in find_photos(options.data / "test" / "real"):
        before = read_pixels(path)
        result = restorer(before)
        after: Pixels = result.image
        percepts = result.percepts
        said = ", ".join(
            name for name, share in zip(percepts.names, percepts.probabilities, strict=True) if share > 0.5
        )
        values = niqe(before, pristine), niqe(after, pristine)
        kind = path.relative_to(options.data / "test" / "real").parts[0]
        change = values[1] - values[0]
        verdict = VERDICTS[1] if abs(change) <= options.same else VERDICTS[0 if change < 0 else 2]
        counts[kind][verdict] += 1
        print(f"| {kind}/{path.name} | {said or 'nothing'} | {values[0]:.2f} | {values[1]:.2f} |", flush=True)
        rows.append((f"{kind}/{path.stem}: {said or 'nothing'}", before, after))
    print("\n| kind | photos | " + " | ".join(VERDICTS) + " |\n|---|---|---|---|---|")
    for kind, found in counts.items():
        cells = " | ".join(str(found[verdict]) for verdict in VERDICTS)
        print(f"| {kind} | {found.total()} | {cells} |")
    if options.sheet:
        draw_sheet(rows, options.cell).save(options.sheet)


def draw_sheet(rows: list[tuple[str, Pixels, Pixels]], cell: int, columns: int = 3) -> Image.Image:
    """Input beside output, `columns` photographs in a row."""
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * 2 * cell, lines * (cell + 14)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (caption, *images) in enumerate(rows):
        left, top = index % columns * 2 * cell, index // columns * (cell + 14)
        draw.text((left, top), caption, "black")
        for place, image in enumerate(images):
            small = Image.fromarray(image)
            small.thumbnail((cell - 4, cell))
            sheet.paste(small, (left + place * cell, top + 14))
    return sheet


if __name__ == "__main__":
    main()
