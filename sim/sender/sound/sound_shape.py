"""Decoded frames of any format, rate and layout, brought to one: float32 at 48 kHz, mono or stereo.

The level does not depend on how many channels a file has: the weights of a downmix add up to 1, so
the same voice in all channels is as loud as in one, and what was below full scale stays below it.
"""

from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from node.units import RATE_HZ

_LEFT: Final = {"FL", "BL", "SL", "FLC", "WL", "TFL", "TBL", "DL", "SDL", "TSL", "BFL"}
_RIGHT: Final = {"FR", "BR", "SR", "FRC", "WR", "TFR", "TBR", "DR", "SDR", "TSR", "BFR"}
_CENTRE: Final = {"FC", "BC", "TC", "TFC", "TBC", "BFC"}
_FRONT: Final = {"FL", "FR", "DL", "DR"}
_LOW: Final = {"LFE", "LFE2"}
_REST_WEIGHT: Final = 2**-0.5
"""Of what is not in front on the left or right (ITU-R BS.775, table 2)."""

_CANCELLED: Final = 0.01
"""Power of the sum against that of the channels: 20 dB less is no stereo, it is a wire swapped."""
_SUMMED_AGAIN: Final = 0.1
_FOLLOW_S: Final = 0.5
_NUMBERS: Final = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""NumPy's names of FFmpeg's sample formats."""
_BETWEEN_MAX: Final = 2**0.5
"""3 dB above full scale: so far sound may go between samples that are not. What goes beyond is not
as it was recorded: samples that jump from one end of the scale to the other (damaged ADPCM)."""
_SILENT: Final = 1e-8
"""Power below which nothing is judged, -80 dBFS."""


class SoundShape:
    """Bring frames to float32 at 48 kHz.

    Parameters
    ----------
    channels : int
        1 or 2, of what comes out.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._rate_hz = 0
        self._resampler: AudioResampler | None = None
        self._mix = MonoMix()
        self.clipped_samples = 0
        """Samples above full scale, or no numbers at all, in the files."""

    @property
    def cancelled(self) -> bool:
        """Whether a sum of both channels was left for one of them, because they cancel."""
        return self._mix.switched > 0

    def take(self, frame: Any) -> list[NDArray[np.float32]]:
        """Return what `frame` completes: arrays of (n, channels) float32."""
        if frame.samples <= 0 or frame.sample_rate <= 0 or frame.layout.nb_channels <= 0:
            return []
        sound = self._clean(samples_of(frame))
        if self._channels == 1:
            mixed = self._mix.take(sound, layout_names(frame), frame.sample_rate)
        else:
            mixed = sound @ stereo_weights(layout_names(frame))
        done = [] if frame.sample_rate == self._rate_hz else self.flush()
        self._rate_hz = frame.sample_rate
        return [*done, *self._resampled(np.ascontiguousarray(mixed, np.float32))]

    def flush(self) -> list[NDArray[np.float32]]:
        """Return what the resampler still holds; the next frame begins anew.

        Blocks are (n, channels) float32, full scale 1.0.
        """
        rest = [] if self._resampler is None else self._resampler.resample(None)
        self._resampler = None
        self._rate_hz = 0
        return [self._clean(samples_of(one), _BETWEEN_MAX) for one in rest]

    def _resampled(self, sound: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self._rate_hz == RATE_HZ:
            return [sound]
        if self._resampler is None:
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=RATE_HZ)
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout=self._layout)
        frame.sample_rate = self._rate_hz
        return [
            self._clean(samples_of(one), _BETWEEN_MAX) for one in self._resampler.resample(frame)
        ]

    def _clean(self, sound: NDArray[np.float32], most: float = 1.0) -> NDArray[np.float32]:
        # One comparison for both: a NaN is within no bounds.
        bad = ~(np.abs(sound) <= most)
        if bad.any():
            self.clipped_samples += int(np.count_nonzero(bad))
            sound = np.clip(np.nan_to_num(sound, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        return sound


class MonoMix:
    """Add channels up to one; where two cancel each other, take the louder one alone.

    A balanced line on a stereo plug gives the right channel as the left one turned over: their sum
    is silence, and a warning would be lost in it.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._weights = np.ones(1, np.float32)
        self._power = np.zeros(3)
        self._alone = False
        self.switched = 0

    def take(
        self, sound: NDArray[np.float32], names: tuple[str, ...], rate_hz: int
    ) -> NDArray[np.float32]:
        """Return the mono sound of channels that have these names: (n, 1) float32, full scale 1.0.

        sound  (n, channels) float32, full scale 1.0
        """
        if names != self._names:
            self._names = names
            self._weights = mono_weights(names)
            self._power[:] = 0.0
            self._alone = False
        if len(names) != 2:
            return sound @ self._weights[:, None]
        before = self._weights
        self._judge(sound, rate_hz)
        if before is self._weights:
            return sound @ before[:, None]
        turn = np.linspace(0.0, 1.0, len(sound), dtype=np.float32)[:, None]
        return (sound @ before[:, None]) * (1 - turn) + (sound @ self._weights[:, None]) * turn

    def _judge(self, sound: NDArray[np.float32], rate_hz: int) -> None:
        """Follow the power of both and of their mean; choose the weights anew where they cancel."""
        of_both = np.mean(np.square(sound, dtype=np.float64), axis=0)
        of_mean = np.mean(np.square(sound.mean(axis=1, dtype=np.float64)))
        part = min(1.0, len(sound) / (rate_hz * _FOLLOW_S))
        self._power += (np.array([*of_both, of_mean]) - self._power) * part
        loudest = self._power[:2].max()
        if loudest < _SILENT:
            return
        ratio = self._power[2] / loudest
        if not self._alone and ratio < _CANCELLED:
            self._alone = True
            self.switched += 1
            self._weights = np.eye(2, dtype=np.float32)[int(self._power[:2].argmax())]
        elif self._alone and ratio > _SUMMED_AGAIN:
            self._alone = False
            self._weights = mono_weights(self._names)


def samples_of(frame: Any) -> NDArray[np.float32]:
    """Return the samples of an av.AudioFrame as (n, channels) float32, full scale 1.0."""
    array = numbers_of(frame)
    if array.dtype == np.uint8:
        return np.asarray((array - 128.0) / 128.0, np.float32)
    if np.issubdtype(array.dtype, np.integer):
        return np.asarray(array / -float(np.iinfo(array.dtype).min), np.float32)
    return np.asarray(array, np.float32)


def numbers_of(frame: Any) -> NDArray[Any]:
    """Return samples of an av.AudioFrame: (n, channels) float32, float64, uint8 or integers.

    They are as its format has them, full scale 1.0 or that of the integers.

    PyAV's own way reads beyond the planes of a frame with eight or more, and the process ends.
    """
    channels = frame.layout.nb_channels
    kind = np.dtype(_NUMBERS[frame.format.packed.name])
    if not frame.format.is_planar:
        count = frame.samples * channels
        return np.frombuffer(frame.planes[0], kind, count).reshape(-1, channels)
    planes = frame.planes[:channels]
    return np.stack([np.frombuffer(plane, kind, frame.samples) for plane in planes], axis=1)


def layout_names(frame: Any) -> tuple[str, ...]:
    """Return the channels' names; of an unknown layout as many nameless ones."""
    layout = frame.layout
    if layout.name.startswith("ambisonic"):
        return ("W", *("" for _ in range(layout.nb_channels - 1)))
    names = tuple(channel.name for channel in layout.channels)
    known = all(name in _LEFT | _RIGHT | _CENTRE | _LOW for name in names)
    is_whole = known and len(names) == layout.nb_channels
    return names if is_whole else ("",) * int(layout.nb_channels)


def mono_weights(names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the weight of each channel in the sum: (channels,) float32 ratios that add up to 1."""
    if names[0] == "W":  # ambisonic: what comes from all directions
        first: NDArray[np.float32] = np.eye(len(names), dtype=np.float32)[0]
        return first
    weights = stereo_weights(names).sum(axis=1)
    one: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return one


def stereo_weights(names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the weight of each channel, left and right: (channels, 2) float32 ratios.

    Each column adds up to 1.
    """
    if len(names) == 1 or names[0] == "W":
        one = np.zeros((len(names), 2), np.float32)
        one[0] = 1.0
        return one
    if names == ("", ""):
        return np.eye(2, dtype=np.float32)
    weights = np.array([_weight(name) for name in names], np.float32)
    sums = weights.sum(axis=0)
    if not sums.all():  # only one side, or only low frequencies: then all of it on both
        return np.full((len(names), 2), 1 / len(names), np.float32)
    columns: NDArray[np.float32] = (weights / sums).astype(np.float32)
    return columns


def _weight(name: str) -> tuple[float, float]:
    if name in _LOW:
        return 0.0, 0.0
    loud = 1.0 if name in _FRONT else _REST_WEIGHT
    if name in _LEFT:
        return loud, 0.0
    if name in _RIGHT:
        return 0.0, loud
    return (_REST_WEIGHT, _REST_WEIGHT) if name in _CENTRE else (1.0, 1.0)
