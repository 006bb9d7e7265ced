"""clearair: restore noisy, hazy, rainy, snowy, blurred or dark photos with one model.

PyTorch is imported when it is needed, not with this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clearair.errors import (
    ClearAirError,
    ConfigError,
    DataError,
    ExistsError,
    ImageError,
    MissingExtraError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    TrainingError,
    UsageError,
)

if TYPE_CHECKING:
    from clearair.degrading import degrade
    from clearair.files.record import Record
    from clearair.inspection import Inspection, inspect
    from clearair.outcome import Outcome
    from clearair.percepts import Percepts
    from clearair.restorer import Restorer
    from clearair.result import Result
    from clearair.video.restoring import VideoResult, restore_video

    __version__: str

__all__ = [
    "ClearAirError",
    "ConfigError",
    "DataError",
    "ExistsError",
    "ImageError",
    "Inspection",
    "MissingExtraError",
    "ModelError",
    "OutOfMemoryError",
    "Outcome",
    "OutputError",
    "Percepts",
    "Record",
    "Restorer",
    "Result",
    "TrainingError",
    "UsageError",
    "VideoResult",
    "__version__",
    "degrade",
    "inspect",
    "restore_video",
]

_HOMES = {
    "Inspection": "clearair.inspection",
    "Outcome": "clearair.outcome",
    "Percepts": "clearair.percepts",
    "Record": "clearair.files.record",
    "Restorer": "clearair.restorer",
    "Result": "clearair.result",
    "VideoResult": "clearair.video.restoring",
    "degrade": "clearair.degrading",
    "inspect": "clearair.inspection",
    "restore_video": "clearair.video.restoring",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("clearair")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
