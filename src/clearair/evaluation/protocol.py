"""The evaluation protocol. Numbers of different protocols cannot be compared, so each stores its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clearair.errors import ConfigError
from clearair.evaluation.metrics import Image


@dataclass(frozen=True)
class Protocol:
    """What is done to pictures before and after they are restored."""

    multiple: int = 1
    """Pictures are cropped around the centre to multiples of this before all else; 16 as in PromptIR and
    AdaIR, 1 for the whole picture."""
    noise_seed: int = 0
    """Of the noise that is added to clean pictures."""
    rounded: bool = True
    """The restored picture is rounded to 8 bits before it is compared."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.noise_seed < 0:
            raise ConfigError(
                f"A protocol needs a multiple of at least 1 and a seed of at least 0; "
                f"got {self.multiple} and {self.noise_seed}."
            )

    def __str__(self) -> str:
        area = "whole image" if self.multiple == 1 else f"cropped to multiples of {self.multiple} px"
        return (
            f"{area}, {'rounded to 8 bits' if self.rounded else 'not rounded'}, noise seed {self.noise_seed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def crop(self, image: Image) -> Image:
        """(H, W, 3) -> the same or smaller, each side a multiple."""
        height, width = image.shape[:2]
        top, left = height % self.multiple // 2, width % self.multiple // 2
        rows, columns = height - height % self.multiple, width - width % self.multiple
        return image[top : top + rows, left : left + columns]

    def noisy(self, clean: Image, sigma: float, index: int) -> Image:
        """Add Gaussian noise to the index-th picture of a set, rounded and clipped to 8 bits."""
        seed = index if self.noise_seed == 0 else (self.noise_seed, index)
        noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
        return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


WHOLE = Protocol()
"""The whole picture, rounded to 8 bits."""
