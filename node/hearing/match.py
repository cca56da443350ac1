"""Whether what was captured holds what the node played, wave by wave and not by its loudness.

```
 played   ──┤ 2 s ├──────────
 captured ──┤ 2 s + the way ├─     the same sound comes back within the way: cards, air, buffers
```
Both are brought to one grid of frequencies, the band of speech, and correlated at each delay. The
figure is the correlation coefficient: wind, traffic or a thunderstorm may be as loud as they like,
they are not this sound. On 2 s of speech and sirens it was at most 0.21 against other words of the
same speaker, 0.06 against noise, and at least 0.47 with noise 3 dB above it in the whole band, a
room as loud as the horn and clocks 100 ppm apart.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.events import LoopVerdict
from node.hearing.fitness import db_of, level_dbfs, unfit
from node.units import NS_PER_MS, NS_PER_S

WINDOW_S: Final = 2.0
WAY_S: Final = 1.0
EARLY_NS: Final = 200 * NS_PER_MS
"""A block of the capture is stamped when it came: what is in it may be older than it seems."""

HEARD: Final = 0.3
"""Coefficient from which on it is this sound."""
BEFORE_MAX: Final = 0.2
"""Coefficient against what was there before: more, and the place sounds so by itself."""

QUIET_DBFS: Final = -50.0
"""Of what is played, in the band: less is a pause, and nobody can be asked to hear it."""

DROWNED_DB: Final = 6.0
"""Noise in the band so much above what is to come back, and nobody can be asked to hear it."""

ACTIVE_MIN: Final = 0.5
"""Share of the window that is no pause: with less of the sound in it nobody can be blamed."""

HOLES_MAX: Final = 0.2
"""Share of the capture that may stand still, 10 ms at a time: a driver puts silence for what it
lost, and there no horn was to be heard.
"""
HAS_HOLES: Final = "the capture has holes"

_BAND_HZ: Final = (300.0, 3400.0)
"""Telephone band (ITU-T G.712): what every horn gives and every microphone takes."""
_GRID_HZ: Final = 8000
_FINE: Final = 100
"""Steps a second in which holes are looked for."""


def in_band(sound: NDArray[np.float32], rate_hz: int, *, seconds: float) -> NDArray[np.float64]:
    """Return the band of `sound`, followed by silence: (seconds * 8000,) float64, at 8 kHz.

    sound  (n,) float32, full scale 1.0
    """
    n, n_out = round(seconds * rate_hz), round(seconds * _GRID_HZ)
    spectrum = np.fft.rfft(sound, n)[: n_out // 2 + 1] * (n_out / n)
    frequency_hz = np.arange(spectrum.size) / seconds
    spectrum[(frequency_hz < _BAND_HZ[0]) | (frequency_hz > _BAND_HZ[1])] = 0.0
    return np.fft.irfft(spectrum, n_out)


def coefficient(
    played: NDArray[np.float64], captured: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return the largest correlation coefficient of `played` at any delay, the delay in s, and
    the gain, linear, of what came back then.

    played    (n,) float64, full scale 1.0, 8 kHz; its window, and silence after it
    captured  (n,) float64, full scale 1.0, 8 kHz
    """
    window, n = round(WINDOW_S * _GRID_HZ), captured.size
    energy = max(float(np.dot(played, played)), 1e-30)
    spectra = np.fft.rfft(captured, 2 * n) * np.conj(np.fft.rfft(played, 2 * n))
    products = np.abs(np.fft.irfft(spectra, 2 * n)[: n - window + 1])
    sums = np.concatenate(([0.0], np.cumsum(captured**2)))
    energies = sums[window:] - sums[: n - window + 1]
    # A delay at which hardly anything was captured is no better than the others.
    floor = 1e-3 * float(energies.max()) + 1e-30
    found = products / np.sqrt(energy * np.maximum(energies, floor))
    best = int(found.argmax())
    return min(float(found[best]), 1.0), best / _GRID_HZ, float(products[best]) / energy


def _band_dbfs(sound: NDArray[np.float64], seconds: float) -> float:
    """Return the level of so many seconds of `sound`, re a sine at full scale.

    sound  (n,) float64, full scale 1.0, 8 kHz
    """
    return db_of(2 * float(np.dot(sound, sound)) / (seconds * _GRID_HZ))


def _active(played: NDArray[np.float64], per_s: int) -> NDArray[np.bool_]:
    """Return which steps of the window are no pause, so many a second.

    played  (n,) float64, full scale 1.0, 8 kHz
    """
    steps = played[: round(WINDOW_S * _GRID_HZ)].reshape(-1, _GRID_HZ // per_s)
    return np.asarray(2 * np.mean(steps**2, axis=1) > 10 ** (QUIET_DBFS / 10))


def _holes(
    captured: NDArray[np.float32], rate_hz: int, mine: NDArray[np.float64], delay_s: float | None
) -> float:
    """Return the share of a capture that stands still; with a delay, of what is to hold `mine`.

    captured  (n,) float32, full scale 1.0
    mine      (n,) float64, full scale 1.0, 8 kHz
    """
    steps = captured[: captured.size // (rate_hz // _FINE) * (rate_hz // _FINE)]
    still = np.ptp(steps.reshape(-1, rate_hz // _FINE), axis=1) == 0
    if delay_s is None:
        return float(still.mean())
    wanted = _active(mine, _FINE)
    begin = round(delay_s * _FINE)
    there = still[begin : begin + wanted.size]
    return float(there[wanted[: there.size]].mean()) if wanted[: there.size].any() else 0.0


def judge(
    played: NDArray[np.float32],
    captured: NDArray[np.float32],
    before: NDArray[np.float32] | None,
    *,
    rate_hz: int,
    begin_ns: int,
    noise_max_dbfs: float,
    least_gain_db: float | None = None,
) -> LoopVerdict | None:
    """Return whether `played` is in `captured`; None where it was a pause, or mostly one.

    Parameters
    ----------
    played : (n,) float32
        48 kHz, full scale 1.0: 2 s of what left the node from `begin_ns` on.
    captured : (n,) float32
        At `rate_hz`, full scale 1.0: 3 s from `EARLY_NS` before that on.
    before : (n,) float32, or None
        As long, full scale 1.0, from a time when nothing was played.
    rate_hz, begin_ns, noise_max_dbfs
        Of the capture; of the window; above that level nobody is blamed for not being heard.
    least_gain_db : float or None
        From the node's full scale to the capture's: what comes back softer may be another's horn.
        None: nobody knows.
    """
    end_ns = begin_ns + int(WINDOW_S * NS_PER_S)
    seconds = WINDOW_S + WAY_S
    mine = in_band(played, round(played.size / WINDOW_S), seconds=seconds)
    mine_dbfs = _band_dbfs(mine, WINDOW_S)
    if mine_dbfs < QUIET_DBFS:
        return None
    level = level_dbfs(captured)
    if why := unfit(captured):
        return LoopVerdict("cannot tell", begin_ns, end_ns, level_dbfs=level, why=why)
    theirs = in_band(captured, rate_hz, seconds=seconds)
    found, delay_s, gain = coefficient(mine, theirs)
    margin_db = 2 * db_of(found / HEARD)
    if found < HEARD and _active(mine, 10).mean() < ACTIVE_MIN:
        return None
    if _holes(captured, rate_hz, mine, delay_s if found >= HEARD else None) > HOLES_MAX:
        return LoopVerdict("cannot tell", begin_ns, end_ns, margin_db, level, why=HAS_HOLES)
    if found < HEARD:
        if level > noise_max_dbfs or (
            least_gain_db is not None
            and _band_dbfs(theirs, seconds) > mine_dbfs + least_gain_db + DROWNED_DB
        ):
            why = f"noise of {level:.0f} dBFS"
            return LoopVerdict("cannot tell", begin_ns, end_ns, margin_db, level, why=why)
        return LoopVerdict("not heard", begin_ns, end_ns, margin_db, level)
    if before is not None and not unfit(before):
        was, _, _ = coefficient(mine, in_band(before, rate_hz, seconds=seconds))
        if was > BEFORE_MAX:
            why = "the place sounded like it before it was played"
            return LoopVerdict("cannot tell", begin_ns, end_ns, margin_db, level, why=why)
    if least_gain_db is not None and (softer_db := least_gain_db - db_of(gain**2)) > 0:
        why = f"{softer_db:.0f} dB too soft for this horn: another's plays the same, or it fails"
        return LoopVerdict("cannot tell", begin_ns, end_ns, margin_db, level, why=why)
    return LoopVerdict("heard", begin_ns, end_ns, margin_db, level)
