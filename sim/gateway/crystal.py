"""Crystals: what a node's clocks show, as whole ns, and back.

```
true time    0 ─────────── 60 s ──────────── 120 s ──────────  the sender's clock
                 ppb[0]           ppb[1]           ppb[2]       straight within a minute
local time   o ─────────────── ────────────────── ───────────  monotonic clock, or sound card
```
"""

from bisect import bisect_right
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, nested, new, number, whole
from node.units import NS_PER_S
from sim.chance.bits import Bits, next_raw
from sim.chance.rng import drawn, one_from_table
from sim.chance.tables_quantiles import NORMAL

_MINUTE_NS: Final = 60 * NS_PER_S
_PPB: Final = 1_000_000_000
_NORMAL: Final = NORMAL.tolist()
_TURNOVER_C: Final = 25.0
"""Where an AT-cut crystal is least sensitive (recalled)."""

_WARM_UP_C: Final = 12.0
"""What a closed box warms up after power on: assumption."""

_WARM_UP_PER_MINUTE: Final = 0.1
"""Share of the rest that it warms in a minute (time constant ten minutes): assumption."""


WINDOW_MINUTES: Final = 12
"""What is looked at together lies within so many minutes: a chunk, what waits from before it, and
what is to come."""

_BEFORE_MINUTES: Final = 9
_NEVER_NS: Final = 1 << 62


class Minutes(Record):
    """Some minutes of a clock, for kernels that need no more of it."""

    first: int = whole("", "Number of the first of them.")
    ppb: NDArray[np.int64] = whole("ppb", "Frequency error in each.", (WINDOW_MINUTES,))
    knots_ns: NDArray[np.int64] = whole(
        "ns", "What it shows as each begins; those that are not needed never do.", (WINDOW_MINUTES,)
    )


class Crystal(Record):
    """A crystal as kernels go on with it: an `Oscillator`, of which only some minutes are kept."""

    minutes: Records[Minutes] = nested(Minutes, "Those about now.", (1,))
    known: int = whole("", "Minutes that are drawn.")
    next_ns: int = whole("ns", "What it shows as the next one begins.")
    fixed: int = whole("", "1: nothing is drawn.")
    make_ppb: int = whole("ppb", "Frequency error that it was made with.")
    wander_ppb: int = whole("ppb", "Random walk, one standard deviation per minute.")
    walk_ppb: int = whole("ppb", "Where that is.")
    curve_ppb_per_k2: float = number("ppb/K2", "Parabola about 25 degrees Celsius.")
    ambient_c: float = number("C", "Air around the box.")
    warmth_c: float = number("C", "What the box is warmer.")


@inner_kernel("void(Crystal, Bits, int64[::1], int64, int64)")
def cut(own: Crystal, bits: Bits, table: NDArray[np.int64], sigma_ppb: int, limit_ppb: int) -> None:
    """Make a crystal of a batch, of which nothing is known yet.

    table      (1025,) int64, quantiles in Q16 of the normal distribution
    sigma_ppb  spread of the batch
    limit_ppb  where the maker cuts it
    """
    minutes = own.minutes[0]
    for i in range(WINDOW_MINUTES):
        minutes.knots_ns[i] = _NEVER_NS
    if not own.fixed:
        drawn_ppb = drawn(table, sigma_ppb, next_raw(bits))
        own.make_ppb = max(-limit_ppb, min(limit_ppb, drawn_ppb))


@inner_kernel("int64(Crystal, int64)")
def _wandered_ppb(own: Crystal, step_ppb: int) -> int:
    """Return the frequency error in the next minute, in which the random walk makes that step."""
    # Additions and products only: the same bits on every machine.
    off_c = own.ambient_c + own.warmth_c - _TURNOVER_C
    own.warmth_c += (_WARM_UP_C - own.warmth_c) * _WARM_UP_PER_MINUTE
    own.walk_ppb += step_ppb
    return own.make_ppb + own.walk_ppb + int(np.rint(own.curve_ppb_per_k2 * off_c * off_c))


@kernel("int64(Crystal[::1], int64)")
def _wander(crystals: Records[Crystal], step_ppb: int) -> int:
    """See `_wandered_ppb`."""
    return int(_wandered_ppb(crystals[0], step_ppb))


@inner_kernel("int64(Crystal, Bits, int64[::1])")
def _next_ppb(own: Crystal, bits: Bits, table: NDArray[np.int64]) -> int:
    """Return the frequency error in the next minute.

    table  (1025,) int64, quantiles in Q16 of the normal distribution
    """
    if own.fixed:
        return own.make_ppb
    return int(_wandered_ppb(own, drawn(table, own.wander_ppb, next_raw(bits))))


@inner_kernel("void(Crystal, Bits, int64[::1], int64)")
def look_about(own: Crystal, bits: Bits, table: NDArray[np.int64], about_ns: int) -> None:
    """Keep the minutes about a true time, some before and some after it; never before the last.

    table  (1025,) int64, quantiles in Q16 of the normal distribution
    """
    minutes = own.minutes[0]
    at = about_ns // _MINUTE_NS
    first = max(0, at - _BEFORE_MINUTES)
    gone, minutes.first = first - minutes.first, first
    for i in range(WINDOW_MINUTES if gone > 0 else 0):
        is_kept = i + gone < WINDOW_MINUTES
        minutes.ppb[i] = minutes.ppb[i + gone] if is_kept else 0
        minutes.knots_ns[i] = minutes.knots_ns[i + gone] if is_kept else _NEVER_NS
    while own.known < at + WINDOW_MINUTES - _BEFORE_MINUTES:
        ppb = _next_ppb(own, bits, table)
        if own.known >= first:
            minutes.ppb[own.known - first] = ppb
            minutes.knots_ns[own.known - first] = own.next_ns
        own.known += 1
        own.next_ns += _MINUTE_NS + _MINUTE_NS * ppb // _PPB


@inner_kernel("int64(Minutes, int64)")
def shown_ns(minutes: Minutes, true_ns: int) -> int:
    """Return what the clock shows, as `_show` does."""
    minute = true_ns // _MINUTE_NS
    since_ns = true_ns - minute * _MINUTE_NS
    at = minute - minutes.first
    return int(minutes.knots_ns[at] + since_ns + since_ns * minutes.ppb[at] // _PPB)


@inner_kernel("void(Minutes, int64[::1], int64[::1])")
def show_all(minutes: Minutes, true_ns: NDArray[np.int64], local_ns: NDArray[np.int64]) -> None:
    """Fill in what the clock shows, as `shown_ns` does one by one.

    true_ns   (n,) int64, in the order of time, or nearly
    local_ns  (n,) int64, filled
    """
    begin_ns, end_ns, knot_ns, ppb = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(true_ns.shape[0]):
        at_ns = true_ns[i]
        if at_ns >= end_ns or at_ns < begin_ns:
            minute = at_ns // _MINUTE_NS
            begin_ns, end_ns = minute * _MINUTE_NS, (minute + 1) * _MINUTE_NS
            knot_ns = minutes.knots_ns[minute - minutes.first]
            ppb = minutes.ppb[minute - minutes.first]
        since_ns = at_ns - begin_ns
        local_ns[i] = knot_ns + since_ns + since_ns * ppb // _PPB


@inner_kernel("int64(Minutes, int64, int64)")
def minute_of(minutes: Minutes, local_ns: int, near: int) -> int:
    """Return the place of the minute in which the clock shows `local_ns`.

    near  a place at which to begin to look: they come in the order of time, or nearly
    """
    while near + 1 < WINDOW_MINUTES and minutes.knots_ns[near + 1] <= local_ns:
        near += 1
    while near > 0 and minutes.knots_ns[near] > local_ns:
        near -= 1
    return near


@inner_kernel("int64(Minutes, int64, int64)")
def read_ns(minutes: Minutes, at: int, local_ns: int) -> int:
    """Return when the clock shows `local_ns`, in the minute at that place, as `_read` does."""
    since_ns = local_ns - minutes.knots_ns[at]
    slow_ns = since_ns * minutes.ppb[at] // (_PPB + minutes.ppb[at])
    return int((minutes.first + at) * _MINUTE_NS + since_ns - slow_ns)


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def _show(
    ppb: NDArray[np.int64],
    knots_ns: NDArray[np.int64],
    true_ns: NDArray[np.int64],
    local_ns: NDArray[np.int64],
) -> None:
    """Fill in what a clock shows.

    ppb       (minutes,) int64, frequency error in each minute
    knots_ns  (minutes + 1,) int64, what it shows as each begins
    true_ns   (n,) int64, from 0 to before the end of the last minute
    local_ns  (n,) int64, filled
    """
    for i in range(true_ns.shape[0]):
        minute = true_ns[i] // _MINUTE_NS
        since_ns = true_ns[i] - minute * _MINUTE_NS
        local_ns[i] = knots_ns[minute] + since_ns + since_ns * ppb[minute] // _PPB


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def _read(
    ppb: NDArray[np.int64],
    knots_ns: NDArray[np.int64],
    local_ns: NDArray[np.int64],
    true_ns: NDArray[np.int64],
) -> None:
    """Fill in when a clock shows what it shows; arrays as in `_show`.

    What it never shows, as it was before its begin, counts by its first minute.
    """
    minute = 0
    minutes = ppb.shape[0]
    for i in range(local_ns.shape[0]):
        # One after another they come in the order of time, or nearly.
        while minute + 1 < minutes and knots_ns[minute + 1] <= local_ns[i]:
            minute += 1
        while minute > 0 and knots_ns[minute] > local_ns[i]:
            minute -= 1
        since_ns = local_ns[i] - knots_ns[minute]
        slow_ns = since_ns * ppb[minute] // (_PPB + ppb[minute])
        true_ns[i] = minute * _MINUTE_NS + since_ns - slow_ns


class Oscillator:
    """One crystal; frequency error from make, temperature and a random walk.

    Parameters
    ----------
    bits : PCG64
        Its own stream.
    sigma_ppm, max_ppm : float
        Spread of a batch, and where the maker cuts it.
    curve_ppb_per_k2 : float
        Parabola about 25 degrees Celsius.
    wander_ppb : float
        Random walk, one standard deviation per minute.
    ambient_c : float
        Air around the box.
    fixed_ppm : float, optional
        Exactly this, always; nothing is drawn.
    offset_ns : int
        What it shows at true time 0.
    """

    def __init__(
        self,
        bits: np.random.PCG64,
        *,
        sigma_ppm: float = 0.0,
        max_ppm: float = 0.0,
        curve_ppb_per_k2: float = 0.0,
        wander_ppb: float = 0.0,
        ambient_c: float = _TURNOVER_C,
        fixed_ppm: float | None = None,
        offset_ns: int = 0,
    ) -> None:
        self._bits = bits
        self._wander_ppb = round(wander_ppb)
        self._fixed = fixed_ppm is not None
        if fixed_ppm is not None:
            self._make_ppb = round(fixed_ppm * 1000)
        else:
            limit = round(max_ppm * 1000)
            drawn = one_from_table(bits, _NORMAL, scale=round(sigma_ppm * 1000))
            self._make_ppb = max(-limit, min(limit, drawn))
        self._crystal = new(Crystal)
        self._crystal["make_ppb"] = self._make_ppb
        self._crystal["curve_ppb_per_k2"] = curve_ppb_per_k2
        self._crystal["ambient_c"] = ambient_c
        self._ppb: list[int] = []
        self._knots_ns = [offset_ns]
        self._arrays: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def skew_ppm(self, true_ns: int) -> float:
        """Return the frequency error at a time, positive is fast."""
        self._extend(true_ns // _MINUTE_NS)
        return self._ppb[true_ns // _MINUTE_NS] / 1000

    def to_local(self, true_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what the clock shows at `true_ns` (n,) int64 >= 0."""
        if true_ns.size == 0:
            return true_ns
        self._extend(int(true_ns.max()) // _MINUTE_NS)
        local_ns = np.empty(true_ns.size, np.int64)
        _show(*self._tables(), np.ascontiguousarray(true_ns), local_ns)
        return local_ns

    def to_true(self, local_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the true time at which the clock shows `local_ns` (n,) int64, within 1 ns."""
        if local_ns.size == 0:
            return local_ns
        self._reach(int(local_ns.max()))
        true_ns = np.empty(local_ns.size, np.int64)
        _read(*self._tables(), np.ascontiguousarray(local_ns), true_ns)
        return true_ns

    def local_ns(self, true_ns: int) -> int:
        """Return what the clock shows at one true time."""
        minute = true_ns // _MINUTE_NS
        if minute >= len(self._ppb):
            self._extend(minute)
        since_ns = true_ns - minute * _MINUTE_NS
        return self._knots_ns[minute] + since_ns + since_ns * self._ppb[minute] // _PPB

    def true_ns(self, local_ns: int) -> int:
        """Return the true time at which the clock shows `local_ns`."""
        self._reach(local_ns)
        minute = max(0, bisect_right(self._knots_ns, local_ns) - 1)
        since_ns = local_ns - self._knots_ns[minute]
        ppb = self._ppb[minute]
        return minute * _MINUTE_NS + since_ns - since_ns * ppb // (_PPB + ppb)

    def _reach(self, local_ns: int) -> None:
        while not self._ppb or self._knots_ns[-1] <= local_ns:
            self._extend(len(self._ppb))

    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._arrays is None:
            self._arrays = np.array(self._ppb, np.int64), np.array(self._knots_ns, np.int64)
        return self._arrays

    def _extend(self, minute: int) -> None:
        """Draw the frequency up to and with `minute`."""
        while len(self._ppb) <= minute:
            ppb = self._make_ppb
            if not self._fixed:
                step_ppb = one_from_table(self._bits, _NORMAL, scale=self._wander_ppb)
                ppb = int(_wander(self._crystal, step_ppb))
            self._ppb.append(ppb)
            self._knots_ns.append(self._knots_ns[-1] + _MINUTE_NS + _MINUTE_NS * ppb // _PPB)
            self._arrays = None
