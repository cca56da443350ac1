"""What the card played without the node is told, no more of it and no less; a card that counts none
tells nothing."""

from hypothesis import given
from hypothesis import strategies as st

from node.shell.card.gaps import Gaps
from node.shell.loop.core_sound import CoreLock
from node.units import NS_PER_MS, samples_to_ns

TICK_NS = 100 * NS_PER_MS


class Core:
    """What writes down what sounded."""

    def __init__(self):
        self.told = []

    def receive_verdict(self, verdict, now_ns):
        """Take a word of the card."""
        self.told.append((verdict, now_ns))


class Card:
    """A sink that counts."""

    missed_samples = 0


@given(st.lists(st.integers(0, 9600), max_size=80))
def test_what_is_told_is_what_was_missed_before_the_look_that_tells_it(missed):
    core, card = Core(), Card()
    gaps = Gaps(card, core, CoreLock())
    for look, samples in enumerate(missed, start=1):
        card.missed_samples += samples
        gaps.follow(look * TICK_NS)
    assert all(one.word == "not taken" and one.end_ns == at_ns for one, at_ns in core.told)
    looks = [look * TICK_NS for look, samples in enumerate(missed, start=1) if samples]
    assert [at_ns for _, at_ns in core.told] == looks
    lengths = [one.end_ns - one.begin_ns for one, _ in core.told]
    assert lengths == [samples_to_ns(one) for one in missed if one]


def test_a_sink_that_counts_nothing_and_a_node_without_orders_tell_nothing():
    core, lock = Core(), CoreLock()
    counts = Card()
    for card, governed in ((object(), core), (counts, None)):
        gaps = Gaps(card, governed, lock)
        for look in range(5):
            counts.missed_samples = 480 * look
            gaps.follow(look * TICK_NS)
    assert core.told == []
