"""A siren of two hours through the last stages of a node, and what each stage costs.

`python -m benchmarks protection [--profile pi_4b_usb]`. High-pass and power limit are those of the
profile's horn and amplifier. Ends with 1 when the amplifier gets more than it can shed.
"""

import argparse
import time

import numpy as np
from numpy.typing import NDArray

import hw_profiles
from node.audio.levelling import Leveller
from node.audio.output import SINE_DB, Output
from node.config import AudioConfig
from node.units import RATE_HZ

_HOURS = 2
_PERIOD_SAMPLES = 480
_ROUNDS = 3000


def run(arguments: list[str]) -> int:
    """Print the power of the siren over the hours, and CPU time per 10 ms of one channel."""
    parser = argparse.ArgumentParser(prog="benchmarks protection", description=__doc__)
    parser.add_argument("--profile", default="pi_4b_usb", choices=hw_profiles.names())
    options = parser.parse_args(arguments)
    profile = hw_profiles.load(options.profile)
    limit_db = profile.amplifier.thermal_limit_db.value
    low_hz = profile.horn.low_hz.value
    audio = AudioConfig(high_pass_hz=low_hz, power_limit_db=limit_db, limit_dbfs=0.0)
    output = Output(audio)
    minute = _siren(60.0)
    powers_db: list[float] = []
    for _ in range(_HOURS * 60):
        sound = minute.copy()
        for first in range(0, len(sound), 4096):
            output.process(sound[first : first + 4096])
        powers_db.append(_power_db(sound))
    print(f"siren at {_power_db(minute):.2f} dB re a full-scale sine, limit {limit_db:g} dB")
    for at in (0, 1, 2, 5, 10, 30, 60, 119):
        print(f"minute {at + 1:3}: {powers_db[at]:.2f} dB")
    mean_db = 10 * float(np.log10(np.mean(10 ** (np.array(powers_db[10:]) / 10))))
    print(f"from the eleventh minute on {mean_db:.3f} dB; high-pass at {low_hz:g} Hz")
    _print_costs(audio)
    return 0 if mean_db <= limit_db + 0.1 else 1


def _print_costs(audio: AudioConfig) -> None:
    plain = _cost_us(Output(AudioConfig(limit_dbfs=0.0)))
    passed = _cost_us(Output(AudioConfig(high_pass_hz=audio.high_pass_hz, limit_dbfs=0.0)))
    whole = _cost_us(Output(audio))
    levelled = _cost_us(Leveller(1, target_lufs=-16.0))
    print(
        f"per 10 ms of one channel: limiter alone {plain:.1f} us, with high-pass {passed:.1f} us, "
        f"with high-pass and power limit {whole:.1f} us; levelling {levelled:.1f} us"
    )


def _siren(seconds: float) -> NDArray[np.float32]:
    n = np.arange(round(seconds * RATE_HZ))
    sine = 0.99 * np.sin(2 * np.pi * 800 / RATE_HZ * n)
    return np.asarray(sine[:, np.newaxis], np.float32)


def _power_db(sound: NDArray[np.float32]) -> float:
    return 10 * float(np.log10(np.mean(sound.astype(np.float64) ** 2))) - SINE_DB


def _cost_us(stage: Output | Leveller) -> float:
    period = _siren(_PERIOD_SAMPLES / RATE_HZ)
    scratch = period.copy()
    best_s = 1e9
    for _ in range(3):
        began_s = time.process_time()
        for _ in range(_ROUNDS):
            scratch[:] = period
            stage.process(scratch)
        best_s = min(best_s, time.process_time() - began_s)
    return best_s * 1e6 / _ROUNDS
