"""A source that is silent for a while: when it gives the horn back hangs on its silence alone."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import JitterConfig, NodeConfig
from node.control.precedence import MessageClass, PriorityConfig
from node.counters import Origin
from node.events import SourceChanged
from node.kernel.record import new, together
from node.rtp import packet
from node.source.state import Played
from node.stack import LATENCY_NS, SpeakerNode
from node.units import NS_PER_MS, samples_to_ns

PACKETS = 250
SSRC = 0x99
PERIODS = [120, 240, 480, 960, 4096]
HOLD_NS = PriorityConfig().hold_ms["normal"] * NS_PER_MS
STALL_MAX_MS = 1900.0
"""What comes after more than `delay_max_ms` is too old for adaptive playout, held or not."""


def heard(lost, begin_ns, period, *, stored=False, gain_db=0.0):
    """Play a source of which packets are lost; return who has the horn from when, and the journal.

    `stored`: one waits beside it that is given nothing, as on each node under orders.
    """
    config = NodeConfig(name="n", jitter=JitterConfig(playout_delay_ms=200))
    node = SpeakerNode(config, decoder_factory=None)
    if stored:
        node.hold_stored(-1, begin_ns)
    node.set_source(SSRC, MessageClass.NORMAL, "commune", gain_db=gain_db)
    out, rows = np.zeros((period, 1), np.float32), new(Played, 4096)
    changes, journal, at_ns, sent = [], [], begin_ns, 0
    while at_ns < begin_ns + (PACKETS + 100) * 20 * NS_PER_MS:
        while sent < PACKETS and begin_ns + sent * 20 * NS_PER_MS <= at_ns:
            if sent not in lost:
                data = packet.build(
                    b"\xf8" + bytes(20), sequence=sent, timestamp=sent * 960, ssrc=SSRC,
                    payload_type=96, marker=False,
                )  # fmt: skip
                node.receive_datagram(data, ("10.0.0.1", 5004), begin_ns + sent * 20 * NS_PER_MS)
            sent += 1
        node.render(out, at_ns)
        while (event := node.next_event()) is not None:
            if isinstance(event, SourceChanged):
                changes.append((event.ssrc, event.at_ns))
        journal.append(rows[: node.take_journal(rows)].copy())
        at_ns += samples_to_ns(period)
    return changes, together(journal, Played)


holes = st.lists(st.tuples(st.integers(5, PACKETS), st.integers(1, 150)), max_size=5)


@settings(deadline=None, max_examples=20)
@given(holes, st.integers(0, 10**9), st.sampled_from(PERIODS), st.sampled_from([-60.0, -15.4, 6.0]))
@example([(20, 93)], 0, 240, -15.4)
@example([(20, 98), (130, 101)], 37 * NS_PER_MS, 240, -60.0)
def test_neither_volume_nor_how_often_a_node_looks_decides_what_it_plays(holes, at, period, gain):
    lost = {i for first, count in holes for i in range(first, first + count)}
    plain = heard(lost, 10**9 + at, period)
    for other in ({"stored": True}, {"gain_db": gain}, {"stored": True, "gain_db": gain}):
        changes, journal = heard(lost, 10**9 + at, period, **other)
        assert changes == plain[0]
        np.testing.assert_array_equal(journal, plain[1])


@pytest.mark.parametrize("period", PERIODS)
@settings(deadline=None, max_examples=10)
@given(hole=st.integers(105, 195), at=st.integers(0, 10**9), stored=st.booleans())
def test_a_silent_source_has_the_horn_for_its_hold_and_no_period_longer(period, hole, at, stored):
    changes, journal = heard(set(range(20, 20 + hole)), 10**9 + at, period, stored=stored)
    real = journal[journal["origin"] == Origin.RECEIVED]
    ends = real["presentation_ns"] + real["samples"] * NS_PER_MS // 48
    given_back_ns = next(at_ns for source, at_ns in changes if source is None)
    last_ns = ends[ends <= given_back_ns].max()
    assert 0 <= given_back_ns - last_ns - HOLD_NS <= samples_to_ns(period) + LATENCY_NS


@settings(deadline=None, max_examples=30)
@given(st.floats(0, STALL_MAX_MS), st.integers(0, 10**9), st.sampled_from(PERIODS))
@example(1050.0, 0, 480)
@example(STALL_MAX_MS, 0, 480)
def test_of_what_a_stalled_cell_held_back_no_word_is_thrown_away(stall_ms, at_ns, period):
    """Adaptive playout goes on where it was, however long a modem looked for its cell."""
    node = SpeakerNode(
        NodeConfig(name="n", jitter=JitterConfig(mode="adaptive")), decoder_factory=None
    )
    out, rows = np.zeros((period, 1), np.float32), new(Played, 4096)
    begin_ns = 10**9 + at_ns
    sent_ns = begin_ns + np.arange(PACKETS) * 20 * NS_PER_MS
    stall_ns = begin_ns + 50 * 20 * NS_PER_MS + np.array([0, round(stall_ms * NS_PER_MS)])
    is_held = (sent_ns >= stall_ns[0]) & (sent_ns < stall_ns[1])
    arrivals_ns = np.where(is_held, stall_ns[1], sent_ns) + np.arange(PACKETS)
    heard, at, sent = set(), begin_ns, 0
    while at < sent_ns[-1] + 4000 * NS_PER_MS:
        while sent < PACKETS and arrivals_ns[sent] <= at:
            data = packet.build(
                b"\xf8" + bytes(20), sequence=sent, timestamp=sent * 960, ssrc=SSRC,
                payload_type=96, marker=False,
            )  # fmt: skip
            node.receive_datagram(data, ("10.0.0.1", 5004), int(arrivals_ns[sent]))
            sent += 1
        node.render(out, at)
        journal = rows[: node.take_journal(rows)]
        heard |= set(journal["arrival_ns"][journal["origin"] == Origin.RECEIVED].tolist())
        at += samples_to_ns(period)
    assert heard == set(arrivals_ns.tolist())
