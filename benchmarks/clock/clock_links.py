"""Made-up links and clocks for the measurements of `benchmarks.clock.clock`.

The figures are assumptions (docs/why.md, "Clocks"):
exponential queues over a floor, rare spikes, and for mobile a floor that is longer one way. They
stand for kinds of links, not for measured ones.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One access link: floors, mean queues, spikes and stalls."""

    name: str
    up_floor_ms: float
    down_floor_ms: float
    up_queue_ms: float
    down_queue_ms: float
    spike_ratio: float = 0.0
    spike_ms: float = 0.0
    stall_every_s: float = 0.0
    stall_max_ms: float = 0.0
    lost_ratio: float = 0.02

    def delays_ms(
        self, rng: np.random.Generator, n: int, *, up: bool, load: float = 1.0
    ) -> NDArray[np.float64]:
        """Return independent one-way delays: (n,) float64 in ms; `load` scales the mean queue."""
        floor_ms = self.up_floor_ms if up else self.down_floor_ms
        queue_ms = self.up_queue_ms if up else self.down_queue_ms
        spikes = rng.random(n) < self.spike_ratio
        delay_ms = floor_ms + load * queue_ms * rng.standard_exponential(n)
        return np.asarray(delay_ms + spikes * self.spike_ms * rng.standard_exponential(n))


LAN: Final = Link(
    name="LAN", up_floor_ms=0.1, down_floor_ms=0.1, up_queue_ms=0.15, down_queue_ms=0.15
)
WIFI: Final = Link(
    name="Wi-Fi",
    up_floor_ms=1.0,
    down_floor_ms=1.0,
    up_queue_ms=2.0,
    down_queue_ms=2.0,
    spike_ratio=0.05,
    spike_ms=30.0,
    stall_every_s=11.0,  # measured on Raspberry Pi Wi-Fi: docs/why.md
    stall_max_ms=200.0,
)
MOBILE: Final = Link(
    name="4G",
    up_floor_ms=25.0,
    down_floor_ms=18.0,
    up_queue_ms=12.0,
    down_queue_ms=8.0,
    spike_ratio=0.05,
    spike_ms=100.0,
)
MOBILE_OTHER: Final = Link(  # another operator: nothing says that its two floors differ as much
    name="4G of another operator",
    up_floor_ms=24.0,
    down_floor_ms=21.0,
    up_queue_ms=12.0,
    down_queue_ms=8.0,
    spike_ratio=0.05,
    spike_ms=100.0,
)
LINKS: Final = (LAN, WIFI, MOBILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crystal:
    """A clock: constant skew, a daily swing with the temperature, and a faster wander."""

    skew_ppm: float
    day_ppm: float = 0.0
    day_phase: float = 0.0
    wander_ppm: float = 3.0
    wander_s: float = 900.0

    def ahead_s(self, true_s: float) -> float:
        """Return by how much the clock is ahead of true time, started together."""
        ahead = self.skew_ppm * 1e-6 * true_s
        for ppm, period_s, phase in (
            (self.day_ppm, 86_400.0, self.day_phase),
            (self.wander_ppm, self.wander_s, 0.0),
        ):
            turn = 2 * np.pi / period_s
            ahead += ppm * 1e-6 / turn * (np.sin(turn * true_s + phase) - np.sin(phase))
        return float(ahead)

    def local_ns(self, true_s: float) -> int:
        """Return what the clock shows at `true_s`."""
        return round((true_s + self.ahead_s(true_s)) * NS_PER_S)

    def true_s(self, local_ns: int) -> float:
        """Return when the clock shows `local_ns`."""
        local_s = local_ns / NS_PER_S
        true_s = local_s
        for _ in range(3):
            true_s = local_s - self.ahead_s(true_s)
        return true_s
