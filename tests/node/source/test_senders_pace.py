"""A sender that is slower or faster than real time: what it says is heard at its pace."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.counters import Origin
from tests.node.source.test_waiting_for_the_horn import (
    LIVE,
    MS,
    START_NS,
    delays_ms,
    modes,
    packets_ms,
    played_of,
    spoken,
)


def heard_ms(arrivals, begin_ms, end_ms, **how):
    """Return how much of what arrives is played from `begin_ms` to `end_ms`, in ms of sound."""
    found = played_of(arrivals, end_ms, **how)
    is_heard = found["origin"] == Origin.RECEIVED
    is_heard &= found["presentation_ns"] >= START_NS + begin_ms * MS
    return int(found["samples"][is_heard].sum()) / 48


@settings(deadline=None, max_examples=60)
@given(
    modes,
    delays_ms,
    packets_ms,
    st.floats(0.5, 1.3),
    st.integers(0, 20),
    st.integers(0, 100),
)
@example("synchronised", 100, 20, 0.8, 0, 0)
@example("synchronised", 100, 120, 0.5, 0, 0)
@example("synchronised", 1000, 2.5, 0.6, 3, 0)
@example("synchronised", 3000, 20, 0.5, 20, 0)
def test_of_a_sender_at_another_pace_all_but_a_tenth_is_heard(
    mode, delay_ms, packet_ms, pace, jitter_ms, seed
):
    """A node that waits anew for its playout delay hears nothing meanwhile, once at either end."""
    begin_ms = 3000 + delay_ms
    end_ms = begin_ms + 9000 + 3 * delay_ms
    rng = np.random.default_rng(seed)
    arrivals = [
        (at_ms / pace + float(rng.uniform(0, jitter_ms)), data, source)
        for at_ms, data, source in spoken(LIVE, 0, end_ms * pace, packet_ms=packet_ms)
    ]
    arrivals.sort(key=lambda one: one[0])
    said_ms = min(pace, 1) * (end_ms - begin_ms - delay_ms) - 2 * packet_ms
    assert heard_ms(arrivals, begin_ms, end_ms, mode=mode, delay_ms=delay_ms) >= 0.9 * said_ms
