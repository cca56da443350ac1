"""What a node asks its sender for again, and how it takes repairs in; for one source.

Joins the jitter buffer's `repair` kernels with the packets of RFC 4585 (generic NACK), RFC 4588
(retransmission) and RFC 2198 (redundant copies).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import repair as rp
from node.jitter import state as js
from node.jitter.buffer import JitterBuffer, Missing
from node.kernel.record import Records
from node.opus.packet import has_lbrr, packet_samples
from node.peers.credit import NEVER_NS
from node.rtp import packet as rtp
from node.rtp import redundancy as rd
from node.rtp.retransmission import ORIGINAL_BYTES
from node.rtp.rtcp import build
from node.rtp.rtcp_packet import Nack
from node.units import NS_PER_MS, samples_to_ns

DECODED_AHEAD_NS: Final = 60 * NS_PER_MS
"""Sound is decoded so long before it is heard: a packet, a period, the card, the limiter."""

LOOK_NS: Final = 20 * NS_PER_MS
"""How often a node that cannot ask yet looks whether it can."""

BAD: Final = -32
"""The packet is no repair of this source."""


class Repairs:
    """The repair side of one receiver.

    Parameters
    ----------
    own_ssrc : int
        Of the node, as sender of requests.
    ssrc : int
        Of the source.
    buffer : JitterBuffer
        Of the source.
    repair : Records[Repair]
        Its record of what is missing, an array of one.
    """

    def __init__(
        self, own_ssrc: int, ssrc: int, buffer: JitterBuffer, repair: Records[rp.Repair]
    ) -> None:
        self._own_ssrc = own_ssrc
        self._ssrc = ssrc
        self._buffer = buffer
        self._repair = repair
        self._missing = Missing(buffer, repair)
        self._next_media: NDArray[np.int64] = buffer.state["next_media"]
        self._blocks = np.zeros((rd.BLOCKS_MAX, rd.BLOCK_FIELDS), np.int64)
        self.is_missing = False
        """Whether the last packet left holes, or may have brought the next question nearer."""
        self._told_ns = NEVER_NS
        self.own_media_samples = 0
        """Media time of the own payload of the last packet with copies."""
        rp.reset_repair(self._repair)

    def watch(self, now_ns: int) -> None:
        """Note the holes that the packet just inserted opens."""
        holes = self._missing.watch(now_ns)
        # Where nobody was asked any more, for too much was missing, somebody will be from now on.
        self.is_missing = holes > 0 or self._due_ns() < self._told_ns

    def wait(self, now_ns: int) -> None:
        """Do not ask for a while: nobody can say yet how long an answer takes."""
        self._repair["not_before_ns"] = now_ns + LOOK_NS

    def request(self, now_ns: int, position_samples: int, round_trip_ns: int) -> bytes | None:
        """Return the request to send now, or None.

        Parameters
        ----------
        now_ns : int
            When.
        position_samples : int
            Media time that leaves the horn now.
        round_trip_ns : int
            To the sender and back.
        """
        ahead_ns = samples_to_ns(int(self._next_media[0]) - position_samples)
        plays_ns = now_ns + ahead_ns - DECODED_AHEAD_NS
        asked = self._missing.requests(now_ns, plays_ns, round_trip_ns)
        if not asked:
            return None
        return build([Nack(self._own_ssrc, self._ssrc, asked)])

    def next_deadline_ns(self) -> int | None:
        """Return when `request` should be called next, or None when nothing is missing."""
        self._told_ns = self._due_ns()
        return None if self._told_ns == NEVER_NS else self._told_ns

    def receive_retransmission(
        self, data: NDArray[np.uint8], header: NDArray[np.int64], now_ns: int
    ) -> int:
        """Take a retransmission, its header parsed; return a slot or a negative reason.

        data    (bytes,) uint8
        header  (HEADER_FIELDS,) int64, units by the fields' names
        """
        offset = int(header[rtp.PAYLOAD_OFFSET])
        if header[rtp.PAYLOAD_BYTES] <= ORIGINAL_BYTES:
            return BAD
        original = int(data[offset]) << 8 | int(data[offset + 1])
        payload = data[offset + ORIGINAL_BYTES : offset + int(header[rtp.PAYLOAD_BYTES])]
        return self._insert(payload, original, int(header[rtp.TIMESTAMP]), js.RETRANSMITTED, now_ns)

    def receive_redundant(
        self, data: NDArray[np.uint8], header: NDArray[np.int64], now_ns: int
    ) -> int:
        """Take a packet with copies, its header parsed; return the own payload's result.

        data    (bytes,) uint8
        header  (HEADER_FIELDS,) int64, units by the fields' names
        """
        count = rd.parse(
            data, int(header[rtp.PAYLOAD_OFFSET]), int(header[rtp.PAYLOAD_BYTES]), self._blocks
        )
        if count < 1:
            return BAD
        sequence = int(header[rtp.SEQUENCE])
        timestamp = int(header[rtp.TIMESTAMP])
        marker = int(header[rtp.MARKER]) * js.MARKER
        own = _payload(data, self._blocks[count - 1])
        result = self._insert(own, sequence, timestamp, marker, now_ns)
        self.own_media_samples = int(self._buffer.state["unwrapped_media"][0])
        for copy in self._blocks[: count - 1]:
            if copy[rd.BYTES] and copy[rd.OFFSET_SAMPLES]:
                then = (timestamp - int(copy[rd.OFFSET_SAMPLES])) & 0xFFFF_FFFF
                self._insert(_payload(data, copy), sequence, then, js.REDUNDANT, now_ns)
        return result

    def _due_ns(self) -> int:
        due = self._missing.next_request_ns()
        return NEVER_NS if due == js.NONE else due

    def _insert(
        self,
        payload: NDArray[np.uint8],
        sequence: int,
        timestamp: int,
        flags: int,
        now_ns: int,
    ) -> int:
        samples = int(packet_samples(payload, 0, len(payload)))
        if samples <= 0:
            return BAD
        flags |= int(has_lbrr(payload, 0, len(payload))) * js.HAS_FEC
        return self._buffer.insert(
            sequence, timestamp, samples, now_ns, flags=flags, payload=payload
        )


def _payload(data: NDArray[np.uint8], block: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return what a block of RFC 2198 holds."""
    return data[block[rd.BEGIN] : block[rd.BEGIN] + block[rd.BYTES]]
