"""What a node and a sender say of the playout delay."""

from hypothesis import example, given
from hypothesis import strategies as st

from node.rtp.delay_report import DelayNeed, need_of, need_packet, playing_delay_of

NS = st.integers(-(1 << 63), 1 << 63)


@given(NS, NS, st.none() | NS, st.floats(allow_nan=False))
@example(2_000_000, 200_000_000, -3521, 0.0)
def test_whatever_a_node_measures_can_be_told(needed_ns, playing_ns, uncertainty_ns, skew_ppm):
    packet = need_packet(7, DelayNeed(needed_ns, playing_ns, uncertainty_ns, skew_ppm))
    if 0 <= needed_ns < 10**12:
        assert need_of(packet) == needed_ns // 1000 * 1000
    if 0 <= playing_ns < 10**12:
        assert playing_delay_of(packet) == playing_ns // 1000 * 1000
