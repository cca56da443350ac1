import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hw_profiles
from node.kernel.record import new
from sim.chance.bits import Bits, begin
from sim.chance.rng import Purpose, between, raw_draws, stream
from sim.chance.tables_quantiles import NORMAL
from sim.gateway.amplifier import audible
from sim.gateway.cpu import Costs, Host, serve, wake
from sim.gateway.crystal import (
    Crystal,
    Oscillator,
    cut,
    look_about,
    minute_of,
    read_ns,
    shown_ns,
)
from sim.gateway.power import Uptime, uptimes
from sim.result.day import DaySpan

S = 1_000_000_000
MS = 1_000_000


def crystal(node="n", **changes):
    return Oscillator(
        stream(1, Purpose.CRYSTAL, node=node),
        **{"sigma_ppm": 15, "max_ppm": 50, "curve_ppb_per_k2": -35, "wander_ppb": 4, **changes},
    )


def kept(asked_s, about_s, *, offset_ns, ambient_c, fixed_ppm):
    """Return the minutes of `crystal` about a time, as kernels keep them after other questions."""
    one, bits, table = new(Crystal), new(Bits), NORMAL.copy()
    begin(bits, 1, np.array([Purpose.CRYSTAL]), commune="", node="n")
    one["next_ns"], one["ambient_c"] = offset_ns, ambient_c
    one["curve_ppb_per_k2"], one["wander_ppb"] = -35, 400
    if fixed_ppm is not None:
        one["fixed"], one["make_ppb"] = 1, round(fixed_ppm * 1000)
    cut(one[0], bits[0], table, 15_000, 50_000)
    for at_s in (*asked_s, about_s):
        look_about(one[0], bits[0], table, at_s * S)
    return one["minutes"][0][0]


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_a_fixed_crystal_gains_exactly_its_skew_in_an_hour(ppm):
    hour = crystal(fixed_ppm=ppm, offset_ns=5).to_local(np.array([0, 3600 * S]))
    assert hour.tolist() == [5, 5 + 3600 * S + round(ppm * 3600 * 1000)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 7200 * S), min_size=1, max_size=20), st.integers(0, 2**50))
def test_local_time_goes_back_to_true_time_within_a_nanosecond(times, offset_ns):
    clock = crystal(offset_ns=offset_ns)
    true_ns = np.array(sorted(times))
    back_ns = clock.to_true(clock.to_local(true_ns))
    assert np.abs(back_ns - true_ns).max() <= 1
    assert (np.diff(clock.to_local(true_ns)) >= 0).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-9 * S, 7200 * S), min_size=1, max_size=20))
def test_times_in_any_order_are_read_as_each_is_alone(times):
    clock = crystal()
    at_ns = np.array(times)
    assert clock.to_true(at_ns).tolist() == [clock.true_ns(one) for one in times]
    there_ns = np.abs(at_ns)
    assert clock.to_local(there_ns).tolist() == [clock.local_ns(int(one)) for one in there_ns]


@settings(deadline=None, max_examples=50)
@given(
    about_s=st.integers(0, 7200),
    before_s=st.lists(st.integers(0, 7200), max_size=3),
    fixed_ppm=st.sampled_from([None, None, -80.0]),
    away_s=st.lists(st.floats(-480, 110), min_size=1, max_size=9),
    near=st.integers(0, 11),
)
def test_some_minutes_of_a_clock_say_what_all_of_it_does(
    about_s, before_s, fixed_ppm, away_s, near
):
    figures = {"offset_ns": 4711 * S, "ambient_c": 37.5, "fixed_ppm": fixed_ppm}
    clock = crystal(**figures, wander_ppb=400)
    minutes = kept(sorted(min(one, about_s) for one in before_s), about_s, **figures)
    for one in away_s:
        true_ns = max(0, round((about_s + one) * S))
        local_ns = shown_ns(minutes, true_ns)
        assert local_ns == clock.local_ns(true_ns)
        near = minute_of(minutes, local_ns, near)
        assert read_ns(minutes, near, local_ns) == clock.true_ns(local_ns)
    before_ns = clock.local_ns(0) - 5 * S
    if about_s < 420:
        assert read_ns(minutes, minute_of(minutes, before_ns, 5), before_ns) == clock.true_ns(
            before_ns
        )


def test_crystals_of_a_batch_differ_and_stay_within_what_the_maker_sorts_out():
    skews = [crystal(f"n{i}").skew_ppm(0) for i in range(300)]
    assert 10 < np.std(skews) < 20
    assert max(map(abs, skews)) <= 51


def test_how_far_a_crystal_is_asked_at_a_time_changes_nothing():
    one, other = crystal(), crystal()
    one.to_local(np.array([3600 * S]))
    for minute in range(60):
        other.to_local(np.array([minute * 60 * S]))
    assert one.skew_ppm(1800 * S) == other.skew_ppm(1800 * S)


def host(name="pi_4b_i2s"):
    profile = hw_profiles.load(name)
    return Host(profile, seed=1, commune="c", node="n", packet_ms=20)


def test_an_idle_gateway_finishes_each_period_long_before_it_is_needed():
    for name in hw_profiles.names():
        one = host(name)
        tick_ns = np.arange(60_000) * 10 * MS
        _, done_ns = one.run(np.zeros(0, np.int64), 0, one.ready_ns(0, tick_ns))
        assert ((done_ns - tick_ns) < one.queued_ns).all(), name


def test_wake_ups_are_drawn_about_their_median_but_for_the_worst():
    profile = hw_profiles.load("pi_zero_2w_i2s")
    board = profile.board
    raw = raw_draws(stream(1, Purpose.WAKE, commune="c", node="n"), 20_000)
    p50_ns = round(board.wake_p50_us.value * 1000)
    usual_ns = between(raw, p50_ns // 2, p50_ns * 3 // 2)
    rare = raw & np.uint64(8191) == 0
    assert rare.any()
    wakes_ns = np.where(rare, round(board.wake_max_us.value * 1000), usual_ns)
    tick_ns = np.arange(20_000) * 10 * MS
    ready_ns = host("pi_zero_2w_i2s").ready_ns(0, tick_ns)
    assert ready_ns.tolist() == np.maximum.accumulate(tick_ns + wakes_ns).tolist()


@given(
    st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=30),
    st.integers(0, 10**6),
    st.sampled_from([0, 9, 1_000_000, (1 << 32) - 1, 1 << 33, 1 << 40]),
)
def test_wake_ups_are_drawn_as_whole_numbers_between_two(raw, least_ns, more_ns):
    costs = new(Costs)
    costs["usual_ns"], costs["spread_ns"], costs["worst_ns"] = least_ns, more_ns, -1
    draws, wakes_ns = np.array(raw, np.uint64), np.empty(len(raw), np.int64)
    wake(costs, draws, wakes_ns)
    usual_ns = between(draws, least_ns, least_ns + more_ns)
    assert wakes_ns.tolist() == np.where(draws & np.uint64(8191) == 0, -1, usual_ns).tolist()


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 60), max_size=20),
    st.lists(st.integers(0, 60), max_size=20),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
    st.integers(0, 50),
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 80), st.sampled_from([1, 2, 4])), max_size=3),
)
def test_datagrams_and_periods_are_served_as_they_come_a_datagram_first(
    arrive, ready, costs, first, buffer, speeds
):
    own = new(Costs)
    receive, render, decode = costs
    own[0] = (receive, render, decode, 10, 20, 0, 0, 0, buffer, 5)
    arrive_ns, ready_ns = (np.array(sorted(one), np.int64) for one in (arrive, ready))
    done_ns, finish_ns = arrive_ns.copy(), np.empty_like(ready_ns)
    edges_ns = np.array(sorted(at for at, _ in speeds), np.int64)
    quarters = [4, *(speed for _, speed in speeds)]
    table = np.array([[-1, *edges_ns], quarters], np.float64) / [[1], [4]]

    def done(at, cost):
        left = 4 * cost
        while left >= (speed := quarters[int(np.searchsorted(edges_ns, at, side="right"))]):
            left, at = left - speed, at + 1
        return at

    free_ns = serve(own, first, done_ns, ready_ns, finish_ns, table)
    jobs = [(int(at), 0, receive) for at in arrive_ns]
    for i, at in enumerate(ready_ns, start=first):
        begins = (i + 1) * 10 // 20 - i * 10 // 20
        jobs.append((int(at), 1, render + begins * decode))
    free, ended = 5, {0: [], 1: []}
    for at, kind, cost in sorted(jobs, key=lambda job: job[:2]):
        free = max(free, at)
        free = done(free, cost) if kind == 0 or free <= at + buffer else free
        ended[kind].append(free)
    assert (done_ns.tolist(), finish_ns.tolist()) == (ended[0], ended[1])
    assert free_ns == own["free_ns"][0] == free


def test_a_flood_of_packets_makes_a_slow_gateway_late_and_a_fast_one_not():
    tick_ns = np.arange(1000) * 10 * MS
    flood_ns = np.arange(80_000) * 125_000
    late = {}
    for name in ("pi_zero_2w_i2s", "pi_5_i2s"):
        one = host(name)
        _, done_ns = one.run(flood_ns, 0, one.ready_ns(0, tick_ns))
        late[name] = int(((done_ns - tick_ns) > one.queued_ns).sum())
    assert late["pi_zero_2w_i2s"] > 500
    assert late["pi_5_i2s"] == 0


def test_a_node_is_down_while_the_power_is_cut_and_until_it_has_booted():
    assert uptimes(((10, 20), (50, 90)), boot_ns=5, end_ns=80) == [Uptime(0, 10), Uptime(25, 50)]
    assert uptimes((), boot_ns=5, end_ns=80) == [Uptime(0, 80)]
    assert uptimes(((0, 100),), boot_ns=5, end_ns=80) == []


def span(from_s, until_s, played_dba=70.0):
    return DaySpan(
        node="n", from_s=from_s, until_s=until_s, item="a", message_class="urgent", volume=90,
        asked_dba=70.0, played_dba=played_dba, limit_dba=None, action="play", rule="",
    )  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), max_size=9),
    st.integers(0, 12),
)
def test_a_muted_amplifier_keeps_back_the_begin_of_each_stretch_without_silence(rows, release_s):
    spans, at_s, played = [], 0, np.zeros(200, bool)
    for gap_s, length_s, silent in rows:
        at_s += gap_s
        spans.append(span(at_s, at_s + length_s, None if silent else 70.0))
        played[at_s : at_s + length_s] = not silent
        at_s += length_s
    before = np.concatenate([[False], played[:-1]])
    heard = played.copy()
    for onset in np.flatnonzero(played & ~before):
        heard[onset : onset + release_s] = False
    told = np.zeros(200, bool)
    for one in audible(spans, release_s):
        told[round(one.from_s) : one.span.until_s] = True
    assert (told == (played & heard)).all()
