"""The Opus decoder of one stream: packets, losses and in-band FEC (RFC 6716, RFC 8251)."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, new
from node.opus.interpolation import Interpolation
from node.opus.output import soft_clip, to_int16
from node.opus.protocol import BUFFER_TOO_SMALL
from node.opus.steps import CONCEAL, DECODE, RECOVER, decode_stream, reset_stream
from node.opus.stream import SPARE_ROWS, Room, Stream, raw

INTERPOLATE: Final = 3
"""A task as those of `steps`."""
RATES_HZ: Final = (8000, 12_000, 16_000, 24_000, 48_000)

Payload = NDArray[np.uint8] | bytes | bytearray | memoryview
Samples = NDArray[Any]
"""float32 or int16."""


@dataclass(frozen=True, slots=True, eq=False)
class OpusState:
    """What a decoder knows of its stream, at one moment."""

    stream: Records[Stream]
    hole: Interpolation | None = None
    """The rest of a hole that is being filled."""

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""
        return int(self.stream["final_range"][0])


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
        self._stream = new(Stream)
        self._room = new(Room)
        self._spare = np.zeros((SPARE_ROWS, channels), np.float32)
        self._silence = np.full(2, 0xFF, np.uint8)
        self._bends = np.zeros(channels, np.float32)
        self._gain = np.float32(1.0)
        self._hole = Interpolation(channels)
        self._rooms = self._room, self._spare
        self._bytes = raw(self._stream)
        self._kept = self._bytes.copy()
        self.reset()
        self.remember()

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""
        return int(self._stream["final_range"][0])

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
        """Make up `samples` (a multiple of 2.5 ms) for a lost packet; return them or negative.

        Parameters
        ----------
        samples : int
            How many are wanted.
        out : (n, channels) float32 or int16, C-contiguous; (n,) will do for one channel
            Full scale 1.0, or 32768 of int16.
        """
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

    def interpolate(
        self, payload: Payload, hole: int, out: Samples, *, later: Payload = b""
    ) -> int:
        """Fill `out` with the beginning of a hole that ends with `payload`; return its samples.

        The rest of the hole is asked for by further calls, `hole` less each time, and `payload` is
        decoded after that as ever. What cannot be interpolated (another mode, more than 60 ms,
        other than whole frames) is concealed.

        Parameters
        ----------
        payload : (bytes,) uint8, C-contiguous, or bytes
            The packet after the hole.
        hole : int
            Samples from the start of `out` to the start of the packet.
        out : (n, channels) float32 or int16, C-contiguous; (n,) will do for one channel
            All of the hole, or its first part: a multiple of 2.5 ms.
        later : (bytes,) uint8, C-contiguous, or bytes
            The packet after that, or none: without it holes before CELT packets shorter than 15 ms
            are concealed.
        """
        khz = self.rate_hz // 1000
        whole = hole * 48 // khz
        if self._hole.fits(self._stream, whole, out.shape[0]) and (
            self._hole.left == whole
            or self._hole.plan(
                self._stream, self._rooms, _as_array(payload), _as_array(later), whole
            )
        ):
            return self._run(self._silence, INTERPOLATE, out)
        return self._run(self._silence, CONCEAL, out)

    def remember(self) -> None:
        """Keep this point of the stream for `go_back`; not what is planned of a hole."""
        self._kept[:] = self._bytes

    def go_back(self) -> None:
        """Go on from the point kept last."""
        self._hole.left = 0
        self._bytes[:] = self._kept

    def reset(self) -> None:
        """Forget the stream."""
        self._hole.left = 0
        reset_stream(self._stream, self.rate_hz // 1000, self.channels)
        self._bends[:] = 0.0

    def copy(self) -> "OpusDecoder":
        """Return an independent decoder with the same history."""
        other = OpusDecoder(self.rate_hz, self.channels)
        other.restore(self.state())
        other._kept[:] = self._kept
        other._bends[:] = self._bends
        other._gain = self._gain
        return other

    def state(self) -> OpusState:
        """Return a copy of everything that the next packet's sound depends on."""
        hole = None
        if self._hole.left > 0:
            hole = Interpolation(self.channels)
            hole.copy_from(self._hole)
        return OpusState(self._stream.copy(), hole)

    def restore(self, state: OpusState) -> None:
        """Go on from `state`, of a decoder of the same rate and channels."""
        self._hole.left = 0
        if state.hole is not None:
            self._hole.copy_from(state.hole)
        self._bytes[:] = raw(state.stream)

    def _run(self, payload: Payload, task: int, out: Samples) -> int:
        """Bring what callers have to what the kernel takes, and its sound to what they want."""
        payload = _as_array(payload)
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
        if task == INTERPOLATE:
            return self._hole.play(self._stream, self._rooms, out)
        self._hole.left = 0
        return int(decode_stream(self._stream, self._room, self._spare, payload, task, out))


def _as_array(payload: Payload) -> NDArray[np.uint8]:
    """Return the payload as kernels take it: writable."""
    if not isinstance(payload, np.ndarray):
        return np.frombuffer(bytearray(payload) or bytearray(1), np.uint8)[: len(payload)]
    return payload if payload.flags.writeable else payload.copy()
