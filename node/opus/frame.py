"""One Opus frame: which layers it has, and how it joins the frame before (RFC 6716, 4.5).

What CELT and SILK leave at a change of mode is bridged by a redundant CELT frame of 5 ms inside
the packet, or else by 5 ms of concealment in the old mode; both are faded over 2.5 ms.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus.celt.concealment import celt_conceal
from node.opus.celt.frame import celt_decode_frame, celt_reset
from node.opus.celt.tables_celt import WINDOW
from node.opus.concealment import ask_celt, ask_silk, conceal_frame
from node.opus.packet import (
    MODE_CELT,
    MODE_HYBRID,
    MODE_NONE,
    MODE_SILK,
    WIDEBAND,
    toc_bandwidth,
    toc_channels,
)
from node.opus.range_decoder import (
    RangeDecoder,
    rc_bit_logp,
    rc_copy,
    rc_init,
    rc_shrink,
    rc_tell,
    rc_uint,
)
from node.opus.silk.layer import COPY, GOOD, decode_silk, reset_silk
from node.opus.stream import LOW, REDUNDANT, TRANSITION, Room, Stream

_SILENCE: Final = np.full(2, 0xFF, np.uint8)
"""Bytes of a CELT frame of silence."""
_END_BANDS: Final = np.array([13, 17, 17, 19, 21], np.int64)
_REDUNDANCY_BITS: Final = 17
_REDUNDANCY_BITS_HYBRID: Final = 37


@inner_kernel("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], int64)")
def _fade(
    old: NDArray[np.float32], new: NDArray[np.float32], out: NDArray[np.float32], output_khz: int
) -> None:
    """Cross-fade 2.5 ms from `old` to `new` by CELT's window squared (4.5.1.4)."""
    step = 48 // output_khz
    for i in range(5 * output_khz // 2):
        share = WINDOW[i * step] * WINDOW[i * step]
        for c in range(out.shape[1]):
            faded = (np.float32(1.0) - share) * old[i, c]
            out[i, c] = share * new[i, c] + faded


@inner_kernel("UniTuple(int64, 2)(RangeDecoder, int64, int64)")
def _find_redundancy(rc: RangeDecoder, length: int, mode: int) -> tuple[int, int]:
    """Return the bytes of the redundant frame, 0 for none, and 1 if it comes first (4.5.1)."""
    hybrid = mode == MODE_HYBRID
    needed = _REDUNDANCY_BITS_HYBRID if hybrid else _REDUNDANCY_BITS
    if rc_tell(rc) + needed > 8 * length:
        return 0, 0
    if hybrid and rc_bit_logp(rc, 12) == 0:
        return 0, 0
    first = rc_bit_logp(rc, 1)
    size = rc_uint(rc, 256) + 2 if hybrid else length - ((rc_tell(rc) + 7) >> 3)
    if 8 * (length - size) < rc_tell(rc):
        return -1, 0
    rc_shrink(rc, size)
    return size, first


@inner_kernel("int64(Stream, Room, Array(uint8, 1, 'C', readonly=True), float32[:, ::1])")
def _decode_other(
    stream: Stream, room: Room, data: NDArray[np.uint8], out: NDArray[np.float32]
) -> int:
    """Decode another CELT frame in the middle of one; return its final range, negative if broken.

    The room's frame says what it is; the bytes of the one that waits are there again after it.
    """
    rc, kept = room.celt[0].rc[0], room.kept[0]
    rc_copy(kept, rc)
    rc_init(rc, data)
    result = celt_decode_frame(stream.celt[:], stream.past[:], room.celt[0], out)
    found = rc.range
    rc_copy(rc, kept)
    return int(result if result < 0 else found)


@inlined
def _decode_redundant(stream: Stream, room: Room, spare: NDArray[np.float32]) -> int:
    """Decode the redundant frame to spare[REDUNDANT :]; return its final range (4.5.1.4)."""
    khz = stream.output_khz
    ask_celt(stream, room.celt[0], MODE_CELT, 5 * khz)
    begin = room.length
    data = room.celt[0].rc[0].bytes[begin : begin + room.redundant]
    return _decode_other(stream, room, data, spare[REDUNDANT : REDUNDANT + 5 * khz])


@inlined
def _decode_celt_part(stream: Stream, room: Room, kind: int, out: NDArray[np.float32]) -> int:
    """Write what CELT adds to a frame to `out`; in SILK-only frames its last overlap.

    kind  COPY conceals, because there is no copy of this layer
    """
    mode = stream.mode
    frame = room.celt[0]
    if mode == MODE_SILK:
        # Two bytes of silence fade out what a hybrid frame left (4.5).
        out[:] = np.float32(0.0)
        samples = 5 * stream.output_khz // 2
        ask_celt(stream, frame, mode, samples)
        return min(_decode_other(stream, room, _SILENCE, out[:samples]), 0)
    ask_celt(stream, frame, mode, stream.frame_samples)
    if room.length <= 1 or kind == COPY:
        celt_conceal(stream.celt[:], stream.past[:], frame, out)
        return 0
    return celt_decode_frame(stream.celt[:], stream.past[:], frame, out)


@inlined
def _decode_silk_part(stream: Stream, room: Room, kind: int, spare: NDArray[np.float32]) -> None:
    """Write SILK's part of a frame to spare[LOW:]."""
    if stream.mode_before == MODE_CELT:
        reset_silk(stream.silk[:])
    ask_silk(stream, room.silk[0], stream.frame_samples // stream.output_khz)
    decode_silk(room.celt[0].rc[0], stream.silk[:], room.silk[0], kind, spare[LOW:])


@inlined
def _bridge(bridge: NDArray[np.float32], out: NDArray[np.float32], output_khz: int) -> None:
    """Begin a frame with 2.5 ms of the bridge, then fade into it."""
    half = 5 * output_khz // 2
    for i in range(half):
        for c in range(out.shape[1]):
            out[i, c] = bridge[i, c]
    _fade(bridge[half:], out[half:], out[half:], output_khz)


@inlined
def _mix_layers(
    stream: Stream, room: Room, spare: NDArray[np.float32], kind: int, out: NDArray[np.float32]
) -> int:
    """Write both layers' sum to `out`, and the redundant frame's part; return 0 or negative."""
    khz = stream.output_khz
    mode = stream.mode
    before = stream.mode_before
    first = room.redundant_first == 1
    redundant_before = stream.redundant_before == 1
    redundant_range = 0
    if first:
        redundant_range = _decode_redundant(stream, room, spare)
    result = 0
    if mode != MODE_SILK and before not in (mode, MODE_NONE) and not redundant_before:
        celt_reset(stream.celt[:], stream.past[:])
    if mode != MODE_SILK or (before == MODE_HYBRID and not (first and redundant_before)):
        result = _decode_celt_part(stream, room, kind, out)
    else:
        out[:] = np.float32(0.0)
    if mode != MODE_CELT:
        for i in range(out.shape[0]):
            for c in range(out.shape[1]):
                out[i, c] += spare[LOW + i, c]
    if first:
        # After SILK nothing led up to it: CELT's state is of another time, and the sound wild.
        # Settled by comparison with libopus 1.6.1 where SILK changes its bandwidth; 1.3.1 plays it.
        if before != MODE_SILK or redundant_before:
            _bridge(spare[REDUNDANT:], out, khz)
    elif room.redundant > 0:
        celt_reset(stream.celt[:], stream.past[:])
        redundant_range = _decode_redundant(stream, room, spare)
        half = 5 * khz // 2
        end = out[out.shape[0] - half :]
        _fade(end, spare[REDUNDANT + half :], end, khz)
    stream.final_range = room.celt[0].rc[0].range ^ redundant_range if room.length > 1 else 0
    return result


@inlined
def decode_frame(
    stream: Stream,
    room: Room,
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    kind: int,
    out: NDArray[np.float32],
) -> int:
    """Decode a frame of two bytes or more; return 0 or negative.

    spare  (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    data   (n,) uint8, bytes of the frame; its packet's first one is the room's `toc`
    kind   GOOD, or COPY for the coarse copy of the frame before that this one carries
    out    (stream.frame_samples, channels) float32, full scale 1.0
    """
    khz = stream.output_khz
    mode = stream.mode
    before = stream.mode_before
    toc = room.toc
    rc = room.celt[0].rc[0]
    rc_init(rc, data)
    bandwidth = toc_bandwidth(toc)
    room.length = data.size
    redundant = 0
    first = 0
    if mode != MODE_CELT:
        stream.silk_channels = toc_channels(toc)
        stream.silk_khz = 8 + 4 * min(bandwidth, WIDEBAND)
        _decode_silk_part(stream, room, kind, spare)
        if kind == GOOD:
            redundant, first = _find_redundancy(rc, data.size, mode)
        if redundant < 0:  # more than there is: nothing of the rest can be trusted
            room.length = 0
            redundant = 0
    bridged = before == MODE_CELT and mode != MODE_CELT and redundant == 0
    if mode == MODE_CELT and (before in (MODE_SILK, MODE_HYBRID)):
        bridged = stream.redundant_before == 0
    samples = out.shape[0]
    if bridged:
        bridge = min(samples, 5 * khz)
        conceal_frame(stream, room, spare, spare[TRANSITION : TRANSITION + bridge])
    # Only now: concealment goes on with the bands of the frame before.
    stream.coded_channels = toc_channels(toc)
    stream.end_band = _END_BANDS[bandwidth]
    room.length -= redundant
    room.redundant = redundant
    room.redundant_first = first
    result = _mix_layers(stream, room, spare, kind, out)
    if bridged and samples >= 5 * khz:
        _bridge(spare[TRANSITION:], out, khz)
    elif bridged:
        _fade(spare[TRANSITION:], out, out, khz)
    stream.mode_before = mode
    stream.redundant_before = 1 if redundant > 0 and not first else 0
    return result
