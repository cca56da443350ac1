"""A bearer made of a trace: what a recorded network did, as figures that runs can draw from.

```
 transits ─► runs of lost ──► outages (1 s and longer), losses in bursts
         └─► waits for one end ─► stalls          slow seconds ─► busy spells
         └─► the rest ─► its quantiles beside those of each shape through the link itself
                              └─► shape, scale, and the transit of the fastest
 bearer ─► as many packets through it ─► the same figures again: does it fit?
```
What packets of an even stream do not show is taken from another bearer: its rate, its queue, the
rate of its cell, the sleep of its modem.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Number
from node.config import ConfigError
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.links.bearer import Bearer
from sim.links.channel import Link
from sim.links.fit_loss import lost_otherwise
from sim.links.kernel import LOST_NS
from sim.links.spells import busy_of, outages_of

Shape = Literal["none", "gev", "lognormal", "gamma"]

PACKETS_MIN: Final = 1000
"""Fewer say nothing of a network: 20 s of sound."""

OUTAGE_NS: Final = NS_PER_S
"""From such a run of losses on nothing came through at all, by the bearers' own figures."""

STALL_NS: Final = 100 * NS_PER_MS
"""A packet that waits so much longer than the one before begins a stall, where those behind it
wait for the same end."""

_STALL_SPREADS: Final = 8
"""... and so many times what the middle half of all lies apart: as the link keeps the order, one
slow packet holds up those behind it as well."""

BUSY_NS: Final = 40 * NS_PER_MS
"""A second whose fastest packet is so much slower than that of most is busy."""

FITS: Final = 0.1
"""Two distributions of delay that are never further apart fit (Kolmogorov's distance, where a
millisecond is none)."""

_EVENTS_MIN: Final = 5
"""Fewer spells of a kind say little of the next ones: not verified."""

_PACKET_BITS: Final = 8 * 120
_SAMPLE: Final = 20_000
"""Packets through the link for each scale that is tried."""

_LEVELS: Final = np.array([1, 2, 5, *range(10, 91, 5), 93, 95, 97, 98, 99, 99.5]) / 100
_SCALES: Final = 24
"""Steps of the search for a scale: to 1 %."""
_GOLDEN: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What packets show of a link."""

    packets: int
    loss_pct: float
    burst_packets: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    longest_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A bearer and how far it is from what it was made of."""

    bearer: Bearer
    trace: Figures
    drawn: Figures
    distance: float
    """Kolmogorov's, between the two distributions of delay, 0 to 1."""
    delays_ms: tuple[NDArray[np.float64], NDArray[np.float64]]
    """(101,) float64 each: quantiles at whole percents, of the trace and of the bearer."""
    lost_otherwise: float
    """Which part of the losses comes with more, or fewer, in its second; 0 where that is chance."""

    @property
    def misfits(self) -> list[str]:
        """Return what does not fit, in words; none where all does."""
        found = []
        if self.distance > FITS:
            found.append(f"delays: up to {self.distance:.0%} of the packets apart (at most 10 %)")
        a, b = self.trace.loss_pct, self.drawn.loss_pct
        if abs(a - b) > max(0.2, a / 2):
            found.append(f"loss: {a:.2f} % in the trace, {b:.2f} % drawn")
        if self.lost_otherwise:
            found.append(f"loss: {self.lost_otherwise:.0%} of it comes thicker or thinner")
        return found


def fit(
    transit_ns: NDArray[np.int64],
    *,
    interval_ns: int,
    like: Bearer,
    source: str,
    one_way_ms: float | None = None,
    seed: int = 0,
) -> Fit:
    """Return the bearer that does what a trace shows.

    Parameters
    ----------
    transit_ns : (n,) int64
        Transit of each packet of an even stream in ns, LOST_NS where it is lost.
    interval_ns : int
        From one packet to the next.
    like : Bearer
        For what an even stream does not show.
    source : str
        Where the trace is from.
    one_way_ms : float, optional
        Transit of the fastest packet, where the trace's clocks do not know it.
    seed : int
        Of the packets that are drawn to compare.

    Raises
    ------
    ConfigError
        When there are too few packets, or none came.
    """
    if transit_ns.size < PACKETS_MIN:
        raise ConfigError(f"{source}: {transit_ns.size} packets: must be {PACKETS_MIN} or more")
    came = transit_ns != LOST_NS
    if came.sum() < PACKETS_MIN // 2:
        raise ConfigError(
            f"{source}: {came.sum()} packets came: must be {PACKETS_MIN // 2} or more"
        )
    if one_way_ms is not None:
        fastest_ns = int(transit_ns[came].min())
        transit_ns = np.where(came, transit_ns - fastest_ns + round(one_way_ms * 1e6), LOST_NS)
    said = f"fit of {source}, {transit_ns.size} packets"
    like = replace(like, title=f"as in {source}; rate, queue and sleep of: {like.title}")
    bearer, out = _losses(like, ~came, interval_ns, said)
    bearer, stalled = _stalls(bearer, transit_ns, interval_ns, said)
    bearer, busy = _busy(bearer, np.where(stalled, LOST_NS, transit_ns), interval_ns, said)
    calm_ns = transit_ns[came & ~stalled & ~busy & ~out]
    bearer = _jitter(bearer, calm_ns if calm_ns.size else transit_ns[came], interval_ns, said, seed)
    if one_way_ms is not None:
        known = f"{said}, of which the fastest is taken to need {one_way_ms:g} ms"
        bearer = replace(bearer, one_way_ms=_number(bearer.one_way_ms.value, known, 0))
    drawn_ns = _carried(bearer, transit_ns.size, interval_ns, seed)
    there, here = transit_ns[came], drawn_ns[drawn_ns != LOST_NS]
    if not here.size:
        raise ConfigError(f"{source}: its losses leave nothing")
    return Fit(
        bearer=bearer,
        trace=figures(transit_ns),
        drawn=figures(drawn_ns),
        distance=_distance(there, here),
        delays_ms=(_percentiles(there), _percentiles(here)),
        lost_otherwise=lost_otherwise(transit_ns, drawn_ns, interval_ns),
    )


def figures(transit_ns: NDArray[np.int64]) -> Figures:
    """Return what packets show: transit_ns (n,) int64, LOST_NS where lost, not all of them."""
    lost = transit_ns == LOST_NS
    ms = transit_ns[~lost] / NS_PER_MS
    p50, p90, p99, p999 = np.quantile(ms, [0.5, 0.9, 0.99, 0.999]).tolist()
    lengths = _runs(lost)[:, 1]
    return Figures(
        packets=int(transit_ns.size),
        loss_pct=100 * float(lost.mean()),
        burst_packets=float(lengths.mean()) if lengths.size else 0.0,
        p50_ms=p50, p90_ms=p90, p99_ms=p99, p999_ms=p999,
        longest_ms=float(ms.max()),
    )  # fmt: skip


def _losses(
    bearer: Bearer, lost: NDArray[np.bool_], interval_ns: int, said: str
) -> tuple[Bearer, NDArray[np.bool_]]:
    """Return the bearer with outages and losses, and which packets fell into outages.

    lost  (n,) bool
    """
    runs = _runs(lost)
    long = runs[:, 1] * interval_ns >= OUTAGE_NS
    out = np.zeros(lost.size, np.bool_)
    for first, length in runs[long].tolist():
        out[first : first + length] = True
    left = int((~out).sum())
    share = int((lost & ~out).sum()) / max(left, 1)
    bursts = runs[~long][:, 1]
    burst = max(float(bursts.mean()) if bursts.size else 1.0, share / (1 - share) + 1e-9, 1.0)
    lengths_s = runs[long][:, 1] * interval_ns / NS_PER_S
    return replace(
        bearer,
        loss_pct=_number(100 * share, f"{said}, {bursts.size} bursts", bursts.size),
        loss_burst_packets=_number(burst, said, bursts.size),
        **_spells("outage", "s", lengths_s, left * interval_ns, said),
    ), out


def _stalls(
    bearer: Bearer, transit_ns: NDArray[np.int64], interval_ns: int, said: str
) -> tuple[Bearer, NDArray[np.bool_]]:
    """Return the bearer with stalls, and which packets waited in one.

    transit_ns  (n,) int64, ns, LOST_NS where lost
    """
    stalled = np.zeros(transit_ns.size, np.bool_)
    index = np.flatnonzero(transit_ns != LOST_NS)
    at_ns = transit_ns[index]
    quick_ns, usual_ns, slow_ns = np.quantile(at_ns, [0.25, 0.5, 0.75]).astype(np.int64).tolist()
    least_ns = max(STALL_NS, _STALL_SPREADS * (slow_ns - quick_ns))
    lengths_ms = []
    i = 1
    while i < index.size:
        if at_ns[i] - max(int(at_ns[i - 1]), usual_ns) < least_ns:
            i += 1
            continue
        first, end_ns = i, int(index[i]) * interval_ns + int(at_ns[i])
        # Those behind it were sent before its end, and come no later than a little after that.
        while i < index.size and int(index[i]) * interval_ns + usual_ns < end_ns:
            i += 1
        late = at_ns[first:i] - (end_ns - index[first:i] * interval_ns)
        if i - first > 1 and np.median(late) < STALL_NS:
            stalled[index[first:i]] = True
            lengths_ms.append((int(at_ns[first]) - usual_ns + interval_ns // 2) / NS_PER_MS)
        i = max(i, first + 1)
    passed_ns = int((~stalled).sum()) * interval_ns
    lengths = np.array(lengths_ms)
    return replace(bearer, **_spells("stall", "ms", lengths, passed_ns, said)), stalled


def _busy(
    bearer: Bearer, transit_ns: NDArray[np.int64], interval_ns: int, said: str
) -> tuple[Bearer, NDArray[np.bool_]]:
    """Return the bearer with busy spells, and which packets met one.

    transit_ns  (n,) int64, ns, LOST_NS for what is lost or stalled
    """
    each = max(1, NS_PER_S // interval_ns)
    seconds = transit_ns.size // each
    rows = transit_ns[: seconds * each].reshape(seconds, each)
    none = np.iinfo(np.int64).max
    fastest = np.where(rows == LOST_NS, none, rows).min(axis=1)
    known = fastest != none
    slow = np.zeros(seconds, np.bool_)
    usual_ns = int(np.median(fastest[known])) if known.any() else 0
    slow[known] = fastest[known] - usual_ns > BUSY_NS
    runs = _runs(slow)
    delay_ms = float((fastest[slow] - usual_ns).mean()) / NS_PER_MS if slow.any() else 0.0
    busy = np.zeros(transit_ns.size, np.bool_)
    busy[: seconds * each] = np.repeat(slow, each)
    passed_ns = int((~busy).sum()) * interval_ns
    return replace(
        bearer,
        busy_delay_ms=_number(delay_ms, f"{said}, {len(runs)} busy spells", len(runs)),
        **_spells("busy", "s", runs[:, 1].astype(np.float64), passed_ns, said),
    ), busy


def _jitter(
    bearer: Bearer, calm_ns: NDArray[np.int64], interval_ns: int, said: str, seed: int
) -> Bearer:
    """Return the bearer with the shape and scale whose quantiles are nearest to these delays.

    calm_ns  (n,) int64, ns
    """
    wanted_ms = np.quantile(calm_ns / NS_PER_MS, _LEVELS)
    wide_ms = float(wanted_ms[-1] - wanted_ms[0])
    found: list[tuple[float, Bearer]] = []
    for shape in get_args(Shape):

        def tried(scale_ms: float, shape: Shape = shape) -> tuple[float, Bearer]:
            one = _without_spells(replace(
                bearer, jitter_shape=shape, jitter_scale_ms=_number(scale_ms, said, calm_ns.size),
                one_way_ms=_number(0.0, said, calm_ns.size),
            ))  # fmt: skip
            drawn_ms = np.quantile(_carried(one, _SAMPLE, interval_ns, seed) / NS_PER_MS, _LEVELS)
            shift_ms = max(0.0, float(np.median(wanted_ms - drawn_ms)))
            off_ms = float(np.abs(wanted_ms - drawn_ms - shift_ms).mean())
            return off_ms, replace(
                bearer, jitter_shape=shape, jitter_scale_ms=one.jitter_scale_ms,
                one_way_ms=_number(shift_ms, said, calm_ns.size),
            )  # fmt: skip

        found.append(tried(0.0) if shape == "none" else _least(tried, 2 * wide_ms + 0.01))
    # The first of those that are as near as any: what needs no shape has none.
    nearest = min(off for off, _ in found)
    return next(one for off, one in found if off <= nearest * 1.02 + 0.01)


def _least(tried: Callable[[float], tuple[float, Bearer]], high: float) -> tuple[float, Bearer]:
    """Return the best that a golden-section search between 0 and `high` finds."""
    low = 0.0
    marks = [high - _GOLDEN * high, _GOLDEN * high]
    values = [tried(one) for one in marks]
    for _ in range(_SCALES):
        if values[0][0] <= values[1][0]:
            high, marks[1], values[1] = marks[1], marks[0], values[0]
            marks[0] = high - _GOLDEN * (high - low)
            values[0] = tried(marks[0])
        else:
            low, marks[0], values[0] = marks[0], marks[1], values[1]
            marks[1] = low + _GOLDEN * (high - low)
            values[1] = tried(marks[1])
    return min(values, key=lambda one: one[0])


def _without_spells(bearer: Bearer) -> Bearer:
    never = _number(0.0, "", 0)
    return replace(
        bearer, stall_interval_s=never, busy_interval_s=never, outage_interval_s=never,
        loss_pct=never, loss_burst_packets=_number(1.0, "", 0),
    )  # fmt: skip


def _carried(bearer: Bearer, count: int, interval_ns: int, seed: int) -> NDArray[np.int64]:
    """Return the transits of an even stream through a bearer: (count,) int64 ns, or LOST_NS."""
    spells = [
        of(bearer, stream(seed, purpose, node="fit"))
        for of, purpose in ((busy_of, Purpose.BUSY), (outages_of, Purpose.OUTAGE))
    ]
    link = Link(
        bearer, seed=seed, commune="", node="fit", packet_bits=_PACKET_BITS,
        busy=spells[0], outages=spells[1],
    )  # fmt: skip
    depart_ns = np.arange(count, dtype=np.int64) * interval_ns
    arrive_ns = link.carry(depart_ns, np.arange(count))
    return np.where(arrive_ns == LOST_NS, LOST_NS, arrive_ns - depart_ns)


def _spells(
    kind: str, unit: str, lengths: NDArray[np.float64], passed_ns: int, said: str
) -> dict[str, Any]:
    """Return interval and bounds of spells of these lengths: (m,) float64, in `unit`."""
    count = lengths.size
    said = f"{said}, {count} of them"
    mean_s = passed_ns / NS_PER_S / count if count else 0.0
    low, high = (float(lengths.min()), float(lengths.max())) if count else (0.0, 0.0)
    return {
        f"{kind}_interval_s": _number(mean_s, said, count),
        f"{kind}_min_{unit}": _number(low, said, count),
        f"{kind}_max_{unit}": _number(high, said, count),
    }


def _number(value: float, source: str, events: int) -> Number:
    return Number(value=float(f"{value:.4g}"), source=source, verified=events >= _EVENTS_MIN)


def _runs(of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return first index and length of each run of True: of (n,) bool gives (m, 2) int64."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], of, [False]]).astype(np.int8)))
    first, end = edges[::2], edges[1::2]
    return np.stack([first, end - first], axis=1).astype(np.int64)


def _distance(some: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return Kolmogorov's distance of two samples, (n,) and (m,) int64 ns: 1 ms is none."""
    some, others = np.sort(some), np.sort(others)
    both = np.concatenate([some, others])
    gaps = []
    for one, other in ((some, others), (others, some)):
        there = np.searchsorted(one, both, side="right") / one.size
        later = np.searchsorted(other, both + NS_PER_MS, side="right") / other.size
        gaps.append(float((there - later).max()))
    return max(*gaps, 0.0)


def _percentiles(transit_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.quantile(transit_ns / NS_PER_MS, np.linspace(0, 1, 101))
    return found
