"""Sound for a lost Opus frame, in the mode of the frame before (RFC 6716, section 4.4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus import stream as s
from node.opus.celt.concealment import celt_conceal
from node.opus.celt.layout import PLAN_SIZE
from node.opus.packet import MODE_CELT, MODE_HYBRID, MODE_NONE, MODE_SILK
from node.opus.range_decoder import RC_SIZE
from node.opus.silk.layer import LOST, decode_silk
from node.opus.silk.state import SCRATCH_SIZE, STATE_SIZE

HYBRID_START: Final = 17
"""First CELT band of a hybrid frame."""


@inner_kernel("int64(int64, int64)")
def frame_lm(samples: int, output_khz: int) -> int:
    """Return the log2 of a length in units of 2.5 ms."""
    units = samples * 2 // (5 * output_khz)
    lm = 0
    while units > 1:
        units >>= 1
        lm += 1
    return lm


@inlined
def conceal_frame(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    out: NDArray[np.float32],
    at: int,
    samples: int,
) -> None:
    """Make up 2.5, 5, 10 or 20 ms in the mode of the frame before (4.4).

    ints     (INTS_SIZE,) int64, the stream's whole numbers, units as `stream` names them
    floats   (FLOATS_SIZE,) float32, gain as a ratio, then the CELT layer's
    room     (ROOM_SIZE,) int64, scratch: see `stream`, units by name
    work     (WORK_SIZE,) float32, the CELT layer's scratch, 16-bit scale
    spare    (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    data     (n,) uint8, bytes; none is read
    out      (n, channels) float32, full scale 1.0
    samples  at the output rate; out[at : at + samples] is written
    """
    khz = ints[s.OUTPUT_KHZ]
    channels = ints[s.OUTPUT_CHANNELS]
    mode = ints[s.MODE_BEFORE]
    if mode == MODE_NONE:
        out[at : at + samples] = np.float32(0.0)
        return
    if mode != MODE_SILK:
        celt_conceal(
            ints[s.CELT :],
            floats[s.PAST :],
            room[s.PLAN : s.PLAN + PLAN_SIZE],
            work,
            HYBRID_START if mode == MODE_HYBRID else 0,
            ints[s.END_BAND],
            frame_lm(samples, khz),
            channels,
            48 // khz,
            out[at : at + samples],
        )
    else:
        out[at : at + samples] = np.float32(0.0)
    if mode != MODE_CELT:
        decode_silk(
            room[s.RC : s.RC + RC_SIZE],
            data,
            ints[s.SILK : s.SILK + STATE_SIZE],
            room[s.SCRATCH : s.SCRATCH + SCRATCH_SIZE],
            spare,
            s.LOW,
            ints[s.SILK_KHZ],
            khz,
            ints[s.SILK_CHANNELS],
            channels,
            max(10, samples // khz),
            LOST,
        )
        for i in range(samples):
            for c in range(channels):
                out[at + i, c] += spare[s.LOW + i, c]
    ints[s.REDUNDANT_BEFORE] = 0
