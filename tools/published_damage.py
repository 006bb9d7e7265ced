"""Print the damage in common data sets, as their papers state it, beside the synthetic damage here.

python tools/published_damage.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearair.data.degradations import blur, haze, jpeg, lowlight, noise, rain, raindrop, snow


@dataclass(frozen=True)
class Published:
    """One data set."""

    kind: str
    name: str
    stated: str
    """The damage as stated in the paper."""
    source: str
    drawn: str
    """The corresponding synthetic damage."""


LOW, HIGH = noise.SIGMA_RANGE
THIN, THICK = haze.BETA
DIM, BRIGHT = haze.AIRLIGHT
ALONE, GRAIN, MIST, FALLING = rain.SORTS

PUBLISHED = (
    Published("noise", "CBSD68", "sigma 15, 25, 50", "Zhang et al., 2017", f"sigma {LOW:g} to {HIGH:g}"),
    Published(
        "jpeg",
        "LIVE1",
        "quality 10, 20, 30, 40",
        "Dong et al., 2015",
        f"quality {jpeg.QUALITY_RANGE[1]:g} to {jpeg.QUALITY_RANGE[0]:g}",
    ),
    Published(
        "haze",
        "RESIDE-ITS",
        "A 0.7 to 1.0, beta 0.6 to 1.8",
        "Li et al., 2019",
        f"A {DIM:g} to {BRIGHT:g}, beta {THIN:g} to {THICK:g} over the whole depth",
    ),
    Published(
        "haze",
        "RESIDE-OTS",
        "A 0.8 to 1.0, beta 0.04 to 0.2 (names of its files)",
        "Li et al., 2019",
        f"the same: each octave of beta alike, {THICK / THIN:.0f}-fold where scenes differ in depth too",
    ),
    Published(
        "rain",
        "Rain100L",
        "streaks of one type, added",
        "Yang et al., 2017",
        f"{ALONE:.0%} of rain, {rain.ALONE[0]:g} to {rain.ALONE[1]:g} px long",
    ),
    Published(
        "rain",
        "Rain100H",
        "streaks of five types, added",
        "Yang et al., 2017",
        f"{1 - sum(rain.SORTS):.0%} of rain: {rain.LAYERS - 1} layers, up to strength 1",
    ),
    Published(
        "rain",
        "Rain1400",
        "14 directions and magnitudes, drawn with Photoshop",
        "Fu et al., 2017",
        f"{GRAIN:.0%} of rain is dense grain, {MIST:.0%} fine streaks in mist",
    ),
    Published(
        "rain",
        "Outdoor-Rain",
        "streaks behind a veil of fog",
        "Li, Cheong and Tan, 2019",
        f"a veil that grows with the distance, in {FALLING:.0%} of rain; a flat one in layers",
    ),
    Published(
        "raindrop",
        "RainDrop",
        "water on glass 2 to 5 cm from the camera",
        "Qian et al., 2018",
        f"refracting drops of {raindrop.RADII[0][0]:g} to {raindrop.RADII[-1][1]:g} px, out of focus",
    ),
    Published(
        "snow",
        "Snow100K",
        "small, medium and large flakes; S, M and L hold 1, 2 and 3 of these",
        "Liu et al., 2018",
        f"{len(snow.OCTAVES)} octaves of size, together",
    ),
    Published(
        "blur",
        "GoPro",
        "7 to 13 frames of 240 a second, averaged in linear light (gamma 2.2)",
        "Nah et al., 2017",
        f"paths of {blur.EXTENT[0]:g} to {blur.EXTENT[1]:g} px, half of them in linear light",
    ),
    Published(
        "blur",
        "Levin09",
        "8 measured shakes, 13 to 27 px",
        "Levin et al., 2009",
        f"{blur.MEASURED:.0%} of blur where the data has them, turned and scaled",
    ),
    Published(
        "lowlight",
        "LOL",
        "short exposures indoors, with their noise",
        "Wei et al., 2018",
        "mean of the picture {:g} to {:g}, noise of a sensor".format(*lowlight.MEAN_RANGE),
    ),
    Published(
        "lowlight",
        "SICE",
        "stacks of exposures",
        "Cai et al., 2018",
        f"{lowlight.FITTED:.0%} with curve and colour as fitted to its pairs",
    ),
)


def as_table(sets: Sequence[Published]) -> str:
    """Markdown."""
    lines = ["| kind | data set | its paper states | paper | drawn here |", "| --- " * 5 + "|"]
    lines += [f"| {s.kind} | {s.name} | {s.stated} | {s.source} | {s.drawn} |" for s in sets]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_table(PUBLISHED))
