"""Range decoder: symbols from the front of a frame, raw bits from its back (RFC 6716, 4.1).

Kernels over one int64 state `rc` (RC_SIZE) and the whole payload, of which the frame is a part:

    data   ... | first byte ->          <- raw bits | ...
               ^ BEGIN    ^ OFFSET   ^ RAW_OFFSET   ^ END

Bytes past the end read as zero, so no input can lead outside the frame. Everything is integer;
`rc[RANGE]` after the last symbol is what the encoder had, which proves the whole parse.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel

RC_SIZE: Final = 16

RANGE: Final = 0
"""Size of the current range, in (2^23, 2^31] between symbols."""
VALUE: Final = 1
"""High end of the range minus the coded value, minus one."""
STEP: Final = 2
"""Range over total of the symbol between `rc_decode` and `rc_update`."""
LAST_BYTE: Final = 3
"""The byte read last: its lowest bit has not been used yet."""
BEGIN: Final = 4
OFFSET: Final = 5
END: Final = 6
"""One past the frame's last byte, less what `rc_shrink` cut off."""
RAW_OFFSET: Final = 7
"""One past the next byte that raw bits are taken from, counted down."""
RAW_WINDOW: Final = 8
RAW_BITS: Final = 9
"""Bits waiting in RAW_WINDOW."""
TOTAL_BITS: Final = 10
"""Bits put into the decoder so far, the range coder's and the raw ones."""
ERROR: Final = 11
"""1 after an integer came out larger than it can be: the frame is corrupt (4.1.5)."""

_RANGE_MIN: Final = 1 << 23
_VALUE_MASK: Final = 0x7FFFFFFF
_UINT_BITS: Final = 8


def _log_steps() -> NDArray[np.int64]:
    """Return the largest mantissa of each eighth of a bit: section 4.1.6.2 on all of them."""
    mantissa = np.arange(1 << 15, 1 << 16, dtype=np.int64)
    eighths = np.zeros_like(mantissa)
    square = mantissa.copy()
    for _ in range(3):
        square = square * square >> 15
        bit = square >> 16
        eighths = eighths << 1 | bit
        square >>= bit
    return np.array([mantissa[eighths == k].max() for k in range(8)])


_LOG_STEPS: Final = _log_steps()
_ILOG_BYTE: Final = np.array([i.bit_length() for i in range(256)], np.int64)


@inner_kernel("int64(int64)")
def ilog(n: int) -> int:
    """Return the number of bits of `n` >= 0: 0 for 0, 1 for 1, 2 for 2 and 3 (1.1.10)."""
    bits = 0
    if n >= 1 << 32:
        bits += 32
        n >>= 32
    if n >= 1 << 16:
        bits += 16
        n >>= 16
    if n >= 1 << 8:
        bits += 8
        n >>= 8
    if n >= 1 << 4:
        bits += 4
        n >>= 4
    if n >= 1 << 2:
        bits += 2
        n >>= 2
    if n >= 1 << 1:
        bits += 1
        n >>= 1
    return bits + n


@inner_kernel("void(int64[::1], uint8[::1])")
def _normalise(rc: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
    """Read bytes until the range is large enough for the next symbol (4.1.2.1)."""
    while rc[RANGE] <= _RANGE_MIN:
        leftover = rc[LAST_BYTE]
        byte = 0
        if rc[OFFSET] < rc[END]:
            byte = int(data[rc[OFFSET]])
            rc[OFFSET] += 1
        rc[LAST_BYTE] = byte
        symbol = ((leftover << 8 | byte) >> 1) & 0xFF
        rc[RANGE] <<= 8
        rc[VALUE] = ((rc[VALUE] << 8) + (255 - symbol)) & _VALUE_MASK
        rc[TOTAL_BITS] += 8


@inner_kernel("void(int64[::1], uint8[::1], int64, int64)")
def rc_init(rc: NDArray[np.int64], data: NDArray[np.uint8], begin: int, length: int) -> None:
    """Start on the frame of `length` >= 0 bytes at `data[begin]` (4.1.1).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    rc[BEGIN] = begin
    rc[OFFSET] = begin
    rc[END] = begin + length
    rc[RAW_OFFSET] = begin + length
    rc[RAW_WINDOW] = 0
    rc[RAW_BITS] = 0
    rc[ERROR] = 0
    rc[STEP] = 0
    byte = 0
    if length > 0:
        byte = int(data[begin])
        rc[OFFSET] = begin + 1
    rc[LAST_BYTE] = byte
    rc[RANGE] = 128
    rc[VALUE] = 127 - (byte >> 1)
    rc[TOTAL_BITS] = 9  # so that a fresh decoder has used one bit (4.1.6)
    _normalise(rc, data)


@inner_kernel("int64(int64[::1], int64)")
def rc_decode(rc: NDArray[np.int64], ft: int) -> int:
    """Return where in 0 .. `ft` - 1 the next symbol lies; `rc_update` must follow (4.1.2).

    rc  (RC_SIZE,) int64, the range decoder's state: bytes and bits
    """
    step = rc[RANGE] // ft
    rc[STEP] = step
    return int(ft - min(rc[VALUE] // step + 1, ft))


@inner_kernel("int64(int64[::1], int64)")
def rc_decode_bin(rc: NDArray[np.int64], bits: int) -> int:
    """Do `rc_decode` for a total of 2^`bits` (4.1.3.1).

    rc  (RC_SIZE,) int64, the range decoder's state: bytes and bits
    """
    step = rc[RANGE] >> bits
    rc[STEP] = step
    ft = 1 << bits
    return int(ft - min(rc[VALUE] // step + 1, ft))


@inner_kernel("void(int64[::1], uint8[::1], int64, int64, int64)")
def rc_update(rc: NDArray[np.int64], data: NDArray[np.uint8], fl: int, fh: int, ft: int) -> None:
    """Take the symbol at `fl` .. `fh` of `ft` that `rc_decode` found out of the state (4.1.2).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    above = rc[STEP] * (ft - fh)
    rc[VALUE] -= above
    if fl > 0:
        rc[RANGE] = rc[STEP] * (fh - fl)
    else:
        rc[RANGE] -= above
    _normalise(rc, data)


@inner_kernel("int64(int64[::1], uint8[::1], int64)")
def rc_bit_logp(rc: NDArray[np.int64], data: NDArray[np.uint8], logp: int) -> int:
    """Return a bit that is 1 with probability 2^-`logp` (4.1.3.2).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    share = rc[RANGE] >> logp
    bit = 1 if rc[VALUE] < share else 0
    if bit == 1:
        rc[RANGE] = share
    else:
        rc[VALUE] -= share
        rc[RANGE] -= share
    _normalise(rc, data)
    return bit


@inner_kernel("int64(int64[::1], uint8[::1], Array(uint8, 1, 'C', readonly=True), int64, int64)")
def rc_icdf(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    table: NDArray[np.uint8],
    offset: int,
    ftb: int,
) -> int:
    """Return a symbol of the inverse cumulative table at `table[offset]` (4.1.3.3).

    rc     (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data   (n,) uint8, bytes of the payload
    table  (n,) uint8, 2^ftb minus the cumulative frequency (a count) up to and with each symbol;
           ends with 0
    """
    high = rc[RANGE]
    value = rc[VALUE]
    step = high >> ftb
    k = offset
    low = step * int(table[k])
    while value < low:
        high = low
        k += 1
        low = step * int(table[k])
    rc[VALUE] = value - low
    rc[RANGE] = high - low
    _normalise(rc, data)
    return k - offset


@inner_kernel("int64(int64[::1], uint8[::1], int64)")
def rc_bits(rc: NDArray[np.int64], data: NDArray[np.uint8], n: int) -> int:
    """Return `n` <= 25 raw bits from the back of the frame (4.1.4).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    while rc[RAW_BITS] < n:
        if rc[RAW_OFFSET] > rc[BEGIN]:
            rc[RAW_OFFSET] -= 1
            rc[RAW_WINDOW] |= int(data[rc[RAW_OFFSET]]) << rc[RAW_BITS]
        rc[RAW_BITS] += 8
    bits = rc[RAW_WINDOW] & ((1 << n) - 1)
    rc[RAW_WINDOW] >>= n
    rc[RAW_BITS] -= n
    rc[TOTAL_BITS] += n
    return int(bits)


@inner_kernel("int64(int64[::1], uint8[::1], int64)")
def rc_uint(rc: NDArray[np.int64], data: NDArray[np.uint8], ft: int) -> int:
    """Return one of `ft` equally likely integers, 2 <= `ft` < 2^32 (4.1.5).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    raw = ilog(ft - 1) - _UINT_BITS
    if raw <= 0:
        value = rc_decode(rc, ft)
        rc_update(rc, data, value, value + 1, ft)
        return value
    total = ((ft - 1) >> raw) + 1
    high = rc_decode(rc, total)
    rc_update(rc, data, high, high + 1, total)
    value = high << raw | rc_bits(rc, data, raw)
    if value >= ft:
        rc[ERROR] = 1
        value = ft - 1
    return value


@inner_kernel("int64(int64[::1])")
def rc_tell(rc: NDArray[np.int64]) -> int:
    """Return the bits used so far, rounded up (4.1.6.1).

    rc  (RC_SIZE,) int64, the range decoder's state: bytes and bits
    """
    return int(rc[TOTAL_BITS] - 24 - _ILOG_BYTE[(rc[RANGE] >> 24) & 0xFF])


@inner_kernel("int64(int64[::1])")
def rc_tell_frac(rc: NDArray[np.int64]) -> int:
    """Return the bits used so far in eighths of a bit (4.1.6.2).

    The section squares three times; the eighth is one of two that the mantissa's top bits leave.

    rc  (RC_SIZE,) int64, the range decoder's state: bytes and bits
    """
    bits = 24 + _ILOG_BYTE[(rc[RANGE] >> 24) & 0xFF]
    mantissa = rc[RANGE] >> (bits - 16)
    eighth = ((mantissa >> 12) - 8) & 7
    if mantissa > _LOG_STEPS[eighth]:
        eighth += 1
    return int((rc[TOTAL_BITS] << 3) - (bits << 3) - eighth)


@inner_kernel("void(int64[::1], uint8[::1], int64)")
def rc_shrink(rc: NDArray[np.int64], data: NDArray[np.uint8], length: int) -> None:
    """Cut `length` bytes off the frame's end, before any raw bit was read (4.5.1.3).

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    """
    rc[END] -= length
    rc[RAW_OFFSET] -= length
