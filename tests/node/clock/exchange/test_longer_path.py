"""A way that becomes a longer one: what is known of the sender's clock stays known."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.exchange.bounds import Fitting
from node.clock.exchange.replies import Replies, add, begin, fit, offset_ns
from node.kernel.record import new

MS = 1_000_000
S = 1000 * MS
AHEAD_NS = 72 * S


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(10, 4000),
    st.integers(1, 12),
    st.tuples(st.integers(0, 12), st.booleans()),
    st.integers(1, 40),
    st.integers(0, 20),
    st.lists(st.integers(0, 4000), max_size=8),
    st.integers(0, 1 << 32),
)
@example(40, 3960, 1, (0, False), 7, 0, [0, 3225, 3015, 0], 0)
@example(40, 3960, 4, (2, False), 10, 0, [3960, 0, 0], 0)
@example(1, 2841, 12, (12, False), 40, 10, [], 15)  # the short way was 240 s ago
@example(1, 3148, 12, (12, True), 40, 10, [], 15)
@example(1, 4000, 1, (12, False), 9, 10, [], 1)  # 120 s ago, and most since were under way
def test_a_path_that_becomes_longer_both_ways_does_not_set_the_senders_clock(
    path_ms, longer_ms, before, under_way, after, jitter_ms, sound_later_ms, seed
):
    """However much later still single packets of the sound came: of stamps at a wrong rate, say.

    What was under way as it became longer went a long way one way only.
    """
    rng = np.random.default_rng(seed)
    (replies,) = new(Replies)
    begin(replies)
    long_ms = path_ms + longer_ms
    halfway_ms = (long_ms, path_ms) if under_way[1] else (path_ms, long_ms)
    ways_ms = [(path_ms, path_ms)] * before + [halfway_ms] * under_way[0]
    ways_ms += [(long_ms, long_ms)] * after
    now_ns = 10 * S
    for ways in ways_ms:
        now_ns += 20 * MS + sum(ways) * MS
        jitters_ns = rng.integers(0, jitter_ms * MS + 1, 2)
        up_ns, down_ns = (way * MS + int(one) for way, one in zip(ways, jitters_ns, strict=True))
        add(replies, now_ns, AHEAD_NS + up_ns, down_ns - AHEAD_NS)
    times = np.linspace(10 * S, now_ns, len(sound_later_ms)).astype(np.int64)
    fastest = np.full(len(times), long_ms * MS - AHEAD_NS, np.int64)
    slowest = fastest + np.array(sound_later_ms, np.int64) * MS
    fit(replies, new(Fitting)[0], np.stack([times, fastest, times, slowest]), len(times))
    error_ns = abs(offset_ns(replies, now_ns) - AHEAD_NS)
    turned_ns = 600e-6 * (now_ns - 10 * S)  # what a slope can be wrong by at most
    assert error_ns <= (path_ms + jitter_ms + 1) * MS + turned_ns
