"""One step of a stream: decode a packet, conceal a lost one, or recover it from the next."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, kernel
from node.opus import stream as s
from node.opus.celt.frame import celt_reset
from node.opus.celt.layout import LOST_PACKET
from node.opus.concealment import conceal_frame
from node.opus.frame import decode_frame
from node.opus.packet import (
    FRAMES_MAX,
    MODE_CELT,
    MODE_SILK,
    parse_frames,
    toc_frame_samples,
    toc_mode,
)
from node.opus.protocol import BUFFER_TOO_SMALL
from node.opus.silk.layer import COPY, GOOD, reset_silk
from node.opus.silk.state import STATE_SIZE

BAD_ARGUMENT: Final = -1
PEAK_MAX: Final = np.float32(8.0)
"""No sample leaves the decoder beyond this; what encoders make stays far below."""

DECODE: Final = 0
CONCEAL: Final = 1
RECOVER: Final = 2


@kernel("void(int64[::1], float32[::1], int64, int64)")
def reset_stream(
    ints: NDArray[np.int64], floats: NDArray[np.float32], output_khz: int, channels: int
) -> None:
    """Start a stream anew for output at 8, 12, 16, 24 or 48 kHz on one or two channels.

    ints    (INTS_SIZE,) int64, the stream's whole numbers, units as `stream` names them
    floats  (FLOATS_SIZE,) float32, gain as a ratio, then the CELT layer's
    """
    ints[:] = 0
    floats[:] = np.float32(0.0)
    ints[s.OUTPUT_KHZ] = output_khz
    ints[s.OUTPUT_CHANNELS] = channels
    ints[s.FRAME_SAMPLES] = 5 * output_khz // 2
    floats[s.GAIN] = np.float32(1.0)
    reset_silk(ints[s.SILK : s.SILK + STATE_SIZE])
    celt_reset(ints[s.CELT :], floats[s.PAST :])


@inlined
def _conceal(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    out: NDArray[np.float32],
    at: int,
    wanted: int,
) -> int:
    """Make up as much of `wanted` samples as one step can: 20, 10, 5 or 2.5 ms; return it."""
    khz = ints[s.OUTPUT_KHZ]
    samples = min(wanted, ints[s.FRAME_SAMPLES])  # in steps as long as the frames were
    if samples > 20 * khz:
        samples = 20 * khz
    elif 10 * khz < samples < 20 * khz:
        samples = 10 * khz
    elif ints[s.MODE_BEFORE] != MODE_SILK and 5 * khz < samples < 10 * khz:
        samples = 5 * khz
    conceal_frame(ints, floats, room, work, spare, data, out, at, samples)
    ints[s.FINAL_RANGE] = 0
    return int(samples)


@inlined
def _bound(out: NDArray[np.float32], samples: int) -> None:
    """Hold the sound of damaged packets to +-PEAK_MAX."""
    for i in range(samples):
        for c in range(out.shape[1]):
            if out[i, c] > PEAK_MAX:
                out[i, c] = PEAK_MAX
            elif out[i, c] < -PEAK_MAX:
                out[i, c] = -PEAK_MAX


@kernel(
    "int64(int64[::1], float32[::1], int64[::1], float32[::1], float32[:, ::1], uint8[::1],"
    " uint8[::1], int64, int64, int64, float32[:, ::1])"
)
def decode_stream(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    silence: NDArray[np.uint8],
    data: NDArray[np.uint8],
    offset: int,
    length: int,
    task: int,
    out: NDArray[np.float32],
) -> int:
    """Decode a packet, conceal, or recover the loss before a packet; return samples or negative.

    ints     (INTS_SIZE,) int64, the stream's whole numbers, units as `stream` names them
    floats   (FLOATS_SIZE,) float32, gain as a ratio, then the CELT layer's
    room     (ROOM_SIZE,) int64, scratch: see `stream`, units by name
    work     (WORK_SIZE,) float32, the CELT layer's scratch, 16-bit scale
    spare    (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    silence  (2,) uint8, bytes of a CELT frame of silence
    data     (n,) uint8, bytes; the packet is data[offset : offset + length], unread to CONCEAL
    task     DECODE, or CONCEAL and RECOVER, which fill `out` whole
    out      (n, channels) float32, full scale 1.0
    """
    khz = ints[s.OUTPUT_KHZ]
    wanted = out.shape[0]
    frames = room[s.FRAMES : s.FRAMES + 2 * FRAMES_MAX].reshape((FRAMES_MAX, 2))
    count = 0
    if task != CONCEAL:
        count = parse_frames(data, offset, length, frames)
        if count < 0:
            return count
    if task != DECODE and (wanted == 0 or wanted * 2 % (5 * khz) != 0):
        return BAD_ARGUMENT
    ints[s.CELT + LOST_PACKET] = 0 if task == DECODE else 1
    concealed = wanted if task == CONCEAL else 0
    kind = GOOD
    if task == RECOVER:
        toc = int(data[offset])
        size = toc_frame_samples(toc) * khz // 48
        no_copy = toc_mode(toc) == MODE_CELT or ints[s.MODE] == MODE_CELT
        concealed = wanted if no_copy or wanted < size else wanted - size
        count = 0 if concealed == wanted else 1
        kind = COPY
    if task == DECODE and count * toc_frame_samples(int(data[offset])) * khz // 48 > wanted:
        return BUFFER_TOO_SMALL
    at = 0
    for i in range(-1, count):  # what has no packet comes first
        end = concealed
        if i == 0:
            ints[s.MODE] = toc_mode(int(data[offset]))
            ints[s.FRAME_SAMPLES] = toc_frame_samples(int(data[offset])) * khz // 48
        if i >= 0:
            end = at + ints[s.FRAME_SAMPLES]
        if i >= 0 and frames[i, 1] > 1:
            result = decode_frame(
                ints,
                floats,
                room,
                work,
                spare,
                silence,
                data,
                int(data[offset]),
                frames[i, 0],
                frames[i, 1],
                kind,
                out,
                at,
            )
            if result < 0:
                return result
            at = end
        while at < end:
            at += _conceal(ints, floats, room, work, spare, data, out, at, end - at)
    _bound(out, at)
    return at
