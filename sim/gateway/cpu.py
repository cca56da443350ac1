"""The CPU of a gateway: what each stage costs, in what order, and what is not done in time.

The node is one Python process, and its interpreter lock lets one thread run at a time: so a node
is a single server, first come first served, whatever its cores. That errs on the safe side:
decoding releases the lock.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Profile
from node.kernel import kernel
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, between, raw_draws, stream

_US: Final = 1000
_DECODE_MS: Final = 20
"""`decode_us` of a board stands for so much audio."""

_RARE: Final = 8192
"""`wake_max_us` is passed once in so many periods."""


@kernel("int64(int64, int64[::1], int64[::1], int64[::1])")
def serve(
    free_ns: int,
    ready_ns: NDArray[np.int64],
    cost_ns: NDArray[np.int64],
    done_ns: NDArray[np.int64],
) -> int:
    """Serve jobs in the order of `ready_ns`; fill `done_ns`, return when the server is free.

    ready_ns, cost_ns, done_ns   (n,) int64, ready_ns ascending
    """
    for i in range(ready_ns.shape[0]):
        free_ns = max(free_ns, ready_ns[i]) + cost_ns[i]
        done_ns[i] = free_ns
    return free_ns


class Host:
    """The CPU of one node, chunk by chunk."""

    def __init__(
        self, profile: Profile, *, seed: int, commune: str, node: str, packet_ms: int
    ) -> None:
        board, card = profile.board, profile.sound_card
        self._bits = stream(seed, Purpose.WAKE, commune=commune, node=node)
        self._receive_ns = round(board.receive_us.value * _US)
        self._render_ns = round(board.render_us.value * _US)
        self._decode_ns = round(board.decode_us.value * _US * packet_ms / _DECODE_MS)
        self._wake_p50_ns = round(board.wake_p50_us.value * _US)
        self._wake_max_ns = round(board.wake_max_us.value * _US)
        self._period_ns = card.period_samples.value * NS_PER_S // card.rate_hz.value
        self._packet_ns = packet_ms * NS_PER_MS
        self._free_ns = 0
        self._first_wake = 0
        self._wakes_ns = np.zeros(0, np.int64)
        slack = (card.periods.value - 1) * self._period_ns
        self.queued_ns = slack
        """From the tick at which a period is asked for to its first sample entering the DAC."""

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
        ready: NDArray[np.int64] = np.maximum.accumulate(tick_ns + self._wakes_ns[: tick_ns.size])
        return ready

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
        ready_ns = np.concatenate([arrive_ns, period_ready_ns])
        periods_ns = self._cost_ns(first_period, period_ready_ns.size)
        cost_ns = np.concatenate([np.full(arrive_ns.size, self._receive_ns), periods_ns])
        order = np.argsort(ready_ns, kind="stable")
        done_ns = np.empty(ready_ns.size, np.int64)
        finished = np.empty(ready_ns.size, np.int64)
        self._free_ns = serve(self._free_ns, ready_ns[order], cost_ns[order], finished)
        done_ns[order] = finished
        return done_ns[: arrive_ns.size], done_ns[arrive_ns.size :]

    def _cost_ns(self, first_period: int, count: int) -> NDArray[np.int64]:
        """Return the cost of each period: a packet is decoded in those where one begins."""
        at_ns = (first_period + np.arange(count + 1, dtype=np.int64)) * self._period_ns
        begun = at_ns // self._packet_ns
        return self._render_ns + (begun[1:] - begun[:-1]) * self._decode_ns

    def _draw_wakes_ns(self, count: int) -> NDArray[np.int64]:
        """Return the wake-up latency: uniform about its median, and now and then the worst."""
        raw = raw_draws(self._bits, count)
        usual_ns = between(raw, self._wake_p50_ns // 2, self._wake_p50_ns * 3 // 2)
        rare = (raw & np.uint64(_RARE - 1)) == 0
        return np.where(rare, self._wake_max_ns, usual_ns)
