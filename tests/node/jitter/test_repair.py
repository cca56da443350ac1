"""What is asked for again, and what a listener still misses after it."""

import pytest

from benchmarks.playout.playout_redundancy import play_with_copies
from benchmarks.playout.playout_repair import gilbert_elliott, play_with_repair
from node.config import JitterConfig
from node.jitter import repair as rp
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer, Missing
from node.kernel.record import new
from node.units import samples_to_ns

FRAME = 960
MS = 1_000_000
ROUND_TRIP = 100 * MS


class Node:
    """A buffer at a fixed delay of 400 ms that watches for holes."""

    def __init__(self):
        self.buffer = JitterBuffer(JitterConfig(), payload_bytes=0)
        self.repair = new(rp.Repair)
        rp.reset_repair(self.repair)
        self.missing = Missing(self.buffer, self.repair)

    def receive(self, numbers, *, flags=0):
        for n in numbers:
            self.buffer.insert(n & 0xFFFF, n * FRAME, FRAME, n * 20 * MS, flags=flags)
            self.missing.watch(n * 20 * MS)
        if self.buffer.state["phase"][0] == at.WAITING:
            self.buffer.seek(int(self.buffer.state["last_end"][0]))

    def ask(self, now_ms):
        position_ns = samples_to_ns(int(self.buffer.state["next_media"][0])) + 400 * MS
        return list(self.missing.requests(now_ms * MS, position_ns, ROUND_TRIP))


def test_a_hole_is_asked_for_once_and_again_only_after_a_round_trip():
    node = Node()
    node.receive([0, 1, 4])
    assert node.ask(80) == []  # it may only have been overtaken
    assert sorted(node.ask(91)) == [2, 3]
    assert node.ask(120) == []
    node.receive([5], flags=0)
    node.buffer.insert(2, 2 * FRAME, FRAME, 190 * MS, flags=at.RETRANSMITTED)
    node.receive(range(6, 11))
    assert node.ask(205) == [3]


def test_nothing_is_asked_for_that_would_come_too_late():
    node = Node()
    node.receive([0, 1, 4])
    # Packet 2 plays at 440 ms; an answer takes 110.
    asked = node.ask(331)
    assert 2 not in asked
    assert 3 in asked


def test_when_nothing_comes_at_all_what_should_have_come_is_asked_for():
    node = Node()
    node.receive([0, 1, 2])
    assert node.ask(80) == []
    assert node.ask(125) == [3, 4]


def test_a_pausing_sender_is_not_asked_for_ever():
    node = Node()
    node.receive([0, 1, 2])
    asked = [n for now in range(50, 20_000, 20) for n in node.ask(now)]
    assert len(asked) <= 16 * rp.TRIES_MAX


def test_a_restarted_sender_is_not_asked_for_what_was_before():
    node = Node()
    node.receive([0, 1, 4])
    for n, now in ((30_000, 100), (30_001, 120)):
        node.buffer.insert(n, n, FRAME, now * MS)
        node.missing.watch(now * MS)
    assert node.repair["holes"][0] == 0


@pytest.mark.parametrize("burst", [1.2, 5.0])
def test_four_per_cent_of_loss_are_repaired_within_400_ms(burst):
    trace = gilbert_elliott(4.0, burst, seed=1, packets=10_000)
    left = play_with_repair(trace)
    assert left.concealed_pct <= 0.3
    assert left.overhead_pct <= 15
    assert play_with_repair(trace, repairs=False).concealed_pct > 3


@pytest.mark.parametrize("burst", [1.2, 5.0])
def test_where_nobody_asks_the_sender_copies_for_what_its_data_may_cost(burst):
    trace = gilbert_elliott(4.0, burst, seed=1, packets=10_000)
    plain = play_with_repair(trace, repairs=False)
    lean = play_with_copies(trace)
    assert lean.overhead_pct <= 15
    assert lean.concealed_pct < 0.5 * plain.concealed_pct
    paid = play_with_copies(trace, rate_bit_s=48_000)
    assert paid.overhead_pct <= 20.1
    assert paid.concealed_pct < 0.2 * plain.concealed_pct
