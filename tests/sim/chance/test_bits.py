import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.kernel.record import new
from sim.chance.bits import Bits, begin, fill
from sim.chance.rng import Purpose, raw_draws, stream


@settings(deadline=None)
@given(
    root=st.one_of(st.integers(0, 3), st.integers(0, 1 << 300)),
    purposes=st.lists(st.sampled_from(Purpose), min_size=1, max_size=4),
    commune=st.text(max_size=3),
    node=st.text(max_size=3),
    first=st.integers(0, 40),
)
def test_a_stream_within_kernels_gives_the_bits_of_numpy_s_generator(
    root, purposes, commune, node, first
):
    bits = new(Bits, len(purposes))
    begin(bits, root, np.array(purposes, np.int64), commune=commune, node=node)
    for at, purpose in enumerate(purposes):
        theirs = stream(root, purpose, commune=commune, node=node)
        for count in (first, 60):
            own = np.empty(count, np.uint64)
            fill(bits[at : at + 1], own)
            np.testing.assert_array_equal(own, raw_draws(theirs, count))
