"""Realistic damage for clean pictures: drawn once from a seed, then applied purely.

Each kind has one module with its formula and its random draw; `degrade` applies kinds in physical order, and
`degrade_in_parts` combines differently damaged parts of a picture.
"""

from clearair.data.degradations.noise import add_gaussian_noise
from clearair.data.degradations.regional import degrade_in_parts
from clearair.data.degradations.synthesis import CDD11, KINDS, Degraded, degrade

__all__ = ["CDD11", "KINDS", "Degraded", "add_gaussian_noise", "degrade", "degrade_in_parts"]
