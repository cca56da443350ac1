"""Spells that come and go by themselves: stalls of a link, busy times and outages of a cell."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import drawn, drawn_between, raw_draws
from sim.chance.tables_quantiles import EXPONENTIAL
from sim.links.bearer import Bearer

_NONE: Final = np.zeros((0, 3), np.int64)
_BLOCK: Final = 32
"""Spells drawn at a time."""

_INTERVAL_US, _SHORTEST_NS, _LONGEST_NS, _DELAY_US, _END_NS = range(5)
"""Places of the figures of a process; the last is where the last spell ends."""

_EXPONENTIAL: Final = EXPONENTIAL.copy()
"""Tables are frozen, and kernels take what could be written to."""


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
        self._figures = np.array(
            [self._interval_us, shortest_ns, longest_ns, delay_ns // 1000, 0], np.int64
        )
        self._rows = _NONE
        self._end_ns = 0
        self._asked_ns = (0, 0)
        self._told = _NONE

    def until(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return the spells that touch [start_ns, end_ns): (m, 3) int64 start, end, delay in ns.

        Earlier ones are forgotten: ask in order. It is only to look at.
        """
        if self._interval_us == 0:
            return _NONE
        if (start_ns, end_ns) == self._asked_ns:
            return self._told  # a cell's neighbours ask one after another
        while self._end_ns < end_ns:
            self._draw()
        self._rows = self._rows[np.searchsorted(self._rows[:, 1], start_ns, side="right") :]
        self._asked_ns = start_ns, end_ns
        self._told = self._rows[: np.searchsorted(self._rows[:, 0], end_ns)].copy()
        return self._told

    def _draw(self) -> None:
        raw = raw_draws(self._bits, 3 * _BLOCK).reshape(_BLOCK, 3)
        drawn_rows = np.empty((_BLOCK, 3), np.int64)
        _lay_out(self._figures, _EXPONENTIAL, raw, drawn_rows)
        self._rows = np.concatenate([self._rows, drawn_rows])
        self._end_ns = int(drawn_rows[-1, 1])
        self._figures[_END_NS] = self._end_ns


@kernel("void(int64[::1], int64[::1], uint64[:, ::1], int64[:, ::1])")
def _lay_out(
    figures: NDArray[np.int64],
    table: NDArray[np.int64],
    raw: NDArray[np.uint64],
    rows: NDArray[np.int64],
) -> None:
    """Turn draws into spells.

    figures  (5,) int64, us and ns: see above
    table    (1025,) int64, quantiles in Q16 of the exponential distribution
    raw      (n, 3) uint64, bits as they were drawn: of the pause before, the length, the delay
    rows     (n, 3) int64, start, end, added delay in ns; filled
    """
    end_ns = figures[_END_NS]
    for i in range(raw.shape[0]):
        pause_ns = 1000 * drawn(table, figures[_INTERVAL_US], raw[i, 0])
        length_ns = drawn_between(figures[_SHORTEST_NS], figures[_LONGEST_NS], raw[i, 1])
        rows[i, 0] = end_ns + pause_ns
        end_ns += pause_ns + length_ns
        rows[i, 1] = end_ns
        rows[i, 2] = 1000 * drawn(table, figures[_DELAY_US], raw[i, 2])


def stalls_ns(bearer: Bearer) -> tuple[int, int, int]:
    """Return the mean time between stalls of one link of `bearer`, the shortest and the longest."""
    return (
        round(bearer.stall_interval_s.value * NS_PER_S),
        round(bearer.stall_min_ms.value * NS_PER_MS),
        round(bearer.stall_max_ms.value * NS_PER_MS),
    )


def stalls_of(bearer: Bearer, bits: np.random.PCG64) -> Spells:
    """Return the stalls of one link of `bearer`."""
    interval_ns, shortest_ns, longest_ns = stalls_ns(bearer)
    return Spells(bits, interval_ns=interval_ns, shortest_ns=shortest_ns, longest_ns=longest_ns)


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
