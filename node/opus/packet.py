"""Opus packets: what the first byte says, and where the frames lie (RFC 6716, section 3).

The kernels look at `data[offset : offset + length]`, one payload inside a datagram. Whatever
breaks the rules R1 to R7 of section 3.4 is refused whole with a negative result.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.opus.protocol import BAD_PAYLOAD
from node.units import PACKET_SAMPLES_MAX

FRAMES_MAX: Final = 48
FRAME_BYTES_MAX: Final = 1275

MODE_NONE: Final = 0
MODE_SILK: Final = 1
MODE_HYBRID: Final = 2
MODE_CELT: Final = 3

NARROWBAND: Final = 0  # 1 is medium band
WIDEBAND: Final = 2
SUPERWIDEBAND: Final = 3
FULLBAND: Final = 4

_SILK_BYTES_PER_MS_MAX: Final = 25
_VBR: Final = 0x80
_PADDED: Final = 0x40
_COUNT_MASK: Final = 0x3F


@kernel("int64(int64)")
def toc_mode(toc: int) -> int:
    """Return MODE_SILK, MODE_HYBRID or MODE_CELT of a packet's first byte (3.1, Table 2)."""
    config = toc >> 3
    if config < 12:
        return MODE_SILK
    return MODE_HYBRID if config < 16 else MODE_CELT


@kernel("int64(int64)")
def toc_bandwidth(toc: int) -> int:
    """Return NARROWBAND to FULLBAND (3.1, Table 2)."""
    config = toc >> 3
    if config < 12:
        return config >> 2
    if config < 16:
        return SUPERWIDEBAND + ((config - 12) >> 1)
    band = (config - 16) >> 2
    return NARROWBAND if band == 0 else band + 1


@inner_kernel("int64(int64)")
def toc_frame_samples(toc: int) -> int:
    """Return the duration of each frame in samples at 48 kHz (3.1, Table 2)."""
    config = toc >> 3
    if config < 12:
        size = config & 3
        return 2880 if size == 3 else 480 << size
    if config < 16:
        return 480 << (config & 1)
    return 120 << (config & 3)


@kernel("int64(int64)")
def toc_channels(toc: int) -> int:
    """Return 1 or 2 coded channels."""
    return 1 + ((toc >> 2) & 1)


@inner_kernel("UniTuple(int64, 2)(uint8[::1], int64, int64)")
def frame_length(data: NDArray[np.uint8], begin: int, end: int) -> tuple[int, int]:
    """Read a frame length of one or two bytes; return where it ends, and it or -1 (3.2.1).

    data  (n,) uint8, bytes of the payload
    """
    if begin >= end:
        return begin, -1
    size = int(data[begin])
    if size < 252:
        return begin + 1, size
    if begin + 1 >= end:
        return begin, -1
    return begin + 2, size + 4 * int(data[begin + 1])


@inner_kernel("UniTuple(int64, 2)(uint8[::1], int64, int64)")
def _strip_padding(data: NDArray[np.uint8], begin: int, end: int) -> tuple[int, int]:
    """Read the padding's size; return where it ends and where the frames end, or -1 (3.2.5).

    data  (n,) uint8, bytes of the payload
    """
    more = True
    while more:
        if begin >= end:
            return begin, -1
        size = int(data[begin])
        begin += 1
        more = size == 255
        end -= 254 if more else size  # off the end at once: RFC 8251, section 4
    return (begin, end) if begin <= end else (begin, -1)


@kernel("UniTuple(int64, 4)(uint8[::1], int64, int64)")
def layout(data: NDArray[np.uint8], offset: int, length: int) -> tuple[int, int, int, int]:
    """Check R1 to R7; return the count of frames or BAD_PAYLOAD, and where things are (3.2).

    data  (n,) uint8, bytes of the payload

    The others are: where the coded frame lengths begin, or -1 if the frames are equally long;
    where the first frame begins; and where the last one ends.
    """
    bad = (BAD_PAYLOAD, -1, 0, 0)
    if length < 1:
        return bad
    toc = int(data[offset])
    begin = offset + 1
    end = offset + length
    count = 1 if toc & 3 == 0 else 2
    coded = toc & 3 == 2
    if toc & 3 == 3:
        if length < 2:
            return bad
        head = int(data[begin])
        begin += 1
        count = head & _COUNT_MASK
        if count == 0 or count * toc_frame_samples(toc) > PACKET_SAMPLES_MAX:
            return bad
        if head & _PADDED:
            begin, end = _strip_padding(data, begin, end)
            if end < 0:
                return bad
        coded = head & _VBR != 0
    if not coded:
        if (end - begin) % count != 0 or (end - begin) // count > FRAME_BYTES_MAX:
            return bad
        return count, -1, begin, end
    lengths = begin
    total = 0
    for _ in range(count - 1):
        begin, size = frame_length(data, begin, end)
        total += size
        if size < 0 or total > end - begin:
            return bad
    if end - begin - total > FRAME_BYTES_MAX:
        return bad
    return count, lengths, begin, end


@inner_kernel("int64(uint8[::1], int64, int64, int64[:, ::1])")
def parse_frames(
    data: NDArray[np.uint8], offset: int, length: int, frames: NDArray[np.int64]
) -> int:
    """Find the frames of a packet; return how many, or BAD_PAYLOAD (3.2).

    data    (n,) uint8, bytes of the payload
    frames  (FRAMES_MAX, 2) int64, out: offset in `data` and bytes of each frame
    """
    count, lengths, begin, end = layout(data, offset, length)
    for i in range(count):
        if lengths < 0:
            size = (end - begin) // (count - i)
        elif i == count - 1:
            size = end - begin
        else:
            lengths, size = frame_length(data, lengths, end)
        frames[i, 0] = begin
        frames[i, 1] = size
        begin += size
    return count


@kernel("int64(uint8[::1], int64, int64)")
def packet_samples(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return the packet's duration in samples at 48 kHz, or BAD_PAYLOAD (R1 to R7).

    data  (n,) uint8, bytes of the payload
    """
    count, _, _, _ = layout(data, offset, length)
    if count < 0:
        return count
    return count * toc_frame_samples(int(data[offset]))


@inner_kernel("int64(uint8[::1], int64, int64, int64)")
def is_plausible(data: NDArray[np.uint8], offset: int, length: int, samples: int) -> int:
    """Return 0 for SILK frames without padding at a rate that no encoder gives them.

    The highest rate that libopus gives SILK is 80 kb/s for two channels; frames may be up to 1275
    bytes long all the same, so that most PCM that begins with a small number would pass.

    data  (n,) uint8, bytes of the payload
    """
    toc = int(data[offset])
    is_silk = toc_mode(toc) == MODE_SILK and toc & 3 != 3
    return 0 if is_silk and length * 48 > _SILK_BYTES_PER_MS_MAX * samples else 1


@kernel("int64(uint8[::1], int64, int64)")
def has_lbrr(data: NDArray[np.uint8], offset: int, length: int) -> int:
    """Return 1 if the packet's first frame carries a coarse copy of the one before (4.2.3).

    0 for CELT, for an empty first frame, and for a packet that breaks the framing rules.

    data  (n,) uint8, bytes of the payload
    """
    count, lengths, begin, end = layout(data, offset, length)
    if count < 0:
        return 0
    size = (end - begin) // count
    if lengths >= 0 and count > 1:  # the length of the last frame is not coded
        _, size = frame_length(data, lengths, end)
    toc = int(data[offset])
    if size == 0 or toc_mode(toc) == MODE_CELT:
        return 0
    header = int(data[begin])
    silk_frames = max(1, toc_frame_samples(toc) // 960)
    flag = (header >> (7 - silk_frames)) & 1
    if toc_channels(toc) == 2:
        flag |= (header >> (6 - 2 * silk_frames)) & 1
    return flag
