"""Points that no slope makes the least are left out, and no slope finds another least without."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.clock.exchange.slope import support, without_inner

SLOPES = np.linspace(-600e-6, 600e-6, 61)


@given(
    hnp.arrays(np.float64, st.integers(1, 81), elements=st.floats(0, 4.8e11).map(round)),
    st.floats(0, 1e9),
    st.integers(0, 2**32),
    st.integers(0, 16),
)
@example(np.zeros(5), 1e6, 1, 0)
def test_the_least_is_the_same_without_the_points_inside(times_ns, spread_ns, seed, first):
    first = min(first, times_ns.size)
    x = np.concatenate([times_ns[:first], np.sort(times_ns[first:])])
    noise = np.random.default_rng(seed).exponential(spread_ns, x.size)
    points = np.ascontiguousarray([x, noise])
    kept = without_inner(points, first, x.size)
    assert np.array_equal(points[:, :first], [x[:first], noise[:first]])
    for slope in SLOPES:
        for is_place in (0, 1):
            expected = support(x, noise, x.size, slope, is_place)
            assert support(points[0], points[1], kept, slope, is_place) == expected
    if spread_ns > 1e6 and x.size - first > 40:
        assert kept < x.size, "some lie inside"
