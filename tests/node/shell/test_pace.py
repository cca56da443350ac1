"""The loop looks often while there is something to see, and rarely when there is not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.shell.pace import AWAKE_NS, IDLE_TICK_NS, TICK_NS, Pace
from node.units import NS_PER_S


def looks(pace, from_ns, seconds, *, may_rest=True):
    count, now_ns = 0, from_ns
    while now_ns < from_ns + seconds * NS_PER_S:
        now_ns = max(pace.next_ns(now_ns, may_rest=may_rest), now_ns + 1)
        count += 1
    return count


def test_an_idle_node_looks_twice_a_second_and_one_that_cannot_rest_ten_times():
    begin_ns = AWAKE_NS
    assert looks(Pace(0), begin_ns, 60) <= 60 * NS_PER_S // IDLE_TICK_NS + 1
    assert looks(Pace(0), begin_ns, 60, may_rest=False) >= 60 * NS_PER_S // TICK_NS - 1


def test_what_comes_and_what_sounds_wakes_it_and_silence_does_not(monkeypatch):
    monkeypatch.setattr("node.shell.pace.now_ns", lambda: 100 * NS_PER_S)
    out = np.zeros((480, 1), np.float32)
    pace = Pace(0)
    pace.note_sound(out)
    assert looks(pace, 100 * NS_PER_S, 10) <= 21
    monkeypatch.setattr("node.shell.pace.now_ns", lambda: 200 * NS_PER_S)
    begin_ns = 200 * NS_PER_S
    for wakes in ("came", "sounds"):
        pace = Pace(0)
        if wakes == "came":
            pace.wake(begin_ns)
        else:
            pace.note_sound(out + 1)
        assert looks(pace, begin_ns, AWAKE_NS // NS_PER_S) >= AWAKE_NS // TICK_NS - 1


@given(
    st.integers(0, 5 * 10**9),
    st.lists(st.integers(0, 3 * 10**9), min_size=1, max_size=4),
    st.booleans(),
    st.integers(-(10**9), 10**10),
)
def test_a_tick_that_is_wished_for_is_one_of_those_of_who_looks_at_each(begin, wakes, rest, wish):
    polled, asleep = Pace(begin), Pace(begin)
    now_ns = begin
    for wake in wakes:
        for pace in (polled, asleep):
            pace.wake(now_ns + wake)
        now_ns = polled.next_ns(now_ns, may_rest=rest)
        asleep.note_tick(now_ns)
    wish_ns = now_ns + wish
    found_ns = asleep.tick_ns(wish_ns, may_rest=rest)
    tick_ns = polled.next_ns(now_ns, may_rest=rest)
    while tick_ns < wish_ns:
        tick_ns = polled.next_ns(tick_ns, may_rest=rest)
    assert found_ns == tick_ns
