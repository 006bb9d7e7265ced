"""Save and load the compact perceiver: `config.json` beside `model.safetensors`, half precision, strict.

The config holds the shape of the eyes and the ramps of their caution; the tensors are those of the eyes and,
where there is one, of the recognizer.
"""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from clearair.errors import ConfigError, ModelError
from clearair.image import write_atomically
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.recognition import Recognizer
from clearair.perception.compact.views import EXPOSURE_DIM
from clearair.perception.confidence import Caution
from clearair.weights import check_fit

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT_VERSION = 2
_PRECISE = tuple(f"recognizer.{name}" for name in ("head", "mean", "spread", "blend"))
_ENTRIES = {"format", "eyes", "recognizer", "caution"}


def shipped_folder() -> Path:
    """Where the weights lie that come with the package."""
    return Path(str(files("clearair"))) / "models" / "weights" / "perceivers"


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
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text())
        config, has_recognizer, caution = _read_config(values)
        weights = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: {CONFIG} or {WEIGHTS} of the perceiver is missing.") from error
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise ModelError(f"{path}: not a config of the compact perceiver ({error}).") from error
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS}: not a safetensors file ({error}).") from error
    eyes = CompactEyes(config)
    recognizer = new_recognizer(config) if has_recognizer else None
    parts = torch.nn.ModuleDict({"eyes": eyes})
    if recognizer is not None:
        parts["recognizer"] = recognizer
    check_fit(weights, parts.state_dict(), folder / WEIGHTS, f"its {CONFIG}")
    parts.load_state_dict({name: value.float() for name, value in weights.items()})
    parts.float().eval().requires_grad_(False)  # float32, whatever torch.set_default_dtype says
    return eyes, recognizer, caution


def _read_config(values: Any) -> tuple[EyesConfig, bool, Caution]:
    if not isinstance(values, dict):
        raise ConfigError("it is not a JSON object")
    if "format" not in values and "kinds" in values:
        raise ConfigError("it is of an older version of clearair; use perceivers and models made together")
    if values.get("format") != FORMAT_VERSION:
        raise ConfigError(f"its format is {values.get('format')!r}; this version reads {FORMAT_VERSION}")
    if unfit := sorted(set(values) ^ _ENTRIES):
        raise ConfigError(f"missing or unknown entries: {', '.join(unfit)}")
    if not isinstance(values["recognizer"], bool) or not isinstance(values["eyes"], dict):
        raise ConfigError("eyes must be an object, recognizer true or false")
    if missing := sorted({field.name for field in fields(EyesConfig)} - set(values["eyes"])):
        raise ConfigError(f"eyes lacks {', '.join(missing)}")
    eyes, caution = EyesConfig.from_dict(values["eyes"]), Caution.from_dict(values["caution"])
    if unknown := sorted({*caution.tone, *caution.change} - set(eyes.kinds)):
        raise ConfigError(f"caution has ramps of kinds that the eyes do not know: {', '.join(unknown)}")
    return eyes, values["recognizer"], caution
