"""What a plan asks for reaches the horn without a click: schedule, volume and ramp together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audio.gain import (
    RAMP_DB_PER_S_MAX,
    SILENCE_GAIN,
    apply_ramp,
    gain_of_db,
    ramp_factor,
)
from node.control.loudness.schedule import (
    Place,
    QuietHours,
    VolumeConfig,
    VolumeRule,
    VolumeSchedule,
)
from node.control.precedence import MessageClass

HOURS = st.sampled_from(["00:00", "05:00", "05:30", "06:00", "17:00", "21:00"])
PLANS = st.builds(
    VolumeConfig,
    volume=st.integers(0, 100),
    rules=st.lists(
        st.builds(
            VolumeRule, name=st.just("r"), volume=st.integers(0, 100), start=HOURS, end=HOURS
        ),
        max_size=4,
    ).map(tuple),
    quiet_hours=st.lists(
        st.builds(
            QuietHours, name=st.just("q"), volume_max=st.integers(0, 100), start=HOURS, end=HOURS
        ),
        max_size=2,
    ).map(tuple),
)
MINUTES = st.lists(st.integers(0, 24 * 60 - 1), min_size=1, max_size=6)
DAY_S = 1_780_000_000 // 86_400 * 86_400


@settings(deadline=None)
@given(PLANS, MINUTES, st.floats(1.0, RAMP_DB_PER_S_MAX), st.integers(1, 960))
def test_no_plan_makes_a_step_above_0_05_db_between_two_samples(plan, minutes, rate, period):
    schedule = VolumeSchedule(plan, Place())
    factor = ramp_factor(rate)
    gain = 0.0
    for minute in minutes:
        for kind in MessageClass:
            target = gain_of_db(schedule.decide(DAY_S + minute * 60, kind).gain_db)
            samples = np.ones((period, 1), np.float32)
            before = gain
            gain = apply_ramp(samples, gain, target, factor)
            heard = np.concatenate(([before], samples[:, 0].astype(np.float64)))
            loud = np.maximum(heard, SILENCE_GAIN)  # below it 16 bits are silent
            # 1e-4 dB: float32 samples carry 24 bits.
            assert np.abs(20 * np.log10(loud[1:] / loud[:-1])).max() <= 0.05 + 1e-4
