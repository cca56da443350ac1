"""The node asks the station for the time and for lost packets, over the links as they are then.

An answer travels like the media packet that is sent with it: the same queue, stall or loss. A
request goes the other way, of which the model knows the transit of an idle link, its jitter, and,
for lost packets, its loss: independent, for requests are rare. What is sent again does not fill
the queue of the link: at most 15 % of a stream that is a small part of it.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import ReceiveConfig
from node.rtp import rtcp
from node.rtp.retransmission import announcement
from node.units import NS_PER_S
from sim.chance.rng import Purpose, raw_draws, stream
from sim.links.channel import jitter_of
from sim.links.kernel import LOST_NS
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.repair.retransmitter import HISTORY_PACKETS, Retransmitter
from sim.sender.time_answers import SenderReports
from sim.station.copies import StationCopies
from sim.station.programme import ADDRESS, SENDER_CLOCK_NS, UDP_BYTES, Sender, Sending
from sim.village.course import cuts_ns
from sim.village.places import Place

HELD_NS: Final = 200_000
"""The station answers after so long: assumption."""

ASKED_BEFORE_NS: Final = 6 * NS_PER_S
"""No request is older than this beside the newest packet of which it is known how it fares; links
run ahead by less."""

DRAWS: Final = 64
"""Requests that are drawn for at once."""
ALWAYS: Final = 1 << 32


class SentLately:
    """What the station sent lately: the same for all nodes, so they remember it once."""

    def __init__(self) -> None:
        self.first = 0
        """Number of the first packet that is remembered."""
        self.send_ns = array("q")
        self.datagrams: list[bytes] = []
        self.asked_from = 0
        """Number of the oldest packet that a request from now on may ask for."""

    def note_chunk(self, sending: Sending) -> None:
        """Note a chunk, whichever node comes first with it."""
        if sending.first < self.first + len(self.send_ns):
            return
        # Nodes that come later with it still look at what was asked for until now.
        old = self.asked_from - self.first
        if self.send_ns:
            oldest_ns = self.send_ns[-1] - ASKED_BEFORE_NS
            known = bisect_left(self.send_ns, oldest_ns) - HISTORY_PACKETS
            self.asked_from = max(self.asked_from, self.first + known)
        else:
            self.first = self.asked_from = sending.first
            old = 0
        del self.send_ns[:old], self.datagrams[:old]
        self.first += old
        self.send_ns += array("q", sending.send_ns.tobytes())
        self.datagrams += sending.datagrams


class Conversation:
    """What one node and the station say to each other beside the sound.

    Parameters
    ----------
    place : Place
        Of the node.
    sender : Sender
        The station.
    backhaul_ns : int
        Transit of the backhaul for a request.
    seed : int
        Of the run.
    budget : RepairBudget or None
        What answers to requests for lost packets may cost; None answers none.
    copies : StationCopies or None
        Hears the node's reports.
    sent : SentLately or None
        What all nodes of a village remember together; None: this one by itself.
    """

    def __init__(
        self,
        place: Place,
        sender: Sender,
        *,
        backhaul_ns: int,
        seed: int,
        budget: RepairBudget | None,
        copies: StationCopies | None = None,
        sent: SentLately | None = None,
    ) -> None:
        self._sender = sender
        self._reports = SenderReports(sender.ssrc)
        self._way = RequestWay(place, backhaul_ns, Purpose.EXCHANGE, seed)
        self._repair_way = RequestWay(place, backhaul_ns, Purpose.REPAIR, seed)
        self._first = 0
        self._sent = SentLately() if sent is None else sent
        # Numbers and no objects, and no more than can be asked for: at each of thousands of nodes.
        self._arrive_ns = array("q")
        self._remembered = 0
        self._forgotten_ns = LOST_NS
        """When the last packet that was forgotten and had come through arrived."""
        self.memory: Retransmitter | None = None
        """What can be asked for; None where nothing can."""
        self._announced: dict[tuple[str, int], rtcp.Application] = {}
        self.repair_bytes = 0
        """Requests for lost packets and what was sent again, headers of IPv4 and UDP included,
        whether it came through or not."""
        self._copies = copies
        if budget is not None:
            payload_type = ReceiveConfig().retransmission_payload_type
            again_ssrc = (sender.ssrc + 1) & 0xFFFFFFFF
            self.memory = Retransmitter(ssrc=again_ssrc, payload_type=payload_type, budget=budget)
            self._announced[ADDRESS] = announcement(sender.ssrc, payload_type)

    def note_chunk(self, sending: Sending, arrive_ns: NDArray[np.int64]) -> None:
        """Note how packets fare, before the node comes to when they are sent.

        arrive_ns  (n,) int64, true time of arrival in ns, LOST_NS for what is lost
        """
        if arrive_ns.size == 0:
            return
        self._sent.note_chunk(sending)
        self._forget(self._sent.asked_from - self._first)
        self._arrive_ns += array("q", arrive_ns.tobytes())
        self._first = sending.first + arrive_ns.size - len(self._arrive_ns)

    def answers(self, request: bytes, asked_ns: int) -> Iterator[tuple[int, bytes]]:
        """Yield (arrival, datagram) of what the station answers to what a node sent.

        Parameters
        ----------
        request : bytes
            RTCP of the node: a compound that asks for the time, or a Nack.
        asked_ns : int
            When it left, true time; also the arrivals are true time.
        """
        if rtcp.is_feedback(request):
            yield from self._send_again(request, asked_ns)
            return
        came_ns = self._way.arrival_ns(asked_ns)
        if self._way.is_cut(asked_ns):
            return
        left_ns = came_ns + HELD_NS
        travels_ns = self._travels_ns(left_ns)
        if travels_ns is None:
            return
        packets = self._reports.receive_datagram(request, ADDRESS, came_ns + SENDER_CLOCK_NS)
        if self._copies is not None:
            self._copies.receive_reports(packets, came_ns)
        answer = self._reports.next_answer(
            self._sender.report(left_ns), left_ns + SENDER_CLOCK_NS, self._announced
        )
        if answer is not None:
            yield left_ns + travels_ns, answer[0]

    def _send_again(self, request: bytes, asked_ns: int) -> Iterator[tuple[int, bytes]]:
        """Answer a request for lost packets, as `loalang-send` does."""
        self.repair_bytes += len(request) + UDP_BYTES
        came_ns = self._repair_way.arrival_ns(asked_ns)
        if self.memory is None or self._repair_way.loses() or self._repair_way.is_cut(asked_ns):
            return
        self._remember(self.memory, came_ns)
        left_ns = came_ns + HELD_NS
        travels_ns = self._travels_ns(left_ns)
        newest_ns = self._newest_ns(left_ns)  # the link keeps the order
        for nack in self._reports.receive_datagram(request, ADDRESS, came_ns + SENDER_CLOCK_NS):
            if not isinstance(nack, rtcp.Nack):
                continue
            for data in self.memory.receive_nack(nack.sequences, came_ns + SENDER_CLOCK_NS):
                self.repair_bytes += len(data) + UDP_BYTES
                if travels_ns is not None:
                    yield max(left_ns + travels_ns, newest_ns), data

    def _forget(self, count: int) -> None:
        """Forget the oldest packets: whoever asks from now on asks for younger ones."""
        if count <= 0:
            return
        if self.memory is not None:
            known = max(self._remembered, self._first)
            self._earn(self.memory, known, self._first + count)
            self._remembered = max(self._remembered, self._first + count)
        came = (one for one in reversed(self._arrive_ns[:count]) if one != LOST_NS)
        self._forgotten_ns = next(came, self._forgotten_ns)
        del self._arrive_ns[:count]
        self._first += count

    def _remember(self, memory: Retransmitter, now_ns: int) -> None:
        """Let the station have sent what it sent until now; nobody asked before."""
        lately = self._sent
        last = bisect_right(lately.send_ns, now_ns, self._first - lately.first)
        first = max(self._remembered, self._first) - lately.first
        for datagram in lately.datagrams[max(first, last - HISTORY_PACKETS) : last]:
            memory.remember(datagram)  # older ones would be forgotten
        self._earn(memory, first + lately.first, last + lately.first)
        self._remembered = max(self._remembered, last + lately.first)

    def _earn(self, memory: Retransmitter, first: int, end: int) -> None:
        """Let the budget earn with some packets, by their numbers."""
        lately = self._sent
        some = slice(first - lately.first, max(first, end) - lately.first)
        memory.budget.earn_all([len(one) for one in lately.datagrams[some]], lately.send_ns[some])

    def _travels_ns(self, left_ns: int) -> int | None:
        """Return how long something sent now is under way, or None when it is lost.

        It is what the packet meets that leaves the station next.
        """
        packet = self._next_packet(left_ns)
        if packet >= len(self._arrive_ns) or self._arrive_ns[packet] == LOST_NS:
            return None
        return self._arrive_ns[packet] - self._sent.send_ns[packet + self._first - self._sent.first]

    def _newest_ns(self, left_ns: int) -> int:
        """Return the arrival of the last packet that left before and came through."""
        packet = self._next_packet(left_ns) - 1
        while packet >= 0 and self._arrive_ns[packet] == LOST_NS:
            packet -= 1
        return self._arrive_ns[packet] if packet >= 0 else self._forgotten_ns

    def _next_packet(self, left_ns: int) -> int:
        """Return which of the packets whose arrival is known leaves the station next."""
        ahead = self._first - self._sent.first
        return bisect_left(self._sent.send_ns, left_ns, ahead) - ahead


class RequestWay:
    """The way up of one kind of requests, from a stream of chance of its own."""

    def __init__(self, place: Place, backhaul_ns: int, purpose: Purpose, seed: int) -> None:
        self._bits = stream(seed, purpose, commune=place.commune, node=place.node)
        self._bearer = place.rated
        self._cuts_ns = cuts_ns(place.befallen, "link_down", "up", from_ns=place.live_ns)
        self.fastest_ns = backhaul_ns
        """What a request takes at the least."""
        self.fastest_ns += place.way_up_ns
        if place.rated is not None:
            self._loss = round(place.rated.loss_pct.value / 100 * ALWAYS)
        else:
            assert place.trace_ns is not None
            self._loss = round(float(np.mean(place.trace_ns == LOST_NS)) * ALWAYS)
        self._jitter_ns = array("q")  # the next is the last
        self._losses = bytearray()

    def arrival_ns(self, asked_ns: int) -> int:
        """Return when a request that leaves now reaches the station."""
        return asked_ns + self.fastest_ns + self._next_jitter_ns()

    def is_cut(self, asked_ns: int) -> bool:
        """Return whether nothing goes up now, though something may come down."""
        return any(start <= asked_ns < end for start, end in self._cuts_ns)

    def loses(self) -> bool:
        """Return whether the next request is lost, of those that `arrival_ns` was asked for."""
        if not self._losses:
            self._losses += self.draw_losses(DRAWS)[::-1].tobytes()
        return bool(self._losses.pop())

    def draw_jitter_ns(self, count: int) -> NDArray[np.int64]:
        """Return what comes on top of the ways of the next requests: (count,) int64, ns."""
        if self._bearer is None:
            return np.zeros(count, np.int64)
        return jitter_of(self._bearer, raw_draws(self._bits, count))

    def draw_losses(self, count: int) -> NDArray[np.bool_]:
        """Return which of the next requests are lost: (count,) bool."""
        drawn = raw_draws(self._bits, count) >> np.uint64(32)
        return drawn.astype(np.int64) < self._loss

    def _next_jitter_ns(self) -> int:
        if not self._jitter_ns:
            self._jitter_ns.frombytes(self.draw_jitter_ns(DRAWS)[::-1].tobytes())
        return self._jitter_ns.pop()
