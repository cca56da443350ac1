"""What a node of tier T3 remembers of the packets that were sent to it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.units import NS_PER_MS, NS_PER_S
from sim.fleet.desk import Ways
from sim.links.kernel import LOST_NS


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.sampled_from([20, 999, 2000]))
def test_the_packets_of_a_chunk_and_of_a_minute_are_remembered_and_nothing_is_known_beyond(
    sizes: list[int], packet_ms: int
) -> None:
    ways = Ways()
    sent = np.arange(sum(sizes), dtype=np.int64) * packet_ms * NS_PER_MS
    before = 0
    chunks: list[int] = []
    for size in sizes:
        chunk = sent[before : before + size]
        ways.add(chunk, chunk + 1000, chunk + 2000)
        if size == 0:
            continue
        minute = sent[chunks[-1] if chunks else 0 : before]
        minute = minute[minute >= sent[before - 1] - 60 * NS_PER_S]
        known = np.concatenate([minute, chunk])
        chunks.append(before)
        before += size

        assert sent[ways.first] == known[0]
        assert ways.known == known.size
        for row, more_ns in enumerate((0, 1000, 2000)):
            assert np.array_equal(ways.values[row, : known.size], known + more_ns)
            assert np.all(ways.values[row, known.size :] == LOST_NS)
