"""Measure the compact perceivers on held-out photographs, damaged here: what, how, where, and how fast.

    python benchmarks/perceivers.py --data ../shared/data

Prints Markdown tables. Held out are every 20th photo of train/clean and every 8th pair of train/lowlight.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from markdown_tables import print_head
from measuring import clock_seconds, peak, processor_seconds
from numpy.typing import NDArray
from sample_pictures import noise, to_array

from clearair.data.degradations import CDD11, KINDS, degrade
from clearair.data.pairs import Mix, draw_pairs
from clearair.data.photos import TrainingPhotos, find_photos
from clearair.data.pixels import load_pixels, reduced, to_bytes
from clearair.data.splits import held_out
from clearair.data.styles import draw_style
from clearair.data.validation import validation_sets
from clearair.evaluation.metrics import psnr
from clearair.perception import CompactPerceiver, load_compact
from clearair.perception.confidence import ONLY_TONE
from clearair.training.perceivers.samples import PerceiverRecipe, Photo, draw_batch, load_photos

Image = NDArray[np.uint8]

TABLES = (
    "named",
    "visible",
    "parts",
    "calibration",
    "score",
    "severity",
    "mixtures",
    "dark",
    "doubt",
    "regions",
    "time",
)
"""What is measured, in this order."""
STRONG, FAINT = 20, 26
"""PSNR in dB below which damage is strong, and above which it is faint."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--weights", type=Path, help="folder of other weights than the shipped ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draws", type=int, default=2, help="strengths drawn per photo and kind")
    parser.add_argument("--only", nargs="*", default=[], help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--look", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    perceiver = load_compact(options.weights)
    if options.look:
        report_look(perceiver, options.look)
        return
    photos, pairs = load_photos(options.data, held_out=True)
    clean = [photo.clean for photo in photos]
    mapped = [(photo.clean, photo.maps) for photo in photos if photo.maps is not None]
    reports: dict[str, Callable[[], None]] = {
        "named": lambda: report_named(perceiver, clean, options.draws),
        "visible": lambda: report_visible(perceiver, clean, options.draws),
        "parts": lambda: report_parts(perceiver, clean, options.draws),
        "calibration": lambda: report_calibration(perceiver, photos, options.draws),
        "score": lambda: report_what_and_how(perceiver, clean, options.draws),
        "severity": lambda: report_severity(perceiver, clean[::3]),
        "mixtures": lambda: report_mixtures(perceiver, clean),
        "dark": lambda: report_dark(perceiver, pairs),
        "doubt": lambda: report_doubt(perceiver, options.data, pairs),
        "regions": lambda: report_regions(perceiver, mapped),
        "time": lambda: report_time(perceiver, options.data),
    }
    for name in options.only or TABLES:
        reports[name]()


def report_named(perceiver: CompactPerceiver, photos: list[torch.Tensor], draws: int) -> None:
    """How often a kind is predicted: its probability is above one half, and the highest."""
    looks: list[tuple[str, Callable[[torch.Tensor, int], torch.Tensor]]] = [
        ("256 x 256 views", partial(random_view, side=256)),
        ("160 x 160 views", partial(random_view, side=160)),
        ("whole pictures", lambda photo, seed: photo),
    ]
    print_head("kind", *(name for name, _ in looks))
    for kind in KINDS:
        column, rates = KINDS.index(kind), []
        for _, look in looks:
            found = [
                perceiver.perceive_image(damage(look(photo, seed), (kind,), seed)[0]).probabilities
                for seed, photo in enumerate(photos * draws)
            ]
            rates.append(np.mean([p[column] > 0.5 and np.argmax(p) == column for p in found]))
        print(f"| {kind} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |")
    rights: list[tuple[str, Callable[[torch.Tensor, int], torch.Tensor]]] = [
        ("clean, nothing named", lambda photo, seed: photo),
        ("clean with another look, nothing named", another_look),
        ("dark but right, nothing named", low_key),
        ("dark but right, no low light named", low_key),
    ]
    for name, change in rights:
        rates = []
        for _, look in looks:
            found = [
                perceiver.perceive_image(to_array(change(look(photo, seed), seed))).probabilities
                for seed, photo in enumerate(photos * draws)
            ]
            columns = [KINDS.index("lowlight")] if "no low light" in name else range(len(KINDS))
            rates.append(np.mean([p[columns].max() <= 0.5 for p in found]))
        print(f"| {name} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |")


def report_visible(perceiver: CompactPerceiver, photos: list[torch.Tensor], draws: int) -> None:
    """How often a kind is named in whole pictures, by how far the damage takes them from the clean ones."""
    print(f"\nWhole pictures, by PSNR to the clean ones; below {STRONG} dB, to {FAINT}, above:")
    print_head("kind", "strong", "named", "middling", "named", "faint", "named")
    for column, kind in enumerate(KINDS):
        bins: list[list[bool]] = [[], [], []]
        for seed, photo in enumerate(photos * draws):
            image, _ = damage(photo, (kind,), seed)
            found = perceiver.perceive_image(image).probabilities
            ratio = psnr(image, to_array(photo))
            bins[(ratio >= STRONG) + (ratio > FAINT)].append(found[column] > 0.5 and found.argmax() == column)
        cells = (f"{len(each)} | {np.mean(each):.3f}" if each else "0 | " for each in bins)
        print(f"| {kind} | " + " | ".join(cells) + " |")


def report_parts(perceiver: CompactPerceiver, photos: list[torch.Tensor], draws: int) -> None:
    """How often a kind is named in the half of a picture that has it, in the other half, and in the whole."""
    print_head("kind in one half", "named in it", "mean probability", "named in the other", "in the whole")
    for column, kind in enumerate(KINDS):
        rows = []
        for seed, photo in enumerate(photos * draws):
            image, labels = to_array(photo), np.zeros(photo.shape[1:], np.uint8)
            labels[:, : labels.shape[1] // 2] = 1
            labels = labels if seed % 2 else 1 - labels
            image = np.where(labels[..., None] == 1, damage(photo, (kind,), seed)[0], image)
            sides = perceiver.probabilities(perceiver.local_degradation(perceiver.look(image), labels))[
                :, column
            ]
            whole = perceiver.perceive_image(image).probabilities[column]
            rows.append([sides[1] > 0.5, sides[1], sides[0] > 0.5, whole > 0.5])
        print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)) + " |")


def report_calibration(perceiver: CompactPerceiver, photos: list[Photo], draws: int) -> None:
    """Expected calibration error (Naeini et al., 2015) over what training draws: mixtures, parts."""
    probabilities, truth = [], []
    for seed in range(20 * draws):
        batch = draw_batch(photos, [], PerceiverRecipe(twins=0.0), torch.Generator().manual_seed(seed))
        with torch.no_grad():
            sight = perceiver.eyes(batch.images)
        probabilities.append(perceiver.eyes.picture_kind_logits(sight).sigmoid())
        truth.append(batch.kinds)
    found, present = torch.cat(probabilities).numpy(), torch.cat(truth).numpy()
    print_head("kind", "expected calibration error", "share with the kind", "mean probability")
    for column, kind in enumerate(KINDS):
        error = calibration_error(found[:, column], present[:, column])
        print(f"| {kind} | {error:.3f} | {present[:, column].mean():.3f} | {found[:, column].mean():.3f} |")


def calibration_error(probability: NDArray[np.float32], present: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(probability[place == i].mean() - present[place == i].mean()) * np.mean(place == i)
        for i in np.unique(place)
    ]
    return float(np.sum(gaps))


def random_view(photo: torch.Tensor, seed: int, side: int) -> torch.Tensor:
    """(3, H, W) uint8 -> (3, side, side) uint8, a window at a random scale as in training."""
    generator = torch.Generator().manual_seed(seed)
    pair = TrainingPhotos((photo,), {})
    clean = Mix(single={"noise": 0.0}, clean=1.0, mixture=0.0)
    view = draw_pairs(pair, clean, 1, side, (0.4, 1.0), generator).clean[0]
    return to_bytes(view)


def another_look(photo: torch.Tensor, seed: int) -> torch.Tensor:
    """(3, H, W) uint8 -> the same, low-key, pale, grey or with a soft background."""
    image = photo[None].float() / 255
    looks = draw_style(image, torch.Generator().manual_seed(seed), 1.0)
    return to_bytes(looks(image)[0])


def low_key(photo: torch.Tensor, seed: int) -> torch.Tensor:
    """(3, H, W) uint8 -> a dark scene with its lights in place: x^1.5 to x^2.2, rising with the seed."""
    gamma = 1.5 + 0.7 * (seed % 8) / 7
    dark = (photo.float() / 255).pow(gamma)
    lights = max(float(torch.quantile(dark[:, ::4, ::4].flatten(), 0.995)), 1e-3)
    dark = (dark * min(4.0, max(1.0, 0.95 / lights))).clamp(0, 1)
    return to_bytes(dark)


def report_what_and_how(perceiver: CompactPerceiver, photos: list[torch.Tensor], draws: int) -> None:
    print_head("kind", "main named right", "score against strength", "score against PSNR", "found as")
    all_scores: list[float] = []
    all_psnr: list[float] = []
    right = total = 0
    for kind in KINDS:
        strengths, scores, fidelities, hits, others = [], [], [], 0, []
        for index, photo in enumerate(photos * draws):
            damaged, strength = damage(photo, (kind,), seed=index)
            percepts = perceiver.perceive_image(damaged)
            found = KINDS[int(np.argmax(percepts.probabilities))]
            hits += found == kind
            others += [found] if found != kind else []
            strengths.append(strength)
            scores.append(percepts.score)
            fidelities.append(psnr(damaged, to_array(photo)))
        rows = f"{spearman(scores, [-s for s in strengths]):.2f} | {spearman(scores, fidelities):.2f}"
        confused = ", ".join(
            f"{name} {others.count(name)}" for name in sorted(set(others), key=others.count)[::-1]
        )
        print(f"| {kind} | {hits / len(scores):.3f} | {rows} | {confused} |")
        all_scores += scores
        all_psnr += fidelities
        right, total = right + hits, total + len(scores)
    print(f"| all | {right / total:.3f} | | {spearman(all_scores, all_psnr):.2f} | |")


def report_severity(perceiver: CompactPerceiver, photos: list[torch.Tensor]) -> None:
    print_head(
        "kind",
        "rank correlation of score and strength, mean over photos",
        "all strengths and photos together",
    )
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    every: list[float] = []
    for kind in KINDS:
        scores = [
            [perceiver.perceive_image(damage(photo, (kind,), seed, level)[0]).score for level in levels]
            for seed, photo in enumerate(photos)
        ]
        falling = [-level for level in levels]
        each = np.mean([spearman(row, falling) for row in scores])
        pooled = spearman([score for row in scores for score in row], falling * len(photos))
        every += [score for row in scores for score in row]
        print(f"| {kind} | {each:.2f} | {pooled:.2f} |")
    falling = [-level for level in levels] * (len(every) // len(levels))
    print(f"| all | | {spearman(every, falling):.2f} |")


def report_mixtures(perceiver: CompactPerceiver, photos: list[torch.Tensor]) -> None:
    groups: dict[str, list[tuple[str, ...]]] = {"clean": [()], "mixtures": [m for m in CDD11 if len(m) > 1]}
    for name, choices in groups.items():
        truth, probability, scores = [], [], []
        for index, photo in enumerate(photos * (3 if len(choices) > 1 else 1)):
            kinds = choices[index % len(choices)]
            percepts = perceiver.perceive_image(damage(photo, kinds, seed=index)[0])
            truth.append([kind in kinds for kind in KINDS])
            probability.append(percepts.probabilities)
            scores.append(percepts.score)
        wanted, found = np.array(truth), np.array(probability) > 0.5
        recall = (wanted & found).sum() / max(1, wanted.sum())
        alarms = {
            k: round(float(v), 2) for k, v in zip(KINDS, (~wanted & found).mean(axis=0), strict=True) if v
        }
        print(f"\n{name}: recall {recall:.3f}, false alarms {alarms}, mean score {np.mean(scores):.2f}")


def report_dark(perceiver: CompactPerceiver, pairs: list[Photo]) -> None:
    column = KINDS.index("lowlight")
    dark, bright = [], []
    for pair in pairs:
        assert pair.dark is not None
        dark.append(perceiver.perceive_image(to_array(pair.dark)).probabilities)
        bright.append(perceiver.perceive_image(to_array(pair.clean)).probabilities)
    named = np.mean(np.argmax(dark, axis=1) == column)
    alarms = np.mean(np.array(bright)[:, column] > 0.5)
    print(
        f"\nreal low light: main named right {named:.3f}; low light seen in the bright exposures {alarms:.3f}"
    )


def report_doubt(perceiver: CompactPerceiver, data: Path, pairs: list[Photo]) -> None:
    """Probabilities of tone-changing kinds in undamaged pictures, and how many damaged ones exceed them.

    A ramp of `clearair.perception.confidence` must begin above the first, and then misses all others.
    Undamaged pictures are shown whole and reduced.
    """

    def found(photos: Iterable[torch.Tensor]) -> NDArray[np.float32]:
        """(N, K)."""
        return np.array([perceiver.perceive_image(to_array(photo)).probabilities for photo in photos])

    names = [*held_out(data).undamaged(find_photos(data / "train" / "clean"))]
    photos = [load_pixels(path) for path in names]
    right = np.maximum(found(photos), found(map(reduced, photos)))
    real = found(pair.dark for pair in pairs if pair.dark is not None)
    print_head(
        "kind", "surest undamaged", "the two after it", "damaged views", "surer", "real pairs", "surer"
    )
    for views in validation_sets(data, views=36, kinds=ONLY_TONE):
        column = KINDS.index(views.kind)
        first, *others = sorted(right[:, column], reverse=True)[:3]
        name = names[int(right[:, column].argmax())].name
        seen = found(to_bytes(views.damaged))
        cells = [f"{first:.3f} ({name})", ", ".join(f"{other:.3f}" for other in others)]
        for group in (seen, real if views.kind == "lowlight" else real[:0]):
            cells += [str(len(group)), f"{np.mean(group[:, column] > first):.3f}" if len(group) else ""]
        print(f"| {views.kind} | {' | '.join(cells)} |")


def report_regions(perceiver: CompactPerceiver, photos: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    print_head("photos", "regions", "covering", "F of pairs", "k-means covering", "k-means F")
    for name in ("clean", "haze", "noise", "lowlight", "rain", "snow"):
        rows = []
        for index, (photo, maps) in enumerate(photos):
            image = damage(photo, () if name == "clean" else (name,), seed=index)[0]
            labels, simple = perceiver.perceive_image(image).labels, colour_clusters(image)
            rows.append(
                [
                    len(np.unique(labels)),
                    *(
                        np.mean([rate(labels, human) for human in maps.numpy()])
                        for rate in (covering, pair_f_score)
                    ),
                    *(
                        np.mean([rate(simple, human) for human in maps.numpy()])
                        for rate in (covering, pair_f_score)
                    ),
                ]
            )
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)) + " |")


def report_time(perceiver: CompactPerceiver, data: Path) -> None:
    print_head("pixels", "milliseconds")
    for height, width in ((256, 256), (512, 512), (1000, 1000)):
        image = noise(height, width)
        seconds = min(clock_seconds(partial(perceiver.perceive_image, image)) for _ in range(7))
        print(f"| {height} x {width} | {1000 * seconds:.0f} |")
    print_head("megapixels", "picture, MB", "memory before the look, MB", "peak, MB", "CPU seconds")
    for megapixels in (4, 25, 81):
        # A process of its own, since the peak of one never falls.
        command = [sys.executable, __file__, "--data", str(data), "--look", str(megapixels)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


def report_look(perceiver: CompactPerceiver, megapixels: float) -> None:
    """One look at a picture of that many megapixels: a row of the table of memory and time."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    image = noise(height, height * 4 // 3)
    perceiver.perceive_image(image[:512, :512])
    before = peak() / 1e6
    spent = processor_seconds(lambda: perceiver.perceive_image(image))
    print(
        f"| {megapixels:.0f} | {image.nbytes / 1e6:.0f} | {before:.0f} | {peak() / 1e6:.0f} | {spent:.2f} |"
    )


def damage(
    photo: torch.Tensor, kinds: tuple[str, ...], seed: int, strength: float | None = None
) -> tuple[Image, float]:
    """A photo (3, H, W) uint8 damaged and rounded to 8 bits, and how strongly: None draws uniformly."""
    if not kinds:
        return to_array(photo), 0.0
    generator = torch.Generator().manual_seed(seed)
    damaged = degrade(photo[None].float() / 255, [kinds], generator, strength)
    return to_array(damaged.image[0].clamp(0, 1)), float(damaged.strength[0, KINDS.index(kinds[0])])


def spearman(first: list[float], second: list[float]) -> float:
    """Rank correlation (Spearman, 1904); ties share their mean rank."""
    ranks = np.stack([mean_ranks(np.array(values)) for values in (first, second)])
    return float(np.corrcoef(ranks)[0, 1])


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[group]


def covering(labels: Image, human: Image) -> float:
    """How well regions cover the human ones: area-weighted best overlap (Arbelaez et al., 2011)."""
    shared = overlaps(labels, human)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    return float(((shared / union).max(axis=0) * shared.sum(axis=0)).sum() / shared.sum())


def pair_f_score(labels: Image, human: Image) -> float:
    """F-score of "both pixels in one region" over all pairs of pixels."""
    shared = overlaps(labels, human).astype(np.float64)
    together = (shared**2).sum()
    precision, recall = together / (shared.sum(axis=1) ** 2).sum(), together / (shared.sum(axis=0) ** 2).sum()
    return float(2 * precision * recall / (precision + recall))


def overlaps(labels: Image, human: Image) -> NDArray[np.int64]:
    columns = int(human.max()) + 1
    joint = labels.astype(np.int64).ravel() * columns + human.ravel()
    counts = np.bincount(joint, minlength=(int(labels.max()) + 1) * columns).reshape(-1, columns)
    return counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]


def colour_clusters(image: Image, count: int = 6) -> Image:
    """The baseline: k-means on colour and position, on every fourth pixel."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    place = np.stack([rows, columns], axis=2) / max(height, width)
    points = np.concatenate([image / 255.0, 0.5 * place], axis=2)
    sample = points[::4, ::4].reshape(-1, 5)
    centres = sample[np.random.default_rng(0).choice(len(sample), count, replace=False)]
    for _ in range(20):
        nearest = ((sample[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        chosen = [sample[nearest == k] for k in range(count)]
        centres = np.array([c.mean(axis=0) if len(c) else centres[k] for k, c in enumerate(chosen)])
    distance = np.stack([((points - centre) ** 2).sum(axis=2) for centre in centres])
    return distance.argmin(axis=0).astype(np.uint8)


if __name__ == "__main__":
    main()
