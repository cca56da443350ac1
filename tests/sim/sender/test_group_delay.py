"""One delay for the village: enough for nearly all, rarely changed, never for one bad link."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.clock.delay_need import NEED_SIZE, needed_delay_ns, note_delay
from sim.sender.group_delay import CHANGES_PER_HOUR_MAX, HOUR_NS, LEAD_NS, GroupDelay

MS = 1_000_000
S = 1_000_000_000


def run(group, needs_ms, *, seconds, first_s=0):
    """Report the same needs each second; return the changes."""
    changes = []
    for second in range(first_s, first_s + seconds):
        for node, need_ms in enumerate(needs_ms):
            group.receive_need(node, need_ms * MS, second * S)
        group.handle_deadline(second * S)
        while (change := group.next_event()) is not None:
            changes.append(change)
    return changes


def test_the_delay_rises_at_once_at_the_start_and_is_announced_ahead():
    group = GroupDelay(400 * MS)
    changes = run(group, [120, 700], seconds=3)
    assert changes[0].delay_ns >= 700 * MS
    assert changes[0].start_ns == LEAD_NS


def test_later_it_rises_only_for_a_need_that_stands():
    group = GroupDelay(400 * MS)
    run(group, [300], seconds=300)
    assert run(group, [500], seconds=10, first_s=300) == []
    run(group, [300], seconds=100, first_s=310)
    assert len(run(group, [500], seconds=30, first_s=410)) == 1


def test_it_comes_down_when_less_was_enough_for_long():
    group = GroupDelay(400 * MS)
    run(group, [900], seconds=10)
    assert group.current.delay_ns >= 900 * MS
    changes = run(group, [200], seconds=2 * 3600, first_s=10)
    assert 1 <= len(changes) <= 2
    assert 200 * MS <= group.current.delay_ns <= 300 * MS


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3000), min_size=10, max_size=150))
def test_whatever_the_nodes_say_it_changes_at_most_twice_an_hour(needs_ms):
    group = GroupDelay(400 * MS)
    changed_ns = []
    for minute, need_ms in enumerate(needs_ms):
        for second in range(0, 60, 5):
            now_ns = (minute * 60 + second) * S
            group.receive_need(1, need_ms * MS, now_ns)
            group.handle_deadline(now_ns)
            while (change := group.next_event()) is not None:
                changed_ns.append(now_ns)
                assert 40 * MS <= change.delay_ns <= 2000 * MS
    later_ns = np.array([t for t in changed_ns if t >= 120 * S])
    for start_ns in later_ns:
        within = (later_ns >= start_ns) & (later_ns < start_ns + HOUR_NS)
        assert np.count_nonzero(within) <= CHANGES_PER_HOUR_MAX


def test_one_bad_link_does_not_delay_the_village():
    group = GroupDelay(400 * MS)
    run(group, [150] * 99 + [1900], seconds=30)
    assert group.current.delay_ns == 400 * MS


def test_nodes_that_went_away_no_longer_count():
    group = GroupDelay(400 * MS)
    run(group, [100, 900], seconds=10)
    run(group, [100], seconds=2 * 3600, first_s=10)
    assert group.current.delay_ns < 200 * MS


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1_000, 5_000, 20_000]))
def test_the_needed_delay_keeps_late_packets_within_the_ratio_and_wastes_little(seed, late_ppm):
    rng = np.random.default_rng(seed)
    delays_ns = rng.exponential(40 * MS, 6_000).astype(np.int64)
    need = np.zeros(NEED_SIZE, np.int64)
    for delay_ns in delays_ns:
        note_delay(need, int(delay_ns))
    needed_ns = needed_delay_ns(need, late_ppm)
    assert np.mean(delays_ns > needed_ns) <= late_ppm * 1e-6
    assert np.mean(delays_ns > needed_ns - 16 * MS) >= late_ppm * 1e-6 * 0.999


def test_a_stall_of_half_an_hour_ago_is_remembered_and_one_of_yesterday_is_not():
    need = np.zeros(NEED_SIZE, np.int64)
    for _ in range(100):
        note_delay(need, 600 * MS)
    for _ in range(30 * 60 * 50):
        note_delay(need, 30 * MS)
    assert needed_delay_ns(need, 500) > 600 * MS
    for _ in range(6 * 3600 * 50):
        note_delay(need, 30 * MS)
    assert needed_delay_ns(need, 500) == pytest.approx(32 * MS)


def test_without_packets_nothing_is_needed():
    assert needed_delay_ns(np.zeros(NEED_SIZE, np.int64), 1_000) == 0
