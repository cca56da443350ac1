"""One direction of one path, chunk by chunk: a modelled link or a recorded one."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, new
from node.units import NS_PER_MS
from sim.chance.rng import Purpose, from_table, raw_draws, stream
from sim.chance.tables_quantiles import GAMMA_2, GEV_02, LOGNORMAL_06
from sim.links import kernel
from sim.links.bearer import Bearer
from sim.links.shared import SharedQueue
from sim.links.spells import Spells, stalls_of

# Copies, for a kernel takes no array that is frozen; one for all links.
_SHAPES: Final = {
    "gev": GEV_02.copy(), "lognormal": LOGNORMAL_06.copy(), "gamma": GAMMA_2.copy()
}  # fmt: skip
_NO_SHAPE: Final = np.zeros(0, np.int64)
_ALWAYS: Final = 1 << 32


class Channel(Protocol):
    """What takes packets from one end to the other."""

    def carry(self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the arrival of each packet in ns, or LOST_NS: (n,) int64.

        depart_ns  (n,) int64, LOST_NS for what was lost before
        sequence   (n,) int64, which of all packets of the run each one is
        """


class Link:
    """A link by the model of its bearer, with cell processes that its neighbours share."""

    def __init__(
        self,
        bearer: Bearer,
        *,
        seed: int,
        commune: str,
        node: str,
        packet_bits: int,
        busy: Spells,
        outages: Spells,
    ) -> None:
        self._loss_bits = stream(seed, Purpose.LOSS, commune=commune, node=node)
        self._jitter_bits = stream(seed, Purpose.JITTER, commune=commune, node=node)
        self._stalls = stalls_of(bearer, stream(seed, Purpose.STALL, commune=commune, node=node))
        self._busy = busy
        self._outages = outages
        self._ends_ns = np.empty(2, np.int64)
        self._direction = direction_of(bearer, packet_bits)
        self._table = _SHAPES.get(bearer.jitter_shape, _NO_SHAPE)
        self._scale_us = round(bearer.jitter_scale_ms.value * 1000)
        self._queue_ns = round(bearer.queue_ms.value * NS_PER_MS)
        # The first packet meets the loss process in its long-run state.
        first = int(raw_draws(self._loss_bits, 1)[0] >> np.uint64(32))
        self._direction["bad"] = int(first < bearer.loss_pct.value / 100 * _ALWAYS)

    def carry(self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when each packet arrives.

        depart_ns  (n,) int64, when each leaves; LOST_NS for what was lost before
        sequence   (n,) int64, index of each packet, from 0

        The result is (n,) int64 in ns, LOST_NS for what is lost here or was before.
        """
        count = depart_ns.shape[0]
        if count == 0:
            return np.empty(0, np.int64)
        loss, jitter = (raw_draws(one, count) for one in (self._loss_bits, self._jitter_bits))
        depart_ns = np.ascontiguousarray(depart_ns)
        # Neighbours ask the cell for the same span, for they get the same packets.
        begin_ns = end_ns = 0
        if kernel.span(depart_ns, self._ends_ns):
            begin_ns, end_ns = self._ends_ns.tolist()
            end_ns += self._queue_ns + 1
        spells = [one.until(begin_ns, end_ns) for one in (self._stalls, self._busy, self._outages)]
        stalls, busy, _ = map(len, spells)
        arrive_ns = np.empty(count, np.int64)
        kernel.send(
            self._direction,
            self._table,
            self._scale_us,
            new(kernel.Passing, min(count, kernel.AT_ONCE)),
            loss,
            jitter,
            depart_ns,
            arrive_ns,
            np.concatenate(spells),
            np.array([stalls, stalls + busy]),
        )
        return arrive_ns


class Trace:
    """A recorded path: the transit of packet i, again from the start when it ends.

    Parameters
    ----------
    transit_ns : (n,) int64
        ns, LOST_NS for what was lost.
    queue : SharedQueue or None
        Its rate, where that is known. What a packet by itself takes there is in what was recorded.
    """

    def __init__(self, transit_ns: NDArray[np.int64], queue: SharedQueue | None = None) -> None:
        assert transit_ns.size, "traces are checked when they are read"
        self._transit_ns = transit_ns
        self._queue = queue

    def carry(self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when each packet arrives.

        depart_ns  (n,) int64, when each leaves; LOST_NS for what was lost before
        sequence   (n,) int64, index of each packet, from 0

        The result is (n,) int64 in ns, LOST_NS for what is lost here or was before.
        """
        if self._queue is not None:
            wait_ns = self._queue.wait_ns(depart_ns[:, np.newaxis])[:, 0]
            depart_ns = np.where(
                wait_ns == kernel.LOST_NS,
                kernel.LOST_NS,
                depart_ns + wait_ns - self._queue.transmit_ns,
            )
        transit_ns = self._transit_ns[sequence % self._transit_ns.shape[0]]
        lost = (transit_ns == kernel.LOST_NS) | (depart_ns == kernel.LOST_NS)
        return np.where(lost, kernel.LOST_NS, depart_ns + transit_ns)


def jitter_of(bearer: Bearer, raw: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return draws of what comes on top of the bearer's transit.

    raw  (n,) uint64, bits as they were drawn

    The result is (n,) int64 in ns, >= 0.
    """
    return drawn_of(bearer.jitter_shape, round(bearer.jitter_scale_ms.value * 1000), raw)


def drawn_of(shape: str, scale_us: int, raw: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return draws of a shape.

    raw  (n,) uint64, bits as they were drawn

    The result is (n,) int64 in ns, >= 0.
    """
    table = _SHAPES.get(shape)
    if table is None:
        return np.zeros(raw.size, np.int64)
    return 1000 * from_table(raw, table, scale=scale_us)


def direction_of(bearer: Bearer, packet_bits: int) -> Records[kernel.Direction]:
    """Return one direction of a link that nothing has passed yet: an array of one."""
    loss = bearer.loss_pct.value / 100
    leave = 1 / bearer.loss_burst_packets.value
    enter = 1.0 if loss >= 1 else leave * loss / (1 - loss)
    link = new(kernel.Direction)
    link["enter_loss"] = round(min(enter, 1.0) * _ALWAYS)
    link["leave_loss"] = 0 if loss >= 1 else round(leave * _ALWAYS)
    link["one_way_ns"] = round(bearer.one_way_ms.value * NS_PER_MS)
    link["transmit_ns"] = round(packet_bits * NS_PER_MS / bearer.rate_kbit_s.value)
    link["queue_ns"] = round(bearer.queue_ms.value * NS_PER_MS)
    return link
