"""Range decoder: symbols from the front of a frame, raw bits from its back (RFC 6716, 4.1).

Kernels over one record, which holds the bytes of the frame too:

    bytes   first byte ->          <- raw bits
            0  ^ offset   ^ raw_offset   ^ end

Bytes past the end read as zero, so no input can lead outside the frame. Everything is integer;
`range` after the last symbol is what the encoder had, which proves the whole parse.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.kernel.record import Record, whole

FRAME_BYTES_MAX: Final = 1275
"""Bytes of the longest frame (RFC 6716, section 3.4, R2)."""


class RangeDecoder(Record):
    """One frame that is being read: where in it the decoder is, and its bytes."""

    range: int = whole("", "Size of the current range, in (2^23, 2^31] between symbols.")
    value: int = whole("", "High end of the range minus the coded value, minus one.")
    step: int = whole("", "Range over total of a symbol between `rc_decode` and `rc_update`.")
    last_byte: int = whole("", "The byte read last: its lowest bit has not been used yet.")
    offset: int = whole("bytes", "Where the next byte of the range coder is.")
    end: int = whole("bytes", "The frame's length, less what `rc_shrink` cut off.")
    raw_offset: int = whole("bytes", "One past the next byte of raw bits, counted down.")
    raw_window: int = whole("", "Raw bits that have been read and not been asked for.")
    raw_bits: int = whole("bits", "How many they are.")
    total_bits: int = whole("bits", "Put into the decoder so far, the range coder's and the raw.")
    error: int = whole(
        "", "1 after an integer came out larger than it can be: the frame is corrupt (4.1.5)."
    )
    bytes: NDArray[np.uint8] = whole("", "The frame.", (FRAME_BYTES_MAX,), np.uint8)


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


@inner_kernel("void(RangeDecoder)")
def _normalise(rc: RangeDecoder) -> None:
    """Read bytes until the range is large enough for the next symbol (4.1.2.1)."""
    while rc.range <= _RANGE_MIN:
        leftover = rc.last_byte
        byte = 0
        if rc.offset < rc.end:
            byte = int(rc.bytes[rc.offset])
            rc.offset += 1
        rc.last_byte = byte
        symbol = ((leftover << 8 | byte) >> 1) & 0xFF
        rc.range <<= 8
        rc.value = ((rc.value << 8) + (255 - symbol)) & _VALUE_MASK
        rc.total_bits += 8


@inlined
def rc_copy(to: RangeDecoder, rc: RangeDecoder) -> None:
    """Make `to` what `rc` is."""
    to.range = rc.range
    to.value = rc.value
    to.step = rc.step
    to.last_byte = rc.last_byte
    to.offset = rc.offset
    to.end = rc.end
    to.raw_offset = rc.raw_offset
    to.raw_window = rc.raw_window
    to.raw_bits = rc.raw_bits
    to.total_bits = rc.total_bits
    to.error = rc.error
    for i in range(FRAME_BYTES_MAX):
        to.bytes[i] = rc.bytes[i]


@inner_kernel("void(RangeDecoder, Array(uint8, 1, 'C', readonly=True))")
def rc_init(rc: RangeDecoder, frame: NDArray[np.uint8]) -> None:
    """Start on a frame of at most FRAME_BYTES_MAX bytes (4.1.1).

    frame  (n,) uint8, bytes: they are copied
    """
    length = min(frame.size, FRAME_BYTES_MAX)
    for i in range(length):
        rc.bytes[i] = frame[i]
    rc.end = length
    rc.raw_offset = length
    rc.raw_window = 0
    rc.raw_bits = 0
    rc.error = 0
    rc.step = 0
    byte = int(rc.bytes[0]) if length > 0 else 0
    rc.offset = 1 if length > 0 else 0
    rc.last_byte = byte
    rc.range = 128
    rc.value = 127 - (byte >> 1)
    rc.total_bits = 9  # so that a fresh decoder has used one bit (4.1.6)
    _normalise(rc)


@inner_kernel("int64(RangeDecoder, int64)")
def rc_decode(rc: RangeDecoder, ft: int) -> int:
    """Return where in 0 .. `ft` - 1 the next symbol lies; `rc_update` must follow (4.1.2)."""
    step = rc.range // ft
    rc.step = step
    return int(ft - min(rc.value // step + 1, ft))


@inner_kernel("int64(RangeDecoder, int64)")
def rc_decode_bin(rc: RangeDecoder, bits: int) -> int:
    """Do `rc_decode` for a total of 2^`bits` (4.1.3.1)."""
    step = rc.range >> bits
    rc.step = step
    ft = 1 << bits
    return int(ft - min(rc.value // step + 1, ft))


@inner_kernel("void(RangeDecoder, int64, int64, int64)")
def rc_update(rc: RangeDecoder, fl: int, fh: int, ft: int) -> None:
    """Take the symbol at `fl` .. `fh` of `ft` that `rc_decode` found out of the state (4.1.2)."""
    above = rc.step * (ft - fh)
    rc.value -= above
    if fl > 0:
        rc.range = rc.step * (fh - fl)
    else:
        rc.range -= above
    _normalise(rc)


@inner_kernel("int64(RangeDecoder, int64)")
def rc_bit_logp(rc: RangeDecoder, logp: int) -> int:
    """Return a bit that is 1 with probability 2^-`logp` (4.1.3.2)."""
    share = rc.range >> logp
    bit = 1 if rc.value < share else 0
    if bit == 1:
        rc.range = share
    else:
        rc.value -= share
        rc.range -= share
    _normalise(rc)
    return bit


@inner_kernel("int64(RangeDecoder, Array(uint8, 1, 'C', readonly=True), int64, int64)")
def rc_icdf(
    rc: RangeDecoder,
    table: NDArray[np.uint8],
    offset: int,
    ftb: int,
) -> int:
    """Return a symbol of the inverse cumulative table at `table[offset]` (4.1.3.3).

    table  (n,) uint8, 2^ftb minus the cumulative frequency (a count) up to and with each symbol;
           ends with 0
    """
    high = rc.range
    value = rc.value
    step = high >> ftb
    k = offset
    low = step * int(table[k])
    while value < low:
        high = low
        k += 1
        low = step * int(table[k])
    rc.value = value - low
    rc.range = high - low
    _normalise(rc)
    return k - offset


@inner_kernel("int64(RangeDecoder, int64)")
def rc_bits(rc: RangeDecoder, n: int) -> int:
    """Return `n` <= 25 raw bits from the back of the frame (4.1.4)."""
    while rc.raw_bits < n:
        if rc.raw_offset > 0:
            rc.raw_offset -= 1
            rc.raw_window |= int(rc.bytes[rc.raw_offset]) << rc.raw_bits
        rc.raw_bits += 8
    bits = rc.raw_window & ((1 << n) - 1)
    rc.raw_window >>= n
    rc.raw_bits -= n
    rc.total_bits += n
    return int(bits)


@inner_kernel("int64(RangeDecoder, int64)")
def rc_uint(rc: RangeDecoder, ft: int) -> int:
    """Return one of `ft` equally likely integers, 2 <= `ft` < 2^32 (4.1.5)."""
    raw = ilog(ft - 1) - _UINT_BITS
    if raw <= 0:
        value = rc_decode(rc, ft)
        rc_update(rc, value, value + 1, ft)
        return value
    total = ((ft - 1) >> raw) + 1
    high = rc_decode(rc, total)
    rc_update(rc, high, high + 1, total)
    value = high << raw | rc_bits(rc, raw)
    if value >= ft:
        rc.error = 1
        value = ft - 1
    return value


@inner_kernel("int64(RangeDecoder)")
def rc_tell(rc: RangeDecoder) -> int:
    """Return the bits used so far, rounded up (4.1.6.1)."""
    return int(rc.total_bits - 24 - _ILOG_BYTE[(rc.range >> 24) & 0xFF])


@inner_kernel("int64(RangeDecoder)")
def rc_tell_frac(rc: RangeDecoder) -> int:
    """Return the bits used so far in eighths of a bit (4.1.6.2).

    The section squares three times; the eighth is one of two that the mantissa's top bits leave.
    """
    bits = 24 + _ILOG_BYTE[(rc.range >> 24) & 0xFF]
    mantissa = rc.range >> (bits - 16)
    eighth = ((mantissa >> 12) - 8) & 7
    if mantissa > _LOG_STEPS[eighth]:
        eighth += 1
    return int((rc.total_bits << 3) - (bits << 3) - eighth)


@inner_kernel("void(RangeDecoder, int64)")
def rc_shrink(rc: RangeDecoder, length: int) -> None:
    """Cut `length` bytes off the frame's end, before any raw bit was read (4.5.1.3)."""
    rc.end -= length
    rc.raw_offset -= length
