"""What the card played without the node is told, no more of it and no less; a card that counts none
tells nothing."""

from hypothesis import given
from hypothesis import strategies as st

from node.shell.card.gaps import Gaps
from node.shell.loop.core_sound import CoreLock
from node.units import NS_PER_MS, NS_PER_S

TICK_NS = 100 * NS_PER_MS
PERIODS = 10
"""Asked for in a tick."""


class Core:
    """What writes down what sounded."""

    def __init__(self):
        self.told = []

    def receive_verdict(self, verdict, now_ns):
        """Take a word of the card."""
        self.told.append((verdict, now_ns))


class Card:
    """A sink that counts."""

    underruns = 0


@given(st.lists(st.integers(0, PERIODS), min_size=1, max_size=80))
def test_what_is_told_is_what_was_missed_to_the_last_second(missed):
    core, card = Core(), Card()
    gaps = Gaps(card, core, CoreLock())
    periods = 0
    gaps.follow(0, 0)
    for tick, count in enumerate(missed, start=1):
        card.underruns += count
        periods += PERIODS
        gaps.follow(periods, tick * TICK_NS)
    whole = len(missed) // 10 * 10
    assert all(one.word == "not taken" for one, _ in core.told)
    told_ns = sum(one.end_ns - one.begin_ns for one, _ in core.told)
    assert told_ns == sum(missed[:whole]) * TICK_NS // PERIODS
    ends = [0, *(one.end_ns for one, _ in core.told)]
    for (one, now_ns), end_ns in zip(core.told, ends, strict=False):
        assert end_ns <= one.begin_ns < one.end_ns == now_ns
        assert now_ns % NS_PER_S == 0


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_card_that_plays_more_without_the_node_than_it_asked_for_misses_all_and_no_more(asked):
    core, card = Core(), Card()
    gaps = Gaps(card, core, CoreLock())
    gaps.follow(0, 0)
    periods = 0
    for second, count in enumerate(asked, start=1):
        periods += count
        card.underruns += 6
        gaps.follow(periods, second * NS_PER_S)
    assert sum(one.end_ns - one.begin_ns for one, _ in core.told) == NS_PER_S * sum(
        count > 0 for count in asked
    )


def test_a_sink_that_counts_nothing_and_a_node_without_orders_tell_nothing():
    core, lock = Core(), CoreLock()
    for card, governed in ((object(), core), (Card(), None)):
        gaps = Gaps(card, governed, lock)
        for second in range(5):
            Card.underruns = 10 * second
            gaps.follow(10 * second, second * NS_PER_S)
    Card.underruns = 0
    assert core.told == []
