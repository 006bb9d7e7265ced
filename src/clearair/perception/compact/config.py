"""The shape of the compact perceiver, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from clearair.errors import ConfigError
from clearair.kinds import NAMES
from clearair.perception.protocol import Identity


@dataclass(frozen=True)
class EyesConfig:
    """Everything that decides which weights the compact perceiver has and what it looks at.

    Raises ConfigError when a field makes no sense.
    """

    kinds: tuple[str, ...] = NAMES
    """The kinds of degradation, in the order of the logits."""
    far_pixels: int = 43264
    """Most pixels of the far view, which shows the whole image (208 x 208)."""
    far_widths: tuple[int, ...] = (16, 32, 64, 96)
    """Channels of the far trunk at strides 2, 4, 8 and 16."""
    near_side: int = 40
    """Side of a native-resolution crop of the near view, in pixels; a multiple of 8."""
    near_crops: int = 49
    """Most crops of an image."""
    near_spacing: int = 40
    """Least distance between crops, in pixels."""
    near_widths: tuple[int, ...] = (24, 40, 64)
    """Channels of the near net at strides 2, 4 and 8."""
    dense_width: int = 128
    """Channels of the map in which both views are fused."""
    quality_dim: int = 32
    content_dim: int = 64
    degradation_dim: int = 64
    region_dim: int = 16
    region_count: int = 16
    """N, labels a region map may use, the background 0 included."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_tuple = field.name in ("kinds", "far_widths", "near_widths")
            for entry in value if is_tuple and isinstance(value, tuple) else (value,):
                wanted = str if field.name == "kinds" else int
                if type(entry) is not wanted or not entry or (isinstance(entry, int) and entry < 0):
                    what = "names" if wanted is str else "numbers from 1 on"
                    raise ConfigError(f"EyesConfig.{field.name} takes {what}, got {value!r}.")
        if not isinstance(self.kinds, tuple) or len(set(self.kinds)) != len(self.kinds):
            raise ConfigError(f"EyesConfig.kinds must be different names, got {self.kinds!r}.")
        if reserved := {"auto", "none"}.intersection(self.kinds):
            raise ConfigError(f"EyesConfig.kinds: {min(reserved)!r} is what a user says instead of a kind.")
        for name, length in (("far_widths", 4), ("near_widths", 3)):
            if not isinstance(getattr(self, name), tuple) or len(getattr(self, name)) != length:
                raise ConfigError(f"EyesConfig.{name} needs {length} entries, got {getattr(self, name)}.")
        if self.near_side % 8:
            raise ConfigError(f"EyesConfig.near_side must be a multiple of 8, got {self.near_side}.")
        if not 2 <= self.region_count <= 256:
            raise ConfigError(f"EyesConfig.region_count must be in 2..256, got {self.region_count}.")
        if self.far_pixels < 256:
            raise ConfigError(f"EyesConfig needs at least 256 far pixels, got {self.far_pixels}.")

    def identity(self, fingerprint: str) -> Identity:
        """Which perceiver has these sizes and weights of this fingerprint."""
        return Identity(
            name="compact",
            fingerprint=fingerprint,
            quality_dim=self.quality_dim,
            content_dim=self.content_dim,
            degradation_dim=self.degradation_dim,
            region_count=self.region_count,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EyesConfig:
        """The opposite of `to_dict`. Raises ConfigError for a field that does not exist."""
        if unknown := sorted(set(values) - {field.name for field in fields(cls)}):
            raise ConfigError(f"EyesConfig has no field {', '.join(unknown)}.")
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**known)
