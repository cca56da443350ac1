"""What a node of tier T3 remembers of the packets that were sent to it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.fleet.desk import Ways
from sim.links.kernel import LOST_NS


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_the_packets_of_two_chunks_are_remembered_and_nothing_is_known_beyond(
    sizes: list[int],
) -> None:
    ways = Ways()
    sent = np.arange(sum(sizes), dtype=np.int64)
    begins = [0]
    for size in sizes:
        first = begins[-1]
        chunk = sent[first : first + size]
        ways.add(chunk, chunk + 1000, chunk + 2000)
        if size:
            begins.append(first + size)
        known = sent[begins[-3] if len(begins) > 2 else 0 : first + size]

        assert ways.first == (known[0] if known.size else 0)
        assert ways.known == known.size
        for row, more_ns in enumerate((0, 1000, 2000)):
            assert np.array_equal(ways.values[row, : known.size], known + more_ns)
            assert np.all(ways.values[row, known.size :] == LOST_NS)
