"""The node asks the station for the time, and is answered, over the links as they are just then.

An answer travels like the media packet that is sent with it: the same queue, stall or loss. A
request goes the other way, of which the model knows the transit of an idle link and its jitter.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.answering import SenderReports
from node.rtp import rtcp
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from sim.links.channel import jitter_of
from sim.links.kernel import LOST_NS
from sim.rng import Purpose, raw_draws, stream
from sim.sender import ADDRESS, Sender, Sending
from sim.village import Place

SENDER_CLOCK_NS: Final = 1_000_000 * NS_PER_S
"""What the station's clock shows at true time 0."""

_HELD_NS: Final = 200_000
"""The station answers after so long: assumption."""

_DRAWS: Final = 64


class Conversation:
    """The reports between one node and the station.

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
    """

    def __init__(self, place: Place, sender: Sender, *, backhaul_ns: int, seed: int) -> None:
        self._sender = sender
        self._reports = SenderReports(sender.ssrc)
        self._bits = stream(seed, Purpose.EXCHANGE, commune=place.commune, node=place.node)
        self._bearer = place.bearer
        self._fastest_ns = backhaul_ns
        if place.bearer is not None:
            self._fastest_ns += round(place.bearer.one_way_ms.value * NS_PER_MS)
        self._jitter_ns: deque[int] = deque()
        self._newest = 0
        self._send_ns = np.zeros(0, np.int64)
        self._arrive_ns = np.zeros(0, np.int64)

    def note_chunk(self, sending: Sending, arrive_ns: NDArray[np.int64]) -> None:
        """Note how packets fare, before the node comes to when they are sent."""
        if arrive_ns.size == 0:
            return
        self._send_ns = np.concatenate([self._send_ns[self._newest :], sending.send_ns])
        self._arrive_ns = np.concatenate([self._arrive_ns[self._newest :], arrive_ns])
        self._newest = self._send_ns.size - arrive_ns.size

    def answer(self, request: bytes, asked_ns: int) -> tuple[int, bytes] | None:
        """Return (arrival, datagram) of the station's answer to what a node sent, or None.

        Parameters
        ----------
        request : bytes
            RTCP compound of the node.
        asked_ns : int
            When it left, true time; also the arrival is true time.
        """
        transit_ns = self._fastest_ns + self._next_jitter_ns()
        came_ns = asked_ns + transit_ns
        left_ns = came_ns + _HELD_NS
        packet = self._packet_at(left_ns)
        if packet is None or self._arrive_ns[packet] == LOST_NS:
            return None
        self._reports.receive_datagram(request, ADDRESS, came_ns + SENDER_CLOCK_NS)
        answer = self._reports.next_answer(self._report(left_ns), left_ns + SENDER_CLOCK_NS)
        if answer is None:
            return None
        travels_ns = int(self._arrive_ns[packet] - self._send_ns[packet])
        return left_ns + travels_ns, answer[0]

    def _packet_at(self, time_ns: int) -> int | None:
        """Return which of the packets leaves the station next after `time_ns`; None after all."""
        found = int(np.searchsorted(self._send_ns, time_ns))
        return found if found < self._send_ns.size else None

    def _report(self, now_ns: int) -> rtcp.SenderReport:
        """Return what maps media time to the station's clock: when it was captured."""
        sender = self._sender
        media = (now_ns + sender.look_ahead_ns) * RATE_HZ // NS_PER_S
        sent = min(now_ns // sender.packet_ns, sender.packets)
        return rtcp.SenderReport(
            ssrc=sender.ssrc,
            ntp=rtcp.ntp_of_ns(now_ns + SENDER_CLOCK_NS),
            rtp_timestamp=(sender.timestamp + media) & 0xFFFFFFFF,
            packets=sent,
            payload_bytes=0,
        )

    def _next_jitter_ns(self) -> int:
        if self._bearer is None:
            return 0
        if not self._jitter_ns:
            raw = raw_draws(self._bits, _DRAWS)
            self._jitter_ns.extend(jitter_of(self._bearer, raw).tolist())
        return self._jitter_ns.popleft()
