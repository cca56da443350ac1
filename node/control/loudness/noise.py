"""How loud a pole is at the nearest dwelling: power, directivity, distance, the air between.

A plain free-field estimate: no ground, no terrain, no houses between. It errs on the loud side,
which is the right side for the neighbour. The table in docs/why.md is its test.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from node.config import check

PROGRAMME_DB: Final = -12.0
"""Mean level of speech re a full-scale sine (docs/why.md)."""

SINE_LUFS: Final = -3.0
"""Loudness of a full-scale sine of 1 kHz in one channel (ITU-R BS.1770-4)."""

AIR_DB_PER_M: Final = 0.005
"""Absorption: 0.5 dB in 100 m (docs/why.md)."""

DISTANCE_MIN_M: Final = 1.0

_HORN_DIRECTIVITY_DB: Final = ((0.0, 0.0), (50.0, -6.0), (90.0, -12.0), (180.0, -18.0))
"""Loss off the axis. -6 dB at 50° is the 100° of `horn_30w` at 1 kHz (unverified: docs/why.md);
behind the horn it is an assumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HornConfig:
    """One horn of the pole (table `[[horns]]`)."""

    bearing_deg: float
    """Where it points, clockwise from north."""

    sensitivity_db: float = 108.0
    """Level in dB SPL at 1 m on the axis with 1 W."""

    power_w: float = 30.0
    """Power of a full-scale sine at 0 dB gain."""

    def __post_init__(self) -> None:
        check(
            "horns",
            {
                "bearing_deg": (0 <= self.bearing_deg < 360, self.bearing_deg, "0 to below 360"),
                "sensitivity_db": (
                    60 <= self.sensitivity_db <= 130,
                    self.sensitivity_db,
                    "60 to 130",
                ),
                "power_w": (0.01 <= self.power_w <= 1000, self.power_w, "0.01 to 1000"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellingConfig:
    """The nearest place where people must not be disturbed (table `[dwelling]`)."""

    distance_m: float
    """From the pole."""

    bearing_deg: float
    """Seen from the pole, clockwise from north."""

    area: str = "common"
    """Kind of area in the rule file, for instance `common` or `special`."""

    def __post_init__(self) -> None:
        distance_good = DISTANCE_MIN_M <= self.distance_m <= 100_000
        check(
            "dwelling",
            {
                "distance_m": (distance_good, self.distance_m, "1 to 100000"),
                "bearing_deg": (0 <= self.bearing_deg < 360, self.bearing_deg, "0 to below 360"),
            },
        )


def directivity_db(angle_deg: float) -> float:
    """Return the loss of a horn at `angle_deg` off its axis, 0 to 180, straight between points."""
    for (a0, d0), (a1, d1) in pairwise(_HORN_DIRECTIVITY_DB):
        if angle_deg <= a1:
            return d0 + (d1 - d0) * (angle_deg - a0) / (a1 - a0)
    return _HORN_DIRECTIVITY_DB[-1][1]


def level_of_lufs(loudness_lufs: float) -> float:
    """Return the mean level re a full-scale sine of programmes that are brought to a loudness."""
    return round(loudness_lufs - SINE_LUFS, 1)


def expected_dba(
    horns: tuple[HornConfig, ...], dwelling: DwellingConfig, *, programme_db: float = PROGRAMME_DB
) -> float:
    """Return the level of a programme at 0 dB gain at `dwelling`, in dBA.

    Parameters
    ----------
    horns : tuple of HornConfig
        The horns of the pole; powers add up.
    dwelling : DwellingConfig
        The listener.
    programme_db : float
        Mean level of what is played re a full-scale sine.

    Returns
    -------
    float
        Rounded to 0.1 dB, so that the last bit of a logarithm decides nothing. Speech through a
        horn lies where A-weighting is within 1 dB of flat, so dB SPL is taken as dBA. -inf
        without horns.
    """
    power = 0.0
    for horn in horns:
        angle_deg = abs((dwelling.bearing_deg - horn.bearing_deg + 180.0) % 360.0 - 180.0)
        level_db = (
            horn.sensitivity_db
            + 10.0 * math.log10(horn.power_w)
            + directivity_db(angle_deg)
            - 20.0 * math.log10(dwelling.distance_m)
            - AIR_DB_PER_M * dwelling.distance_m
        )
        power += 10.0 ** (level_db / 10.0)
    return round(10.0 * math.log10(power) + programme_db, 1) if power > 0.0 else float("-inf")
