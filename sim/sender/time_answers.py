"""RTCP of a sender: answers requests for time, and collects what the group's delay needs.

Used by whatever sends: the command line's sender and the simulated one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from node.clock.exchange.answering import ExchangeResponder
from node.rtp import exchange_packets, rtcp
from node.rtp.delay_report import delay_packet, need_of
from node.units import NS_PER_S
from sim.sender.group_delay import GroupDelay

ANSWER_BYTES: Final = 68
"""Sender report (28), one DLRR (24), and that the sender may be asked for lost packets (16): an
answer is never longer than what asked for it."""


class SenderReports:
    """The sender's half of RTCP for one SSRC.

    Parameters
    ----------
    ssrc : int
        Of the sender.
    group : GroupDelay or None
        Decides the playout delay; None leaves every node with its own setting.
    """

    def __init__(self, ssrc: int, *, group: GroupDelay | None = None) -> None:
        self.group = group
        self.responder = ExchangeResponder()
        self.malformed = 0
        self._ssrc = ssrc

    def receive_datagram(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_node: bool = True
    ) -> tuple[rtcp.Packet, ...]:
        """Take a datagram; return its packets, for what else is in them (Nack).

        Whoever asks for the time is answered, with no more than was asked. The group's delay
        follows who the stream goes to (`is_node`), with one word each, whatever numbers it shows.
        """
        packets = exchange_packets.parse(data)
        if packets is None:
            self.malformed += 1
            return ()
        for packet in packets:
            if isinstance(packet, rtcp.ExtendedReport) and packet.ntp is not None:
                self.responder.receive_request(
                    source,
                    ssrc=packet.ssrc,
                    request=rtcp.middle_of_ntp(packet.ntp),
                    spare_bytes=len(data) - ANSWER_BYTES,
                    now_ns=now_ns,
                )
            elif self.group is not None and is_node and isinstance(packet, rtcp.Application):
                need_ns = need_of(packet)
                if need_ns is not None:
                    self.group.receive_need(source, need_ns, now_ns)
        return packets

    def next_answer(
        self,
        report: rtcp.SenderReport,
        now_ns: int,
        announced: Mapping[tuple[str, int], rtcp.Application] = MappingProxyType({}),
    ) -> tuple[bytes, tuple[str, int]] | None:
        """Return a datagram to send at once, and where to; None when all are answered.

        Parameters
        ----------
        report : SenderReport
            Of `now_ns`: its time is t3.
        now_ns : int
            The sender's monotonic clock.
        announced : mapping
            For each address that may ask for lost packets, what says so.
        """
        answer = self.responder.next_event()
        if answer is None:
            return None
        held = (((now_ns - answer.received_ns) << 16) + NS_PER_S // 2) // NS_PER_S
        reply = rtcp.ReplyTime(answer.ssrc, answer.request, held)
        more = announced.get(answer.source)
        written = b"" if more is None else rtcp.written(more)
        return exchange_packets.answer(report, reply, written), answer.source

    def announcements(self, now_ns: int) -> list[rtcp.Packet]:
        """Return what the periodic compound of the sender must also carry."""
        if self.group is None:
            return []
        self.group.handle_deadline(now_ns)
        current = self.group.current
        return [delay_packet(self._ssrc, current.delay_ns, current.start_ns)]
