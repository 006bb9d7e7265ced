"""The metrics a benchmark can be measured with, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from clearair.errors import DataError, UsageError
from clearair.evaluation.metrics import Values, luma, psnr, ssim
from clearair.evaluation.niqe import Pristine, load_pristine, niqe, own_pristine

Measure = Callable[[Values, Values | None], float | None]
"""An image and its clean version, None where there is none, in 0..255; None where it cannot be measured."""

NAMES = ("psnr", "ssim", "psnr-y", "ssim-y", "niqe", "musiq")
"""What can be asked for. NIQE by another model than its authors' is called niqe-own in the results."""
LOWER_IS_BETTER = ("niqe", "niqe-own")


def make_measures(
    names: Sequence[str] = ("psnr", "ssim"),
    *,
    niqe_parameters: Path | None = None,
    musiq_weights: Path | None = None,
    device: str = "cpu",
) -> dict[str, Measure]:
    """The measures of these names. Raises UsageError for an unknown one, or MUSIQ without its weights."""
    measures: dict[str, Measure] = {}
    for name in names:
        if name == "niqe":
            pristine = own_pristine() if niqe_parameters is None else load_pristine(niqe_parameters)
            measures[pristine.name] = _niqe_by(pristine)
        elif name == "musiq":
            if musiq_weights is None:
                raise UsageError("MUSIQ needs the weights of its authors: --musiq-weights FILE.")
            from clearair.evaluation.musiq import load_musiq, musiq

            network = load_musiq(musiq_weights, device)
            measures[name] = _without_reference(partial(musiq, network=network))
        elif name in NAMES:
            measure = psnr if name.startswith("psnr") else ssim
            measures[name] = _on_luma(measure) if name.endswith("-y") else _with_reference(measure)
        else:
            raise UsageError(f"There is no metric {name!r}; known are {', '.join(NAMES)}.")
    return measures


def _with_reference(measure: Callable[[Values, Values], float]) -> Measure:
    return lambda image, clean: None if clean is None else measure(image, clean)


def _on_luma(measure: Callable[[Values, Values], float]) -> Measure:
    return lambda image, clean: None if clean is None else measure(luma(image), luma(clean))


def _without_reference(measure: Callable[[Values], float]) -> Measure:
    return lambda image, _: measure(image)


def _niqe_by(model: Pristine) -> Measure:
    def measure(image: Values, _: Values | None) -> float | None:
        try:
            return niqe(image, model)
        except DataError:  # too small or too flat
            return None

    return measure
