"""The node against a simple model: whatever arrives in whatever order, the books agree."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.config import JitterConfig, NodeConfig
from node.counters import Count, Origin
from node.kernel.record import new
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode

MS = 1_000_000
PERIOD = 480
SENDER = ("10.0.0.1", 5004)
PAYLOAD = b"\x08" + bytes(20)  # SILK, narrowband, 20 ms


class NodeMachine(RuleBasedStateMachine):
    @initialize(
        delay_ms=st.integers(20, 300),
        sequence=st.integers(0, 2**16 - 1),
        timestamp=st.integers(0, 2**32 - 1),
    )
    def start(self, delay_ms, sequence, timestamp):
        config = NodeConfig(name="n", jitter=JitterConfig(playout_delay_ms=delay_ms))
        self.node = SpeakerNode(config, decoder_factory=None)
        self.now_ns = 10**9
        self.first = (sequence, timestamp)
        self.sent: set[int] = set()
        self.next = 0
        self.datagrams = 0
        self.rendered = 0
        self.rows = new(Played, 5000)
        self.heard: list[tuple[int, int]] = []
        self.out = np.zeros((PERIOD, 1), np.float32)

    def send(self, i: int) -> None:
        data = packet.build(
            PAYLOAD,
            sequence=self.first[0] + i,
            timestamp=self.first[1] + 960 * i,
            ssrc=7,
            payload_type=96,
            marker=False,
        )
        self.node.receive_datagram(data, SENDER, self.now_ns)
        self.sent.add(i)
        self.datagrams += 1

    @rule(count=st.integers(1, 30), wait_ms=st.integers(0, 25))
    def packets_come_while_the_card_plays(self, count, wait_ms):
        for _ in range(count):
            self.send(self.next)
            self.next += 1
            self.pass_time(wait_ms)

    @rule(lost=st.integers(1, 10))
    def packets_are_lost(self, lost):
        self.next += lost

    @rule(back=st.integers(1, 20))
    def an_old_packet_comes_again(self, back):
        if self.next - back >= 0:
            self.send(self.next - back)

    @rule(data=st.binary(max_size=60))
    def garbage_comes(self, data):
        self.node.receive_datagram(data, ("6.6.6.6", 1), self.now_ns)
        self.datagrams += 1

    @rule(wait_ms=st.integers(1, 1500))
    def pass_time(self, wait_ms):
        for _ in range(wait_ms // 10):
            self.now_ns += 10 * MS
            self.node.render(self.out, self.now_ns)
            self.rendered += PERIOD
        deadline_ns = self.node.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            self.node.handle_deadline(self.now_ns)
        count = self.node.take_journal(self.rows)
        self.heard += [
            (int(row["media"]), int(row["samples"]))
            for row in self.rows[:count]
            if row["origin"] == Origin.RECEIVED
        ]

    @invariant()
    def no_media_sample_is_played_twice_and_time_never_runs_backwards(self):
        if hasattr(self, "heard"):
            ends = [media + samples for media, samples in self.heard]
            begins = [media for media, _ in self.heard]
            assert all(b >= e for e, b in zip(ends, begins[1:], strict=False))

    @invariant()
    def every_datagram_has_one_fate_and_every_sound_a_packet(self):
        if not hasattr(self, "node"):
            return
        counts = self.node.counts
        dropped = [c for c in Count if c.name.startswith("DROPPED_")]
        assert counts[Count.DATAGRAMS_RECEIVED] == self.datagrams
        assert counts[dropped].sum() <= self.datagrams
        origins = self.node.origin_samples()
        assert origins[Origin.RECEIVED] <= counts[Count.PACKETS_ACCEPTED] * 960
        assert len(self.heard) <= len(self.sent)
        made_up = origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum()
        # A jump throws away what was decoded and not yet played: one packet at most.
        ahead = 5760 * (1 + int(counts[Count.HARD_RESYNCS]))
        assert made_up + origins[Origin.RECEIVED] <= self.rendered + ahead


NodeMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
test_whatever_arrives_the_books_agree = NodeMachine.TestCase
