"""Loudness is what the EBU's meters say it is (EBU Tech 3341, table 1, the generated signals).

Cases 7 and 8 are recordings of real programmes that the EBU hands out: they cannot be generated.
The deviation of each case: `python -m benchmarks loudness`.
"""

import numpy as np
import pytest

from benchmarks.audio.loudness import cases
from node.audio.loudness import (
    LOUDNESS_MIN_LUFS,
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


def test_every_case_of_the_table_that_can_be_generated_is_within_its_tolerance():
    measured_cases = list(cases())
    assert {int(case.name) for case in measured_cases} == set(range(1, 24)) - {7, 8}
    assert [case for case in measured_cases if not case.holds] == []


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
