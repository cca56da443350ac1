"""RTP packets (RFC 3550, section 5.1): parse what came, build what goes."""

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel

BYTE: Final = np.dtype(np.uint8)
"""Of a datagram: made once, for numpy makes one of a type at each call."""

HEADER_BYTES: Final = 12
_RTCP_FIRST: Final = 192
"""Second bytes by which RTCP is told from RTP on one port: from here (RFC 5761, section 4), ..."""
_RTCP_LAST: Final = 223
"""... to here."""
PACKET_BYTES_MAX: Final = 1472
"""What fits an Ethernet frame of 1500 bytes with IPv4 and UDP; Opus needs at most 1275 (R2)."""

# Fields of a parsed header, index into (HEADER_FIELDS,) int64.
PAYLOAD_TYPE: Final = 0
MARKER: Final = 1
SEQUENCE: Final = 2
TIMESTAMP: Final = 3
SSRC: Final = 4
PAYLOAD_OFFSET: Final = 5
PAYLOAD_BYTES: Final = 6
HEADER_FIELDS: Final = 8

# Results of `parse`.
RTP: Final = 0
RTCP: Final = 1
TOO_SHORT: Final = -1
MALFORMED: Final = -2


@inner_kernel("int64(uint8[::1], int64)")
def _word(data: NDArray[np.uint8], at: int) -> int:
    high = (np.int64(data[at]) << 24) | (np.int64(data[at + 1]) << 16)
    return int(high | (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3]))


@kernel("int64(uint8[::1], int64[::1])")
def parse(data: NDArray[np.uint8], header: NDArray[np.int64]) -> int:
    """Parse the RTP header of `data` into `header`; return RTP, RTCP, TOO_SHORT or MALFORMED.

    data    (bytes,) uint8, one datagram
    header  (HEADER_FIELDS,) int64, units by the fields' names, filled only for RTP

    RTCP is told apart by its packet type as RFC 5761, section 4 says. The validity checks are
    those of RFC 3550, A.1.
    """
    length = data.shape[0]
    if length < 8:
        return TOO_SHORT
    if data[0] >> 6 != 2:
        return MALFORMED
    if _RTCP_FIRST <= data[1] <= _RTCP_LAST:
        return RTCP
    offset = HEADER_BYTES + 4 * (np.int64(data[0]) & 15)
    if length < offset:
        return TOO_SHORT
    if data[0] & 16:
        if length < offset + 4:
            return TOO_SHORT
        offset += 4 + 4 * ((np.int64(data[offset + 2]) << 8) | np.int64(data[offset + 3]))
        if length < offset:
            return TOO_SHORT
    payload_bytes = length - offset
    if data[0] & 32:
        padding = np.int64(data[length - 1])
        if padding == 0 or padding > payload_bytes:
            return MALFORMED
        payload_bytes -= padding
    header[PAYLOAD_TYPE] = data[1] & 127
    header[MARKER] = data[1] >> 7
    header[SEQUENCE] = (np.int64(data[2]) << 8) | np.int64(data[3])
    header[TIMESTAMP] = _word(data, 4)
    header[SSRC] = _word(data, 8)
    header[PAYLOAD_OFFSET] = offset
    header[PAYLOAD_BYTES] = payload_bytes
    return RTP


def is_rtcp(data: bytes) -> bool:
    """Return whether `parse` says RTCP of a datagram of at least HEADER_BYTES."""
    return _RTCP_FIRST <= data[1] <= _RTCP_LAST and data[0] >> 6 == 2


class Peeked(NamedTuple):
    """What a datagram says of itself before anybody has looked whether it may."""

    is_rtcp: bool
    payload_type: int
    """Of RTP; what it says of RTCP has no meaning."""
    ssrc: int


def peek(data: bytes) -> Peeked | None:
    """Return what the header of a datagram claims, or None where there is none. Checks nothing."""
    if len(data) < HEADER_BYTES:
        return None
    is_rtcp = _RTCP_FIRST <= data[1] <= _RTCP_LAST
    ssrc = data[4:8] if is_rtcp else data[8:12]
    return Peeked(is_rtcp, data[1] & 127, int.from_bytes(ssrc, "big"))


def build(
    payload: bytes, *, sequence: int, timestamp: int, ssrc: int, payload_type: int, marker: bool
) -> bytes:
    """Return one RTP packet around `payload`; counters are taken modulo their width.

    Raises
    ------
    ValueError
        If `payload_type` is outside 0 to 127.
    """
    if not 0 <= payload_type <= 127:
        raise ValueError(f"payload_type is {payload_type}: it must be 0 to 127")
    second = payload_type | (0x80 if marker else 0)
    words = (sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc & 0xFFFFFFFF)
    return struct.pack("!BBHII", 0x80, second, *words) + payload
