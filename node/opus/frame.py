"""One Opus frame: which layers it has, and how it joins the frame before (RFC 6716, 4.5).

What CELT and SILK leave at a change of mode is bridged by a redundant CELT frame of 5 ms inside
the packet, or else by 5 ms of concealment in the old mode; both are faded over 2.5 ms.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus import stream as s
from node.opus.celt.concealment import celt_conceal
from node.opus.celt.frame import celt_decode_frame, celt_reset
from node.opus.celt.layout import PLAN_SIZE
from node.opus.celt.tables_celt import WINDOW
from node.opus.concealment import HYBRID_START, conceal_frame, frame_lm
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
    RANGE,
    RC_SIZE,
    rc_bit_logp,
    rc_init,
    rc_shrink,
    rc_tell,
    rc_uint,
)
from node.opus.silk.layer import COPY, GOOD, decode_silk, reset_silk
from node.opus.silk.state import SCRATCH_SIZE, STATE_SIZE

_LM_5_MS: Final = 1
_END_BANDS: Final = np.array([13, 17, 17, 19, 21], np.int64)
_REDUNDANCY_BITS: Final = 17
_REDUNDANCY_BITS_HYBRID: Final = 37


@inner_kernel("void(float32[:, ::1], int64, float32[:, ::1], int64, float32[:, ::1], int64, int64)")
def _fade(
    old: NDArray[np.float32],
    old_at: int,
    new: NDArray[np.float32],
    new_at: int,
    out: NDArray[np.float32],
    out_at: int,
    output_khz: int,
) -> None:
    """Cross-fade 2.5 ms from `old` to `new` by CELT's window squared (4.5.1.4)."""
    step = 48 // output_khz
    for i in range(5 * output_khz // 2):
        share = WINDOW[i * step] * WINDOW[i * step]
        for c in range(out.shape[1]):
            faded = (np.float32(1.0) - share) * old[old_at + i, c]
            out[out_at + i, c] = share * new[new_at + i, c] + faded


@inner_kernel("UniTuple(int64, 2)(int64[::1], uint8[::1], int64, int64)")
def _find_redundancy(
    rc: NDArray[np.int64], data: NDArray[np.uint8], length: int, mode: int
) -> tuple[int, int]:
    """Return the bytes of the redundant frame, 0 for none, and 1 if it comes first (4.5.1)."""
    hybrid = mode == MODE_HYBRID
    needed = _REDUNDANCY_BITS_HYBRID if hybrid else _REDUNDANCY_BITS
    if rc_tell(rc) + needed > 8 * length:
        return 0, 0
    if hybrid and rc_bit_logp(rc, data, 12) == 0:
        return 0, 0
    first = rc_bit_logp(rc, data, 1)
    size = rc_uint(rc, data, 256) + 2 if hybrid else length - ((rc_tell(rc) + 7) >> 3)
    if 8 * (length - size) < rc_tell(rc):
        return -1, 0
    rc_shrink(rc, data, size)
    return size, first


@inlined
def _decode_redundant(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    begin: int,
    size: int,
) -> int:
    """Decode the redundant frame to spare[REDUNDANT :]; return its final range (4.5.1.4)."""
    rc = room[s.RC_REDUNDANT : s.RC_REDUNDANT + RC_SIZE]
    rc_init(rc, data, begin, size)
    khz = ints[s.OUTPUT_KHZ]
    celt_decode_frame(
        ints[s.CELT :],
        floats[s.PAST :],
        room[s.PLAN : s.PLAN + PLAN_SIZE],
        work,
        rc,
        data,
        0,
        ints[s.END_BAND],
        _LM_5_MS,
        ints[s.CODED_CHANNELS],
        ints[s.OUTPUT_CHANNELS],
        48 // khz,
        spare[s.REDUNDANT : s.REDUNDANT + 5 * khz],
    )
    return int(rc[RANGE])


@inlined
def _decode_celt_part(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    silence: NDArray[np.uint8],
    data: NDArray[np.uint8],
    length: int,
    kind: int,
    out: NDArray[np.float32],
    at: int,
) -> int:
    """Write what CELT adds to a frame to out[at:]; in SILK-only frames its last overlap.

    length   bytes of the frame without the redundant ones; its range decoder is room[RC:]
    kind     COPY conceals, because there is no copy of this layer
    """
    khz = ints[s.OUTPUT_KHZ]
    samples = ints[s.FRAME_SAMPLES]
    mode = ints[s.MODE]
    celt = ints[s.CELT :]
    past = floats[s.PAST :]
    plan = room[s.PLAN : s.PLAN + PLAN_SIZE]
    start = HYBRID_START if mode == MODE_HYBRID else 0
    end = ints[s.END_BAND]
    lm = frame_lm(samples, khz)
    rc = room[s.RC : s.RC + RC_SIZE]
    if mode == MODE_SILK:
        # Two bytes of silence fade out what a hybrid frame left (4.5).
        out[at : at + samples] = np.float32(0.0)
        samples = 5 * khz // 2
        rc = room[s.RC_REDUNDANT : s.RC_REDUNDANT + RC_SIZE]
        rc_init(rc, silence, 0, 2)
        data = silence
        lm = 0
    channels = ints[s.OUTPUT_CHANNELS]
    part = out[at : at + samples]
    if mode != MODE_SILK and (length <= 1 or kind == COPY):
        celt_conceal(celt, past, plan, work, start, end, lm, channels, 48 // khz, part)
        return 0
    coded = ints[s.CODED_CHANNELS]
    return celt_decode_frame(
        celt, past, plan, work, rc, data, start, end, lm, coded, channels, 48 // khz, part
    )


@inlined
def _decode_silk_part(
    ints: NDArray[np.int64],
    room: NDArray[np.int64],
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    kind: int,
) -> None:
    """Write SILK's part of a frame to spare[LOW:]."""
    silk = ints[s.SILK : s.SILK + STATE_SIZE]
    if ints[s.MODE_BEFORE] == MODE_CELT:
        reset_silk(silk)
    khz = ints[s.OUTPUT_KHZ]
    decode_silk(
        room[s.RC : s.RC + RC_SIZE],
        data,
        silk,
        room[s.SCRATCH : s.SCRATCH + SCRATCH_SIZE],
        spare,
        s.LOW,
        ints[s.SILK_KHZ],
        khz,
        ints[s.SILK_CHANNELS],
        ints[s.OUTPUT_CHANNELS],
        ints[s.FRAME_SAMPLES] // khz,
        kind,
    )


@inlined
def _bridge(
    spare: NDArray[np.float32],
    bridge: int,
    out: NDArray[np.float32],
    at: int,
    output_khz: int,
) -> None:
    """Begin a frame with 2.5 ms of the bridge at spare[bridge:], then fade into it."""
    half = 5 * output_khz // 2
    for i in range(half):
        for c in range(out.shape[1]):
            out[at + i, c] = spare[bridge + i, c]
    _fade(spare, bridge + half, out, at + half, out, at + half, output_khz)


@inlined
def _mix_layers(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    silence: NDArray[np.uint8],
    data: NDArray[np.uint8],
    end: int,
    length: int,
    redundant: int,
    first: int,
    kind: int,
    out: NDArray[np.float32],
    at: int,
) -> int:
    """Write both layers' sum to out[at:], and the redundant frame's part; return 0 or negative.

    end        where the frame's own `length` bytes end and `redundant` further ones begin
    """
    khz = ints[s.OUTPUT_KHZ]
    samples = ints[s.FRAME_SAMPLES]
    mode = ints[s.MODE]
    before = ints[s.MODE_BEFORE]
    redundant_before = ints[s.REDUNDANT_BEFORE] == 1
    redundant_range = 0
    if first:
        redundant_range = _decode_redundant(ints, floats, room, work, spare, data, end, redundant)
    result = 0
    if mode != MODE_SILK and before not in (mode, MODE_NONE) and not redundant_before:
        celt_reset(ints[s.CELT :], floats[s.PAST :])
    if mode != MODE_SILK or (before == MODE_HYBRID and not (first and redundant_before)):
        result = _decode_celt_part(
            ints, floats, room, work, spare, silence, data, length, kind, out, at
        )
    else:
        out[at : at + samples] = np.float32(0.0)
    if mode != MODE_CELT:
        for i in range(samples):
            for c in range(out.shape[1]):
                out[at + i, c] += spare[s.LOW + i, c]
    if first:
        # After SILK nothing led up to it: CELT's state is of another time, and the sound wild.
        # Settled by comparison with libopus 1.6.1 where SILK changes its bandwidth; 1.3.1 plays it.
        if before != MODE_SILK or redundant_before:
            _bridge(spare, s.REDUNDANT, out, at, khz)
    elif redundant > 0:
        celt_reset(ints[s.CELT :], floats[s.PAST :])
        redundant_range = _decode_redundant(ints, floats, room, work, spare, data, end, redundant)
        half = 5 * khz // 2
        _fade(out, at + samples - half, spare, s.REDUNDANT + half, out, at + samples - half, khz)
    ints[s.FINAL_RANGE] = room[s.RC + RANGE] ^ redundant_range if length > 1 else 0
    return result


@inlined
def decode_frame(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    silence: NDArray[np.uint8],
    data: NDArray[np.uint8],
    toc: int,
    begin: int,
    length: int,
    kind: int,
    out: NDArray[np.float32],
    at: int,
) -> int:
    """Decode the frame at data[begin:], two bytes or more, to out[at:]; return 0 or negative.

    ints     (INTS_SIZE,) int64, the stream's whole numbers, units as `stream` names them
    floats   (FLOATS_SIZE,) float32, gain as a ratio, then the CELT layer's
    room     (ROOM_SIZE,) int64, scratch: see `stream`, units by name
    work     (WORK_SIZE,) float32, the CELT layer's scratch, 16-bit scale
    spare    (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    silence  (2,) uint8, bytes of a CELT frame of silence
    data     (n,) uint8, bytes of the payload
    toc      the packet's first byte
    kind     GOOD, or COPY for the coarse copy of the frame before that this one carries
    out      (n, channels) float32, full scale 1.0
    """
    khz = ints[s.OUTPUT_KHZ]
    samples = ints[s.FRAME_SAMPLES]
    mode = ints[s.MODE]
    before = ints[s.MODE_BEFORE]
    rc = room[s.RC : s.RC + RC_SIZE]
    rc_init(rc, data, begin, length)
    bandwidth = toc_bandwidth(toc)
    redundant = 0
    first = 0
    if mode != MODE_CELT:
        ints[s.SILK_CHANNELS] = toc_channels(toc)
        ints[s.SILK_KHZ] = 8 + 4 * min(bandwidth, WIDEBAND)
        _decode_silk_part(ints, room, spare, data, kind)
        if kind == GOOD:
            redundant, first = _find_redundancy(rc, data, length, mode)
        if redundant < 0:  # more than there is: nothing of the rest can be trusted
            length = 0
            redundant = 0
    bridged = before == MODE_CELT and mode != MODE_CELT and redundant == 0
    if mode == MODE_CELT and (before in (MODE_SILK, MODE_HYBRID)):
        bridged = ints[s.REDUNDANT_BEFORE] == 0
    if bridged:
        bridge = min(samples, 5 * khz)
        conceal_frame(ints, floats, room, work, spare, data, spare, s.TRANSITION, bridge)
    # Only now: concealment goes on with the bands of the frame before.
    ints[s.CODED_CHANNELS] = toc_channels(toc)
    ints[s.END_BAND] = _END_BANDS[bandwidth]
    length -= redundant
    result = _mix_layers(
        ints,
        floats,
        room,
        work,
        spare,
        silence,
        data,
        begin + length,
        length,
        redundant,
        first,
        kind,
        out,
        at,
    )
    if bridged and samples >= 5 * khz:
        _bridge(spare, s.TRANSITION, out, at, khz)
    elif bridged:
        _fade(spare, s.TRANSITION, out, at, out, at, khz)
    ints[s.MODE_BEFORE] = mode
    ints[s.REDUNDANT_BEFORE] = 1 if redundant > 0 and not first else 0
    return result
