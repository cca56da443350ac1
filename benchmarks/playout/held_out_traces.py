"""Arrival traces that nobody tuned to: the families of village links, drawn from a seed.

Each family draws its parameters (how high, how often, how regular) as well as its noise, so that
no two traces are alike. Set A is for looking at while the estimator is changed; set B is for the
figures that are reported. All are ours and free.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.playout_drive import Trace, make_trace

SECONDS: Final = 480
SETS: Final = {"A": 1, "B": 2}

Delays = NDArray[np.float64]
Made = tuple[Delays, Delays]
"""Send and arrival times in ms; NaN where lost."""

_LTE_QUEUE_MAX_MS: Final = 1500.0
"""Tail drop, as in the recorded trace of shared/traces."""


def family_names() -> list[str]:
    """Return the names of the families, in the order in which they are printed."""
    return list(_FAMILIES)


def held_out(family: str, which: str, draw: int) -> Trace:
    """Return trace number `draw` of a family from set `which` (A or B)."""
    place = family_names().index(family)
    rng = np.random.default_rng([SETS[which], place, draw])
    send_ms, arrival_ms = _FAMILIES[family](rng)
    return make_trace(family, send_ms, arrival_ms)


def _sent(packet_ms: float = 20.0) -> Delays:
    return np.arange(int(SECONDS * 1000 / packet_ms), dtype=np.float64) * packet_ms


def _in_order(arrival_ms: Delays) -> Delays:
    """Return the arrivals of a link that does not let packets overtake."""
    return np.asarray(np.maximum.accumulate(arrival_ms))


def _lognormal(rng: np.random.Generator, n: int, *, mid_ms: float, spread: float) -> Delays:
    """Return correlated lognormal delays: (n,) ms with median `mid_ms`."""
    memory = rng.uniform(0.5, 0.95)
    noise = rng.standard_normal(n) * np.sqrt(1 - memory**2)
    level = np.empty(n)
    now = 0.0
    for i in range(n):
        now = memory * now + noise[i]
        level[i] = now
    return np.asarray(mid_ms * np.exp(spread * level))


def _lose(rng: np.random.Generator, arrival_ms: Delays, loss: float, burst: float) -> Delays:
    """Lose packets after Gilbert and Elliott: this share, in bursts of this mean length."""
    ends, begins = 1 / burst, loss / (1 - loss) / burst
    drawn = rng.random(arrival_ms.size)
    is_bad = False
    for i in range(arrival_ms.size):
        is_bad = drawn[i] >= ends if is_bad else drawn[i] < begins
        if is_bad:
            arrival_ms[i] = np.nan
    return arrival_ms


def _stall(arrival_ms: Delays, begins_ms: Delays, lengths_ms: Delays) -> Delays:
    """Hold all that would arrive during a stall until it ends."""
    for begin, length in zip(begins_ms, lengths_ms, strict=True):
        caught = (arrival_ms >= begin) & (arrival_ms < begin + length)
        arrival_ms[caught] = begin + length
    return arrival_ms


def _spikes(rng: np.random.Generator, send_ms: Delays, arrival_ms: Delays, count: int) -> Delays:
    """Add queue spikes of 100 to 450 ms: each rises at once and drains with the link."""
    lowest, highest = 100.0, rng.uniform(200, 450)
    for begin in rng.uniform(0, send_ms[-1], count):
        height, drain = rng.uniform(lowest, highest), rng.uniform(0.3, 2.0)
        extra = height - (send_ms - begin) * drain
        arrival_ms += np.where((send_ms >= begin) & (extra > 0), extra, 0.0)
    return arrival_ms


def _ge_mild(rng: np.random.Generator) -> Made:
    send = _sent()
    delay = _lognormal(rng, send.size, mid_ms=rng.uniform(5, 20), spread=rng.uniform(0.3, 0.7))
    return send, _lose(rng, _in_order(send + 20 + delay), rng.uniform(0.002, 0.01), 1.5)


def _ge_harsh(rng: np.random.Generator) -> Made:
    send = _sent()
    delay = _lognormal(rng, send.size, mid_ms=rng.uniform(20, 50), spread=rng.uniform(0.6, 0.9))
    loss, burst = rng.uniform(0.02, 0.06), rng.uniform(1.5, 5)
    return send, _lose(rng, send + 20 + np.minimum(delay, 900), loss, burst)


def _route_steps(rng: np.random.Generator, *, spikes: int) -> Made:
    send = _sent()
    arrival = send + 20 + _lognormal(rng, send.size, mid_ms=8, spread=rng.uniform(0.3, 0.6))
    at = np.sort(rng.uniform(20_000, send[-1], int(rng.integers(2, 9))))
    routes = rng.uniform(0, rng.uniform(60, 180), at.size + 1)
    arrival += routes[np.searchsorted(at, send)]
    arrival = _spikes(rng, send, arrival, spikes)
    return send, _lose(rng, _in_order(arrival), 0.002, 1.2)


def _steps(rng: np.random.Generator) -> Made:
    return _route_steps(rng, spikes=0)


def _steps_and_spikes(rng: np.random.Generator) -> Made:
    return _route_steps(rng, spikes=int(rng.integers(8, 60)))


def _clockwork(rng: np.random.Generator) -> Made:
    return _stalls(rng, wobble_ms=float(rng.uniform(0, 20)))


def _loose_clockwork(rng: np.random.Generator) -> Made:
    return _stalls(rng, wobble_ms=float(rng.uniform(60, 400)))


def _stalls(rng: np.random.Generator, *, wobble_ms: float) -> Made:
    """Stalls of a period of 5 to 60 s that begin up to some `wobble_ms` beside it."""
    send = _sent()
    arrival = send + 10 + rng.exponential(rng.uniform(1, 6), send.size)
    begins = np.arange(rng.uniform(0, 5000), send[-1], rng.uniform(5_000, 60_000))
    begins = begins + rng.standard_normal(begins.size) * wobble_ms
    mid, spread = rng.uniform(80, 450), rng.uniform(0.05, 0.35)
    lengths = mid * np.exp(spread * rng.standard_normal(begins.size))
    return send, _in_order(_stall(arrival, begins, lengths))


def _stray_stalls(rng: np.random.Generator) -> Made:
    send = _sent()
    arrival = send + 10 + rng.exponential(rng.uniform(1, 6), send.size)
    begins = np.cumsum(rng.exponential(rng.uniform(4_000, 30_000), 300))
    begins = begins[begins < send[-1]]
    lengths = rng.uniform(40, rng.uniform(120, 700), begins.size)
    return send, _in_order(_stall(arrival, begins, lengths))


def _cellular(rng: np.random.Generator) -> Made:
    """Voice in a queue before a radio link whose rate wanders, beside bursts of other traffic."""
    send = _sent()
    mean_kbps, memory = rng.uniform(800, 4000), rng.uniform(0.95, 0.995)
    swing, load = rng.uniform(0.4, 1.0), rng.uniform(0.1, 0.35)
    arrival = np.full(send.size, np.nan)
    queue_bits, fade, burst_ms = 0.0, 0.0, 0.0
    drawn = rng.standard_normal(send.size)
    uniform = rng.random((send.size, 2))
    for i in range(send.size):
        fade = memory * fade + np.sqrt(1 - memory**2) * drawn[i]
        rate = mean_kbps * np.exp(swing * fade - swing**2 / 2)
        if burst_ms <= 0 and uniform[i, 0] < 0.01:
            burst_ms = -np.log(1 - uniform[i, 1]) * 2000 * load
        burst_ms -= 20
        queue_bits += mean_kbps * 20 if burst_ms > 0 else 0.0
        queue_bits = min(queue_bits, _LTE_QUEUE_MAX_MS * rate) + 800
        wait_ms = queue_bits / rate
        if wait_ms < _LTE_QUEUE_MAX_MS:
            arrival[i] = send[i] + 30 + wait_ms
        queue_bits = max(0.0, queue_bits - rate * 20)
    came = np.isfinite(arrival)
    arrival[came] = _in_order(arrival[came])
    return send, arrival


def _satellite(rng: np.random.Generator) -> Made:
    """Another satellite every 15 s: another way, a short stall, sometimes a burst of losses."""
    send = _sent()
    first = rng.uniform(0, 15_000)
    slot = ((send - first) // 15_000).astype(int) + 1
    ways = rng.uniform(20, rng.uniform(35, 70), slot.max() + 1)
    arrival = send + ways[slot] + _lognormal(rng, send.size, mid_ms=6, spread=0.5)
    begins = np.arange(first, send[-1], 15_000)
    arrival = _stall(arrival, begins, rng.uniform(20, rng.uniform(60, 250), begins.size))
    arrival = _in_order(arrival)
    for begin in begins[rng.random(begins.size) < 0.3]:
        arrival[(send >= begin) & (send < begin + rng.uniform(20, 100))] = np.nan
    return send, _lose(rng, arrival, 0.003, 1.5)


def _pauses(rng: np.random.Generator) -> Made:
    """DTX: talkspurts of some seconds, between them nothing at all; ordinary jitter and stalls."""
    send, arrival = _stray_stalls(rng)
    keep = np.zeros(send.size, bool)
    now = 0.0
    while now < send[-1]:
        talk = rng.exponential(4000) + 400
        keep |= (send >= now) & (send < now + talk)
        now += talk + rng.exponential(1500) + 200
    return send[keep], arrival[keep]


def _packets_of(packet_ms: float) -> Callable[[np.random.Generator], Made]:
    """Return the family of ordinary jitter and a few spikes in packets of this length."""

    def made(rng: np.random.Generator) -> Made:
        send = _sent(packet_ms)
        some = _lognormal(rng, send.size, mid_ms=rng.uniform(4, 15), spread=rng.uniform(0.3, 0.7))
        arrival = _spikes(rng, send, send + 20 + some, int(rng.integers(4, 20)))
        return send, _lose(rng, _in_order(arrival), 0.003, 1.5)

    return made


def _skewed(rng: np.random.Generator) -> Made:
    send = _sent()
    arrival = send * (1 + rng.choice([-300e-6, 300e-6])) + 40
    return send, _in_order(arrival + _lognormal(rng, send.size, mid_ms=8, spread=0.6))


def _drift(rng: np.random.Generator) -> Made:
    """Delay that swells and falls with the hour's load, jitter in proportion."""
    send = _sent()
    load = 0.5 - 0.5 * np.cos(2 * np.pi * send / rng.uniform(120_000, 480_000))
    jitter = _lognormal(rng, send.size, mid_ms=10, spread=rng.uniform(0.4, 0.8))
    return send, _in_order(send + 20 + load * rng.uniform(30, 120) + (0.3 + 2 * load) * jitter)


def _storms(rng: np.random.Generator) -> Made:
    """Minutes of a clean line, then a storm: losses, jitter and stalls, then clean again."""
    send, calm = _sent(), 10 + rng.exponential(1.5, SECONDS * 50)
    rough = 20 + _lognormal(rng, send.size, mid_ms=rng.uniform(20, 60), spread=0.8)
    begins = np.cumsum(rng.uniform(40_000, 150_000, 12))
    is_storm = np.zeros(send.size, bool)
    for begin in begins:
        is_storm |= (send >= begin) & (send < begin + rng.uniform(10_000, 40_000))
    arrival = send + np.where(is_storm, np.minimum(rough, 800), calm)
    begins = np.cumsum(rng.exponential(3000, 400))
    inside = is_storm[np.minimum((begins / 20).astype(int), send.size - 1)] & (begins < send[-1])
    arrival = _stall(arrival, begins[inside], rng.uniform(60, 400, int(inside.sum())))
    lost = is_storm & (rng.random(send.size) < 0.02)
    arrival = _in_order(arrival)
    arrival[lost] = np.nan
    return send, arrival


_FAMILIES: Final[dict[str, Callable[[np.random.Generator], tuple[Any, Any]]]] = {
    "ge_mild": _ge_mild,
    "ge_harsh, reordered": _ge_harsh,
    "route steps": _steps,
    "route steps and spikes": _steps_and_spikes,
    "clockwork stalls": _clockwork,
    "stalls, loose period": _loose_clockwork,
    "stalls, aperiodic": _stray_stalls,
    "cellular queue": _cellular,
    "satellite handovers": _satellite,
    "DTX with stalls": _pauses,
    "2.5 ms packets": _packets_of(2.5),
    "10 ms packets": _packets_of(10.0),
    "60 ms packets": _packets_of(60.0),
    "120 ms packets": _packets_of(120.0),
    "skew of 300 ppm": _skewed,
    "slow drift": _drift,
    "clean, then storms": _storms,
}
