"""Horns stay where they belong in time, whatever clocks and networks do."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.timebase import Timebase

MEDIA_FIRST_SAMPLES = 2**33 + 12_345
LOCAL_FIRST_NS = 5 * 10**14
HOUR_S = 3600
MS = 1_000_000
S = 1000 * MS
AFTER_TWO_SECONDS = slice(200, None)  # the first packet may be a slow one
AFTER_ONE_MINUTE = slice(6_000, None)


@pytest.mark.parametrize(
    ("link", "sender_ppm", "card_ppm"),
    [
        ("wifi", 100, 0),
        ("wifi", -100, 0),
        ("mobile", 0, 104),
        ("mobile", 300, -50),
        ("wifi", -300, 80),
    ],
)
def test_for_an_hour_the_buffer_neither_runs_dry_nor_fills_up(
    play, delays_s, link, sender_ppm, card_ppm
):
    rng = np.random.default_rng(2026)
    played = play(delays_s(link, HOUR_S, rng), sender_ppm=sender_ppm, card_ppm=card_ppm)
    assert np.abs(played.error_ms[AFTER_TWO_SECONDS]).max() < 20.0  # one frame
    assert np.abs(played.error_ms[AFTER_ONE_MINUTE]).max() < 1.0
    assert played.hard_resyncs == 0
    assert played.timebase.skew_ppm == pytest.approx(sender_ppm, abs=1.0)
    wanted_ppm = sender_ppm - card_ppm
    assert np.abs(played.ratio_ppm[60_000:] - wanted_ppm).max() < 50  # no wow on a tone


def test_with_equal_clocks_and_a_perfect_link_the_ratio_is_exactly_one(play):
    played = play(np.full(60 * 50, 0.03))
    assert np.all(played.ratio_ppm == 0.0)
    assert np.abs(played.error_ms).max() < 0.001


@pytest.mark.parametrize("hours", [1, 39, 40, 2000])
def test_a_position_is_exact_however_long_a_source_plays(hours):
    # From 39 hours on a time in ns and the factor to samples have no room in one product.
    timebase = Timebase(0)
    timebase.receive_packet(MEDIA_FIRST_SAMPLES, LOCAL_FIRST_NS)
    since_ns = np.random.default_rng(hours).integers(0, 10 * HOUR_S * S // 10, 20)
    for since in np.sort(since_ns + hours * HOUR_S * S).tolist():
        wanted_q16 = (MEDIA_FIRST_SAMPLES << 16) + since * 48_000 * 65_536 // 1_000_000_000
        assert timebase.position_q16(LOCAL_FIRST_NS + since) == wanted_q16


def test_a_longer_route_does_not_take_the_horn_out_of_step_with_its_neighbours(play, delays_s):
    delay_s = delays_s("mobile", 900, np.random.default_rng(5))
    delay_s[200 * 50 :] += 0.08
    played = play(delay_s, sender_ppm=100)
    assert np.abs(played.error_ms[AFTER_ONE_MINUTE]).max() < 1.0
    assert played.timebase.line["steps_held"][0] == 1
    assert played.timebase.held_ns == pytest.approx(80 * MS, abs=2 * MS)


def test_the_way_back_to_the_shorter_route_moves_nothing(play, delays_s):
    delay_s = delays_s("mobile", 900, np.random.default_rng(6))
    delay_s[200 * 50 : 600 * 50] += 0.08
    played = play(delay_s, sender_ppm=-100)
    assert np.abs(played.error_ms[AFTER_ONE_MINUTE]).max() < 1.0
    assert played.timebase.held_ns < 2 * MS


def test_a_route_that_eats_most_of_the_delay_is_followed(play, delays_s):
    delay_s = delays_s("wifi", 600, np.random.default_rng(7))
    delay_s[200 * 50 :] += 0.25
    played = play(delay_s)
    assert played.error_ms[-1] == pytest.approx(-250, abs=2)


def test_a_shorter_route_is_followed_without_a_jump(play, delays_s):
    delay_s = delays_s("wifi", 400, np.random.default_rng(8), stalls=False)
    delay_s[: 200 * 50] += 0.03
    played = play(delay_s)
    assert played.hard_resyncs == 0
    assert np.abs(played.ratio_ppm).max() <= 5_500
    assert np.abs(played.error_ms[220 * 100 :]).max() < 1.0


def test_a_sender_whose_clock_was_set_is_heard_again_within_three_seconds():
    timebase = Timebase(400 * MS)
    for packet in range(500):
        timebase.receive_packet(packet * 960, packet * 20 * MS)
    late_ns = 700 * MS
    for packet in range(500, 660):
        timebase.receive_packet(packet * 960, packet * 20 * MS + late_ns)
    due = (659 * 20 * MS - 400 * MS) * 48 // MS
    assert timebase.position_q16(659 * 20 * MS + late_ns) >> 16 == pytest.approx(due, abs=100)


def test_one_packet_from_the_far_future_does_not_move_the_horn():
    timebase = Timebase(400 * MS)
    for packet in range(500):
        timebase.receive_packet(packet * 960, packet * 20 * MS)
    before = timebase.position_q16(10_000 * MS)
    timebase.receive_packet(10**9, 10_000 * MS)
    timebase.receive_packet(500 * 960, 10_000 * MS)
    assert timebase.position_q16(10_000 * MS) == before
    assert timebase.jumps == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 80),  # transit above the floor, ms
            st.sampled_from(["", "", "", "delay", "map", "pause"]),
            st.integers(200, 300),
        ),
        min_size=20,
        max_size=200,
    )
)
def test_time_never_runs_backwards_and_never_faster_than_promised(steps):
    timebase = Timebase(250 * MS)
    last = None
    for packet, (above_ms, action, value) in enumerate(steps):
        now_ns = LOCAL_FIRST_NS + packet * 20 * MS
        timebase.receive_packet(MEDIA_FIRST_SAMPLES + packet * 960, now_ns + above_ms * MS)
        if action == "delay":
            timebase.set_playout_delay(value * MS, now_ns + 5 * MS)
        elif action == "map":
            captured_ns = now_ns - (value - 200) * MS // 4
            timebase.receive_map(MEDIA_FIRST_SAMPLES + packet * 960, captured_ns, 10.0, MS)
        jumps = timebase.jumps
        for part in range(2):
            position = timebase.position_q16(now_ns + part * 10 * MS) / 65536
            if last is not None and jumps == last[1]:
                assert (position - last[0]) / 480 == pytest.approx(1.0, abs=0.0057)
            last = (position, jumps)


def test_a_new_playout_delay_is_reached_by_slewing_at_half_a_percent():
    timebase = Timebase(400 * MS)
    for packet in range(100):
        timebase.receive_packet(packet * 960, packet * 20 * MS)
    timebase.position_q16(2_000 * MS)
    timebase.set_playout_delay(450 * MS, 3_000 * MS)
    for now_ms in range(2_000, 20_000, 10):
        timebase.position_q16(now_ms * MS)
        slewed_ms = max(0, now_ms - 3_000) * 0.005
        assert timebase.playout_delay_ns / MS == pytest.approx(min(450, 400 + slewed_ms), abs=0.06)


def test_in_a_pause_the_new_delay_holds_at_once():
    timebase = Timebase(400 * MS)
    timebase.receive_packet(0, 0)
    timebase.position_q16(100 * MS)
    timebase.set_playout_delay(900 * MS, 0)
    timebase.finish_slews(200 * MS)
    assert timebase.playout_delay_ns == 900 * MS
    assert timebase.position_q16(900 * MS) == 0


def test_each_cluster_keeps_its_own_offset():
    here, there = Timebase(400 * MS), Timebase(400 * MS, own_delay_ns=125 * MS)
    for packet in range(50):
        here.receive_packet(packet * 960, packet * 20 * MS)
        there.receive_packet(packet * 960, packet * 20 * MS)
    assert here.position_q16(900 * MS) == there.position_q16(1_025 * MS)


def test_a_map_takes_over_from_the_arrivals_without_a_jump(play, delays_s):
    moved_ms = []

    def map_after_ten_seconds(timebase, period):
        if period >= 1_000 and period % 100 == 0:
            since_samples = period * 480
            timebase.receive_map(
                MEDIA_FIRST_SAMPLES + since_samples, LOCAL_FIRST_NS + period * 10 * MS, 0.0, MS
            )
            moved_ms.append(timebase.line["ahead_ns"][0] / MS)

    delay_s = delays_s("mobile", 120, np.random.default_rng(9))
    played = play(delay_s, on_period=map_after_ten_seconds)
    assert played.timebase.mapped and played.hard_resyncs == 0
    assert np.abs(np.diff(played.error_ms)).max() < 0.1
    assert played.error_ms[-1] == pytest.approx(25, abs=1)  # the network's delay is seen now
    assert played.timebase.uncertainty_ns(LOCAL_FIRST_NS + 120_000 * MS) >= MS


def test_reports_that_do_not_belong_to_the_sound_are_refused():
    timebase = Timebase(400 * MS)
    for packet in range(100):
        timebase.receive_packet(packet * 960, packet * 20 * MS)
    assert not timebase.receive_map(99 * 960, 99 * 20 * MS + 500 * MS, 0.0, MS)
    assert not timebase.receive_map(99 * 960, 99 * 20 * MS - 500 * MS, 0.0, MS)
    # Nor one that leaves less than a period of the sound card: what came would be late.
    assert not timebase.receive_map(99 * 960, 99 * 20 * MS - 385 * MS, 0.0, MS)
    assert timebase.line["maps_refused"][0] == 3
    assert timebase.receive_map(99 * 960, 99 * 20 * MS - 30 * MS, 0.0, MS)


def mapped_timebase(delay_ms, arrivals_ms, packet_ms=20):
    """Play by a map from the first packet on; `arrivals_ms` after their capture."""
    timebase = Timebase(delay_ms * MS)
    for packet, way_ms in enumerate(arrivals_ms):
        sent_ms = packet * packet_ms
        timebase.receive_packet(sent_ms * 48, round((sent_ms + way_ms) * MS))
        if packet == 0:
            timebase.receive_map(0, 0, 0.0, way_ms * MS)
    return timebase


@given(
    st.sampled_from([100, 200, 400, 1000]),
    st.integers(2, 45),
    st.integers(0, 34),
    st.sampled_from([10, 20, 60, 120]),
    st.integers(0, 1000),
)
@example(200, 26, 24, 120, 1)
def test_a_map_that_leaves_no_room_for_the_jitter_is_left_within_two_seconds(
    delay_ms, room_ms, jitter_ms, packet_ms, seed
):
    rng = np.random.default_rng(seed)
    floor_ms = delay_ms - room_ms
    calm, jams = 2_000 // packet_ms, 2_000 // packet_ms
    ways_ms = [floor_ms] * calm + list(floor_ms + rng.uniform(0, jitter_ms, jams))
    ways_ms[calm + 1 :: 3] = [floor_ms] * len(ways_ms[calm + 1 :: 3])
    ways_ms[calm] = delay_ms + 1  # from the first late one on
    is_late = np.array(ways_ms[calm : -400 // packet_ms]) > delay_ms - 20  # a card's period
    timebase = mapped_timebase(delay_ms, ways_ms, packet_ms)
    if 8 * is_late.sum() >= is_late.size and is_late[: 1_400 // packet_ms].mean() > 0.125:
        assert not timebase.mapped
        again = timebase.receive_map(0, 0, 0.0, MS)
        assert not again, "by the same way the map would take the same part of the sound"


@given(
    st.sampled_from([100, 200, 400]),
    st.integers(0, 70),
    st.integers(5, 34),
    st.integers(0, 60),
    st.sampled_from([10, 20, 40]),
    st.integers(0, 1000),
)
@example(100, 29, 20, 20, 20, 0)
def test_a_map_put_right_is_not_taken_where_it_leaves_no_room_for_the_jitter(
    delay_ms, room_ms, jitter_ms, halted_ms, packet_ms, seed
):
    """A sender that halted for a moment: until its reports say so the map is off by as much."""
    rng = np.random.default_rng(seed)
    floor_ms = delay_ms - room_ms
    calm, jams = 400 // packet_ms, 1_600 // packet_ms
    jitters_ms = rng.uniform(0, jitter_ms, jams)
    jitters_ms[0], jitters_ms[1::5] = jitter_ms, 0
    ways_ms = [floor_ms] * calm + list(floor_ms + halted_ms + jitters_ms)
    timebase = mapped_timebase(delay_ms, ways_ms, packet_ms)
    if timebase.mapped or floor_ms + jitter_ms + 10 <= delay_ms:  # a card's period
        return
    newest_ms = packet_ms * (len(ways_ms) - 1)
    # The sound is `halted_ms` later than its stamps: that is when it was captured.
    captured_ns = (newest_ms + halted_ms) * MS
    taken = timebase.receive_map(newest_ms * 48, captured_ns, 0.0, MS)
    assert not taken, "a part of the sound would come too late by it, as by the one before"


@given(
    st.sampled_from([100, 300, 800]),
    st.integers(0, 1000),
    st.sampled_from([10, 20, 60, 120]),
    st.lists(st.tuples(st.integers(100, 1400), st.integers(-90, 90)), min_size=1, max_size=4),
)
@example(100, 400, 120, [(700, -65)])
def test_a_map_that_keeps_moving_is_left_as_soon_as_one_that_stays(
    delay_ms, beyond_ms, packet_ms, moves
):
    """All packets are late by each of the maps, as the way is longer by more than they move."""
    calm, late = 2_000 // packet_ms, 2_000 // packet_ms
    way_ms = delay_ms + 400 + beyond_ms
    timebase, begun_ms = mapped_timebase(delay_ms, [30] * calm, packet_ms), calm * packet_ms
    due = sorted(moves)
    for packet in range(calm, calm + late):
        sent_ms = packet * packet_ms
        timebase.receive_packet(sent_ms * 48, (sent_ms + way_ms) * MS)
        while due and due[0][0] <= sent_ms - begun_ms and timebase.mapped:
            timebase.receive_map(sent_ms * 48, (sent_ms + due.pop(0)[1]) * MS, 0.0, MS)
    assert not timebase.mapped


@given(
    st.sampled_from([100, 300, 800]),
    st.integers(500, 1380),
    st.integers(60, 3000),
    st.sampled_from([10, 20, 60, 120]),
)
def test_a_map_that_was_put_right_is_kept(delay_ms, right_after_ms, beyond_ms, packet_ms):
    """Whatever was late by it before; a way is known to be longer after 0.4 s of packets."""
    calm, way_ms = 2_000 // packet_ms, delay_ms + beyond_ms
    timebase, begun_ms = mapped_timebase(delay_ms, [30] * calm, packet_ms), calm * packet_ms
    is_right = False
    for packet in range(calm, 2 * calm):
        sent_ms = packet * packet_ms
        timebase.receive_packet(sent_ms * 48, (sent_ms + way_ms) * MS)
        if not is_right and sent_ms - begun_ms >= right_after_ms:
            timebase.receive_map(sent_ms * 48, (sent_ms + way_ms - 30) * MS, 0.0, MS)
            is_right = True
        assert timebase.mapped


@given(st.sampled_from([100, 300, 800]), st.integers(0, 3000), st.sampled_from([10, 20, 60, 120]))
def test_a_map_is_taken_only_when_what_comes_now_would_be_heard_by_it(
    delay_ms, beyond_ms, packet_ms
):
    """However fast the way was before it was moved, and as soon as it is back."""
    fast, slow = [30] * (500 // packet_ms), [delay_ms + beyond_ms] * (500 // packet_ms)

    def is_taken(ways_ms):
        timebase = Timebase(delay_ms * MS)
        for packet, way_ms in enumerate(ways_ms):
            sent_ms = packet * packet_ms
            timebase.receive_packet(sent_ms * 48, (sent_ms + way_ms) * MS)
        return timebase.receive_map(0, 0, 0.0, 30 * MS)

    assert is_taken(fast) and is_taken(fast + slow + fast)
    assert not is_taken(slow) and not is_taken(fast + slow)


@given(
    st.sampled_from([100, 300, 800]),
    st.sampled_from([10, 20, 60, 120]),
    st.integers(0, 4000),
    st.booleans(),
)
@example(400, 20, 3400, True)
def test_who_leaves_a_map_plays_on_by_what_comes_in_these_moments(
    delay_ms, packet_ms, longer_ms, is_told
):
    """The way became longer while a map was played by, which moved with it: the floor did not."""
    before, after = 4_000 // packet_ms, 2_000 // packet_ms
    timebase = mapped_timebase(delay_ms, [30] * before, packet_ms)
    for packet in range(before, before + after):
        sent_ms = packet * packet_ms
        arrives_ns = (sent_ms + 30 + longer_ms) * MS
        timebase.receive_map(sent_ms * 48, arrives_ns - 30 * MS, 0.0, MS)
        timebase.receive_packet(sent_ms * 48, arrives_ns)
        timebase.position_q16(arrives_ns)
    if is_told:
        timebase.leave_map()
    else:
        timebase.receive_map(sent_ms * 48, arrives_ns + S, 0.0, MS)  # captured after it came
    assert not timebase.mapped
    late_ms = (sent_ms * 48 - timebase.position_q16(arrives_ns) / 65536) / 48
    assert delay_ms / 2 - 1 <= late_ms <= delay_ms + 31


def weak_ways_ms(rng, seconds, packet_ms):
    """Return what a weak 4G link takes: 45 ms, and the long tail of an extreme value above it."""
    n = seconds * 1000 // packet_ms
    return 45 + np.clip(((-np.log(rng.random(n))) ** -0.2 - 1) * 100, -20, 800) + 20


@given(
    st.sampled_from([300, 800]),
    st.integers(0, 1500),
    st.integers(1, 8),
    st.integers(0, 2000),
    st.sampled_from([10, 20, 60]),
    st.integers(0, 1000),
)
@example(300, 240, 6, 0, 20, 1)
@example(300, 150, 8, 0, 20, 1)
@example(300, 80, 2, 2000, 20, 1)
@example(300, 218, 4, 0, 60, 392)
def test_congestion_that_ends_takes_no_horn_out_of_step(
    delay_ms, more_ms, lasts_s, stall_ms, packet_ms, seed
):
    """A queue varies, a route does not: by that a node knows them apart before the queue ends.

    Eight seconds, with the stall that may end them: an eighth of that later most are in time.
    """
    stall_ms = min(stall_ms, 8500 - 1000 * lasts_s)
    rng = np.random.default_rng(seed)
    ways_ms = weak_ways_ms(rng, 8 + lasts_s, packet_ms)
    ways_ms[0] = 45  # or the map would be refused
    first, after = 4_000 // packet_ms, (4 + lasts_s) * 1000 // packet_ms
    ways_ms[first:after] += more_ms
    for packet in range(after, len(ways_ms)):  # what a stall held comes at once at its end
        ways_ms[packet] = max(ways_ms[packet], 45 + stall_ms - packet_ms * (packet - after))
    assert mapped_timebase(delay_ms, ways_ms, packet_ms).mapped


@given(
    st.sampled_from([100, 300, 800]),
    st.integers(20, 3000),
    st.sampled_from([10, 20, 60]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_a_way_that_became_longer_for_good_is_followed(
    delay_ms, beyond_ms, packet_ms, is_weak, seed
):
    """Within 2 s where it is steady, within 12 s where it is as unsteady as a weak 4G link."""
    rng = np.random.default_rng(seed)
    calm = 3_000 // packet_ms
    ways_ms = weak_ways_ms(rng, 16, packet_ms)
    if not is_weak:
        ways_ms = 40 + rng.uniform(0, 34, len(ways_ms))
    ways_ms[calm:] += delay_ms + beyond_ms
    lasts = (12_000 if is_weak else 2_000) // packet_ms
    assert not mapped_timebase(delay_ms, ways_ms[: calm + lasts], packet_ms).mapped


@given(st.sampled_from([200, 400, 1000]), st.integers(0, 800), st.integers(0, 1000))
def test_a_queue_does_not_take_a_horn_out_of_step_whose_way_is_short(delay_ms, stall_ms, seed):
    rng = np.random.default_rng(seed)
    floor_ms = delay_ms - 60
    ways_ms = list(floor_ms + rng.uniform(0, 5, 200))
    for packet in range(100, 200):  # all that waited comes at once, and the rest as before
        ways_ms[packet] = max(ways_ms[packet], floor_ms + stall_ms - 20 * (packet - 100))
    assert mapped_timebase(delay_ms, ways_ms).mapped


def test_after_a_restart_of_the_sender_everything_is_learned_anew():
    timebase = Timebase(400 * MS, own_delay_ns=10 * MS)
    timebase.receive_packet(0, 0)
    timebase.position_q16(500 * MS)
    timebase.reset()
    assert not timebase.ready
    timebase.receive_packet(77_000, 900 * MS)
    assert timebase.position_q16(1_310 * MS) == 77_000 << 16


def test_what_the_clock_learns_is_played_within_three_seconds():
    one = Timebase(400_000_000)
    one.receive_packet(0, 0)
    assert one.receive_map(0, 0, 0.0, 1_000_000)
    one.position_q16(400_000_000)
    assert one.receive_map(0, 200_000, 0.0, 1_000_000)
    for at_ns in range(410_000_000, 3_400_000_000, 10_000_000):
        one.position_q16(at_ns)
    assert abs(one.line["ahead_ns"][0]) < 20_000
