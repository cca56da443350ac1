"""What a bad network does to datagrams, for relays in real time: delay, loss, order; seeded.

`benchmarks.rig.relay` puts it between UDP ports, `benchmarks.rig.namespaces` between network
namespaces. The simulated links of `sim.links` are another matter: they are models of bearers, in
virtual time.
"""

import argparse
import heapq
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

from node.units import NS_PER_MS, NS_PER_S

WAITING_MAX: Final = 100_000
"""Datagrams on their way; further ones are lost, as in a full queue."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What happens to each datagram, in each direction."""

    delay_ms: float = 0.0
    """Mean one-way delay."""

    jitter_ms: float = 0.0
    """The delay is uniform within so much of its mean."""

    loss_pct: float = 0.0
    """Share of datagrams lost, each by itself."""

    loss_for_s: float = float("inf")
    """From the first datagram on; then no more is lost."""

    reorder: bool = False
    """Whether a datagram may overtake another; without it a late one holds up those behind."""

    def options(self) -> list[str]:
        """Return the options of a relay's command line that mean this."""
        told = [
            f"--delay-ms={self.delay_ms}",
            f"--jitter-ms={self.jitter_ms}",
            f"--loss-pct={self.loss_pct}",
            f"--loss-for-s={self.loss_for_s}",
        ]
        return [*told, "--reorder"] if self.reorder else told


class Path:
    """One direction between two places: decides on each datagram, and keeps their order.

    Parameters
    ----------
    impairment : Impairment
        What happens.
    rng : numpy.random.Generator
        Draws two numbers per datagram.
    """

    def __init__(self, impairment: Impairment, rng: np.random.Generator) -> None:
        self._impairment = impairment
        self._rng = rng
        self._last_ns = 0
        self._first_ns: int | None = None

    def arrival_ns(self, now_ns: int) -> int | None:
        """Return when a datagram sent at `now_ns` arrives, or None when it is lost."""
        lost, place = self._rng.random(2)
        one = self._impairment
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        loses = now_ns - self._first_ns < one.loss_for_s * NS_PER_S
        if loses and lost < one.loss_pct / 100:
            return None
        delay_ms = max(0.0, one.delay_ms + (2.0 * place - 1.0) * one.jitter_ms)
        at_ns = now_ns + int(delay_ms * NS_PER_MS)
        if not one.reorder:
            at_ns = max(at_ns, self._last_ns)
            self._last_ns = at_ns
        return at_ns


class Underway(Generic[T]):
    """Datagrams between their sending and their arrival; those of one instant keep their order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, T]] = []
        self._number = 0

    def put(self, at_ns: int | None, datagram: T) -> bool:
        """Keep `datagram` until `at_ns`; False when it is lost: None, or the queue is full."""
        if at_ns is None or len(self._waiting) >= WAITING_MAX:
            return False
        self._number += 1
        heapq.heappush(self._waiting, (at_ns, self._number, datagram))
        return True

    def next_ns(self, until_ns: int) -> int:
        """Return when the next one arrives, at most `until_ns`."""
        return min(until_ns, self._waiting[0][0]) if self._waiting else until_ns

    def take(self, now_ns: int) -> T | None:
        """Return the next one that has arrived at `now_ns`, or None."""
        if not self._waiting or self._waiting[0][0] > now_ns:
            return None
        return heapq.heappop(self._waiting)[2]


def paths(impairment: Impairment, directions: int, *, seed: int) -> list[Path]:
    """Return a path for each direction, each with draws of its own."""
    seeds = np.random.SeedSequence(seed).spawn(directions)
    return [Path(impairment, np.random.default_rng(one)) for one in seeds]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an impairment, and its seed."""
    add = parser.add_argument
    add("--delay-ms", type=float, default=0.0)
    add("--jitter-ms", type=float, default=0.0)
    add("--loss-pct", type=float, default=0.0)
    add("--loss-for-s", type=float, default=float("inf"), help="then no more is lost")
    add("--reorder", action="store_true", help="let a datagram overtake another")
    add("--seed", type=int, default=1)


def from_options(options: argparse.Namespace) -> Impairment:
    """Return what `add_options` was given."""
    return Impairment(
        delay_ms=options.delay_ms,
        jitter_ms=options.jitter_ms,
        loss_pct=options.loss_pct,
        loss_for_s=options.loss_for_s,
        reorder=options.reorder,
    )
