"""From arrivals to the map: whenever the answers come, nobody hears a node change over."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.counters import Count
from node.rtp.delay_report import delay_packet
from node.units import ns_to_samples, samples_to_ns
from tests.node.test_synchronised import MS, SENDER_OFFSET_NS, Pole, S, run

PLAYOUT_MS = 800
FIRST_NS = S
"""When the first packet is sent."""


class Link(Pole):
    """A pole whose link is longer one way, stalls downwards once, and loses the first answers."""

    def __init__(
        self, up_ms, down_ms, *, stall_ms=(0, 0), lost_ms=0, skew_ppm=20, is_authentic=True
    ):
        rng = np.random.default_rng(1)
        delay = {"playout_delay_ms": PLAYOUT_MS, "is_authentic": is_authentic}
        super().__init__(0, 50 * S, skew_ppm, rng, **delay)
        self.up_ns, self.down_ns = up_ms * MS, down_ms * MS
        self.stall_ns = FIRST_NS + stall_ms[0] * MS
        self.stalled_ns = stall_ms[1] * MS
        self.lost_until_ns = FIRST_NS + (down_ms + lost_ms) * MS

    def one_way(self, sent_ns, *, up):
        jitter_ns = int(self.rng.integers(0, 2 * MS))
        if up:
            return self.up_ns + jitter_ns
        since_ns = sent_ns - self.stall_ns
        if 0 <= since_ns < self.stalled_ns:  # what waited comes in order, 20 times as fast
            return self.stalled_ns - since_ns + since_ns // 20 + self.down_ns
        return self.down_ns + jitter_ns

    def loses(self, asked_ns):
        return asked_ns < self.lost_until_ns

    @property
    def hard_resyncs(self):
        return int(self.node.counts[Count.HARD_RESYNCS])

    def away_ms(self, from_ns):
        """How far from capture and playout delay each packet played that was sent since then."""
        media_first = ns_to_samples(max(0, from_ns - FIRST_NS))
        return np.array(
            [
                (played_ns - FIRST_NS - samples_to_ns(media)) / MS - PLAYOUT_MS
                for media, played_ns in self.presented.items()
                if media >= media_first
            ]
        )


def settled_ms(link, from_ns):
    """How far the sound is off from 2 s after `from_ns` on.

    Half of the difference between both ways is off for ever: no exchange can see it.
    """
    run([link], from_ns + 4 * S)
    away_ms = link.away_ms(from_ns + 2 * S)
    assert len(away_ms) >= 25
    return np.abs(away_ms - (link.down_ns - link.up_ns) / 2 / MS).max()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 140), st.integers(1, 140), st.integers(0, 200), st.integers(-50, 50))
@example(60, 130, 200, 50)
@example(60, 130, 360, 0)
def test_nobody_hears_a_node_learn_how_far_the_sender_is(up_ms, down_ms, lost_ms, skew_ppm):
    link = Link(up_ms, down_ms, lost_ms=lost_ms, skew_ppm=skew_ppm)
    assert settled_ms(link, FIRST_NS) < 1.5
    assert link.hard_resyncs == 0


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 140), st.integers(1, 140), st.integers(0, 100), st.integers(-50, 50))
@example(60, 130, 100, 50)
def test_nor_of_one_without_a_key_that_is_asked_no_faster_than_it_sends(
    up_ms, down_ms, lost_ms, skew_ppm
):
    link = Link(up_ms, down_ms, lost_ms=lost_ms, skew_ppm=skew_ppm, is_authentic=False)
    assert settled_ms(link, FIRST_NS) < 1.5
    assert link.hard_resyncs == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(-1500, 1500), st.integers(0, 2000))
@example(50, 110, 100, 1530)  # from before the first answer until the sound has run out
@example(45, 70, -1290, 1290)  # the first packet heads a jam
@example(69, 55, 18, 1173)  # only one packet came through before
@example(29, 69, 21, 800)  # ends as the two that came through begin to sound
def test_nobody_hears_a_node_change_over_after_a_stall(up_ms, down_ms, stall_ms, stalled_ms):
    end_ms = max(0, stall_ms + stalled_ms)
    link = Link(up_ms, down_ms, stall_ms=(stall_ms, stalled_ms))
    # One that ends while what came before it still sounds has come between sound and answers: what
    # these tell is one jump then, or less than 50 ms that go away by 0.5 ms a second.
    is_sounding = PLAYOUT_MS - 20 <= end_ms <= PLAYOUT_MS + max(0, stall_ms) + 200
    away_ms = settled_ms(link, FIRST_NS + end_ms * MS)
    assert away_ms < (50.0 if is_sounding else 3.0)
    assert link.hard_resyncs <= (1 if is_sounding else 0)


def test_answers_that_come_after_the_sound_has_begun_cost_one_faded_jump_that_is_counted():
    link = Link(60, 115, lost_ms=700)
    run([link], 7 * S)
    assert link.hard_resyncs == 1
    away_ms = link.away_ms(FIRST_NS + 2 * S)
    assert np.abs(away_ms - (115 - 60) / 2).max() < 1.5


def test_a_sender_that_never_answers_is_heard_from_its_first_sample_on():
    link = Link(5, 30, lost_ms=60_000)
    run([link], 3 * S)
    assert 0 in link.presented
    assert link.hard_resyncs == 0


class Announced(Link):
    """A link to a sender that moves the group to another playout delay while nothing comes."""

    def announced(self, sent_ns):
        if sent_ns < FIRST_NS + 2 * S:
            return ()
        start_ns = FIRST_NS + 4100 * MS + SENDER_OFFSET_NS
        return (delay_packet(7, (PLAYOUT_MS + 200) * MS, start_ns),)


def test_in_an_outage_the_group_s_new_delay_is_taken_at_once_and_not_slewed():
    link = Announced(20, 20, stall_ms=(3000, 1200))  # silence from 4.0 to 4.2 s
    run([link], 8 * S)
    away_ms = link.away_ms(FIRST_NS + 4300 * MS)
    assert np.abs(away_ms - 200).max() < 1.5  # by 0.5 % it would take 40 s
    assert link.hard_resyncs == 0


@pytest.mark.parametrize(("up_ms", "down_ms"), [(295, 305), (170, 150), (400, 380)])
def test_a_node_behind_a_satellite_plays_with_the_others_after_some_seconds(up_ms, down_ms):
    link = Link(up_ms, down_ms)
    assert settled_ms(link, FIRST_NS + 10 * S) < 1.5
    assert link.hard_resyncs <= 1  # from arrivals to the sender's clock
    (source,) = link.node.status()["sources"]
    assert source["uncertainty_ms"] == pytest.approx((up_ms + down_ms) / 2, abs=2)


def test_a_node_behind_a_satellite_knows_a_later_jam_for_one():
    link = Link(295, 305, stall_ms=(15_000, 3000))
    assert settled_ms(link, FIRST_NS + 20 * S) < 3.0
    assert link.hard_resyncs <= 1
