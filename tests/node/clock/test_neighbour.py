"""A horn beside another takes its clock, and is never moved far by what it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from node.clock.neighbour_map import AWAY_MAX_NS, FRESH_NS, TOLD_NS, NeighbourMap, SourceMap
from node.units import NS_PER_3_SAMPLES

MS = 1_000_000
S = 1_000_000_000
LINK_NS = 100_000


def own_map(now_ns, *, off_ns=0, uncertainty_ns=20 * MS, skew_ppm=20.0):
    """What an exchange says whose clock began with the media time, and which errs by `off_ns`."""
    media = now_ns * 48 // MS
    local_ns = round(media * NS_PER_3_SAMPLES / 3 / (1 + skew_ppm * 1e-6)) + off_ns
    return SourceMap(media, local_ns, skew_ppm, uncertainty_ns)


def follow(maps, seconds, *, first=0, away_ns=3 * MS, told=True, noise_ns=lambda second: 0):
    """One map of each exchange a second; return by how much later than the own one was played."""
    later_ns = []
    for second in range(first, first + seconds):
        now_ns = second * S
        own = own_map(now_ns, off_ns=noise_ns(second))
        if told:
            maps.receive(own_map(now_ns, off_ns=away_ns), LINK_NS, now_ns)
        best = maps.choose(own, now_ns)
        later_ns.append(best.local_ns_of(own.media_time_samples) - own.local_ns + noise_ns(second))
    return later_ns


def test_the_map_is_the_neighbours_however_the_own_exchange_errs():
    maps = NeighbourMap()
    played = follow(maps, 60, noise_ns=lambda second: (second % 3 - 1) * MS)
    assert maps.rests
    assert played == pytest.approx([3 * MS] * 60, abs=2)


def test_a_neighbour_that_falls_silent_leaves_behind_what_was_learnt_of_it():
    maps = NeighbourMap()
    follow(maps, 300, noise_ns=lambda second: (second % 3 - 1) * MS)
    alone = follow(maps, 3600, first=300, told=False)
    assert not maps.rests
    assert alone[-1] == pytest.approx(3 * MS, abs=MS // 20)


def test_a_map_is_fresh_for_seconds_only():
    maps = NeighbourMap()
    maps.receive(own_map(0, off_ns=MS), LINK_NS, 0)
    maps.choose(own_map(FRESH_NS), FRESH_NS)
    assert maps.rests
    maps.choose(own_map(FRESH_NS + 1), FRESH_NS + 1)
    assert not maps.rests


@pytest.mark.parametrize("away_ns", [26 * MS, -26 * MS, 3600 * S, -(1 << 61)])
def test_a_neighbour_that_contradicts_is_not_followed(away_ns):
    maps = NeighbourMap()
    played = follow(maps, 10, away_ns=away_ns)
    assert not maps.rests and played == [0] * 10


def test_what_was_learnt_of_a_neighbour_that_contradicts_is_forgotten_but_not_by_its_reboot():
    maps = NeighbourMap()
    follow(maps, 300)
    assert follow(maps, 4, first=300, away_ns=3600 * S)[-1] == pytest.approx(3 * MS, rel=0.05)
    assert follow(maps, 600, first=304, away_ns=3600 * S)[-1] < MS // 20


def test_a_map_that_runs_at_another_speed_is_not_of_this_sender():
    maps = NeighbourMap()
    maps.receive(replace(own_map(S, off_ns=MS), skew_ppm=621.0), LINK_NS, S)
    assert maps.choose(own_map(S), S) == own_map(S)


def test_a_sure_exchange_is_moved_by_no_more_than_both_may_err():
    maps = NeighbourMap()
    own = own_map(S, uncertainty_ns=2 * MS)
    maps.receive(own_map(S, off_ns=3 * MS, uncertainty_ns=500_000), LINK_NS, S)
    assert maps.choose(own, S) == own


def test_a_way_to_the_neighbour_that_is_no_shorter_than_that_to_the_sender_is_not_taken():
    maps = NeighbourMap()
    maps.receive(own_map(S, off_ns=MS), 11 * MS, S)
    assert maps.choose(own_map(S), S) == own_map(S)
    maps.receive(own_map(S, off_ns=MS), 10 * MS, S)
    assert maps.choose(own_map(S), S) != own_map(S)


def test_what_is_told_is_the_own_map_and_only_while_the_sender_is_heard():
    maps = NeighbourMap()
    assert maps.tell(0) is None
    follow(maps, 10)
    assert maps.rests and maps.tell(10 * S) == own_map(9 * S)
    assert maps.tell(9 * S + TOLD_NS) is not None and maps.tell(9 * S + TOLD_NS + 1) is None


def test_a_step_of_the_senders_clock_forgets_what_was_learnt():
    maps = NeighbourMap()
    follow(maps, 300)
    maps.clear()
    assert maps.tell(300 * S) is None and maps.status(300 * S) is None
    assert follow(maps, 5, first=300, told=False) == [0] * 5


def test_between_two_sounds_of_a_sender_what_was_learnt_stays():
    maps = NeighbourMap()
    follow(maps, 300)
    maps.end_sound()
    assert maps.tell(300 * S) is None
    assert follow(maps, 5, first=300, told=False) == pytest.approx([3 * MS] * 5, abs=1000)


def test_the_uncertainty_is_a_bound_that_both_exchanges_allow():
    maps = NeighbourMap()
    maps.receive(own_map(S, off_ns=4 * MS, uncertainty_ns=30 * MS), LINK_NS, S)
    assert maps.choose(own_map(S), S).uncertainty_ns == 24 * MS
    maps.receive(own_map(S, off_ns=4 * MS, uncertainty_ns=MS), LINK_NS, S)
    assert maps.choose(own_map(S, uncertainty_ns=3 * MS), S).uncertainty_ns == MS + LINK_NS


def test_a_map_goes_on_where_the_sender_does():
    one = SourceMap(48_000, 10 * S, 100.0, 0)
    assert one.local_ns_of(48_000 * 11) == 10 * S + 10 * S - MS + 100  # 10 s less 100 ppm of it
    assert one.near((7 << 32) + 5).media_time_samples == (7 << 32) + 48_000


told_maps = st.builds(
    SourceMap,
    media_time_samples=st.integers(-(1 << 40), 1 << 40),
    local_ns=st.integers(0, (1 << 32) * S),
    skew_ppm=st.floats(-2000, 2000),
    uncertainty_ns=st.integers(0, (1 << 32) * 1000),
)
near_maps = st.builds(
    lambda off_ns, uncertainty_ns: own_map(
        S, off_ns=off_ns, uncertainty_ns=uncertainty_ns, skew_ppm=0.0
    ),
    st.integers(-100 * MS, 100 * MS),
    st.integers(0, 300 * MS),
)


@given(st.lists(st.tuples(told_maps | near_maps, st.integers(0, 7 * S)), max_size=20))
def test_whatever_a_neighbour_says_the_sound_is_moved_by_a_bounded_time(said):
    maps, now_ns = NeighbourMap(), S
    for told, passed_ns in said:
        now_ns += passed_ns
        maps.receive(told, LINK_NS, now_ns)
        own = own_map(now_ns, uncertainty_ns=150 * MS)
        best = maps.choose(own, now_ns)
        assert abs(best.local_ns_of(own.media_time_samples) - own.local_ns) <= AWAY_MAX_NS + 1
        assert best.uncertainty_ns >= 0
        assert maps.status(now_ns) is not None
