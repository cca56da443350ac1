"""Values by their rank are those of an array in order, however they are looked for."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.clock.robust_line import (
    highest_below,
    lowest,
    pick_near,
    select,
    select_near,
)

FLOATS = st.sampled_from([0.0, 1.0, 1.5, -3.0]) | st.floats(-1e12, 1e12)
VALUES = hnp.arrays(np.float64, st.integers(1, 80), elements=FLOATS)
GUESSES = st.floats(-1e12, 1e12)
REACHES = st.sampled_from([0.0, 1.0, 1e13])


@given(VALUES, st.integers(0, 79), GUESSES, REACHES)
@example(np.zeros(60), 30, 0.0, 0.0)
@example(np.arange(60.0), 30, 30.0, 4.0)
@example(np.arange(60.0), 30, 10.0, 4.0)
def test_a_guess_changes_how_soon_a_value_is_found_and_not_which(values, rank, guess, reach):
    rank %= values.size
    expected = np.sort(values)[rank]
    assert select(values.copy(), values.size, rank) == expected
    assert select_near(values.copy(), values.size, rank, guess, reach) == expected
    assert pick_near(values.copy(), values.size, rank, guess, reach) == expected


@given(VALUES, GUESSES | st.just(np.inf), st.integers(1, 20))
@example(np.arange(20.0)[::-1].copy(), 9.0, 3)
def test_the_outermost_are_those_at_the_ends_of_the_order(values, limit, count):
    found = np.zeros(20)
    below = np.sort(values[values <= limit])
    kept = highest_below(values, values.size, limit, count, found)
    assert kept == below.size
    assert np.array_equal(found[: min(kept, count)], below[-count:])
    count = min(count, values.size)
    lowest(values, values.size, count, found)
    assert np.array_equal(found[:count], np.sort(values)[:count])
