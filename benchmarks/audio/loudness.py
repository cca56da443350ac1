"""The loudness meter against the generated signals of EBU Tech 3341, table 1: each case, measured.

`python -m benchmarks loudness`. Ends with 1 when a case is beyond its tolerance: 0.1 LU, for true
peaks +0.2 and -0.4 dB. Cases 7 and 8 are recordings of real programmes that the EBU hands out:
they cannot be generated. Cases with several signals show the one that is farthest off.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import parser_of
from node.audio.loudness import SURROUND_WEIGHT, LoudnessMeter
from node.units import RATE_HZ

Sound = NDArray[np.float32]

LOUDNESS_LU: Final = (-0.1, 0.1)
TRUE_PEAK_DB: Final = (-0.4, 0.2)

_PROGRAMMES: Final = {
    "1": ((-23, 20.0),),
    "2": ((-33, 20.0),),
    "3": ((-36, 10.0), (-23, 60.0), (-36, 10.0)),
    "4": ((-72, 10.0), (-36, 10.0), (-23, 60.0), (-36, 10.0), (-72, 10.0)),
    "5": ((-26, 20.0), (-20, 20.1), (-26, 20.0)),
}
_INTEGRATED: Final = {"2": -33.0}
_SINES: Final = {
    "15": (4, 0.0, 0.50),
    "16": (4, 45.0, 0.50),
    "17": (6, 60.0, 0.50),
    "18": (8, 67.5, 0.50),
    "19": (4, 45.0, 1.41),
}
"""Samples of a wave, phase in degrees, amplitude re full scale."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the table, or one signal of it."""

    name: str
    what: str
    asked: float
    measured: float
    tolerance: tuple[float, float]

    @property
    def deviation(self) -> float:
        """Measured less asked, in LU or dB."""
        return self.measured - self.asked

    @property
    def holds(self) -> bool:
        """Whether the deviation is within the tolerance."""
        return self.tolerance[0] <= self.deviation <= self.tolerance[1]


def run(arguments: list[str]) -> int:
    """Print a line per case and what measuring costs; return 1 when one is beyond tolerance."""
    parser_of("loudness", __doc__).parse_args(arguments)
    farthest: dict[str, Case] = {}
    for case in cases():
        known = farthest.get(case.name)
        if known is None or abs(case.deviation) > abs(known.deviation):
            farthest[case.name] = case
    for name, case in sorted(farthest.items(), key=lambda pair: int(pair[0])):
        mark = "" if case.holds else "  BEYOND"
        print(
            f"case {name:>2}  {case.what:22} asked {case.asked:6.1f}  measured {case.measured:8.3f}"
            f"  deviation {case.deviation:+.3f}{mark}"
        )
    print(f"measuring takes {_cost_us():.1f} us per 10 ms of one channel")
    return 0 if all(case.holds for case in farthest.values()) else 1


def cases() -> Iterator[Case]:
    """Yield every generated case, measured."""
    yield from _integrated()
    for name, levels, steps, which in (
        ("9", ((-20, 1.34), (-30, 1.66)), 5, "short-term"),
        ("12", ((-20, 0.18), (-30, 0.22)), 25, "momentary"),
    ):
        yield from _steady(name, levels, steps, which)
    for i in range(20):
        sound = _joined(_silence(0.15 * i), _tone(-23, 3), _silence(1))
        yield Case(
            "10", "greatest short-term", -23, _measure(sound).short_term_max_lufs, LOUDNESS_LU
        )
        sound = _joined(_silence(0.02 * i), _tone(-23, 0.4), _silence(1))
        yield Case("13", "greatest momentary", -23, _measure(sound).momentary_max_lufs, LOUDNESS_LU)
    yield from _rising("11", 3.0, 0.15, lambda meter: meter.short_term_max_lufs)
    yield from _rising("14", 0.4, 0.02, lambda meter: meter.momentary_max_lufs)
    for name, (divisor, phase_deg, amplitude) in _SINES.items():
        n = np.arange(RATE_HZ)
        sine = amplitude * np.sin(2 * np.pi * n / divisor + np.deg2rad(phase_deg))
        asked = 3.0 if amplitude > 1 else -6.0
        yield Case(name, "true peak", asked, _true_peak(sine), TRUE_PEAK_DB)
    for name in ("20", "21", "22", "23"):
        yield Case(name, "true peak", 0.0, _true_peak(_one_high_wave(int(name) - 20)), TRUE_PEAK_DB)


def _integrated() -> Iterator[Case]:
    for name, parts in _PROGRAMMES.items():
        meter = _measure(_joined(*(_tone(level, seconds) for level, seconds in parts)))
        asked = _INTEGRATED.get(name, -23.0)
        yield Case(name, "integrated", asked, meter.integrated_lufs, LOUDNESS_LU)
        if len(parts) == 1:
            for measured in (meter.momentary_lufs, meter.short_term_lufs):
                yield Case(name, "momentary, short-term", asked, measured, LOUDNESS_LU)
    levels = (-28, -28, -24, -30, -30)
    sound = np.concatenate([_tone(level, 20, channels=1) for level in levels], axis=1)
    meter = LoudnessMeter(5, weights=(1.0, 1.0, 1.0, SURROUND_WEIGHT, SURROUND_WEIGHT))
    meter.add(np.ascontiguousarray(sound))
    yield Case("6", "integrated, five", -23.0, meter.integrated_lufs, LOUDNESS_LU)


def _steady(
    name: str, levels: tuple[tuple[int, float], ...], repeats: int, which: str
) -> Iterator[Case]:
    """Yield what a meter shows every 100 ms of a level that changes in the rhythm of its window."""
    sound = _joined(*(_tone(level, seconds) for level, seconds in levels * repeats))
    meter = LoudnessMeter(2)
    settled_s = 3.0 if which == "short-term" else 1.0
    for first in range(0, len(sound), RATE_HZ // 10):
        meter.add(sound[first : first + RATE_HZ // 10])
        if first >= settled_s * RATE_HZ:
            shown = meter.short_term_lufs if which == "short-term" else meter.momentary_lufs
            yield Case(name, which, -23.0, shown, LOUDNESS_LU)


def _rising(
    name: str, seconds: float, step_s: float, greatest: Callable[[LoudnessMeter], float]
) -> Iterator[Case]:
    """Yield the maximum after each of twenty tones, each 1 dB above the one before it."""
    meter = LoudnessMeter(2)
    for i, level in enumerate(range(-38, -18)):
        pause_s = step_s * i
        meter.add(_joined(_silence(pause_s), _tone(level, seconds), _silence(seconds - pause_s)))
        yield Case(name, f"greatest of {seconds:g} s", level, greatest(meter), LOUDNESS_LU)


def _one_high_wave(offset: int) -> NDArray[np.float64]:
    """Return a sine of half scale in which one wave has full scale, peaking beside the samples.

    Made at four times the rate; every fourth sample is kept, from `offset` on.
    """
    n = np.arange(4 * RATE_HZ)
    wave = np.sin(2 * np.pi * n / 24)
    fine = np.where((n >= 96_000) & (n < 96_024), 1.0, 0.5) * wave
    spectrum = np.fft.rfft(np.roll(fine, -offset))
    spectrum[RATE_HZ // 2 :] = 0.0  # what the lower rate cannot hold; bins are 1 Hz
    return np.asarray(np.fft.irfft(spectrum, fine.size)[::4])


def _true_peak(sine: NDArray[np.float64]) -> float:
    n = np.arange(sine.size)
    rise = np.minimum(1.0, np.minimum(n, n[::-1]) / 480)  # without a step at either end
    meter = LoudnessMeter(1)
    meter.add((sine * rise)[:, np.newaxis].astype(np.float32))
    return meter.true_peak_dbtp


def _measure(sound: Sound) -> LoudnessMeter:
    meter = LoudnessMeter(sound.shape[1])
    for first in range(0, len(sound), 4_801):
        meter.add(sound[first : first + 4_801])
    return meter


def _tone(level_dbfs: float, seconds: float, *, channels: int = 2) -> Sound:
    n = np.arange(round(seconds * RATE_HZ))
    sine = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * 1000 / RATE_HZ * n)
    return np.repeat(sine[:, np.newaxis], channels, axis=1).astype(np.float32)


def _silence(seconds: float) -> Sound:
    return np.zeros((round(seconds * RATE_HZ), 2), np.float32)


def _joined(*parts: Sound) -> Sound:
    return np.concatenate(parts)


def _cost_us() -> float:
    """Return the CPU time of 10 ms of one channel, loudness and true peak together."""
    meter, sound = LoudnessMeter(1), _tone(-20, 0.01, channels=1)
    began_s = time.process_time()
    for _ in range(2_000):
        meter.add(sound)
    return (time.process_time() - began_s) * 1e6 / 2_000
