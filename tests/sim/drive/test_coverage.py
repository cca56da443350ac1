"""The sums of a run: quantiles that people can compare with each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.drive.coverage import Histogram


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_no_quantile_is_above_the_largest_value_nor_below_the_smallest(values_ns):
    histogram = Histogram(100_000, 500)
    histogram.add(np.array(values_ns), np.ones(len(values_ns), np.int64))
    p50, p99 = histogram.quantile_ms(0.5), histogram.quantile_ms(0.99)
    assert min(values_ns) / 1e6 <= p50 or histogram.max_ms > 50
    assert p50 <= p99 <= histogram.max_ms


def test_a_histogram_of_nothing_has_no_quantile():
    assert Histogram(100_000, 500).quantile_ms(0.5) is None
