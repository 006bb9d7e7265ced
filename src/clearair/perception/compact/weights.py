"""Save and load the compact perceiver: `config.json` beside `model.safetensors`, half precision, strict.

The config holds the shape of the eyes and the ramps of their caution; the tensors are those of the eyes and,
where there is one, of the recognizer.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.geometry import EXPOSURE_DIM
from clearair.perception.compact.recognition import Recognizer
from clearair.perception.compact.stored import CONFIG, FORMAT_VERSION, WEIGHTS, read_perceiver
from clearair.perception.confidence import Caution
from clearair.placing import write_atomically
from clearair.weights import check_fit

_PRECISE = tuple(f"recognizer.{name}" for name in ("head", "mean", "spread", "blend"))


def new_recognizer(config: EyesConfig) -> Recognizer:
    """A recognizer for eyes of this shape, with random weights."""
    return Recognizer(config.degradation_dim + EXPOSURE_DIM, len(config.kinds), config.degradation_dim)


def save_perceiver(
    eyes: CompactEyes, folder: Path, recognizer: Recognizer | None = None, caution: Caution | None = None
) -> None:
    """Write eyes without batch normalisation (see `folded`), a recognizer, and their caution."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"eyes.{name}": value for name, value in eyes.state_dict().items()}
    if recognizer is not None:
        tensors |= {f"recognizer.{name}": value for name, value in recognizer.state_dict().items()}
    weights = {
        # Statistics have sizes from thousandths to hundreds, which half precision does not hold well.
        name: value.to(torch.float32 if name.startswith(_PRECISE) else torch.float16).contiguous()
        for name, value in tensors.items()
    }
    config = {
        "format": FORMAT_VERSION,
        "eyes": eyes.config.to_dict(),
        "recognizer": recognizer is not None,
        "caution": (caution or Caution()).to_dict(),
    }
    write_atomically(folder / WEIGHTS, save(weights), overwrite=True)
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode(), overwrite=True)


def load_perceiver(folder: Path) -> tuple[CompactEyes, Recognizer | None, Caution]:
    """Read what `save_perceiver` wrote, frozen and ready to look.

    Raises ModelError when a file is missing or damaged, or when weights and config do not fit exactly.
    """
    stored = read_perceiver(folder)
    config = stored.config
    weights = {name: torch.from_numpy(value) for name, value in stored.weights.items()}
    with torch.device("cpu"):  # whatever torch.set_default_device says: on "meta" there are no values
        eyes = CompactEyes(config)
        recognizer = new_recognizer(config) if stored.has_recognizer else None
    parts = torch.nn.ModuleDict({"eyes": eyes})
    if recognizer is not None:
        parts["recognizer"] = recognizer
    check_fit(weights, parts.state_dict(), folder / WEIGHTS, f"its {CONFIG}")
    parts.float()  # whatever torch.set_default_dtype says, and before there are values to round
    parts.load_state_dict({name: value.float() for name, value in weights.items()})
    parts.eval().requires_grad_(False)
    return eyes, recognizer, stored.caution
