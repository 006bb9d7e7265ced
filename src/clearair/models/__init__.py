"""Saved models: a folder with `config.json` and `model.safetensors`; pickle is never loaded.

PyTorch is imported when a model is saved or loaded, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearair.models.catalogue import CATALOGUE, Entry, find_model

if TYPE_CHECKING:
    from clearair.models.saved import SavedModel, load_model, save_model

__all__ = ["CATALOGUE", "Entry", "SavedModel", "find_model", "load_model", "save_model"]


def __getattr__(name: str) -> Any:
    if name in ("SavedModel", "load_model", "save_model"):
        from clearair.models import saved

        return getattr(saved, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
