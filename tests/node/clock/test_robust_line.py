"""The middle of some numbers, which the pole's clock is found by."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.robust_line import select

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
