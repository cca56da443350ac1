"""The Opus decoder of one stream: packets, losses and in-band FEC (RFC 6716, RFC 8251)."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.decoder import BUFFER_TOO_SMALL
from node.kernel import inlined, kernel
from node.opus import stream as s
from node.opus.celt.frame import celt_reset
from node.opus.celt.layout import LOST_PACKET, WORK_SIZE
from node.opus.concealment import conceal_frame
from node.opus.frame import decode_frame
from node.opus.output import soft_clip, to_int16
from node.opus.packet import (
    FRAMES_MAX,
    MODE_CELT,
    MODE_SILK,
    parse_frames,
    toc_frame_samples,
    toc_mode,
)
from node.opus.silk.layer import COPY, GOOD, reset_silk
from node.opus.silk.state import STATE_SIZE

RATES_HZ: Final = (8000, 12_000, 16_000, 24_000, 48_000)
BAD_ARGUMENT: Final = -1
PEAK_MAX: Final = np.float32(8.0)
"""No sample leaves the decoder beyond this; what encoders make stays far below."""

Payload = NDArray[np.uint8] | bytes | bytearray | memoryview
Samples = NDArray[Any]
"""float32 or int16."""

DECODE: Final = 0
CONCEAL: Final = 1
RECOVER: Final = 2


@kernel("void(int64[::1], float32[::1], int64, int64)")
def reset_stream(
    ints: NDArray[np.int64], floats: NDArray[np.float32], output_khz: int, channels: int
) -> None:
    """Start a stream anew for output at 8, 12, 16, 24 or 48 kHz on one or two channels."""
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

    ints, floats    the stream (stream.py); room, work, spare, silence: to work in
    data            the packet is data[offset : offset + length]; not looked at to CONCEAL
    task            DECODE, or CONCEAL and RECOVER, which fill `out` whole
    out             (n, channels) float32
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


@dataclass(frozen=True, slots=True, eq=False)
class OpusState:
    """What a decoder knows of its stream, at one moment."""

    ints: NDArray[np.int64]
    floats: NDArray[np.float32]

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""
        return int(self.ints[s.FINAL_RANGE])


class OpusDecoder:
    """One stream's decoder in numpy and numba: SILK bit for bit, CELT to float accuracy.

    Parameters
    ----------
    rate_hz : int
        Output rate: 8000, 12000, 16000, 24000 or 48000.
    channels : int
        1 or 2 output channels, whatever the stream has.

    Raises
    ------
    ValueError
        If the rate or the channel count is none of these.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        if rate_hz not in RATES_HZ or channels not in (1, 2):
            raise ValueError(
                f"rate_hz is {rate_hz}, channels is {channels}: "
                f"they must be one of {', '.join(map(str, RATES_HZ))}, and 1 or 2"
            )
        self.rate_hz = rate_hz
        self.channels = channels
        self._ints = np.zeros(s.INTS_SIZE, np.int64)
        self._floats = np.zeros(s.FLOATS_SIZE, np.float32)
        self._room = np.zeros(s.ROOM_SIZE, np.int64)
        self._work = np.zeros(WORK_SIZE, np.float32)
        self._spare = np.zeros((s.SPARE_ROWS, channels), np.float32)
        self._silence = np.full(2, 0xFF, np.uint8)
        self._bends = np.zeros(channels, np.float32)
        self._gain = np.float32(1.0)
        self.reset()

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""
        return int(self._ints[s.FINAL_RANGE])

    def set_gain(self, gain_q8_db: int) -> None:
        """Scale all further output by a header's gain, in 1/256 dB (RFC 7845, section 5.1)."""
        if not -32768 <= gain_q8_db <= 32767:
            raise ValueError(f"gain_q8_db is {gain_q8_db}: it must be -32768 to 32767")
        self._gain = np.float32(10.0 ** (gain_q8_db / (20.0 * 256.0)))

    def decode(self, payload: Payload, out: Samples) -> int:
        """Decode one Opus packet into `out`; return its samples or a negative result.

        Parameters
        ----------
        payload : (bytes,) uint8, C-contiguous, or bytes
            The packet. BAD_PAYLOAD comes back if it breaks R1 to R7 (RFC 6716, section 3.4).
        out : (n, channels) float32 or int16, C-contiguous; (n,) will do for one channel
            float32 has full scale 1.0 and is not clipped; int16 is clipped softly.
            BUFFER_TOO_SMALL comes back if n is less than the packet's samples.
        """
        return self._run(payload, DECODE, out)

    def conceal(self, samples: int, out: Samples) -> int:
        """Make up `samples` (a multiple of 2.5 ms) for a lost packet; return them or negative."""
        if samples > out.shape[0]:
            return BUFFER_TOO_SMALL
        return self._run(self._silence, CONCEAL, out[: max(samples, 0)])

    def decode_fec(self, payload: Payload, out: Samples) -> int:
        """Fill `out` with the sound before `payload`, from its in-band FEC; conceal the rest.

        Parameters
        ----------
        payload : (bytes,) uint8, C-contiguous, or bytes
            The packet after the hole.
        out : (n, channels) float32 or int16, C-contiguous; (n,) will do for one channel
            The hole: a multiple of 2.5 ms.
        """
        return self._run(payload, RECOVER, out)

    def reset(self) -> None:
        """Forget the stream."""
        reset_stream(self._ints, self._floats, self.rate_hz // 1000, self.channels)
        self._bends[:] = 0.0

    def copy(self) -> "OpusDecoder":
        """Return an independent decoder with the same history."""
        other = OpusDecoder(self.rate_hz, self.channels)
        other.restore(self.state())
        other._bends[:] = self._bends
        other._gain = self._gain
        return other

    def state(self) -> OpusState:
        """Return a copy of everything that the next packet's sound depends on."""
        return OpusState(self._ints.copy(), self._floats.copy())

    def restore(self, state: OpusState) -> None:
        """Go on from `state`, of a decoder of the same rate and channels."""
        self._ints[:] = state.ints
        self._floats[:] = state.floats

    def _run(self, payload: Payload, task: int, out: Samples) -> int:
        """Bring what callers have to what the kernel takes, and its sound to what they want."""
        if not isinstance(payload, np.ndarray):
            payload = np.frombuffer(bytearray(payload) or bytearray(1), np.uint8)[: len(payload)]
        elif not payload.flags.writeable:
            payload = payload.copy()  # kernels take writable arrays only
        if out.ndim == 1:
            out = out.reshape(-1, 1)
        sound = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
        samples = self._decode(payload, task, sound)
        if samples > 0:
            if self._gain != 1.0:
                sound[:samples] *= self._gain
            if sound is not out:
                soft_clip(sound[:samples], self._bends)
                to_int16(sound[:samples], out[:samples])
        return samples

    def _decode(self, payload: NDArray[np.uint8], task: int, out: NDArray[np.float32]) -> int:
        return int(
            decode_stream(
                self._ints,
                self._floats,
                self._room,
                self._work,
                self._spare,
                self._silence,
                payload,
                0,
                payload.shape[0],
                task,
                out,
            )
        )
