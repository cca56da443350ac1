"""One step of a stream: decode a packet, conceal a lost one, or recover it from the next."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel, kernel
from node.kernel.record import Records
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
from node.opus.stream import Room, Stream

BAD_ARGUMENT: Final = -1
PEAK_MAX: Final = np.float32(8.0)
"""No sample leaves the decoder beyond this; what encoders make stays far below."""

DECODE: Final = 0
CONCEAL: Final = 1
RECOVER: Final = 2


@kernel("void(Stream[::1], int64, int64)")
def reset_stream(streams: Records[Stream], output_khz: int, channels: int) -> None:
    """Start streams anew for output at 8, 12, 16, 24 or 48 kHz on one or two channels.

    streams  (n,)
    """
    for i in range(streams.shape[0]):
        stream = streams[i]
        stream.mode = 0
        stream.mode_before = 0
        stream.redundant_before = 0
        stream.end_band = 0
        stream.coded_channels = 0
        stream.silk_khz = 0
        stream.silk_channels = 0
        stream.final_range = 0
        stream.output_khz = output_khz
        stream.output_channels = channels
        stream.frame_samples = 5 * output_khz // 2
        reset_silk(stream.silk[:])
        celt_reset(stream.celt[:], stream.past[:])


@inlined
def _conceal(
    stream: Stream, room: Room, spare: NDArray[np.float32], out: NDArray[np.float32]
) -> int:
    """Make up as much of `out` as one step can: 20, 10, 5 or 2.5 ms; return how many samples."""
    khz = stream.output_khz
    samples = min(out.shape[0], stream.frame_samples)  # in steps as long as the frames were
    if samples > 20 * khz:
        samples = 20 * khz
    elif 10 * khz < samples < 20 * khz:
        samples = 10 * khz
    elif stream.mode_before != MODE_SILK and 5 * khz < samples < 10 * khz:
        samples = 5 * khz
    conceal_frame(stream, room, spare, out[:samples])
    stream.final_range = 0
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


@inner_kernel("int64(Stream, Room, float32[:, ::1], uint8[::1], int64, float32[:, ::1])")
def step_stream(
    stream: Stream,
    room: Room,
    spare: NDArray[np.float32],
    packet: NDArray[np.uint8],
    task: int,
    out: NDArray[np.float32],
) -> int:
    """Decode a packet, conceal, or recover the loss before a packet; return samples or negative.

    spare   (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    packet  (n,) uint8, bytes; unread to CONCEAL
    task    DECODE, or CONCEAL and RECOVER, which fill `out` whole
    out     (n, channels) float32, full scale 1.0
    """
    khz = stream.output_khz
    wanted = out.shape[0]
    parts = room.parts[:].reshape((FRAMES_MAX, 2))
    count = 0
    toc = 0
    if task != CONCEAL:
        count = parse_frames(packet, 0, packet.size, parts)
        if count < 0:
            return count
        toc = int(packet[0])
    if task != DECODE and (wanted == 0 or wanted * 2 % (5 * khz) != 0):
        return BAD_ARGUMENT
    room.toc = toc
    size = toc_frame_samples(toc) * khz // 48
    stream.celt[LOST_PACKET] = 0 if task == DECODE else 1
    concealed = wanted if task == CONCEAL else 0
    kind = GOOD
    if task == RECOVER:
        no_copy = toc_mode(toc) == MODE_CELT or stream.mode == MODE_CELT
        concealed = wanted if no_copy or wanted < size else wanted - size
        count = 0 if concealed == wanted else 1
        kind = COPY
    if task == DECODE and count * toc_frame_samples(toc) * khz // 48 > wanted:
        return BUFFER_TOO_SMALL
    at = 0
    for i in range(-1, count):  # what has no packet comes first
        end = concealed
        if i == 0:
            stream.mode = toc_mode(toc)
            stream.frame_samples = size
        if i >= 0:
            end = at + size
        if i >= 0 and parts[i, 1] > 1:
            data = packet[parts[i, 0] : parts[i, 0] + parts[i, 1]]
            result = decode_frame(stream, room, spare, data, kind, out[at:end])
            if result < 0:
                return result
            at = end
        while at < end:
            at += _conceal(stream, room, spare, out[at:end])
    _bound(out, at)
    return at


@kernel("int64(Stream[::1], Room[::1], float32[:, ::1], uint8[::1], int64, float32[:, ::1])")
def decode_stream(
    streams: Records[Stream],
    rooms: Records[Room],
    spare: NDArray[np.float32],
    packet: NDArray[np.uint8],
    task: int,
    out: NDArray[np.float32],
) -> int:
    """Do for one stream in one room what `step_stream` does, for callers in Python.

    spare   (SPARE_ROWS, channels) float32, full scale 1.0: sound to be mixed or faded in
    packet  (n,) uint8, bytes; unread to CONCEAL
    out     (n, channels) float32, full scale 1.0
    """
    return step_stream(streams[0], rooms[0], spare, packet, task, out)
