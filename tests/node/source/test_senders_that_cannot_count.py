"""Sequence numbers that say nothing: their sender is heard all the same, within 2 s."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import JitterConfig, NodeConfig
from node.counters import Count, Origin
from node.events import Note
from node.kernel.record import new
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode
from tests.node.source.test_waiting_for_the_horn import HOST, PAYLOADS, PERIOD

MS = 1_000_000
START_NS = 3_000 * MS
SSRC = 0x77
NUMBERS = {
    "in the wrong order of bytes": lambda i: (i & 0xFF) << 8 | i >> 8 & 0xFF,
    "all alike": lambda i: 7,
    "backwards": lambda i: -i,
    "by two, the others are of another payload": lambda i: 2 * i,
    "at random": lambda i: i * 40_503 ^ i >> 3,
}


def sent(number_of, seconds, *, first=0, packet_ms=20, ssrc=SSRC, payload=None):
    return [
        (
            i * packet_ms + 40,
            packet.build(
                (payload or PAYLOADS[packet_ms]) + bytes([i & 0xFF, 0]),
                sequence=number_of(i + first) & 0xFFFF,
                timestamp=round(i * packet_ms * 48),
                ssrc=ssrc,
                payload_type=96,
                marker=False,
            ),
            (HOST, 5004),
        )
        for i in range(round(seconds * 1000 / packet_ms))
    ]


def run(arrivals, seconds, *, mode="synchronised", delay_ms=400):
    """Return when received sound was played, in ms, the node, and what it said."""
    jitter = JitterConfig(mode=mode, playout_delay_ms=delay_ms)
    node = SpeakerNode(NodeConfig(name="n", jitter=jitter), decoder_factory=None)
    out = np.zeros((PERIOD, 1), np.float32)
    rows = new(Played, 4096)
    heard, notes, took = [], [], 0
    for now_ms in range(0, round(seconds * 1000), 20):
        now_ns = START_NS + now_ms * MS
        while took < len(arrivals) and arrivals[took][0] <= now_ms:
            at_ms, data, source = arrivals[took]
            node.receive_datagram(data, source, START_NS + int(at_ms * MS))
            took += 1
        due_ns = node.next_deadline_ns()
        if due_ns is not None and due_ns <= now_ns:
            node.handle_deadline(now_ns)
        while (event := node.next_event()) is not None:
            notes += [event.text] if isinstance(event, Note) else []
        node.render(out, now_ns)
        played = rows[: node.take_journal(rows)]
        heard += [
            (int(row["presentation_ns"]) - START_NS) / MS
            for row in played
            if row["origin"] == Origin.RECEIVED
        ]
    return sorted(heard), node, notes


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(NUMBERS)),
    st.integers(0, 60_000),  # two numbers around the end of the wrong order follow each other
    st.sampled_from(sorted(PAYLOADS)),
    st.sampled_from(["synchronised", "adaptive"]),
    st.sampled_from([100, 400, 1000]),
)
@example("by two, the others are of another payload", 0, 20, "synchronised", 400)
@example("backwards", 0, 120, "synchronised", 100)
def test_a_sender_that_cannot_count_is_heard_within_two_seconds(
    kind, first, packet_ms, mode, delay_ms
):
    arrivals = sent(NUMBERS[kind], 6, first=first, packet_ms=packet_ms)
    heard, node, _ = run(arrivals, 7, mode=mode, delay_ms=delay_ms)
    told = node.counts
    fates = told[Count.PACKETS_ACCEPTED] + told[Count.PACKETS_DISCARDED_PROBATION]
    assert fates + told[Count.PACKETS_DUPLICATE] + told[Count.PACKETS_LATE] == len(arrivals)
    begins_ms = 2_000 + delay_ms + packet_ms
    after = [begins_ms, *(at_ms for at_ms in heard if at_ms > begins_ms), 6_000]
    assert max(np.diff(after)) <= 250 + packet_ms


def test_packets_that_a_network_repeats_are_no_sound_of_a_sender_that_cannot_count():
    one = sent(lambda i: 7, 0.02)[0]
    arrivals = [(one[0] + 20 * i, one[1], one[2]) for i in range(200)]
    heard, node, notes = run(arrivals, 4)
    assert heard == []
    assert node.counts[Count.PACKETS_DISCARDED_PROBATION] > 100
    assert len(notes) == 1 and "sequence numbers do not follow" in notes[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_many_who_cannot_count_take_no_more_memory_than_few(seed):
    """The places are few: of more the first ones are asked again, and all that is a bound."""
    rng = np.random.default_rng(seed)
    arrivals = []
    for k in range(60):
        some = sent(lambda i: -i, 0.6, ssrc=1000 + k)
        shift_ms = int(rng.integers(0, 5_000))
        arrivals += [(at_ms + shift_ms, data, (HOST, 5004 + 2 * k)) for at_ms, data, _ in some]
    arrivals += [
        (at_ms + 7_000, data, (HOST, 4000)) for at_ms, data, _ in sent(lambda i: i, 5, ssrc=1)
    ]
    arrivals.sort(key=lambda one: one[0])
    heard, _, _ = run(arrivals, 12)
    after = [9_500, *(at_ms for at_ms in heard if at_ms > 9_500), 12_000]
    assert max(np.diff(after)) <= 270
