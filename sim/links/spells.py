"""Spells that come and go by themselves: stalls of a link, busy times and outages of a cell."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import between, from_table, raw_draws
from sim.chance.tables_quantiles import EXPONENTIAL
from sim.links.bearer import Bearer

_NONE: Final = np.zeros((0, 3), np.int64)
_BLOCK: Final = 32
"""Spells drawn at a time."""


class Spells:
    """A renewal process, drawn as far as it is asked for.

    Parameters
    ----------
    bits : PCG64
        Its own stream: how far it is drawn at a time changes nothing.
    interval_ns : int
        Mean time from one end to the next start (exponential); 0 means never.
    shortest_ns, longest_ns : int
        Bounds of the length (uniform).
    delay_ns : int
        Mean of what a spell adds to each packet (exponential).
    """

    def __init__(
        self,
        bits: np.random.PCG64,
        *,
        interval_ns: int,
        shortest_ns: int,
        longest_ns: int,
        delay_ns: int = 0,
    ) -> None:
        self._bits = bits
        self._interval_us = interval_ns // 1000
        self._shortest_ns = shortest_ns
        self._longest_ns = longest_ns
        self._delay_us = delay_ns // 1000
        self._rows = _NONE
        self._end_ns = 0

    def until(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return the spells that touch [start_ns, end_ns): (m, 3) int64 start, end, delay in ns.

        Earlier ones are forgotten: ask in order.
        """
        if self._interval_us == 0:
            return _NONE
        while self._end_ns < end_ns:
            self._draw()
        self._rows = self._rows[np.searchsorted(self._rows[:, 1], start_ns, side="right") :]
        return self._rows[: np.searchsorted(self._rows[:, 0], end_ns)].copy()

    def _draw(self) -> None:
        raw = raw_draws(self._bits, 3 * _BLOCK).reshape(_BLOCK, 3)
        pause_ns = 1000 * from_table(raw[:, 0], EXPONENTIAL, scale=self._interval_us)
        length_ns = between(raw[:, 1], self._shortest_ns, self._longest_ns)
        delay_ns = 1000 * from_table(raw[:, 2], EXPONENTIAL, scale=self._delay_us)
        ends_ns = self._end_ns + np.cumsum(pause_ns + length_ns)
        drawn = np.stack([ends_ns - length_ns, ends_ns, delay_ns], axis=1)
        self._rows = np.concatenate([self._rows, drawn])
        self._end_ns = int(ends_ns[-1])


def stalls_of(bearer: Bearer, bits: np.random.PCG64) -> Spells:
    """Return the stalls of one link of `bearer`."""
    return Spells(
        bits,
        interval_ns=round(bearer.stall_interval_s.value * NS_PER_S),
        shortest_ns=round(bearer.stall_min_ms.value * NS_PER_MS),
        longest_ns=round(bearer.stall_max_ms.value * NS_PER_MS),
    )


def busy_of(bearer: Bearer, bits: np.random.PCG64) -> Spells:
    """Return the busy spells of one cell of `bearer`."""
    return Spells(
        bits,
        interval_ns=round(bearer.busy_interval_s.value * NS_PER_S),
        shortest_ns=round(bearer.busy_min_s.value * NS_PER_S),
        longest_ns=round(bearer.busy_max_s.value * NS_PER_S),
        delay_ns=round(bearer.busy_delay_ms.value * NS_PER_MS),
    )


def outages_of(bearer: Bearer, bits: np.random.PCG64) -> Spells:
    """Return the outages of one cell of `bearer`."""
    return Spells(
        bits,
        interval_ns=round(bearer.outage_interval_s.value * NS_PER_S),
        shortest_ns=round(bearer.outage_min_s.value * NS_PER_S),
        longest_ns=round(bearer.outage_max_s.value * NS_PER_S),
    )
