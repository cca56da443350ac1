"""The library libopus behind the `Decoder` protocol: the oracle in tests, an option on the node."""

import ctypes
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opuslib_next.api import libopus as _library

from node.opus.protocol import BAD_PAYLOAD, BUFFER_TOO_SMALL

_GET_FINAL_RANGE: Final = 4031  # opus_defines.h, OPUS_GET_FINAL_RANGE_REQUEST
_RESET_STATE: Final = 4028  # opus_defines.h, OPUS_RESET_STATE
_CONCEAL_STEPS_PER_S: Final = 400
"""Concealment comes in multiples of 2.5 ms (opus.h, opus_decode)."""


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    # The wrapper package declares POINTER types on shared function objects; a fresh prototype
    # takes plain addresses, which costs a third per call.
    return ctypes.CFUNCTYPE(result, *arguments)((name, _library))


_INT = ctypes.c_int
_POINTER = ctypes.c_void_p
_get_size = _bind("opus_decoder_get_size", _INT, _INT)
_init = _bind("opus_decoder_init", _INT, _POINTER, ctypes.c_int32, _INT)
_decode = _bind("opus_decode_float", _INT, _POINTER, _POINTER, ctypes.c_int32, _POINTER, _INT, _INT)
_ctl = _bind("opus_decoder_ctl", _INT, _POINTER, _INT)
_ctl_pointer = _bind("opus_decoder_ctl", _INT, _POINTER, _INT, _POINTER)


class LibopusDecoder:
    """One stream decoded by libopus, float output, clipped by nobody.

    Parameters
    ----------
    rate_hz : int
        8000, 12000, 16000, 24000 or 48000.
    channels : int
        1 or 2, of the output.

    Raises
    ------
    ValueError
        If libopus does not know the rate or the channel count.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        if rate_hz not in (8000, 12_000, 16_000, 24_000, 48_000) or channels not in (1, 2):
            raise ValueError(
                f"rate_hz is {rate_hz}, channels is {channels}: "
                "they must be one of 8000, 12000, 16000, 24000, 48000, and 1 or 2"
            )
        self.rate_hz = rate_hz
        self.channels = channels
        # libopus keeps its whole state in one block without pointers to itself, so that a copy
        # of the bytes is a copy of the decoder (opus.h, opus_decoder_get_size).
        self._state = np.zeros(_get_size(channels), np.uint8)
        self._address = self._state.ctypes.data
        self._kept = np.zeros_like(self._state)
        result = _init(self._address, rate_hz, channels)
        assert result == 0, f"opus_decoder_init: {result}"
        self.remember()
        self._range = ctypes.c_uint32(0)

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet (32 bits)."""
        _ctl_pointer(self._address, _GET_FINAL_RANGE, ctypes.addressof(self._range))
        return self._range.value

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Decode one Opus packet into `out`; return its samples or a negative result.

        payload  (bytes,) uint8, C-contiguous
        out      (n, channels) float32, C-contiguous, full scale 1.0
        """
        if payload.shape[0] == 0:
            return BAD_PAYLOAD  # libopus would conceal instead
        return int(
            _decode(
                self._address,
                payload.ctypes.data,
                payload.shape[0],
                out.ctypes.data,
                out.shape[0],
                0,
            )
        )

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Make up `samples`, a multiple of 2.5 ms; return them or a negative result.

        out  (samples or more, channels) float32, full scale 1.0
        """
        if samples > out.shape[0]:
            return BUFFER_TOO_SMALL
        if samples * _CONCEAL_STEPS_PER_S % self.rate_hz:
            return -1
        return int(_decode(self._address, None, 0, out.ctypes.data, samples, 0))

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Fill `out` with the sound before `payload`, from its in-band FEC.

        payload  (bytes,) uint8, C-contiguous
        out      (n, channels) float32, full scale 1.0; n is the length of the hole
        """
        if payload.shape[0] == 0:
            return BAD_PAYLOAD
        return int(
            _decode(
                self._address,
                payload.ctypes.data,
                payload.shape[0],
                out.ctypes.data,
                out.shape[0],
                1,
            )
        )

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Conceal: libopus does not look at what comes after a hole.

        payload, later  (bytes,) uint8, not read
        out             (n, channels) float32, full scale 1.0
        """
        return self.conceal(out.shape[0], out)

    def remember(self) -> None:
        """Keep this point of the stream for `go_back`."""
        self._kept[:] = self._state

    def go_back(self) -> None:
        """Go on from the point kept last."""
        self._state[:] = self._kept

    def reset(self) -> None:
        """Forget the stream."""
        _ctl(self._address, _RESET_STATE)

    def copy(self) -> "LibopusDecoder":
        """Return an independent decoder with the same history."""
        other = LibopusDecoder(self.rate_hz, self.channels)
        other._state[:] = self._state
        other._kept[:] = self._kept
        return other
