"""Realistic damage for clean pictures: drawn once from a seed, then applied purely.

Each kind has one file with its formula and its draw; `degrade` mixes them in physical order, and
`degrade_in_parts` lays differently damaged parts of a picture together.
"""

from clearair.data.degradations.noise import add_gaussian_noise
from clearair.data.degradations.regional import degrade_in_parts
from clearair.data.degradations.synthesis import CDD11, KINDS, Degraded, degrade

__all__ = ["CDD11", "KINDS", "Degraded", "add_gaussian_noise", "degrade", "degrade_in_parts"]
