"""The CPU of a gateway: what each stage costs, in what order, and what is not done in time.

The node is one Python process, and its interpreter lock lets one thread run at a time: so a node
is a single server, first come first served, whatever its cores. That errs on the safe side:
decoding releases the lock.
"""

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Profile
from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, new, whole
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, drawn_between, raw_draws, stream

_US: Final = 1000
_DECODE_MS: Final = 20
"""`decode_us` of a board stands for so much audio."""

_RARE: Final = 8192
"""`wake_max_us` is passed once in so many periods."""


def cpu_load(profile: Profile) -> float:
    """Return the share of a period that a CPU takes to play one: above 1 it never catches up."""
    board, card = profile.board, profile.sound_card
    period_us = 1e6 * card.period_samples.value / card.rate_hz.value
    decode_us = board.decode_us.value * period_us / (1000 * _DECODE_MS)
    return (board.render_us.value + decode_us) / period_us


class Costs(Record):
    """What a CPU takes for what, and until when it is busy."""

    receive_ns: int = whole("ns", "For a datagram.")
    render_ns: int = whole("ns", "For a period.")
    decode_ns: int = whole("ns", "For a packet on top, in the period in which it begins.")
    period_ns: int = whole("ns", "From a period to the next.")
    packet_ns: int = whole("ns", "From a packet to the next.")
    usual_ns: int = whole("ns", "Least that a wake-up takes: half of its median.")
    spread_ns: int = whole("ns", "What it takes more at the most, but for the worst.")
    worst_ns: int = whole("ns", "Its worst.")
    buffer_ns: int = whole("ns", "For so long the card plays on by itself.")
    free_ns: int = whole("ns", "When it has done all that came before.")


@inner_kernel("int64(int64, int64, float64[:, ::1])")
def _done_ns(start_ns: int, cost_ns: int, speeds: NDArray[np.float64]) -> int:
    """Return when something is done that takes so long at full speed, whatever becomes of that.

    speeds  (2, k) float64, from when on, ns, ascending, what share of its speed is left
    """
    last = speeds.shape[1] - 1
    if last == 0:
        return start_ns + cost_ns
    at_ns, left_ns = float(start_ns), float(cost_ns)
    for i in range(last):
        end_ns, share = speeds[0, i + 1], speeds[1, i]
        if end_ns > at_ns:
            if at_ns + left_ns / share <= end_ns:
                return int(at_ns + left_ns / share)
            left_ns -= (end_ns - at_ns) * share
            at_ns = end_ns
    return int(at_ns + left_ns / speeds[1, last])


@kernel("int64(Costs[::1], int64, int64[::1], int64[::1], int64[::1], float64[:, ::1])")
def serve(
    costs: Records[Costs],
    first: int,
    packets_ns: NDArray[np.int64],
    ready_ns: NDArray[np.int64],
    finish_ns: NDArray[np.int64],
    speeds: NDArray[np.float64],
) -> int:
    """Serve datagrams and periods in the order in which they are ready; return when it is free.

    first       number of the first period since the node's start
    packets_ns  (n,) int64, arrivals of datagrams, ascending; they go before a period of that
                instant. Then when each is done
    ready_ns    (m,) int64, when the audio thread runs for each period, ascending
    finish_ns   (m,) int64, filled
    speeds      (2, k) float64, from when on, ns, ascending, what share of its speed is left: the
                first is the whole of it, from the beginning on
    """
    # Read once: what is written below may lie anywhere, so each further look would be a load.
    own = costs[0]
    receive_ns, render_ns, decode_ns = own.receive_ns, own.render_ns, own.decode_ns
    period_ns, packet_ns = own.period_ns, own.packet_ns
    buffer_ns, free_ns = own.buffer_ns, own.free_ns
    into_ns = first * period_ns % packet_ns
    come = 0
    for i in range(ready_ns.shape[0] + 1):
        while come < packets_ns.shape[0] and (
            i == ready_ns.shape[0] or packets_ns[come] <= ready_ns[i]
        ):
            free_ns = _done_ns(max(free_ns, packets_ns[come]), receive_ns, speeds)
            packets_ns[come] = free_ns
            come += 1
        if i < ready_ns.shape[0]:
            # A packet is decoded in those periods where one begins.
            cost_ns = render_ns
            into_ns += period_ns
            while into_ns >= packet_ns:
                into_ns -= packet_ns
                cost_ns += decode_ns
            free_ns = max(free_ns, ready_ns[i])
            if free_ns - ready_ns[i] <= buffer_ns:  # else its time is over, and nobody renders it
                free_ns = _done_ns(free_ns, cost_ns, speeds)
            finish_ns[i] = free_ns
    own.free_ns = free_ns
    return int(free_ns)


@inner_kernel("int64(Costs, uint64)")
def wake_ns(own: Costs, raw: int) -> int:
    """Return a wake-up latency: uniform about the median as by `between`, now and then the worst.

    raw  bits of one draw
    """
    if raw & np.uint64(_RARE - 1) == np.uint64(0):
        return int(own.worst_ns)
    return int(drawn_between(own.usual_ns, own.usual_ns + own.spread_ns, raw))


@kernel("void(Costs[::1], uint64[::1], int64[::1])")
def wake(costs: Records[Costs], raw: NDArray[np.uint64], wakes_ns: NDArray[np.int64]) -> None:
    """Draw wake-up latencies, one for each of the raw integers.

    raw       (n,) uint64, bits as they were drawn
    wakes_ns  (n,) int64, filled
    """
    for i in range(raw.shape[0]):
        wakes_ns[i] = wake_ns(costs[0], raw[i])


@kernel("void(int64[::1], int64[::1], int64[::1])")
def _get_ready(
    tick_ns: NDArray[np.int64], wakes_ns: NDArray[np.int64], ready_ns: NDArray[np.int64]
) -> None:
    """Wake up for each period, one after the other.

    tick_ns   (m,) int64, when the sound card asks
    wakes_ns  (m or more,) int64, how much later that is heard of
    ready_ns  (m,) int64, filled
    """
    before_ns = np.int64(-(1 << 62))
    for i in range(tick_ns.shape[0]):
        before_ns = max(before_ns, tick_ns[i] + wakes_ns[i])
        ready_ns[i] = before_ns


def queued_ns(profile: Profile) -> int:
    """Return how long after a tick the first sample of what is asked for enters the DAC."""
    return (profile.sound_card.periods.value - 1) * card_period_ns(profile)


def card_period_ns(profile: Profile) -> int:
    """Return how long a period of the sound card is."""
    card = profile.sound_card
    return card.period_samples.value * NS_PER_S // card.rate_hz.value


def costs_of(profile: Profile, packet_ms: int) -> Records[Costs]:
    """Return what a CPU takes for what, that has done nothing yet: an array of one."""
    board = profile.board
    wake_ns = round(board.wake_p50_us.value * _US)
    costs = new(Costs)
    for name, value in (
        ("receive_ns", round(board.receive_us.value * _US)),
        ("render_ns", round(board.render_us.value * _US)),
        ("decode_ns", round(board.decode_us.value * _US * packet_ms / _DECODE_MS)),
        ("period_ns", card_period_ns(profile)),
        ("packet_ns", packet_ms * NS_PER_MS),
        ("usual_ns", wake_ns // 2),
        ("spread_ns", wake_ns * 3 // 2 - wake_ns // 2),
        ("worst_ns", round(board.wake_max_us.value * _US)),
        ("buffer_ns", queued_ns(profile)),
    ):
        costs[name] = value
    return costs


class Host:
    """The CPU of one node, chunk by chunk."""

    def __init__(
        self,
        profile: Profile,
        *,
        seed: int,
        commune: str,
        node: str,
        packet_ms: int,
        left: Sequence[tuple[int, int, float]] = (),
    ) -> None:
        """`left`: from when to when only so much of its speed is, ns."""
        edges_ns = sorted({at for one in left for at in one[:2]})
        shares = [prod(share for start, end, share in left if start <= at < end) for at in edges_ns]
        self._speeds = np.array([[-(1 << 62), *edges_ns], [1, *shares]], np.float64)
        self._bits = stream(seed, Purpose.WAKE, commune=commune, node=node)
        self._costs = costs_of(profile, packet_ms)
        self.queued_ns = queued_ns(profile)
        """From the tick at which a period is asked for to its first sample entering the DAC."""
        self._first_wake = 0
        self._wakes_ns = np.zeros(0, np.int64)

    def ready_ns(self, first_period: int, tick_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the audio thread runs for each period: (m,) int64, ascending.

        Parameters
        ----------
        first_period : int
            Number of the first period since the node's start; never less than before.
        tick_ns : (m,) int64
            When the sound card asks for each period, ascending.
        """
        self._wakes_ns = self._wakes_ns[first_period - self._first_wake :]
        self._first_wake = first_period
        missing = max(0, tick_ns.size - self._wakes_ns.size)
        self._wakes_ns = np.concatenate([self._wakes_ns, self._draw_wakes_ns(missing)])
        ready_ns = np.empty(tick_ns.size, np.int64)
        _get_ready(tick_ns, self._wakes_ns, ready_ns)
        return ready_ns

    def run(
        self, arrive_ns: NDArray[np.int64], first_period: int, period_ready_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return when each datagram is in the jitter buffer and each period is finished, in ns.

        Parameters
        ----------
        arrive_ns : (n,) int64
            Arrivals at the network card, ascending.
        first_period : int
            Number of the first period of this chunk since the node's start.
        period_ready_ns : (m,) int64
            When the audio thread runs for each period: of `ready_ns`.

        Returns
        -------
        (n,) int64 and (m,) int64
            Both in ns.
        """
        done_ns = np.array(arrive_ns, np.int64)
        finish_ns = np.empty(period_ready_ns.size, np.int64)
        serve(self._costs, first_period, done_ns, period_ready_ns, finish_ns, self._speeds)
        return done_ns, finish_ns

    def _draw_wakes_ns(self, count: int) -> NDArray[np.int64]:
        """Return the next wake-up latencies."""
        wakes_ns = np.empty(count, np.int64)
        wake(self._costs, raw_draws(self._bits, count), wakes_ns)
        return wakes_ns
