"""Every stored sound is one tone of its own, so that an ear at the horn knows what it hears.

No Opus is at work here: a packet names its tone, and the decoder plays it. All else is the node's.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.opus.protocol import Decoder
from node.source.stored_sound import PACKET_MS, Recording
from node.units import RATE_HZ

PERIOD_SAMPLES: Final = RATE_HZ // 100
_PACKET_SAMPLES: Final = RATE_HZ * PACKET_MS // 1000
_TOC: Final = 0x48
"""SILK, wide band, 20 ms, mono, one frame (RFC 6716, section 3.1)."""

STORED_TONES: Final = 24
AMPLITUDE: Final = 0.5
_STEP_HZ: Final = 100
"""A whole number of waves in 10 ms: tones are orthogonal in each period."""
_HERTZ: Final = np.array([5 * _STEP_HZ + _STEP_HZ * i for i in range(STORED_TONES)] + [100, 300])
"""Of live programmes the lowest: resampled to the sender's clock, half a percent off, they are
nowhere near a tone of their neighbours."""
TONES: Final = len(_HERTZ)
LIVE_TONES: Final = (STORED_TONES, STORED_TONES + 1)


def recording(tone: int, seconds: int) -> Recording:
    """Return `seconds` of a tone as a stored sound."""
    return Recording.of((payload(tone),) * (seconds * 1000 // PACKET_MS))


def payload(tone: int) -> bytes:
    """Return a packet of 20 ms of a tone."""
    return bytes((_TOC, tone))


def _waves() -> NDArray[np.float32]:
    times = np.arange(_PACKET_SAMPLES) / RATE_HZ
    return (AMPLITUDE * np.sin(2 * np.pi * _HERTZ[:, None] * times)).astype(np.float32)


def _basis() -> NDArray[np.float32]:
    times = np.arange(PERIOD_SAMPLES) / RATE_HZ
    angles = 2 * np.pi * _HERTZ[:, None] * times
    both = np.stack([np.cos(angles), np.sin(angles)])
    return (both * 2 / PERIOD_SAMPLES).astype(np.float32)


_WAVES: Final = _waves()
_BASIS: Final = _basis()


class ToneDecoder:
    """Plays the tone that a packet names (`node.opus.protocol.Decoder`); a lost one goes on as the
    one before it, as speech does: how long it may is the node's to decide.
    """

    rate_hz = RATE_HZ
    channels = 1
    final_range = 0

    def __init__(self) -> None:
        self._tone: int | None = None

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Fill (n, 1) float32 `out` with the tone in `payload`, (bytes,) uint8."""
        self._tone = int(payload[1]) % TONES
        out[:_PACKET_SAMPLES, 0] = _WAVES[self._tone]
        return _PACKET_SAMPLES

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Fill `out` with more of the last tone; with silence before the first.

        out  (samples or more, 1) float32, full scale 1.0
        """
        if self._tone is None:
            out[:samples] = 0.0
        else:
            out[:samples, 0] = np.resize(_WAVES[self._tone], samples)
        return samples

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Fill `out` as `conceal`: `payload` has no second copy.

        payload  (bytes,) uint8, not read
        out      (n, 1) float32, full scale 1.0
        """
        return self.conceal(out.shape[0], out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Fill `out` as `conceal`.

        payload, later  (bytes,) uint8, not read
        out             (n, 1) float32, full scale 1.0
        """
        return self.conceal(out.shape[0], out)

    def remember(self) -> None:
        """Have nothing to keep."""

    def go_back(self) -> None:
        """Have nowhere to go back to."""

    def reset(self) -> None:
        """Forget the tone."""
        self._tone = None

    def copy(self) -> "ToneDecoder":
        """Return another one in the same place."""
        other = ToneDecoder()
        other._tone = self._tone
        return other


def new_decoder(rate_hz: int, channels: int) -> Decoder:
    """Return a decoder (`node.opus.protocol.DecoderFactory`)."""
    return ToneDecoder()


def amplitudes(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how loud each tone is in each period of `sound`.

    Parameters
    ----------
    sound : (n, 1) float32
        Whole periods of 10 ms.

    Returns
    -------
    (periods, TONES) float32
        Amplitude, full scale 1.0.
    """
    periods = sound[:, 0].reshape(-1, PERIOD_SAMPLES)
    # No library of matrices: it has threads, and sums in another order on each machine.
    cosine, sine = np.einsum("pn,ckn->cpk", periods, _BASIS)
    loud: NDArray[np.float32] = np.hypot(cosine, sine)
    return loud
