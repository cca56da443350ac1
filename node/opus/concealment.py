"""Sound for a lost Opus frame, in the mode of the frame before (RFC 6716, section 4.4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus.celt.concealment import celt_conceal
from node.opus.celt.layout import CeltFrame
from node.opus.packet import MODE_CELT, MODE_HYBRID, MODE_NONE, MODE_SILK
from node.opus.silk.layer import LOST, decode_silk
from node.opus.silk.state import SilkFrame
from node.opus.stream import LOW, Room, Stream

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
def ask_celt(stream: Stream, frame: CeltFrame, mode: int, samples: int) -> None:
    """Say what the CELT layer of a frame in that mode, samples long, is to be."""
    frame.start = HYBRID_START if mode == MODE_HYBRID else 0
    frame.end = stream.end_band
    frame.lm = frame_lm(samples, stream.output_khz)
    frame.coded_channels = stream.coded_channels
    frame.output_channels = stream.output_channels
    frame.divisor = 48 // stream.output_khz


@inlined
def ask_silk(stream: Stream, frame: SilkFrame, frame_ms: int) -> None:
    """Say what the SILK layer of a frame is to be."""
    frame.rate_khz = stream.silk_khz
    frame.output_khz = stream.output_khz
    frame.coded_channels = stream.silk_channels
    frame.output_channels = stream.output_channels
    frame.frame_ms = frame_ms


@inlined
def conceal_frame(
    stream: Stream, room: Room, spare: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Make up 2.5, 5, 10 or 20 ms in the mode of the frame before (4.4).

    spare  (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    out    (n, channels) float32, full scale 1.0: all of it is made up
    """
    samples = out.shape[0]
    mode = stream.mode_before
    if mode == MODE_NONE:
        out[:] = np.float32(0.0)
        return
    celt = room.celt[0]
    if mode != MODE_SILK:
        ask_celt(stream, celt, mode, samples)
        celt_conceal(stream.celt[:], stream.past[:], celt, out)
    else:
        out[:] = np.float32(0.0)
    if mode != MODE_CELT:
        silk = room.silk[0]
        ask_silk(stream, silk, max(10, samples // stream.output_khz))
        decode_silk(celt.rc[0], stream.silk[:], silk, LOST, spare[LOW:])
        for i in range(samples):
            for c in range(out.shape[1]):
                out[i, c] += spare[LOW + i, c]
    stream.redundant_before = 0
