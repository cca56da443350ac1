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
