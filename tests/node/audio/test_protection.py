"""A siren of two hours burns nothing, and the horn is not shaken by what it cannot play."""

import numpy as np
import pytest
from scipy.signal import sosfreqz

from node.audio.protection import Protection, high_pass_sections

RATE_HZ = 48_000


def siren(seconds, amplitude=0.9):
    n = np.arange(round(seconds * RATE_HZ))
    return (amplitude * np.sin(2 * np.pi * 800 / RATE_HZ * n))[:, np.newaxis].astype(np.float32)


def test_the_high_pass_is_the_known_butterworth_filter():
    sections = high_pass_sections(300.0)
    sos = np.insert(sections, 3, 1.0, axis=1)
    _, response = sosfreqz(sos, [75, 150, 300, 600, 3000], fs=RATE_HZ)
    known_db = -10 * np.log10(1 + (300 / np.array([75, 150, 300, 600, 3000])) ** 8)
    assert np.allclose(20 * np.log10(np.abs(response)), known_db, atol=0.02)


def test_the_horn_gets_its_band_and_nothing_below():
    protection = Protection(1, cutoff_hz=300.0, power_limit_db=0.0)
    low = np.sin(2 * np.pi * 60 / RATE_HZ * np.arange(RATE_HZ))[:, np.newaxis].astype(np.float32)
    high = siren(1)
    before = high.copy()
    protection.process(low)
    assert np.abs(low[4_800:]).max() < 0.005
    protection = Protection(1, cutoff_hz=300.0, power_limit_db=0.0)
    protection.process(high)
    assert np.sqrt(np.mean(high[4_800:] ** 2) / np.mean(before**2)) == pytest.approx(1, abs=0.01)


def test_a_long_siren_ends_at_the_power_that_the_amplifier_can_shed():
    protection = Protection(1, cutoff_hz=None, power_limit_db=-10.0)
    powers = []
    for _ in range(600):
        second = siren(1)
        protection.process(second)
        powers.append(float(np.mean(second.astype(np.float64) ** 2)))
    assert powers[0] == pytest.approx(0.405, abs=0.01), "the first warning is loud"
    assert 10 * np.log10(np.mean(powers[300:])) == pytest.approx(-10.0, abs=0.1)
    assert protection.reduction_db == pytest.approx(6.07, abs=0.1)
    assert np.max(np.abs(np.diff(10 * np.log10(powers)))) < 0.3, "nobody hears it pump"


def test_speech_within_the_limit_is_not_touched():
    protection = Protection(2, cutoff_hz=None, power_limit_db=-10.0)
    sound = (np.random.default_rng(1).standard_normal((RATE_HZ, 2)) * 0.1).astype(np.float32)
    before = sound.copy()
    protection.process(sound)
    assert np.array_equal(sound, before)


def test_a_cutoff_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="cutoff_hz is 9000"):
        high_pass_sections(9000)
