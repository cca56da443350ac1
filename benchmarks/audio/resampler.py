"""Resampler: distortion and noise under a moving ratio, and what it costs, beside libraries.

Mono, 48 kHz, ratio 1 + 50 ppm, moved by up to 20 ppm at each period of 480 samples. Two figures per
tone, in dB below it (THD+N):

exact  the ideal tone at the positions that the steps add up to, one gain and phase for the whole
       run; nothing hides in the fit. Only possible where the position is known: ours.
fitted each stretch of 240 samples against its own tone with a free gain, phase and slopes of both;
       hides what lies within some 100 Hz of the tone. For all, to compare.
"""

import importlib
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import parser_of
from node.audio.resampler import UNITY_Q32, Resampler
from node.units import RATE_HZ

PERIOD_SAMPLES: Final = 480
TONES_HZ: Final = (1_000, 3_000, 8_000, 15_000)
LIMITS_DB: Final = {1_000: -115.0, 15_000: -100.0}
CPU_LIMIT_PCT: Final = 0.1
SECONDS: Final = 20
_SETTLED: Final = 4_800

Sound = NDArray[np.float32]
Ratios = NDArray[np.float64]


def run(arguments: list[str]) -> int:
    """Print the table (or JSON with `--json`); return 1 when a bound is broken."""
    parser = parser_of("resampler", __doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    rows = [_ours(), *_peers()]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    ours = rows[0]
    broken = [
        f"{tone} Hz: {ours['exact_db'][tone]:.1f} dB, must be at most {limit:.0f}"
        for tone, limit in LIMITS_DB.items()
        if ours["exact_db"][tone] > limit
    ]
    if ours["cpu_pct"] > CPU_LIMIT_PCT:
        broken.append(f"{ours['cpu_pct']:.3f} % of a core, must be at most {CPU_LIMIT_PCT}")
    for line in broken:
        print(f"resampler: {line}")
    return 1 if broken else 0


def ratios() -> Ratios:
    """Return input over output samples of each period, less one: (periods,) float64, a ratio."""
    rng = np.random.default_rng(407)
    periods = SECONDS * RATE_HZ // PERIOD_SAMPLES
    return 50e-6 + rng.uniform(-20e-6, 20e-6, periods)


def _tone(frequency_hz: int) -> Sound:
    n = np.arange((SECONDS + 1) * RATE_HZ)
    return np.asarray(np.sin(2 * np.pi * frequency_hz / RATE_HZ * n), np.float32)


def _play_ours(source: Sound, deviations: Ratios) -> tuple[Sound, NDArray[np.float64]]:
    """Return what comes out, and the input position of each sample."""
    resampler = Resampler(1)
    out = np.empty((len(deviations) * PERIOD_SAMPLES, 1), np.float32)
    positions = np.empty(len(out))
    written = 0
    for number, deviation in enumerate(deviations):
        step_q32 = UNITY_Q32 + round(float(deviation) * UNITY_Q32)
        missing = resampler.missing_samples(PERIOD_SAMPLES, step_q32)
        resampler.write(source[written : written + missing, np.newaxis])
        written += missing
        here = slice(number * PERIOD_SAMPLES, (number + 1) * PERIOD_SAMPLES)
        place = resampler.place[0]
        start = int(place.media) + int(place.fraction_q32) / UNITY_Q32
        positions[here] = start + np.arange(PERIOD_SAMPLES) * (step_q32 / UNITY_Q32)
        resampler.read(out[here], step_q32)
    return out[:, 0], positions


def _only_play_ours(source: Sound, deviations: Ratios) -> None:
    """Do what a node does: FIFO and resampler, without noting positions."""
    resampler = Resampler(1)
    out = np.empty((PERIOD_SAMPLES, 1), np.float32)
    sound = source[:, np.newaxis]
    written = 0
    for deviation in deviations.tolist():
        step_q32 = UNITY_Q32 + round(deviation * UNITY_Q32)
        missing = resampler.missing_samples(PERIOD_SAMPLES, step_q32)
        resampler.write(sound[written : written + missing])
        written += missing
        resampler.read(out, step_q32)


def _ours() -> dict[str, Any]:
    deviations = ratios()
    exact, fitted = {}, {}
    for frequency_hz in TONES_HZ:
        out, positions = _play_ours(_tone(frequency_hz), deviations)
        omega = 2 * np.pi * frequency_hz / RATE_HZ
        basis = np.stack([np.sin(omega * positions), np.cos(omega * positions)], axis=1)
        exact[frequency_hz] = _residue_db(basis[_SETTLED:], out[_SETTLED:].astype(np.float64))
        fitted[frequency_hz] = _fitted_db(out, frequency_hz)
    return {
        "name": "ours, 24 taps x 512 phases",
        "exact_db": exact,
        "fitted_db": fitted,
        "cpu_pct": _cpu_pct(lambda sound: _only_play_ours(sound, deviations)),
    }


def _residue_db(basis: NDArray[np.float64], out: NDArray[np.float64]) -> float:
    weights, *_ = np.linalg.lstsq(basis, out, rcond=None)
    ideal = basis @ weights
    return float(10 * np.log10(np.mean((out - ideal) ** 2) / np.mean(ideal**2)))


def _fitted_db(out: Sound, frequency_hz: int) -> float:
    """Return THD+N against tones fitted to each stretch."""
    stretch = PERIOD_SAMPLES // 2
    n = (np.arange(stretch) - stretch / 2) / stretch
    omega = 2 * np.pi * frequency_hz / RATE_HZ * (1 + 50e-6)
    phase = omega * np.arange(stretch)
    basis = np.stack([np.sin(phase), np.cos(phase), n * np.sin(phase), n * np.cos(phase)], axis=1)
    count = (len(out) - _SETTLED) // stretch
    stretches = out[_SETTLED : _SETTLED + count * stretch].reshape(count, stretch).T
    weights, *_ = np.linalg.lstsq(basis, stretches.astype(np.float64), rcond=None)
    ideal = basis @ weights
    residue = np.median(np.mean((stretches - ideal) ** 2, axis=0))
    return float(10 * np.log10(residue / np.mean(ideal**2)))


def _cpu_pct(play: Callable[[Sound], object]) -> float:
    """Return the CPU time per time of sound, in percent; the best of three runs."""
    source = _tone(997)
    play(source)
    best_s = min(_cpu_s(play, source) for _ in range(3))
    return 100.0 * best_s / SECONDS


def _cpu_s(play: Callable[[Sound], object], source: Sound) -> float:
    before_s = time.process_time()
    play(source)
    return time.process_time() - before_s


def _peers() -> list[dict[str, Any]]:
    peers: list[tuple[str, str, Callable[[Sound, Ratios], Sound]]]
    peers = [("soxr HQ, variable rate", "soxr", _play_soxr)]
    peers += [
        (f"samplerate {quality}", "samplerate", _samplerate(quality))
        for quality in ("sinc_fastest", "sinc_best")
    ]
    rows: list[dict[str, Any]] = []
    for name, module, play in peers:
        if importlib.util.find_spec(module) is None:
            rows.append({"name": name, "missing": f"the package {module} is not installed"})
            continue
        fitted = {f: _fitted_db(play(_tone(f), ratios()), f) for f in TONES_HZ}
        cpu_pct = _cpu_pct(partial(_swapped, play, ratios()))
        rows.append({"name": name, "fitted_db": fitted, "cpu_pct": cpu_pct})
    return rows


def _swapped(play: Callable[[Sound, Ratios], Sound], deviations: Ratios, source: Sound) -> Sound:
    return play(source, deviations)


def _play_soxr(source: Sound, deviations: Ratios) -> Sound:
    import soxr

    stream = soxr.ResampleStream(RATE_HZ * 1.01, RATE_HZ, 1, dtype="float32", quality="HQ", vr=True)
    out = []
    for number, deviation in enumerate(deviations):
        stream.set_io_ratio(RATE_HZ * (1 + float(deviation)), RATE_HZ, 0)
        out.append(
            stream.resample_chunk(source[number * PERIOD_SAMPLES : (number + 1) * PERIOD_SAMPLES])
        )
    return np.concatenate(out)


def _samplerate(quality: str) -> Callable[[Sound, Ratios], Sound]:
    def play(source: Sound, deviations: Ratios) -> Sound:
        stream = importlib.import_module("samplerate").Resampler(quality)
        out = [
            stream.process(
                source[number * PERIOD_SAMPLES : (number + 1) * PERIOD_SAMPLES],
                1.0 / (1.0 + float(deviation)),
            )
            for number, deviation in enumerate(deviations)
        ]
        return np.concatenate(out).astype(np.float32)

    return play


def _print(rows: list[dict[str, Any]]) -> None:
    tones = "".join(f"{f'{tone} Hz':>10}" for tone in TONES_HZ)
    print(f"{'THD+N, dB':<30}{'':>8}{tones}{'CPU %':>10}")
    for row in rows:
        if "missing" in row:
            print(f"{row['name']:<30}{row['missing']}")
            continue
        for kind in ("exact", "fitted"):
            values = row.get(f"{kind}_db")
            if values:
                figures = "".join(f"{values[tone]:>10.1f}" for tone in TONES_HZ)
                print(f"{row['name']:<30}{kind:>8}{figures}{row['cpu_pct']:>10.3f}")
