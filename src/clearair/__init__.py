"""clearair: restores degraded photographs with one model that finds out by itself what is wrong.

PyTorch is imported when a restorer is asked for, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearair.errors import ClearAirError

if TYPE_CHECKING:
    from clearair.restorer import Restorer, Result

    __version__: str

__all__ = ["ClearAirError", "Restorer", "Result", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Restorer", "Result"):
        from clearair import restorer

        return getattr(restorer, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("clearair")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
