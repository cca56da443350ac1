"""When a sample leaves the converter, on a machine that calls late and a card that plays on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.clock.card_line import CardLine

MS = 10**6
PERIOD_S = 0.01
SETTLED = 150
"""Periods, 1.5 s: from a stall until nothing of it is left."""


def true_ns(n, *, card_ppm=0.0, drift_ppm_s=0.0, lost_s=()):
    """Return when each of `n` periods leaves, (n,) float64 ns; `lost_s` is (period, s) pairs."""
    at_s = np.arange(n) * PERIOD_S
    leaves_s = at_s * (1 - card_ppm * 1e-6) - 0.5e-6 * drift_ppm_s * at_s**2
    for period, lost in lost_s:
        leaves_s[period:] += lost
    return 1e9 + 1e9 * leaves_s


def late_ns(n, rng, *, busy=0.05):
    """Return how late each period is asked for: always a little, a share `busy` by up to 6 ms."""
    often = rng.exponential(0.03 * MS, n)
    return often + (rng.random(n) < busy) * rng.uniform(0, 6 * MS, n)


def follow(stamps_ns):
    """Return what the line says of each stamp, and the line."""
    line = CardLine()
    return np.array([line.presentation_ns(int(one), 480) for one in stamps_ns]), line


def caught_up(true, late, begin, stall_ns):
    """Return `late` with one stall: nothing is asked for meanwhile, all of it right after."""
    stamps = true + late
    end_ns = true[begin] + stall_ns
    held = (true >= true[begin]) & (true < end_ns)
    stamps[held] = end_ns + np.arange(held.sum()) * 0.1 * MS
    return stamps - true


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([-300, -104, 0, 104, 300]), st.floats(0, 0.4))
def test_a_busy_machine_moves_neither_the_presentation_time_nor_the_rate(seed, card_ppm, busy):
    rng = np.random.default_rng(seed)
    true = true_ns(6000, card_ppm=card_ppm)
    said, line = follow(true + late_ns(6000, rng, busy=busy))
    assert np.max(np.abs(said - true)[1000:]) < 0.05 * MS
    assert line.skew_ppm == pytest.approx(card_ppm, abs=1.5)
    assert line.jumps == 0


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.sampled_from([-104, 0, 104]),
    st.lists(st.tuples(st.integers(500, 5000), st.floats(0.005, 2.0)), max_size=6),
)
def test_a_card_that_played_without_us_is_found_again_and_its_rate_is_still_known(
    seed, card_ppm, lost_s
):
    """Whole periods, parts of them, once or often: 1.5 s later nothing is left of it.

    At 104 ppm a card is 0.15 ms off before the first 2 s have shown its rate.
    """
    rng = np.random.default_rng(seed)
    true = true_ns(6000, card_ppm=card_ppm, lost_s=lost_s)
    said, line = follow(true + late_ns(6000, rng))
    calm = np.ones(6000, bool)
    calm[:100] = False
    for period, _ in lost_s:
        calm[period : period + SETTLED] = False
    assert np.max(np.abs(said - true)[calm], initial=0) < 0.2 * MS
    assert line.skew_ppm == pytest.approx(card_ppm, abs=5)


def test_a_card_that_played_without_us_is_followed_within_100_ms():
    true = true_ns(600, lost_s=[(500, 0.012)])
    said, line = follow(true)
    assert np.abs(said - true)[510:].max() < 0.05 * MS
    assert line.jumps == 1


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.lists(st.integers(500, 5000), max_size=8))
def test_a_short_stall_that_the_card_bridged_changes_nothing(seed, begins):
    """18 ms, and the periods of that time are asked for at once afterwards."""
    rng = np.random.default_rng(seed)
    true = true_ns(6000, card_ppm=30)
    late = late_ns(6000, rng, busy=0.0)
    for begin in begins:
        late = caught_up(true, late, begin, 18 * MS)
    said, line = follow(true + late)
    assert np.max(np.abs(said - true)[400:]) < 0.05 * MS
    assert line.jumps == 0


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.lists(st.integers(500, 5000), max_size=4), st.floats(20, 300))
def test_a_long_stall_leads_back_to_the_same_line(seed, begins, stall_ms):
    rng = np.random.default_rng(seed)
    true = true_ns(6000, card_ppm=-30)
    late = late_ns(6000, rng)
    calm = np.arange(6000) > 100
    for begin in begins:
        late = caught_up(true, late, begin, stall_ms * MS)
        calm[begin : begin + SETTLED + int(stall_ms / 10)] = False
    said, line = follow(true + late)
    assert np.max(np.abs(said - true)[calm]) < 0.15 * MS
    assert line.skew_ppm == pytest.approx(-30, abs=3)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.integers(300, 5900), st.floats(-2000, 2000)),
        max_size=10,
        unique_by=lambda one: one[0] // 10,
    ),
)
def test_a_stamp_that_is_simply_wrong_changes_nothing(seed, wrong_ms):
    rng = np.random.default_rng(seed)
    true = true_ns(6000)
    late = late_ns(6000, rng)
    for period, ms in wrong_ms:
        late[period] = ms * MS
    said, line = follow(true + late)
    assert np.max(np.abs(said - true)[300:]) < 0.05 * MS
    assert line.jumps == 0


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.sampled_from([-0.02, 0.02]))
def test_a_card_that_warms_up_is_followed(seed, drift_ppm_s):
    """1.2 ppm a minute: what a gateway's crystal does when the morning sun comes."""
    rng = np.random.default_rng(seed)
    true = true_ns(12_000, card_ppm=20, drift_ppm_s=drift_ppm_s)
    said, line = follow(true + late_ns(12_000, rng))
    assert np.max(np.abs(said - true)[1000:]) < 0.05 * MS
    assert line.jumps == 0


def test_a_machine_that_slept_for_an_hour_goes_on_where_the_card_is():
    true = true_ns(1000, lost_s=[(500, 3600.0)])
    said, _ = follow(true)
    assert np.abs(said - true)[510:].max() < 0.05 * MS
