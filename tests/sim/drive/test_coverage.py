"""The sums of a run: quantiles that people can compare with each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.drive.coverage import Histogram, quantiles_ms


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_no_quantile_is_above_the_largest_value_nor_below_the_smallest(values_ns):
    histogram = Histogram(100_000, 500)
    histogram.add(np.array(values_ns), np.ones(len(values_ns), np.int64))
    p50, p99 = histogram.sparse().quantiles_ms([0.5, 0.99])
    assert min(values_ns) / 1e6 <= p50 or histogram.max_ms > 50
    assert p50 <= p99 <= histogram.max_ms


def test_a_histogram_of_nothing_has_no_quantile():
    assert Histogram(100_000, 500).sparse().quantiles_ms([0.5, 0.9]) == [None, None]


@given(
    st.dictionaries(st.integers(0, 499), st.integers(1, 10**6), max_size=8),
    st.floats(0, 1),
    st.integers(0, 60_000_000),
)
def test_a_share_is_reached_where_it_is_among_all_bins(weights, share, max_ns):
    histogram = Histogram(100_000, 500)
    for place, weight in weights.items():
        histogram.weights[place] = weight
    histogram.max_ns = max_ns
    among_all = quantiles_ms(histogram.weights, 100_000, [share], max_ns=max_ns)
    assert histogram.sparse().quantiles_ms([share]) == (among_all or [None])


@given(st.lists(st.integers(0, 10**8), max_size=50))
def test_what_is_counted_is_found_wherever_it_lies(values_ns):
    histogram = Histogram(100_000, 500)
    histogram.add(np.array(values_ns, np.int64), np.ones(len(values_ns), np.int64))
    kept = histogram.sparse()
    whole = np.zeros(500, np.int64)
    whole[kept.bins] = kept.weights
    np.testing.assert_array_equal(whole, histogram.weights)


def test_bins_that_another_histogram_gave_back_are_empty():
    first = Histogram(100_000, 777)
    first.add(np.array([-5, 250_000, 10**12]), np.array([1, 2, 3]))
    assert first.sparse().bins.tolist() == [0, 2, 776]
    bins = first.weights
    first.give_back()
    second = Histogram(100_000, 777)
    assert second.weights is bins
    assert not second.weights.any()
    assert second.sparse().bins.size == 0
    assert Histogram(100_000, 777).weights is not bins
