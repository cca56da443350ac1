"""Answers to generic NACK (RFC 4585): packets sent again as RFC 4588 says, and no more than paid.

What can be asked for is bounded three ways, so that a forged request is no amplifier: answers go
only to where the stream goes anyway, cost at most what the stream's `RepairBudget` holds, and
each packet is sent again at most a few times.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from node.rtp.retransmission import ORIGINAL_BYTES
from node.units import NS_PER_MS
from sim.sender.repair.repair_budget import UDP_BYTES, RepairBudget

HISTORY_PACKETS: Final = 128
"""What can still be asked for: 2.5 s of 20 ms packets. A power of two, as numbers wrap."""

ANSWERS_MAX: Final = 4
REPEAT_NS: Final = 20 * NS_PER_MS


@dataclass(slots=True)
class Counts:
    """What became of the requests, in sequence numbers."""

    asked: int = 0
    answered: int = 0
    refused_unknown: int = 0
    refused_repeat: int = 0
    refused_budget: int = 0


@dataclass(slots=True)
class _Answered:
    answers: int = 0
    answered_ns: int = -(1 << 62)


@dataclass(slots=True, kw_only=True)
class Retransmitter:
    """The sender's side for one stream to one destination, without I/O.

    The answers have an SSRC and sequence numbers of their own (RFC 4588, section 4).
    """

    ssrc: int
    """Of the retransmissions."""

    payload_type: int
    """Of the retransmissions; `[receive] retransmission_payload_type` of the nodes."""

    budget: RepairBudget = field(default_factory=RepairBudget)
    """What answers may cost; copies inside packets may share it."""

    sequence: int = 0
    """Of the next retransmission."""

    counts: Counts = field(default_factory=Counts)
    _sent: list[bytes] = field(default_factory=lambda: [b""] * HISTORY_PACKETS)
    """The last packets, each at its sequence number modulo their count."""

    _answered: dict[int, _Answered] = field(default_factory=dict)
    """By place there, of what was asked for already: few are."""

    def remember(self, datagram: bytes) -> None:
        """Note an RTP packet that was just sent; `budget` earns with it elsewhere."""
        at = int.from_bytes(datagram[2:4], "big") % HISTORY_PACKETS
        self._sent[at] = datagram
        self._answered.pop(at, None)

    def receive_nack(self, sequences: Iterable[int], now_ns: int) -> list[bytes]:
        """Return the datagrams to send for a request of these sequence numbers."""
        answers = []
        for sequence in sequences:
            self.counts.asked += 1
            at = sequence % HISTORY_PACKETS
            datagram = self._sent[at]
            if datagram[2:4] != sequence.to_bytes(2, "big"):
                self.counts.refused_unknown += 1
                continue
            before = self._answered.setdefault(at, _Answered())
            if before.answers >= ANSWERS_MAX or now_ns - before.answered_ns < REPEAT_NS:
                self.counts.refused_repeat += 1
            elif not self.budget.spend(len(datagram) + ORIGINAL_BYTES + UDP_BYTES):
                self.counts.refused_budget += 1
            else:
                before.answers += 1
                before.answered_ns = now_ns
                answers.append(self._answer(datagram))
        return answers

    def _answer(self, datagram: bytes) -> bytes:
        self.counts.answered += 1
        answer = build(datagram, self.payload_type, self.sequence, self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        return answer


def build(datagram: bytes, payload_type: int, sequence: int, ssrc: int) -> bytes:
    """Return the retransmission of an RTP packet (RFC 4588, section 4).

    The header is the original's, with another payload type, sequence number and SSRC; contributing
    sources and extension stay. The original sequence number leads the payload.
    """
    header_bytes = 12 + 4 * (datagram[0] & 15)
    if datagram[0] & 16:
        words = int.from_bytes(datagram[header_bytes + 2 : header_bytes + 4], "big")
        header_bytes += 4 + 4 * words
    head = bytearray(datagram[:header_bytes])
    head[1] = (head[1] & 0x80) | payload_type
    head[2:4] = struct.pack(">H", sequence)
    head[8:12] = struct.pack(">I", ssrc)
    return bytes(head) + datagram[2:4] + datagram[header_bytes:]
