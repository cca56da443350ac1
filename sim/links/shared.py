"""One rate and one queue for all who share them: copies of packets that leave one after another."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.units import NS_PER_MS
from sim.links.kernel import LOST_NS

FREE_NS: Final = 0
"""State: when what came before has left."""
DROPPED: Final = 1
"""State: copies for which the queue had no room."""


@kernel("void(int64[::1], int64, int64, int64[:, ::1], int64[:, ::1])")
def queue_copies(
    state: NDArray[np.int64],
    transmit_ns: int,
    queue_ns: int,
    come_ns: NDArray[np.int64],
    leave_ns: NDArray[np.int64],
) -> None:
    """Let copies pass in their order; `leave_ns` gets when each is through, or LOST_NS.

    state        (2,) int64, kept between calls: ns, and a count
    transmit_ns  time that one copy takes
    queue_ns     a copy that would wait longer is dropped
    come_ns      (n, k) int64: a row per packet, a column per receiver; LOST_NS for what never came
    leave_ns     (n, k) int64, filled
    """
    for i in range(come_ns.shape[0]):
        for j in range(come_ns.shape[1]):
            leave_ns[i, j] = LOST_NS
            if come_ns[i, j] == LOST_NS:
                continue
            start_ns = max(come_ns[i, j], state[FREE_NS])
            if start_ns - come_ns[i, j] > queue_ns:
                state[DROPPED] += 1
                continue
            state[FREE_NS] = start_ns + transmit_ns
            leave_ns[i, j] = state[FREE_NS]


@kernel("void(int64[::1], int64[::1], int64, int64, int64[::1], int64[:, ::1])")
def queue_alike(
    state: NDArray[np.int64],
    transmits_ns: NDArray[np.int64],
    queue_ns: int,
    copies: int,
    come_ns: NDArray[np.int64],
    leave_ns: NDArray[np.int64],
) -> None:
    """Let the copies of each packet pass that all come at once: as `queue_copies`, of some columns.

    state         (2,) int64, kept between calls: ns, and a count
    transmits_ns  (n,) int64, time that one copy of each packet takes
    queue_ns      a copy that would wait longer is dropped
    copies        of each packet
    come_ns       (n,) int64, of all copies of each packet
    leave_ns      (n, k) int64: in, which copy each column is; out, when it is through, or LOST_NS
    """
    for i in range(come_ns.shape[0]):
        transmit_ns = transmits_ns[i]
        start_ns = max(come_ns[i], state[FREE_NS])
        room_ns = queue_ns - (start_ns - come_ns[i])
        served = 0
        if room_ns >= 0:
            served = copies if transmit_ns == 0 else min(copies, room_ns // transmit_ns + 1)
        for j in range(leave_ns.shape[1]):
            copy = leave_ns[i, j]
            leave_ns[i, j] = start_ns + (copy + 1) * transmit_ns if copy < served else LOST_NS
        if served > 0:
            state[FREE_NS] = start_ns + served * transmit_ns
        state[DROPPED] += copies - served


class SharedQueue:
    """A backhaul, or a cell, that several receivers' copies of a stream pass.

    Parameters
    ----------
    rate_kbit_s : float
        Of all together.
    queue_ms : float
        Longest wait.
    packet_bits : int
        Of one copy, with headers.
    left : sequence of (start, end, share), optional
        From when to when others leave only so much of the rate, ns.
    """

    def __init__(
        self,
        rate_kbit_s: float,
        queue_ms: float,
        packet_bits: int,
        left: Sequence[tuple[int, int, float]] = (),
    ) -> None:
        self._left = tuple(left)
        self._edges_ns = sorted({at for one in self._left for at in one[:2]})
        self._packet_bits = packet_bits
        self._transmit_ns = round(packet_bits * NS_PER_MS / rate_kbit_s)
        self._queue_ns = round(queue_ms * NS_PER_MS)
        self._state = np.zeros(2, np.int64)

    @property
    def transmit_ns(self) -> int:
        """What one copy takes where nobody is before it and others leave all of the rate."""
        return self._transmit_ns

    @property
    def dropped(self) -> int:
        """Copies that were dropped so far."""
        return int(self._state[DROPPED])

    def wait_ns(self, come_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how much later than it came each copy is through.

        come_ns  (n, k) int64: a row per packet, a column per receiver; LOST_NS for what never came

        The result is (n, k) int64 in ns, LOST_NS for what never came or was dropped.
        """
        come_ns = np.ascontiguousarray(come_ns)
        leave_ns = np.empty_like(come_ns)
        # Rows are in the order of time, but for what never came.
        when_ns = np.maximum.accumulate(come_ns.max(axis=1, initial=0))
        rows = [0, *np.searchsorted(when_ns, self._edges_ns).tolist(), when_ns.size]
        for begins_ns, (first, last) in zip((-1, *self._edges_ns), pairwise(rows), strict=True):
            shares = [share for start, end, share in self._left if start <= begins_ns < end]
            transmit_ns = round(self._transmit_ns / prod(shares))
            part = slice(first, last)
            queue_copies(self._state, transmit_ns, self._queue_ns, come_ns[part], leave_ns[part])
        return np.where(leave_ns == LOST_NS, LOST_NS, leave_ns - come_ns)

    def wait_alike_ns(
        self,
        come_ns: NDArray[np.int64],
        copies: int,
        columns: NDArray[np.int64],
        *,
        more_bits: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return what `wait_ns` would for some receivers of packets whose copies come all at once.

        come_ns    (n,) int64, ns
        copies     of each packet
        columns    (k,) int64, index of each of the receivers asked about
        more_bits  (n,) int64, by so much each packet is larger; None: by nothing

        The result is (n, k) int64 in ns, LOST_NS for what was dropped.
        """
        leave_ns = np.tile(columns, (come_ns.size, 1))
        transmits_ns = np.full(come_ns.size, self._transmit_ns)
        if more_bits is not None:
            transmits_ns += self._transmit_ns * more_bits // self._packet_bits
        queue_alike(self._state, transmits_ns, self._queue_ns, copies, come_ns, leave_ns)
        return np.where(leave_ns == LOST_NS, LOST_NS, leave_ns - come_ns[:, np.newaxis])
