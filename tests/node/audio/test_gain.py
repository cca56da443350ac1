"""Volume moves without a click, and silence is silence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audio.gain import (
    RAMP_DB_PER_S_MAX,
    SILENCE_GAIN,
    apply_ramp,
    gain_of_db,
    ramp_factor,
)

gains_db = st.one_of(st.just(-120.0), st.floats(-99, 20))


@settings(deadline=None, max_examples=100)
@given(gains_db, gains_db, st.floats(1, RAMP_DB_PER_S_MAX), st.integers(1, 500))
def test_no_volume_change_steps_by_more_than_a_twentieth_of_a_decibel(start, end, rate, period):
    gain, target, factor = gain_of_db(start), gain_of_db(end), ramp_factor(rate)
    out = np.ones((4 * period, 1), np.float32)
    last = gain
    for i in range(0, len(out), period):
        last = apply_ramp(out[i : i + period], last, target, factor)

    heard = np.concatenate([[gain], out[:, 0].astype(np.float64)])
    audible = (heard[:-1] > 2 * SILENCE_GAIN) & (heard[1:] > 2 * SILENCE_GAIN)
    steps_db = 20 * np.log10(heard[1:][audible] / heard[:-1][audible])
    assert np.all(np.abs(steps_db) <= 0.0501)
    assert np.all(heard[1:][heard[:-1] == 0] <= 2 * SILENCE_GAIN)
    assert min(gain, target) <= last <= max(gain, target)


def test_a_ramp_takes_the_time_that_its_rate_says():
    factor, gain, samples = ramp_factor(200.0), gain_of_db(-40), 0
    period = np.ones((48, 1), np.float32)
    while gain != 1.0:
        gain = apply_ramp(period, gain, 1.0, factor)
        samples += 48
    assert samples == pytest.approx(0.2 * 48_000, abs=48)


def test_full_volume_leaves_every_sample_as_it_was_and_mute_is_exact_zero():
    sound = np.random.default_rng(1).standard_normal((480, 2)).astype(np.float32)
    played = sound.copy()
    assert apply_ramp(played, 1.0, 1.0, ramp_factor(200)) == 1.0
    assert np.array_equal(played, sound)

    gain = 1.0
    for _ in range(100):
        gain = apply_ramp(played, gain, 0.0, ramp_factor(200))
    assert gain == 0.0
    played[:] = sound
    apply_ramp(played, gain, 0.0, ramp_factor(200))
    assert np.all(played == 0.0)


def test_a_gain_is_the_power_of_ten_that_its_decibels_say():
    for gain_db in (-80.0, -6.0, 0.0, 12.0):
        assert 20 * np.log10(gain_of_db(gain_db)) == pytest.approx(gain_db, abs=1e-6)
    assert gain_of_db(-100.0) == 0.0


def test_a_ramp_that_would_click_is_refused():
    with pytest.raises(ValueError, match="ramp_db_per_s is 5000"):
        ramp_factor(5000)
