"""Redundant copies inside a packet (RFC 2198): take them apart, put them together.

::

    |1| PT 7 bits | timestamp offset 14 | length 10 |   one per copy
    |0| PT 7 bits |                                     the packet's own payload, last
    copy bytes ... own bytes
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel

BLOCKS_MAX: Final = 8
"""Copies and own payload that one packet may carry here."""

OFFSET_SAMPLES_MAX: Final = (1 << 14) - 1
"""Largest timestamp offset that the header can say: 341 ms at 48 kHz."""

COPY_BYTES_MAX: Final = (1 << 10) - 1

# One block: a row of (BLOCKS_MAX, BLOCK_FIELDS) int64.
PAYLOAD_TYPE: Final = 0
OFFSET_SAMPLES: Final = 1
"""RTP timestamp of the packet less that of the block; 0 for the packet's own payload."""
BEGIN: Final = 2
"""Where the block's bytes lie in the datagram."""
BYTES: Final = 3
BLOCK_FIELDS: Final = 4

MALFORMED: Final = -1


@dataclass(frozen=True, slots=True)
class Copy:
    """A payload sent before, to be sent again inside a later packet."""

    payload_type: int
    offset_samples: int
    payload: bytes


@kernel("int64(uint8[::1], int64, int64, int64[:, ::1])")
def parse(data: NDArray[np.uint8], offset: int, length: int, blocks: NDArray[np.int64]) -> int:
    """Write the blocks of a RFC 2198 payload, oldest first, own payload last; return how many.

    data            (bytes,) uint8, the datagram
    offset, length  of the RTP payload in it
    blocks          (BLOCKS_MAX, BLOCK_FIELDS) int64, out: samples and bytes by the fields' names

    MALFORMED when headers or lengths do not fit, or there are more blocks than rows. Empty copies
    are kept, with BYTES 0.
    """
    end = offset + length
    if offset < 0 or length < 1 or end > data.shape[0]:
        return MALFORMED
    at = offset
    count = 0
    copies_bytes = 0
    while data[at] & 0x80:
        if at + 4 >= end or count >= blocks.shape[0] - 1:
            return MALFORMED
        word = np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])
        blocks[count, PAYLOAD_TYPE] = np.int64(data[at]) & 0x7F
        blocks[count, OFFSET_SAMPLES] = word >> 10
        blocks[count, BYTES] = word & 0x3FF
        copies_bytes += int(word & 0x3FF)
        count += 1
        at += 4
    blocks[count, PAYLOAD_TYPE] = np.int64(data[at])
    blocks[count, OFFSET_SAMPLES] = 0
    at += 1
    blocks[count, BYTES] = end - at - copies_bytes
    if blocks[count, BYTES] < 0:
        return MALFORMED
    for block in range(count + 1):
        blocks[block, BEGIN] = at
        at += int(blocks[block, BYTES])
    return count + 1


def build(payload_type: int, payload: bytes, copies: Sequence[Copy] = ()) -> bytes:
    """Return the RFC 2198 payload that carries `payload` and `copies`, oldest first.

    Parameters
    ----------
    payload_type : int
        Of the packet's own payload, 0 to 127.
    payload : bytes
        The packet's own payload.
    copies : sequence of Copy
        At most BLOCKS_MAX - 1.

    Raises
    ------
    ValueError
        If a copy is too old or too long for the header, or there are too many.
    """
    if len(copies) >= BLOCKS_MAX:
        raise ValueError(f"{len(copies)} copies: at most {BLOCKS_MAX - 1} fit")
    head = bytearray()
    for copy in copies:
        if not 0 <= copy.offset_samples <= OFFSET_SAMPLES_MAX:
            raise ValueError(
                f"offset_samples is {copy.offset_samples}: must be 0 to {OFFSET_SAMPLES_MAX}"
            )
        if len(copy.payload) > COPY_BYTES_MAX:
            raise ValueError(f"a copy of {len(copy.payload)} bytes: at most {COPY_BYTES_MAX} fit")
        word = copy.offset_samples << 10 | len(copy.payload)
        head += bytes([0x80 | copy.payload_type]) + word.to_bytes(3, "big")
    head.append(payload_type)
    return bytes(head) + b"".join(copy.payload for copy in copies) + payload
