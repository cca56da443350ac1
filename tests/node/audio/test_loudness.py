"""Loudness is what the EBU's meters say it is (EBU Tech 3341, table 1, the generated signals)."""

import numpy as np
import pytest

from node.audio.loudness import (
    LOUDNESS_MIN_LUFS,
    SURROUND_WEIGHT,
    LoudnessMeter,
    normalising_gain_db,
)

RATE_HZ = 48_000


def tone(level_dbfs, seconds, *, channels=2, frequency_hz=1000):
    n = np.arange(round(seconds * RATE_HZ))
    sine = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz / RATE_HZ * n)
    return np.repeat(sine[:, np.newaxis], channels, axis=1).astype(np.float32)


def measured(parts, **settings):
    sound = np.concatenate(parts)
    meter = LoudnessMeter(sound.shape[1], **settings)
    for first in range(0, len(sound), 4_801):
        meter.add(sound[first : first + 4_801])
    return meter


@pytest.mark.parametrize(
    ("case", "levels", "expected_lufs"),
    [
        (1, [(-23, 20)], -23.0),
        (2, [(-33, 20)], -33.0),
        (3, [(-36, 10), (-23, 60), (-36, 10)], -23.0),
        (4, [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        (5, [(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_the_programme_loudness_is_the_known_one(case, levels, expected_lufs):
    meter = measured([tone(level, seconds) for level, seconds in levels])
    assert meter.integrated_lufs == pytest.approx(expected_lufs, abs=0.1), f"case {case}"


def test_case_6_five_channels_are_weighted():
    levels = (-28, -28, -24, -30, -30)
    sound = np.concatenate([tone(level, 20, channels=1) for level in levels], axis=1)
    weights = (1.0, 1.0, 1.0, SURROUND_WEIGHT, SURROUND_WEIGHT)
    meter = measured([np.ascontiguousarray(sound)], weights=weights)
    assert meter.integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_cases_1_and_2_hold_for_momentary_and_short_term_loudness():
    for level in (-23, -33):
        meter = measured([tone(level, 20)])
        assert meter.momentary_lufs == pytest.approx(level, abs=0.1)
        assert meter.short_term_lufs == pytest.approx(level, abs=0.1)


def test_case_9_short_term_loudness_is_steady_while_the_level_changes():
    parts = [tone(-20, 1.34), tone(-30, 1.66)] * 5
    sound = np.concatenate(parts)
    meter, seen = LoudnessMeter(2), []
    for first in range(0, len(sound), 4_800):
        meter.add(sound[first : first + 4_800])
        if first >= 3 * RATE_HZ:
            seen.append(meter.short_term_lufs)
    assert np.allclose(seen, -23.0, atol=0.1)


def test_case_12_momentary_loudness_is_steady_while_the_level_changes():
    sound = np.concatenate([tone(-20, 0.18), tone(-30, 0.22)] * 25)
    meter, seen = LoudnessMeter(2), []
    for first in range(0, len(sound), 4_800):
        meter.add(sound[first : first + 4_800])
        if first >= RATE_HZ:
            seen.append(meter.momentary_lufs)
    assert np.allclose(seen, -23.0, atol=0.1)


@pytest.mark.parametrize(
    ("case", "divisor", "phase_deg", "amplitude", "expected_dbtp"),
    [
        (15, 4, 0.0, 0.50, -6.0),
        (16, 4, 45.0, 0.50, -6.0),
        (17, 6, 60.0, 0.50, -6.0),
        (18, 8, 67.5, 0.50, -6.0),
        (19, 4, 45.0, 1.41, 3.0),
    ],
)
def test_peaks_between_samples_are_seen(case, divisor, phase_deg, amplitude, expected_dbtp):
    n = np.arange(RATE_HZ)
    sine = amplitude * np.sin(2 * np.pi * n / divisor + np.deg2rad(phase_deg))
    rise = np.minimum(1.0, np.minimum(n, n[::-1]) / 480)  # without a step at either end
    meter = measured([(sine * rise)[:, np.newaxis].astype(np.float32)])
    assert expected_dbtp - 0.4 <= meter.true_peak_dbtp <= expected_dbtp + 0.2, f"case {case}"


def test_one_channel_alone_is_three_decibels_less_loud_than_a_pair():
    meter = measured([tone(-23, 10, channels=1)])
    assert meter.integrated_lufs == pytest.approx(-26.0, abs=0.1)


def test_silence_has_no_loudness_and_is_not_made_loud():
    meter = measured([np.zeros((RATE_HZ, 1), np.float32)])
    assert meter.integrated_lufs == LOUDNESS_MIN_LUFS
    assert meter.true_peak_dbtp == LOUDNESS_MIN_LUFS
    gain_db = normalising_gain_db(
        meter.integrated_lufs, meter.true_peak_dbtp, target_lufs=-16, limit_dbtp=-1
    )
    assert gain_db == 0.0


def test_a_quiet_programme_is_raised_as_far_as_its_peaks_allow():
    assert normalising_gain_db(-30, -12, target_lufs=-23, limit_dbtp=-1) == 7
    assert normalising_gain_db(-30, -4, target_lufs=-23, limit_dbtp=-1) == 3
    assert normalising_gain_db(-14, -1, target_lufs=-23, limit_dbtp=-1) == -9
