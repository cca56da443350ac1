"""The studio of a swarm's village: live programmes, each one tone, by the parts of `loalang-send`.

```
 LiveSender ─► numbers, stamps ─► a skip, a restart ─┬─► RepairedStream ─► SRTP ─► world ─► pole
 SenderReports ◄── time asked, what was lost ◄───────┴──────────────────────────── world ◄─┘
```
A programme begins a second after it was announced. A sender that skips ahead goes on as if that
time had passed, so that all that then comes seems to come long before its time; one that restarts
is silent for a while and counts from somewhere else. One may know nothing of RTCP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import pylibsrtp

from node.control.orders import Session
from node.control.trust.packet_guard import SRTP_KEY_BYTES, srtp_policy
from node.rtp.rtcp_packet import Nack
from node.source.stored_sound import PACKET_MS
from node.units import NS_PER_MS, NS_PER_S, SAMPLES_PER_MS
from sim.sender.repair.repaired_stream import RepairedStream
from sim.sender.report_times import REPORT_NS
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports
from sim.swarm import tones
from sim.swarm.script import Step
from sim.world.path import LOST_NS
from sim.world.world import World

PAYLOAD_TYPE: Final = 96
ADDRESS: Final = ("10.0.0.1", 5004)

BEGINS_NS: Final = NS_PER_S
"""After its announcement the first packet leaves."""

PACKET_NS: Final = PACKET_MS * NS_PER_MS
_PACKET_SAMPLES: Final = PACKET_MS * SAMPLES_PER_MS
_SSRC: Final = 0x5EED0000

_AGAIN_NUMBERS: Final = 9_973
_AGAIN_STAMP: Final = 0x5A5A5A5A
"""Where a sender begins anew: so far after its last number that SRTP still knows which is meant."""


def ssrc_of(step: Step) -> int:
    """Return the SSRC of a live programme."""
    return _SSRC + 2 * step.number


def session_of(step: Step) -> bytes:
    """Return what announces a live programme."""
    return msgspec.json.encode(Session(ssrc_of(step), srtp_key=_key(step)))


class _Sender(LiveSender):
    """The real one, but for a hand that moves its counters."""

    @property
    def next_number(self) -> int:
        """Return the number of the next packet."""
        return self._sequence

    def skip(self, packets: int) -> None:
        """Go on as if so many packets had been sent; reports go with the stamps."""
        samples = packets * self.packet_samples
        self._sequence += packets
        self._media += samples
        self._anchor_media += samples
        self._first_media += samples


@dataclass(slots=True)
class _Way:
    """One programme to one pole."""

    stream: RepairedStream
    session: pylibsrtp.Session


class Studio:
    """Streams live programmes, and answers who hears them.

    Parameters
    ----------
    world : World
        Of the run.
    nodes : sequence of str
        Who gets them.
    sent : callable
        Gets node, number of the order, true time of arrival, and whether it is a repair, of each
        packet of sound that comes through to a pole.
    """

    def __init__(
        self,
        world: World,
        nodes: Sequence[str],
        *,
        sent: Callable[[str, int, int, bool], None],
    ) -> None:
        self._world = world
        self._nodes = tuple(nodes)
        self._sent = sent
        self._programmes: list[_Programme] = []
        world.hears = self._hear

    def begin(self, step: Step, faults: Sequence[Step], tone: int) -> None:
        """Stream a programme that is announced now; `faults` are its sender's."""
        self._programmes.append(
            _Programme(self._world, self._nodes, step, faults, tone=tone, sent=self._sent)
        )

    def _hear(self, node: str, data: bytes) -> None:
        for one in self._programmes:
            one.hear(node, data)


class _Programme:
    """One sender."""

    def __init__(
        self,
        world: World,
        nodes: Sequence[str],
        step: Step,
        faults: Sequence[Step],
        *,
        tone: int,
        sent: Callable[[str, int, int, bool], None],
    ) -> None:
        self._world = world
        self._step = step
        self._sent = sent
        self._payload = tones.payload(tone)
        self._sender = self._new_sender()
        self._speaks = True
        self._reports = SenderReports(ssrc_of(step))
        self._ways = {node: _way(step) for node in nodes}
        loop = world.loop
        begins_ns = loop.now_ns + BEGINS_NS
        self._ends_ns = begins_ns + round(step.for_s * NS_PER_S)
        for one in faults:
            at_ns, end_ns = (round(at_s * NS_PER_S) for at_s in (one.at_s, one.end_s))
            if at_ns > begins_ns and one.do == "skip_ahead":
                loop.call_at_ns(at_ns, self._skip, round(one.amount * NS_PER_S) // PACKET_NS)
            elif at_ns > begins_ns:
                loop.call_at_ns(at_ns, self._stop)
                loop.call_at_ns(end_ns, self._start_again)
        loop.call_at_ns(begins_ns, self._send)
        if step.reports:
            loop.call_at_ns(begins_ns, self._report)

    def hear(self, node: str, data: bytes) -> None:
        """Take what a node sends: questions for the time and for lost packets, reports."""
        now_ns = self._world.loop.now_ns
        if not (self._step.reports and self._sender.begun and self._speaks):
            return
        way, address = self._ways[node], (node, ADDRESS[1])
        packets = self._reports.receive_datagram(data, address, now_ns)
        announced = {} if way.stream.announcement is None else {address: way.stream.announcement}
        answer = self._reports.next_answer(self._sender.report(now_ns), now_ns, announced)
        if answer is not None:
            self._tell(node, answer[0])
        way.stream.receive_reports(packets, now_ns)
        for packet in packets:
            if isinstance(packet, Nack) and packet.media_ssrc == self._sender.ssrc:
                for again in way.stream.receive_nack(packet.sequences, now_ns):
                    self._give(node, again, repairs=True)

    def _send(self) -> None:
        """Send the packet that is due now to all, and wait for the next one."""
        now_ns = self._world.loop.now_ns
        if now_ns >= self._ends_ns:
            if self._step.reports and self._sender.begun:
                for node in self._ways:
                    self._tell(node, self._sender.compound(now_ns, ended=True))
            return
        if not self._speaks:
            self._world.loop.call_at_ns(now_ns + PACKET_NS, self._send)
            return
        data = self._sender.next_packet(self._payload, now_ns)
        for node, way in self._ways.items():
            datagram = way.stream.next_datagram(data, self._payload, now_ns)
            self._give(node, datagram, repairs=False)
        self._world.loop.call_at_ns(self._sender.due_ns(now_ns), self._send)

    def _report(self) -> None:
        now_ns = self._world.loop.now_ns
        if now_ns >= self._ends_ns:
            return
        for node, way in self._ways.items():
            way.stream.handle_deadline(now_ns)
            if self._sender.begun and self._speaks:
                asks = way.stream.announcement
                more = () if asks is None else (asks,)
                self._tell(node, self._sender.compound(now_ns, more=more))
        self._world.loop.call_at_ns(now_ns + REPORT_NS, self._report)

    def _give(self, node: str, datagram: bytes, *, repairs: bool) -> None:
        sealed = bytes(self._ways[node].session.protect(datagram))
        arrive_ns = self._world.send(node, sealed, ADDRESS)
        if arrive_ns != LOST_NS:
            self._sent(node, self._step.number, arrive_ns, repairs)

    def _tell(self, node: str, compound: bytes) -> None:
        self._world.send(node, bytes(self._ways[node].session.protect_rtcp(compound)), ADDRESS)

    def _skip(self, packets: int) -> None:
        self._sender.skip(packets)

    def _stop(self) -> None:
        self._speaks = False

    def _start_again(self) -> None:
        sequence = self._sender.next_number + _AGAIN_NUMBERS
        self._sender = self._new_sender(sequence=sequence, timestamp=_AGAIN_STAMP)
        self._speaks = True

    def _new_sender(self, *, sequence: int = 0, timestamp: int = 0) -> _Sender:
        return _Sender(
            ssrc=ssrc_of(self._step),
            payload_type=PAYLOAD_TYPE,
            packet_samples=_PACKET_SAMPLES,
            sequence=sequence,
            timestamp=timestamp,
        )


def _way(step: Step) -> _Way:
    return _Way(
        RepairedStream(ssrc_of(step), _PACKET_SAMPLES, sends_again=True, sends_copies=True),
        pylibsrtp.Session(srtp_policy(_key(step), inbound=False)),
    )


def _key(step: Step) -> bytes:
    return bytes((step.number + i) % 256 for i in range(SRTP_KEY_BYTES))
