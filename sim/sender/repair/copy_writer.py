"""Puts copies of earlier packets into a stream (RFC 2198), as far as the account goes.

A full account gives the packet itself, a lean one a second, low-rate encoding of it, an empty one
nothing. Half of the account is left to what is asked for again.
"""

from collections import deque
from typing import Final

from node.rtp import redundancy
from sim.sender.repair.copy_choice import DISTANCE_MAX
from sim.sender.repair.repair_budget import SAVED_BYTES_MAX, RepairBudget

_HEADER_BYTES: Final = 12
_COPY_HEADER_BYTES: Final = 5
"""Of one copy (4) and of the packet's own payload (1)."""

_RESERVE_BYTES: Final = SAVED_BYTES_MAX // 2
"""Copies leave so much to answers."""

_RICH_BYTES: Final = SAVED_BYTES_MAX * 3 // 4
"""With so much saved, the copy is the packet itself."""


class CopyWriter:
    """The copies of one stream to one destination.

    Parameters
    ----------
    packet_samples : int
        Media time from one packet to the next.
    budget : RepairBudget
        Pays for them; its owner lets it earn.
    """

    def __init__(self, packet_samples: int, budget: RepairBudget) -> None:
        self.copies = 0
        self.full_copies = 0
        self._packet_samples = packet_samples
        self._budget = budget
        self._sent: deque[tuple[int, bytes, bytes]] = deque(maxlen=DISTANCE_MAX)

    def next_datagram(
        self, datagram: bytes, low: bytes, *, distance_packets: int, payload_type: int
    ) -> bytes:
        """Return the RTP packet to send in place of a plain one.

        Parameters
        ----------
        datagram : bytes
            The plain packet: a header of 12 bytes and the payload.
        low : bytes
            Its payload at a low rate; empty where losing it would not be heard.
        distance_packets : int
            How far behind the copy is; 0 for none.
        payload_type : int
            Of packets with copies.
        """
        payload = datagram[_HEADER_BYTES:]
        timestamp = int.from_bytes(datagram[4:8], "big")
        copy = self._copy(timestamp, distance_packets)
        self._sent.append((timestamp, payload, low))
        if not copy or len(copy) > redundancy.COPY_BYTES_MAX:
            return datagram
        if not self._budget.spend(len(copy) + _COPY_HEADER_BYTES):
            return datagram
        self.copies += 1
        own_type = datagram[1] & 0x7F
        offset = distance_packets * self._packet_samples
        head = bytes([datagram[0], (datagram[1] & 0x80) | payload_type]) + datagram[2:12]
        return head + redundancy.build(own_type, payload, [redundancy.Copy(own_type, offset, copy)])

    def _copy(self, timestamp: int, distance_packets: int) -> bytes:
        """Return what to copy, or nothing: not sent so far back, not paid for, or not heard."""
        if not 0 < distance_packets <= len(self._sent):
            return b""
        then, payload, low = self._sent[-distance_packets]
        if not low:
            return b""
        if (timestamp - then) & 0xFFFFFFFF != distance_packets * self._packet_samples:
            return b""  # the sender paused between
        left = self._budget.bytes_left - _COPY_HEADER_BYTES
        if left - len(payload) >= _RICH_BYTES:
            self.full_copies += 1
            return payload
        return low if left - len(low) >= _RESERVE_BYTES else b""
