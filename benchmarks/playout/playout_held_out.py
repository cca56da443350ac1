"""The adaptive buffer on traces that nobody tuned to, beside what hindsight would have done.

Per trace: J of our default, J of the fixed delay that would have been best for this very trace
(nobody can know it), and the clairvoyant bound that changes delay for free every 2 s. A ratio
below 1 is where adapting paid, above 1 what not knowing the future cost.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.held_out_traces import family_names, held_out
from benchmarks.playout.playout_drive import Trace, play
from node.config import JitterConfig

J_MS_PER_PCT: Final = 200.0
CLAIRVOYANT_WINDOW_S: Final = 2.0
DRAWS: Final = 8
"""Traces of each family."""

RATIO_MAX: Final = 1.35
FLOOR_MS: Final = 20.0
"""No trace of these families may cost more than this share of the best fixed delay in hindsight and
the floor of 20 ms: on a quiet link hindsight plays with less than the floor."""


@dataclass(frozen=True, slots=True)
class Beside:
    """J on one trace: ours, and what hindsight would have made of it."""

    family: str
    ours: float
    fixed: float
    fixed_ms: float
    clairvoyant: float
    mean_ms: float
    above_loss_pct: float

    @property
    def ratio(self) -> float:
        """Return ours over the best fixed delay's."""
        return self.ours / self.fixed


def best_fixed(trace: Trace) -> tuple[float, float]:
    """Return the fixed delay in ms that is best in hindsight, and its J."""
    held, came = _held_ms(trace)
    rank, delays = _best_of(held[came], came.size)
    late_pct = 100.0 * (delays.size - rank - 1) / came.size
    return float(delays[rank]), float(delays[rank]) + J_MS_PER_PCT * late_pct


def clairvoyant(trace: Trace) -> tuple[NDArray[np.float64], float]:
    """Return each packet's delay when every 2 s the best is chosen, and per cent too late.

    The delays are (n,) float64 in ms.
    """
    held, came = _held_ms(trace)
    window = max(1, round(CLAIRVOYANT_WINDOW_S * 48_000 / trace.samples))
    delays = np.zeros(came.size)
    late = 0
    for first in range(0, came.size, window):
        part = slice(first, first + window)
        if not came[part].any():
            delays[part] = delays[first - 1] if first else 0.0
            continue
        rank, sorted_ms = _best_of(held[part][came[part]], came[part].size)
        late += sorted_ms.size - rank - 1
        delays[part] = sorted_ms[rank]
    return delays, 100.0 * late / came.size


def _held_ms(trace: Trace) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how long after the fastest each judged packet came, in ms, and whether it did."""
    judged = trace.judged
    return (trace.transit[judged] - trace.fastest) / 48.0, trace.arrival_ns[judged] >= 0


def _best_of(held_ms: NDArray[np.float64], packets: int) -> tuple[int, NDArray[np.float64]]:
    sorted_ms = np.sort(held_ms)
    late = np.arange(sorted_ms.size - 1, -1, -1)
    return int(np.argmin(sorted_ms + 100 * J_MS_PER_PCT * late / packets)), sorted_ms


def compare(trace: Trace, config: JitterConfig) -> Beside:
    """Play one trace, and put hindsight beside it."""
    found = play(trace, config)
    delays_ms, late_pct = clairvoyant(trace)
    fixed_ms, fixed_j = best_fixed(trace)
    return Beside(
        trace.name,
        found.j,
        fixed_j,
        fixed_ms,
        float(delays_ms.mean()) + J_MS_PER_PCT * late_pct,
        found.mean_ms,
        max(0.0, found.concealed_pct - found.network_loss_pct),
    )


def compare_all(which: str, draws: int, config: JitterConfig) -> list[Beside]:
    """Return one comparison per trace of set `which`, family by family."""
    return [
        compare(held_out(family, which, draw), config)
        for family in family_names()
        for draw in range(draws)
    ]


def print_held_out(which: str, draws: int) -> list[str]:
    """Print the families of set `which`; return what is above the bound."""
    rows = compare_all(which, draws, JitterConfig(mode="adaptive"))
    print(f"\nheld out, set {which}, {draws} traces of each family: J, means of the family")
    print(
        f"  {'':24}{'ours':>7}{'fixed*':>8}{'bound':>7}   {'ratio':>6}{'worst':>7}"
        f"   {'mean ms':>7}{'above loss %':>14}"
    )
    for family in family_names():
        print(_line(family, [row for row in rows if row.family == family]))
    print(_line("all", rows))
    below = sum(row.ratio <= 1.0 for row in rows)
    print("  fixed*: the fixed delay that hindsight shows to be best, chosen trace by trace;")
    print(f"  ours is at or below it on {below} of {len(rows)} traces")
    return [
        f"{row.family}: J {row.ours:.0f} is {row.ratio:.2f} of the best fixed delay's"
        for row in rows
        if row.ours > RATIO_MAX * row.fixed + FLOOR_MS
    ]


def _line(name: str, rows: list[Beside]) -> str:
    ratios = np.array([row.ratio for row in rows])
    means = np.mean(
        [(r.ours, r.fixed, r.clairvoyant, r.mean_ms, r.above_loss_pct) for r in rows], axis=0
    )
    return (
        f"  {name:24}{means[0]:7.0f}{means[1]:8.0f}{means[2]:7.0f}"
        f"   {np.exp(np.log(ratios).mean()):6.2f}{ratios.max():7.2f}"
        f"   {means[3]:7.0f}{means[4]:14.2f}"
    )
