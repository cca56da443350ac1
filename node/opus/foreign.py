"""What else the bytes of a payload read as: other codecs keep the framing rules of Opus by chance.

Nothing in a packet says that it is Opus. A stream that is doubted is looked at for what other
formats have and Opus has not, or only by chance: one packet so read shows little, some in a row do.

============  ====================================================================================
PCM           bytes that differ by a sign come again and again: those of a range coder are spread
              evenly (RFC 6716, section 4.1), samples of speech and of tones are not
AMR           a table of frame types whose lengths add up to the payload's (RFC 4867, section 4)
GSM           33 bytes that begin with 0xD, with lags that its voices can have (RFC 3551, 4.5.8)
STREAMS       Opus streams one after another, all but the last or all of them self-delimited and
              of one duration (RFC 6716, appendix B; RFC 7845, section 3)
============  ====================================================================================
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.packet import (
    FRAME_BYTES_MAX,
    MODE_CELT,
    frame_length,
    layout,
    packet_samples,
    toc_frame_samples,
    toc_mode,
)
from node.units import PACKET_SAMPLES_MAX

NO_READING: Final = 0
PCM: Final = 1
AMR: Final = 2
GSM: Final = 4
STREAMS: Final = 8
KINDS: Final = 0xFF
"""The bits of the kinds; what reads as two of them has both. Of GSM's frames that begin with 0xD1
one in eight has the table of AMR-WB. Above stands what tells two readings of a kind apart."""

_SELF_DELIMITED: Final = 0x100
"""Stands for the first byte of the last stream where there is no stream that ends with a packet."""

_ALONE_BYTES_MIN: Final = 12

_PAIRS_MIN: Final = 16
_UNEVEN: Final = 3.5
"""So many times as many pairs of bytes are alike as chance makes. Of digital silence and of a
direct voltage, whose packets are the least random ones of libopus, 2.6 times as many are."""
_LOOKED_AT: Final = 160
"""Bytes of a frame whose pairs are counted: each with each other."""

_AMR_BITS: Final = np.array(
    [
        [95, 103, 118, 134, 148, 159, 204, 244, 39, -1, -1, -1, -1, -1, -1, 0],
        [132, 177, 253, 285, 317, 365, 397, 461, 477, 40, -1, -1, -1, -1, 0, 0],
    ],
    np.int64,
)
"""(2, 16) int64, bits: of each frame type of AMR and AMR-WB (RFC 4867, 3.6), -1 where none is."""

_GSM_BYTES: Final = 33
_GSM_LAG_MIN: Final = 40
_GSM_LAG_MAX: Final = 120


@inner_kernel("int64(uint8[::1], int64, int64)")
def is_uneven(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return 1 where bytes of a frame are alike far more often than those of a range coder.

    data  (n,) uint8, bytes of the payload

    Alike but for the highest bit, which is the sign in G.711. Zeros are left out: encoders fill up
    with them. Frames are looked at one by one, for several of silence are alike; a payload that
    breaks the framing rules as a whole.
    """
    count, lengths, begin, end = layout(data, offset, length)
    if count < 0:
        count, begin, end = 1, offset, offset + length
    pairs = 0
    chances = 0
    for i in range(count):
        size = (end - begin) // (count - i)
        if lengths >= 0:
            size = end - begin
            if i < count - 1:
                lengths, size = frame_length(data, lengths, end)
        for one in range(begin, begin + min(size, _LOOKED_AT)):
            if data[one] == 0:
                continue
            for other in range(begin, one):
                if data[other] != 0:
                    chances += 1
                    pairs += (data[one] ^ data[other]) & 0x7F == 0
        begin += size
    return 1 if pairs >= _PAIRS_MIN and pairs * 128 > _UNEVEN * chances else 0


@inner_kernel("int64(uint8[::1], int64, int64)")
def _bits(data: NDArray[np.uint8], at: int, count: int) -> int:
    """Return `count` <= 8 bits from bit `at` on; they may lie in two bytes."""
    value = int(data[at >> 3]) << 8
    if (at & 7) + count > 8:
        value |= int(data[(at >> 3) + 1])
    return (value >> (16 - count - (at & 7))) & ((1 << count) - 1)


@inner_kernel("int64(uint8[::1], int64, int64, int64, int64)")
def _amr_form(data: NDArray[np.uint8], offset: int, length: int, law: int, is_aligned: int) -> int:
    """Return 1 for a payload of AMR (`law` 0) or AMR-WB (1), of octets or of bits (4.3 and 4.4).

    Its frames are undamaged and all of one mode, or packets of Opus of some sizes would pass.
    """
    head, entry = (8, 8) if is_aligned else (4, 6)
    end = 8 * (offset + length)
    at = 8 * offset + head
    kind = _bits(data, at + 1, 4) if at + entry <= end else 0
    size = _AMR_BITS[law, kind]
    total = 0
    follows = 1
    while follows:
        if at + entry > end or size < 0 or _bits(data, at + 1, 5) != kind << 1 | 1:
            return 0
        if is_aligned and _bits(data, at + 6, 2) != 0:
            return 0
        follows = _bits(data, at, 1)
        total += (size + 7) // 8 * 8 if is_aligned else size
        at += entry
    left = end - at - total
    if total == 0 or not 0 <= left < 8 or (is_aligned and _bits(data, 8 * offset + 4, 4) != 0):
        return 0
    return 1 if left == 0 or _bits(data, end - left, left) == 0 else 0


@inner_kernel("int64(uint8[::1], int64, int64)")
def is_amr(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return 1 where a payload reads as AMR or AMR-WB.

    data  (n,) uint8, bytes of the payload
    """
    for law in range(2):
        for is_aligned in range(2):
            if _amr_form(data, offset, length, law, is_aligned) != 0:
                return 1
    return 0


@inner_kernel("int64(uint8[::1], int64, int64)")
def is_gsm(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return 1 where a payload reads as frames of GSM 06.10, 33 bytes each.

    data  (n,) uint8, bytes of the payload
    """
    if length % _GSM_BYTES != 0:
        return 0
    for begin in range(offset, offset + length, _GSM_BYTES):
        if data[begin] >> 4 != 0xD:
            return 0
        for lag in range(begin + 5, begin + _GSM_BYTES, 7):  # of the four parts of a frame
            if not _GSM_LAG_MIN <= data[lag] >> 1 <= _GSM_LAG_MAX:
                return 0
    return 1


@inner_kernel("UniTuple(int64, 2)(uint8[::1], int64, int64)")
def _self_delimited(data: NDArray[np.uint8], begin: int, end: int) -> tuple[int, int]:
    """Return where a self-delimited packet ends, and its duration in samples; or -1 (appendix B).

    The length of its last frame is coded too, or that of all where they are equally long. One that
    is filled up is left out, and one with an empty frame: encoders fill up the last stream only,
    and what fills up one of Opus reads as empty frames.
    """
    bad = (-1, -1)
    if begin >= end:
        return bad
    toc = int(data[begin])
    begin += 1
    count = 1 if toc & 3 == 0 else 2
    is_each_coded = toc & 3 != 1
    if toc & 3 == 3:
        if begin >= end:
            return bad
        head = int(data[begin])
        begin += 1
        count = head & 0x3F
        is_each_coded = head & 0x80 != 0
        if head & 0x40:
            return bad
    samples = count * toc_frame_samples(toc)
    if count == 0 or samples > PACKET_SAMPLES_MAX:
        return bad
    total = 0
    for _ in range(count if is_each_coded else 1):
        begin, size = frame_length(data, begin, end)
        if not 0 < size <= FRAME_BYTES_MAX:
            return bad
        total += size if is_each_coded else count * size
    return (begin + total, samples) if total <= end - begin else bad


@inner_kernel("int64(uint8[::1], int64, int64)")
def streams_inside(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return the first byte of the second of several streams in a payload, or -1 for one stream.

    data  (n,) uint8, bytes of the payload

    0x100 stands for packets that are all self-delimited, be it one: then of some length, for the
    first byte after that of a short packet is often the same.
    """
    end = offset + length
    begin, samples = _self_delimited(data, offset, end)
    if begin == end:
        return _SELF_DELIMITED if length >= _ALONE_BYTES_MIN else -1
    second = int(data[begin]) if 0 < begin < end else -1
    codes = int(data[offset]) & 3, second & 3
    if codes[0] != codes[1] and max(codes) < 3:
        return -1
    while 0 < begin < end:
        if packet_samples(data, begin, end - begin) == samples:
            return second
        begin, own = _self_delimited(data, begin, end)
        if own != samples:
            return -1
    return second if begin == end else -1


@inner_kernel("int64(uint8[::1], int64, int64)")
def is_silent(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return 1 for one CELT frame that says it is silence: nobody hears what it is (4.3, Table 56).

    data  (n,) uint8, bytes of the payload
    """
    toc = int(data[offset])
    is_one = length > 2 and toc_mode(toc) == MODE_CELT and toc & 3 == 0
    return 1 if is_one and data[offset + 1] == 0xFF and data[offset + 2] >= 0xFE else 0


@inner_kernel("int64(uint8[::1], int64, int64)")
def reading(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return NO_READING, or as what else the payload reads; a packet of Opus may, by chance.

    data  (n,) uint8, bytes of the payload at `offset`, `length` of them
    """
    if length < 2 or is_silent(data, offset, length) != 0:
        return NO_READING
    telephone = is_amr(data, offset, length) * AMR | is_gsm(data, offset, length) * GSM
    if telephone != 0:
        return int(telephone)
    if is_uneven(data, offset, length) != 0:
        return PCM
    second = streams_inside(data, offset, length)
    return NO_READING if second < 0 else STREAMS | second << 8
