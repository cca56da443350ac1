"""What leaves the node: protected where it is configured, untouched where it is not."""

import numpy as np
import pytest

from node.audio.levelling import Leveller
from node.audio.limiter import LATENCY_SAMPLES
from node.audio.loudness import LoudnessMeter
from node.audio.output import Output
from node.config import AudioConfig, ConfigError

RATE_HZ = 48_000
BLOCK = 4_096


def tone(seconds, *, hertz=800, amplitude=0.85):
    n = np.arange(round(seconds * RATE_HZ))
    return (amplitude * np.sin(2 * np.pi * hertz / RATE_HZ * n))[:, np.newaxis].astype(np.float32)


def played(output, sound):
    sound = sound.copy()
    for first in range(0, len(sound), BLOCK):
        output.process(sound[first : first + BLOCK])
    return sound


def power_db(sound):
    return 10 * np.log10(np.mean(sound.astype(np.float64) ** 2)) + 3.0103


def test_without_protection_sound_below_the_limit_leaves_bit_by_bit():
    sound = tone(1)
    out = played(Output(AudioConfig()), sound)
    assert np.array_equal(out[LATENCY_SAMPLES:], sound[:-LATENCY_SAMPLES])


def test_a_long_siren_is_loud_first_and_then_as_loud_as_the_amplifier_can_shed():
    output = Output(AudioConfig(power_limit_db=-6.0))
    minute = tone(60)
    levels = [power_db(played(output, minute)) for _ in range(10)]
    assert levels[0] > -4.5, "the first minute of a warning is loud"
    assert all(level == pytest.approx(-6.0, abs=0.1) for level in levels[6:])
    assert output.power_reduction_db == pytest.approx(20 * np.log10(0.85) + 6.0, abs=0.1)


def test_what_is_warm_cools_down_while_nothing_sounds():
    output = Output(AudioConfig(power_limit_db=-6.0))
    for _ in range(5):
        played(output, tone(60))
    output.rest(600 * RATE_HZ)
    assert power_db(played(output, tone(1))[RATE_HZ // 2 :]) == pytest.approx(
        20 * np.log10(0.85), abs=0.1
    )


def test_the_high_pass_of_the_horn_is_in_the_way_of_the_sound():
    output = Output(AudioConfig(high_pass_hz=300.0))
    assert power_db(played(output, tone(2, hertz=60))[RATE_HZ:]) < -50
    assert power_db(played(output, tone(2, hertz=1500))[RATE_HZ:]) == pytest.approx(-1.4, abs=0.1)


@pytest.mark.parametrize(
    ("amplitude", "expected_lufs"), [(0.9, -16.0), (0.3, -16.0), (0.05, -17.03)]
)
def test_soft_and_loud_programmes_come_out_equally_loud(amplitude, expected_lufs):
    leveller = Leveller(1, target_lufs=-16.0)
    meter = LoudnessMeter(1)
    sound = tone(20, hertz=1000, amplitude=amplitude)
    for first in range(0, len(sound), 480):
        period = sound[first : first + 480]
        leveller.process(period)
        if first > 10 * RATE_HZ:
            meter.add(period)
    # The softest one is raised by 12 dB and no more.
    assert meter.integrated_lufs == pytest.approx(expected_lufs, abs=0.1)


def test_silence_is_not_made_loud():
    leveller = Leveller(1, target_lufs=-16.0)
    silence = np.zeros((RATE_HZ, 1), np.float32)
    leveller.process(silence)
    assert not silence.any() and leveller.gain_db == 0.0


@pytest.mark.parametrize(
    ("field", "value"), [("high_pass_hz", 5.0), ("power_limit_db", 3.0), ("target_lufs", -90.0)]
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ConfigError, match=f"audio.{field} = {value}"):
        AudioConfig(**{field: value})


@pytest.mark.parametrize(
    "config", [AudioConfig(), AudioConfig(gain_db=-6.0), AudioConfig(high_pass_hz=300.0)]
)
def test_many_periods_at_once_leave_as_one_by_one(config):
    periods = tone(1, hertz=300, amplitude=1.5).reshape(100, 480, 1)
    one_by_one, at_once = periods.copy(), periods.copy()
    output, other = Output(config), Output(config)
    for out in one_by_one:
        output.finish(out, sounds=True)
    other.finish_periods(at_once)
    assert np.array_equal(at_once, one_by_one)
    assert other.silent_samples == output.silent_samples
