"""Large pictures in overlapping tiles, and which tiles can be skipped."""

from clearair.tiling.skipping import Skipper
from clearair.tiling.tiles import MIN_SIDE, Tiling, Window, best_side, blend_tiles, plan_tiles

__all__ = ["MIN_SIDE", "Skipper", "Tiling", "Window", "best_side", "blend_tiles", "plan_tiles"]
