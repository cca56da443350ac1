"""The middle of some numbers, which the pole's clock is found by."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.card_line import CARD_POINTS_MAX, CARD_SCRATCH
from node.clock.robust_line import pair_slopes, select
from node.clock.state import POINTS_MAX, SCRATCH_SIZE

few = st.sampled_from([0.0, 1.0, -1.0, 1e300, -1e300])
numbers = st.lists(st.one_of(few, st.floats(allow_nan=False)), min_size=1, max_size=600)


@settings(deadline=None, max_examples=300)
@given(values=numbers, data=st.data())
@example(values=[2.0] * 600, data=None)
@example(values=[float(one) for one in range(600)], data=None)
@example(values=[float(-one) for one in range(600)], data=None)
def test_as_many_are_smaller_as_were_asked_for_and_none_is_lost(values, data):
    array = np.array(values)
    rank = len(values) // 2 if data is None else data.draw(st.integers(0, len(values) - 1))
    assert select(array, array.size, rank) == sorted(values)[rank]
    assert sorted(array.tolist()) == sorted(values)


@pytest.mark.parametrize(
    ("points_max", "room"), [(POINTS_MAX, SCRATCH_SIZE), (CARD_POINTS_MAX, CARD_SCRATCH)]
)
def test_the_slopes_of_as_many_points_as_are_kept_have_just_room(points_max, room):
    slopes = np.zeros(points_max * points_max)
    x = np.arange(points_max, dtype=np.float64)
    needed = [pair_slopes(x, x, n, max(1, n // 2), slopes) for n in range(1, points_max + 1)]
    assert max(needed) == room


@given(
    steps=st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=30),
    distance_min=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
@example(steps=[1.0] * 30, distance_min=15, seed=1)
@example(steps=[1.0, 0.0, 1.0], distance_min=1, seed=1)
def test_each_pair_that_is_far_enough_apart_has_its_slope_but_those_of_one_time(
    steps, distance_min, seed
):
    x = np.cumsum(steps)
    y = np.random.default_rng(seed).normal(size=x.size)
    slopes = np.zeros(x.size * x.size)
    count = pair_slopes(x, y, x.size, distance_min, slopes)
    expected = [
        (y[j] - y[i]) / (x[j] - x[i])
        for i in range(x.size)
        for j in range(i + distance_min, x.size)
        if x[j] > x[i]
    ]
    assert slopes[:count].tolist() == expected
