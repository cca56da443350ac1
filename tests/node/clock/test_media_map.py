"""A sender that keeps its pace again is believed again, asked as seldom as a node asks."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.media_map import ReportMap
from node.clock.timebase import Timebase
from node.units import samples_to_ns

MS = 1_000_000
S = 1_000_000_000
ASKED_NS = S
"""How often a node asks once it knows its sender's clock."""
WAY_NS = 40 * MS

paces = st.lists(
    st.tuples(st.floats(0.5, 1.3), st.integers(500, 9000)), min_size=1, max_size=5
)  # and how long it is kept, ms


class Asked:
    """A sender that is asked once a second, and when the map is in doubt, over a way that jitters.

    off  parts by which each answer is later than the fastest one, by turns; of `jitter_ms`
    """

    def __init__(self, jitter_ms=0, off=(0.0,)):
        self.map = ReportMap()
        self.questions = 0
        self._jitter_ns, self._off = jitter_ms * MS, off
        self._now_ns = self._next_ns = 0
        self._media_ns = 0.0

    def go_on(self, pace, duration_ns, *, until_steady=False):
        """Send at a pace for so long; return when the map was steady."""
        end_ns = self._now_ns + duration_ns
        while self._next_ns < end_ns:
            self._media_ns += (self._next_ns - self._now_ns) * pace
            self._now_ns = self._next_ns
            late_ns = round(self._jitter_ns * self._off[self.questions % len(self._off)])
            self.questions += 1
            said_ns = self._now_ns + WAY_NS + late_ns
            media_ns = self._media_ns + (WAY_NS + late_ns) * pace
            self.map.receive_report(said_ns, round(media_ns * 48 / MS))
            came_ns = said_ns + WAY_NS
            self._next_ns = min(self._now_ns + ASKED_NS, came_ns + self.map.settled_in_ns)
            if until_steady and not (self.map.is_unsteady or self.map.settled_in_ns < ASKED_NS):
                return came_ns
        self._media_ns += (end_ns - self._now_ns) * pace
        self._now_ns = end_ns
        return end_ns


jitters = {
    "jitter_ms": st.integers(0, 60),
    "off": st.lists(st.floats(0, 1), min_size=1, max_size=7),
}


@given(before=paces, **jitters)
@example(before=[(0.73, 9119)], jitter_ms=0, off=[0.0])
@example(before=[(0.73, 7119), (1.27, 2386)], jitter_ms=3, off=[1.0, 0.0])
def test_a_pace_that_is_right_is_believed_within_little_more_than_two_seconds(
    before, jitter_ms, off
):
    """One second to ask, two answers that say the same of where the sound is, one that agrees."""
    asked = Asked(jitter_ms, off)
    asked.go_on(1.0, 5 * S)
    begun_ns = 5 * S
    for pace, lasts_ms in before:
        begun_ns = asked.go_on(pace, lasts_ms * MS)
    steady_ns = asked.go_on(1.0, 5 * S, until_steady=True)
    assert steady_ns - begun_ns <= 2 * S + 3 * (2 * WAY_NS + jitter_ms * MS)


@given(st.one_of(st.floats(0.5, 0.94), st.floats(1.06, 1.3)))
def test_a_sender_that_never_keeps_its_pace_is_no_clock_and_asked_no_more_than_twice_as_often(pace):
    asked = Asked()
    asked.go_on(pace, 10 * S)
    before = asked.questions
    for _ in range(60):
        asked.go_on(pace, S)
        assert asked.map.is_unsteady
    assert asked.questions - before <= 2 * 60 + 1


def test_a_sender_that_keeps_its_pace_is_asked_for_nothing_else():
    asked = Asked()
    asked.go_on(1.0, 60 * S)
    assert asked.questions == 60


@given(st.integers(1, 200), st.integers(-300, 300), st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_the_sounds_outermost_packets_have_the_transits_of_the_senders_clock(seconds, ppm, seed):
    rng = np.random.default_rng(seed)
    sent, asked = ReportMap(), Timebase(400 * MS)
    for at in range(seconds):  # the media clock of a sound card, and a way that jitters
        sent.receive_report(7 * S + at * S, 48_000 * at + 48_000 * at * ppm // 1_000_000)
        for part in range(4):
            media = 48_000 * at + 12_000 * part
            asked.receive_packet(media, samples_to_ns(media) + int(rng.integers(0, 30 * MS)))
    sound = asked.outermost_arrivals()
    away_ns = samples_to_ns(sound[::2] - sent.media_time_samples)
    slope = sent.skew_ppm * 1e-6
    bent_ns = np.rint(away_ns * (slope / (1.0 + slope)))
    found = sent.transits_of(asked.line)
    assert (found[::2] == sound[1::2]).all()
    assert np.abs(found[1::2] - (sound[1::2] - away_ns + bent_ns - sent.sender_ns)).max() <= 1
