"""What the receiver asks of an Opus decoder, whoever wrote it."""

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

BAD_PAYLOAD: Final = -4
"""Result for a payload that breaks the framing rules (the number is libopus's)."""

BUFFER_TOO_SMALL: Final = -2


class Decoder(Protocol):
    """One stream's decoder. Errors are negative results: nothing raises on the audio thread."""

    rate_hz: int
    channels: int

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Decode one Opus packet into `out`; return its samples or a negative result.

        payload  (bytes,) uint8, C-contiguous
        out      (n, channels) float32, C-contiguous, full scale 1.0
        """

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Make up `samples` (a multiple of 2.5 ms) for a lost packet; return them or negative.

        out  (samples or more, channels) float32, C-contiguous, full scale 1.0
        """

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Fill `out` with the sound before `payload`, from its in-band FEC; conceal what it lacks.

        payload  (bytes,) uint8, C-contiguous
        out      (n, channels) float32, full scale 1.0; n is the hole's length, whole 2.5 ms
        """

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Fill `out` with the beginning of the hole before `payload`; return samples or negative.

        The rest is asked for by further calls, and `payload` itself is decoded after that as ever.

        payload  (bytes,) uint8, C-contiguous
        hole     samples from the start of `out` to the packet
        out      (n, channels) float32, full scale 1.0; n a multiple of 2.5 ms, at most `hole`
        later    (bytes,) uint8, the packet after `payload`, or no bytes
        """

    def remember(self) -> None:
        """Keep this point of the stream for `go_back`, in place of the last one."""

    def go_back(self) -> None:
        """Go on from the point kept last, as if nothing had been asked for since.

        For sound that was made up while a packet was waited for, and that stood for no packet.
        """

    def reset(self) -> None:
        """Forget the stream."""

    def copy(self) -> "Decoder":
        """Return an independent decoder with the same history."""


DecoderFactory = Callable[[int, int], Decoder]
"""Makes a decoder for (rate_hz, channels)."""
