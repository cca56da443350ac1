"""One direction of one path, chunk by chunk: a modelled link or a recorded one."""

from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, inner, new, octets
from node.units import NS_PER_MS
from sim.chance.bits import Bits, begin
from sim.chance.rng import Purpose, from_table
from sim.chance.tables_quantiles import EXPONENTIAL, GAMMA_2, GEV_02, LOGNORMAL_06
from sim.links import kernel
from sim.links.bearer import Bearer
from sim.links.known import cached_by_self
from sim.links.shared import SharedQueue
from sim.links.spells import Spells, stalls_ns

_SHAPES: Final = {"gev": GEV_02, "lognormal": LOGNORMAL_06, "gamma": GAMMA_2}
# Copies, for a kernel takes no array that is frozen; one for all links.
_TABLES: Final = {shape: np.stack([table, EXPONENTIAL]) for shape, table in _SHAPES.items()}
_NO_SHAPE: Final = np.stack([np.zeros_like(EXPONENTIAL), EXPONENTIAL])
_PURPOSES: Final = np.array([Purpose.LOSS, Purpose.JITTER, Purpose.STALL], np.int64)
"""By their places in a passage."""
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
        self._busy = busy
        self._outages = outages
        numbers = _passage_of(bearer, packet_bits).copy()
        self._passage = cast("Records[kernel.Passage]", numbers.view(kernel.Passage.dtype))
        begin(inner(self._passage, "chance", Bits), seed, _PURPOSES, commune=commune, node=node)
        self._tables = _TABLES.get(bearer.jitter_shape, _NO_SHAPE)
        self._queue_ns = round(bearer.queue_ms.value * NS_PER_MS)
        kernel.enter(self._passage, bearer.loss_pct.value / 100 * _ALWAYS)

    def carry(self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when each packet arrives.

        depart_ns  (n,) int64, when each leaves; LOST_NS for what was lost before
        sequence   (n,) int64, index of each packet, from 0

        The result is (n,) int64 in ns, LOST_NS for what is lost here or was before.
        """
        arrive_ns = np.empty(depart_ns.shape[0], np.int64)
        if arrive_ns.size == 0:
            return arrive_ns
        depart_ns = np.ascontiguousarray(depart_ns)
        # Neighbours ask the cell for the same span, for they get the same packets.
        begin_ns = end_ns = 0
        ends_ns = np.empty(2, np.int64)
        if kernel.span(depart_ns, ends_ns):
            begin_ns, end_ns = ends_ns.tolist()
            end_ns += self._queue_ns + 1
        kernel.send(
            self._passage,
            self._tables,
            depart_ns,
            arrive_ns,
            self._busy.until(begin_ns, end_ns),
            self._outages.until(begin_ns, end_ns),
        )
        return arrive_ns


class Trace:
    """A recorded path: the transit of packet i, again from the start when it ends.

    What is sent now and then meets what was there at that time instead: see `slot_ns`.

    Parameters
    ----------
    transit_ns : (n,) int64
        ns, LOST_NS for what was lost.
    queue : SharedQueue or None
        Its rate, where that is known. What a packet by itself takes there is in what was recorded.
    slot_ns : int or None
        From one recorded packet to the next: a packet takes what one took at the time when it
        leaves. None: packet i takes what packet i took.
    first : int
        The recorded packet at time 0.
    """

    def __init__(
        self,
        transit_ns: NDArray[np.int64],
        queue: SharedQueue | None = None,
        *,
        slot_ns: int | None = None,
        first: int = 0,
    ) -> None:
        assert transit_ns.size, "traces are checked when they are read"
        self._transit_ns = transit_ns
        self._queue = queue
        self._slot_ns = slot_ns
        self._first = first

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
        if self._slot_ns is not None:
            sequence = self._first + depart_ns // self._slot_ns
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


@cached_by_self
def _passage_of(bearer: Bearer, packet_bits: int) -> NDArray[np.int64]:
    """Return what a link of a bearer begins as, but for its chance: (n,) int64, to be copied.

    As numbers, for a record is copied field by field.
    """
    passage = new(kernel.Passage)
    passage["link"] = direction_of(bearer, packet_bits)
    passage["scale_us"] = round(bearer.jitter_scale_ms.value * 1000)
    stall = inner(passage, "stall", kernel.Coming)
    interval_ns, stall["shortest_ns"], stall["longest_ns"] = stalls_ns(bearer)
    stall["interval_us"] = interval_ns // 1000
    if not stall["interval_us"][0]:
        stall["start_ns"] = stall["end_ns"] = kernel.NEVER_NS
    return octets(passage).view(np.int64)


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
