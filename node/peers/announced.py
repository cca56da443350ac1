"""Sources that told of themselves by RTCP, and not yet by sound: their clocks are learned ahead.

```
sender   SR . . SR . . SR . . │ sound
node       ask, ask, ask ...  │ in step from its first sample on
```

A sender that says some seconds before its sound that it is there (RFC 6051 asks for reports as
early as that), or goes on saying it while it pauses, finds nodes that know its clock.

Anybody can send a report with another's address in it. So a source that has answered nothing gets
no more bytes than it sent, and has no place that one which answers wants.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from node.peers.question import Reception
from node.peers.sender import NodeReports
from node.rtp import exchange_packets
from node.rtp.rtcp_packet import ExtendedReport, Goodbye, Packet, SenderReport
from node.units import NS_PER_S

FORGET_NS: Final = 10 * NS_PER_S
"""A source that reports nothing for so long is gone, ..."""
FORGET_MAX_NS: Final = 330 * NS_PER_S
"""... or in twice and a half its last time between two reports, if that is longer and it answers:
a sender that rests reports ever more rarely, each time after at most twice the time before."""
AWAKE_NS: Final = 60 * NS_PER_S
"""So long a sender is asked as if its sound were to come at once, ..."""
IDLE_INTERVAL_NS: Final = 10 * NS_PER_S
"""... and then so rarely, 2 MB a day, ..."""
IDLE_REPORTS: Final = 4
"""... or but once in so many of its reports, ..."""
IDLE_MAX_NS: Final = 115 * NS_PER_S
"""... but so often in any case: an exchange keeps replies for eight minutes, and needs four."""


class Heard(Protocol):
    """A source whose sound comes."""

    address: tuple[str, int]
    reports: NodeReports

    def receive_reports(self, packets: tuple[Packet, ...], now_ns: int) -> None:
        """Take a compound that came from its host."""


class AnnouncedSources:
    """What a node knows of senders whose sound has not come.

    Parameters
    ----------
    new_reports : callable
        Makes the exchange and reports for (ssrc, now_ns).
    places : int
        So many are held.
    """

    def __init__(self, new_reports: Callable[[int, int], NodeReports], places: int) -> None:
        self._new_reports = new_reports
        self._places = places
        self._sources: dict[int, _Announced] = {}

    def receive(
        self,
        data: bytes,
        source: tuple[str, int],
        now_ns: int,
        heard: Mapping[int, Heard],
    ) -> bool:
        """Take a datagram; return whether it is RTCP. `heard` are the sources whose sound comes,
        and who are not held here: theirs is what comes from their host.
        """
        packets = exchange_packets.parse(data)
        if packets is None:
            return False
        size_bytes = len(data)
        for sounding in heard.values():
            if sounding.address[0] == source[0]:
                sounding.receive_reports(packets, now_ns)
                if sounding.address == source:
                    sounding.reports.credit.earn(size_bytes)
                    size_bytes = 0  # one datagram pays once, whatever it holds
        for packet in packets:
            if isinstance(packet, Goodbye):
                for ssrc in packet.ssrcs:
                    if ssrc in self._sources and self._sources[ssrc].address[0] == source[0]:
                        del self._sources[ssrc]
            elif isinstance(packet, SenderReport) and packet.ssrc not in heard:
                one = self._sources.get(packet.ssrc) or self._admit(packet.ssrc, source, now_ns)
                if one is None or one.address[0] != source[0]:
                    continue
                one.speak_from(source, now_ns)
                is_answer = any(isinstance(part, ExtendedReport) for part in packets)
                one.receive_report(now_ns, is_answer=is_answer)
                one.reports.credit.earn(size_bytes)
                size_bytes = 0
                one.reports.receive(packets, None, packet.rtp_timestamp, now_ns)
        return True

    def take(self, ssrc: int, source: tuple[str, int], now_ns: int) -> NodeReports:
        """Return what is known of a source whose sound comes from there, and hold it no longer.

        That is nothing, when no report has come, or another host has spoken for it.
        """
        one = self._sources.pop(ssrc, None)
        if one is None or one.address[0] != source[0]:
            return self._new_reports(ssrc, now_ns)
        one.speak_from(source, now_ns)
        return one.reports

    def give(self, ssrc: int, address: tuple[str, int], reports: NodeReports, now_ns: int) -> None:
        """Hold a source whose sound has ended, if its reports go on and there is a place."""
        if now_ns - reports.heard_ns < FORGET_NS and self._make_room():
            reports.end_sound()
            self._sources[ssrc] = _Announced(address, reports, now_ns)

    def requests(self, now_ns: int) -> list[tuple[bytes, tuple[str, int]]]:
        """Return the datagrams to send now, and where to; forget who has gone."""
        due = []
        for ssrc, one in list(self._sources.items()):
            if now_ns >= one.gone_ns:
                del self._sources[ssrc]
                continue
            data = one.request(now_ns)
            if data is not None:
                due.append((data, one.address))
        return due

    def next_deadline_ns(self) -> int | None:
        """Return when `requests` must run next, or None while nobody is held."""
        if not self._sources:
            return None
        return min(one.next_deadline_ns() for one in self._sources.values())

    def status(self) -> list[dict[str, object]]:
        """Return what is known of each, JSON-able."""
        return [
            {"ssrc": ssrc, "address": f"{one.address[0]}:{one.address[1]}"}
            | one.reports.status(one.heard_ns)
            for ssrc, one in self._sources.items()
        ]

    def _admit(self, ssrc: int, source: tuple[str, int], now_ns: int) -> "_Announced | None":
        if not self._make_room():
            return None
        self._sources[ssrc] = _Announced(source, self._new_reports(ssrc, now_ns), now_ns)
        return self._sources[ssrc]

    def _make_room(self) -> bool:
        """Return whether there is a place; the oldest that never answered gives its own."""
        if len(self._sources) < self._places:
            return True
        for ssrc, one in self._sources.items():
            if not one.answers:
                del self._sources[ssrc]
                return True
        return False


class _Announced:
    """One of them."""

    def __init__(self, address: tuple[str, int], reports: NodeReports, now_ns: int) -> None:
        self.address = address
        self.reports = reports
        self.heard_ns = now_ns
        self._begun_ns = now_ns
        self._reported_ns: int | None = None
        self._gap_ns = 0
        self._waits = False
        """Until more has come from there: what came is spent."""

    def speak_from(self, source: tuple[str, int], now_ns: int) -> None:
        """Note a report, and where it came from."""
        self._waits = False
        if source != self.address:
            self.address = source
            self.reports.move(now_ns)

    def receive_report(self, now_ns: int, *, is_answer: bool) -> None:
        """Note a report: what answers a question says nothing of how often the sender reports."""
        self.heard_ns = now_ns
        if is_answer:
            return
        if self._reported_ns is not None:
            self._gap_ns = now_ns - self._reported_ns
        self._reported_ns = now_ns

    @property
    def gone_ns(self) -> int:
        """When it is forgotten, if nothing more comes."""
        wait_ns = min(self._gap_ns * 5 // 2, FORGET_MAX_NS) if self.answers else 0
        return self.heard_ns + max(FORGET_NS, wait_ns)

    @property
    def answers(self) -> bool:
        """Whether questions reach it: it has answered one."""
        return self.reports.exchange.replies > 0

    def request(self, now_ns: int) -> bytes | None:
        if self._waits or now_ns < self.reports.next_deadline_ns():
            return None
        self.reports.handle_deadline(now_ns)
        data = self.reports.next_compound(Reception(0, 0, 0), None, now_ns)
        self._waits = data is None
        if data is not None and now_ns - self._begun_ns > AWAKE_NS:
            idle_ns = min(IDLE_REPORTS * self._gap_ns, IDLE_MAX_NS)
            self.reports.exchange.rest_until(now_ns + max(IDLE_INTERVAL_NS, idle_ns))
        return data

    def next_deadline_ns(self) -> int:
        if self._waits:
            return self.gone_ns
        return min(self.gone_ns, self.reports.next_deadline_ns())
