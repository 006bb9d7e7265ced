"""Save and load the compact perceiver: `config.json` beside `model.safetensors`, half precision, strict."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from clearair.errors import ConfigError, ModelError
from clearair.image import write_atomically
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def shipped_folder() -> Path:
    """Where the weights lie that come with the package."""
    return Path(str(files("clearair"))) / "models" / "weights" / "perceivers"


def save_eyes(eyes: CompactEyes, folder: Path) -> None:
    """Write a network without batch normalisation (see `folded`) as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.float16).contiguous() for name, value in eyes.state_dict().items()}
    config = json.dumps(eyes.config.to_dict(), indent=2) + "\n"
    write_atomically(folder / WEIGHTS, save(weights), overwrite=True)
    write_atomically(folder / CONFIG, config.encode(), overwrite=True)


def load_eyes(folder: Path) -> CompactEyes:
    """Read what `save_eyes` wrote, frozen and ready to look.

    Raises ModelError when a file is missing or damaged, or when weights and config do not fit exactly.
    """
    try:
        values = json.loads((folder / CONFIG).read_text())
        if not isinstance(values, dict):
            raise ModelError(f"{folder / CONFIG}: not a JSON object.")
        config = EyesConfig.from_dict(values)
        weights = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: {CONFIG} or {WEIGHTS} of the perceiver is missing.") from error
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise ModelError(f"{folder / CONFIG}: not a config of the compact perceiver ({error}).") from error
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS}: not a safetensors file ({error}).") from error
    eyes = CompactEyes(config)
    _check(weights, eyes.state_dict(), folder / WEIGHTS)
    eyes.load_state_dict({name: value.float() for name, value in weights.items()})
    return eyes.eval().requires_grad_(False)


def _check(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], path: Path) -> None:
    if missing := sorted(set(expected) - set(weights)):
        raise ModelError(f"{path}: {len(missing)} tensors are missing, the first is {missing[0]}.")
    if unknown := sorted(set(weights) - set(expected)):
        raise ModelError(f"{path}: {len(unknown)} tensors are unknown, the first is {unknown[0]}.")
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(expected[name].shape)}"
            raise ModelError(f"{path}: {name} has shape {shapes}.")
        if not value.isfinite().all():
            raise ModelError(f"{path}: {name} is not finite.")
