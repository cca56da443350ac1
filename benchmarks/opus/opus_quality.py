"""The official criterion for an Opus decoder (RFC 6716, section 6.1), in numpy.

10 ms spectra every 2.5 ms; what the reference masks does not count; the error of each bin's
power, by band, to a high power, so that the worst moment decides. 100 is identical, 0 just
passes. Sums run in float64, so figures agree with the RFC's tool to about 0.01.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EDGES: Final = np.array(
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 68, 80, 96, 120, 156, 200]
)
BANDS: Final = 21
_FLOOR: Final = 1e5


def quality(reference: NDArray[np.float32], test: NDArray[np.float32]) -> float:
    """Return the quality of `test` against `reference`.

    Parameters
    ----------
    reference, test : (n, channels) float32, n >= 480
        Full scale 1.0 at 48 kHz, the same shape.

    Raises
    ------
    ValueError
        If the shapes differ or there is less than 10 ms of sound.
    """
    if reference.shape != test.shape or len(reference) < 480:
        raise ValueError(f"shapes are {reference.shape} and {test.shape}: equal, 480 or more")
    wanted, got = _powers(reference), _powers(test)
    mask = 0.1 * np.repeat(_masking(wanted), np.diff(EDGES), axis=-1)
    wanted, got = wanted + mask, got + mask
    wanted[1:] += wanted[:-1].copy()
    got[1:] += got[:-1].copy()
    ratio = got / wanted
    error = ratio - np.log(ratio) - 1
    error[..., 79:82] *= 0.1  # where SILK and CELT meet
    error[..., 80:81] *= 0.1
    by_band = np.add.reduceat(error, EDGES[:-1], axis=-1).sum(1)
    by_band /= np.diff(EDGES) * reference.shape[1]
    by_frame = ((by_band**2).sum(1) / BANDS) ** 2
    total = np.mean(by_frame**2) ** (1 / 16)
    return float(100 * (1 - 0.5 * np.log1p(total) / np.log(1.13)))


def _powers(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the power of each bin below 20 kHz: (frames, channels, 200)."""
    scaled = sound.astype(np.float64) * 32768
    window = 0.5 - 0.5 * np.cos(2 * np.pi / 479 * np.arange(480))
    frames = np.lib.stride_tricks.sliding_window_view(scaled, 480, axis=0)[::120]
    spectra = np.fft.rfft(frames * window)[..., : EDGES[-1]]
    powers: NDArray[np.float64] = spectra.real**2 + spectra.imag**2 + _FLOOR
    return powers


def _masking(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the reference masks by band: from below, above, before and the other side."""
    bands: NDArray[np.float64] = np.add.reduceat(powers, EDGES[:-1], axis=-1) / np.diff(EDGES)
    for band in range(1, BANDS):
        bands[..., band] += 0.1 * bands[..., band - 1]
    for band in range(BANDS - 2, -1, -1):
        bands[..., band] += 0.03 * bands[..., band + 1]
    for frame in range(len(bands)):
        if frame:
            bands[frame] += 0.5 * bands[frame - 1]
        if bands.shape[1] == 2:
            bands[frame] += 0.01 * bands[frame, ::-1].copy()
    return bands
