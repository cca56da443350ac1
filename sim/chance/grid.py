"""When the supply of a day is cut: up and down by itself, as often and as long as asked."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from sim.chance.rng import from_table, raw_draws
from sim.chance.tables_quantiles import EXPONENTIAL

DAY_S: Final = 86_400
_HOUR_S: Final = 3600
_HOURS: Final = 24
_YEAR_H: Final = 8766.0
_ALWAYS: Final = 1 << 32
_CUTS_MAX: Final = 1000


def cuts(
    bits: np.random.PCG64, per_year: float, hours_per_year: float, weights: Sequence[float]
) -> list[tuple[int, int]]:
    """Return (start, end) of the cuts of one day in whole seconds, in order.

    Parameters
    ----------
    bits : PCG64
        Its own stream.
    per_year, hours_per_year : float
        How often, and how long in all, a year: their ratio is the mean length (exponential).
    weights : sequence of float
        24 weights of the hours in which cuts begin; empty: all alike.

    Notes
    -----
    The day begins in the long-run state: cut with the share of the year that it is cut.
    """
    mean_s = round(hours_per_year / per_year * _HOUR_S)
    between_s = round((_YEAR_H - hours_per_year) / per_year * _HOUR_S)
    first = int(raw_draws(bits, 1)[0] >> np.uint64(32))
    found: list[tuple[int, int]] = []
    at_s = 0
    if first < hours_per_year / _YEAR_H * _ALWAYS:
        at_s = _draw(bits, mean_s)
        found.append((0, at_s))
    while at_s < DAY_S and len(found) < _CUTS_MAX:
        start_s = _passed(at_s, _draw(bits, between_s), weights)
        if start_s >= DAY_S:
            break
        at_s = start_s + max(1, _draw(bits, mean_s))
        found.append((start_s, at_s))
    return [(start, min(end, DAY_S)) for start, end in found if end > start]


def _draw(bits: np.random.PCG64, mean_s: int) -> int:
    return int(from_table(raw_draws(bits, 1), EXPONENTIAL, scale=mean_s)[0])


def _passed(at_s: int, wait_s: int, weights: Sequence[float]) -> int:
    """Return when `wait_s` seconds of an average hour have passed: sooner at high weights."""
    if not weights:
        return at_s + wait_s
    left = float(wait_s)
    scale = _HOURS / sum(weights)
    while at_s < DAY_S:
        rate = weights[at_s // _HOUR_S] * scale
        end_s = (at_s // _HOUR_S + 1) * _HOUR_S
        if rate > 0 and left < rate * (end_s - at_s):
            return at_s + int(left / rate)
        left -= rate * (end_s - at_s)
        at_s = end_s
    return at_s
