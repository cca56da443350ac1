"""What the listener gets from a node that plays by itself, at the lowest delay."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.playout.playout_drive import make_trace, play, play_packets
from node.config import JitterConfig
from node.counters import Count, Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.units import samples_to_ns

FRAME = 960
MS = 1_000_000
ADAPTIVE = JitterConfig(mode="adaptive")


def arrivals(seconds, *, stalls=(), jitter_ms=4.0, seed=1):
    """Arrival times of 20 ms packets in ms; each stall (start_s, ms) ends with a burst."""
    rng = np.random.default_rng(seed)
    send = np.arange(seconds * 50) * 20.0
    arrival = send + 10.0 + rng.exponential(jitter_ms, send.size)
    for start_s, length_ms in stalls:
        end = start_s * 1000 + length_ms
        caught = (arrival > start_s * 1000) & (arrival < end)
        arrival[caught] = end
    return send, np.maximum.accumulate(arrival)


def outcome(seconds, **how):
    return play(make_trace("made", *arrivals(seconds, **how)), ADAPTIVE)


def test_a_quiet_link_is_played_within_some_tens_of_milliseconds():
    heard = outcome(60, jitter_ms=2.0)
    assert heard.mean_ms < 40
    assert heard.concealed_pct < 0.1


def mean_ms(trace, first_s, last_s):
    """Mean playout delay of the packets sent within these seconds."""
    delays = play_packets(trace, ADAPTIVE)[1]
    seconds = trace.media / 48_000
    some = (seconds >= first_s) & (seconds < last_s) & (delays != at.NONE)
    return float((delays[some] - trace.fastest).mean()) / 48


def test_it_comes_down_again_when_the_link_has_become_quiet():
    stalls = [(20 + 2.9 * k + 0.7 * np.sin(k * k), 300) for k in range(14)]
    trace = make_trace("made", *arrivals(180, stalls=stalls))
    assert mean_ms(trace, 40, 60) > 120
    assert mean_ms(trace, 110, 180) < 70


def test_a_stall_that_comes_like_clockwork_is_met_and_not_waited_for_all_the_time():
    seen = outcome(300, stalls=[(7.3 + 13.0 * k, 350) for k in range(22)])
    unforeseen = outcome(
        300, stalls=[(7.3 + 13.0 * k + 5.0 * np.sin(k * k), 350) for k in range(22)]
    )
    assert seen.j < 0.75 * unforeseen.j


def test_a_route_that_becomes_longer_costs_one_gap_and_no_more():
    send, arrival = arrivals(120)
    arrival[send > 40_000] += 80.0
    heard = play(make_trace("made", send, arrival), ADAPTIVE)
    assert heard.concealed_pct * 120_000 / 100 < 200
    assert heard.mean_ms < 150


@pytest.mark.parametrize("skew_ppm", [-100, 100, 300])
def test_a_sender_with_a_skewed_clock_is_followed_without_a_dropout(skew_ppm):
    send, arrival = arrivals(600, jitter_ms=1.0)
    heard = play(make_trace("made", send, arrival * (1 + skew_ppm * 1e-6)), ADAPTIVE)
    assert heard.concealed_pct <= 0.003


def test_ordinary_jitter_is_waited_for_and_not_stretched_over_all_day_long():
    heard = outcome(120)
    assert heard.stretched_pct < 3
    assert heard.mean_ms < 50


def test_a_hole_keeps_its_length_so_that_no_loss_goes_uncounted():
    send, arrival = arrivals(120, stalls=[(10 + 9.1 * k + np.sin(k * k), 200) for k in range(11)])
    lost = np.random.default_rng(3).random(send.size) < 0.03
    heard = play(make_trace("made", send, np.where(lost, np.nan, arrival)), ADAPTIVE)
    assert heard.concealed_pct >= heard.network_loss_pct


@pytest.mark.parametrize("outage_s", [2, 4, 8, 30])
@pytest.mark.parametrize("longer_ms", [0, 400, 4000])
def test_after_an_outage_the_programme_goes_on(outage_s, longer_ms):
    send, arrival = arrivals(120)
    after = send > 40_000 + outage_s * 1000
    arrival[after] += longer_ms
    arrival[(send > 40_000) & ~after] = np.nan
    heard = play(make_trace("made", send, arrival), ADAPTIVE)
    assert heard.concealed_pct < heard.network_loss_pct + 100 * (longer_ms + 500) / 115_000


def test_the_operators_knob_trades_delay_for_late_frames():
    send, arrival = arrivals(
        200, stalls=[(9.0 + 4 * k + k % 3, 60 + 40 * (k % 7)) for k in range(45)]
    )
    trace = make_trace("made", send, arrival)
    knob = [0.05, 0.005, 0.0005]
    heard = [play(trace, JitterConfig(mode="adaptive", late_ratio=r)) for r in knob]
    for loose, strict in itertools.pairwise(heard):
        assert strict.concealed_pct < loose.concealed_pct
        assert strict.mean_ms > loose.mean_ms


def test_a_pause_is_where_delay_comes_down_without_touching_speech():
    b = JitterBuffer(ADAPTIVE, payload_bytes=0)
    now = 0
    sent = 0
    origin = []
    for n in range(3000):
        if n % 100 == 0:
            sent += 500 * 48  # the sender was silent for half a second
            now += 500 * MS
        b.insert(n & 0xFFFF, sent, FRAME, now)
        sent += FRAME
        end = now + 20 * MS
        while now < end:
            b.pull(now)
            origin.append(int(b.state["action_origin"][0]))
            played = b.state["action_samples"][0] + b.state["action_stretch_samples"][0]
            now += samples_to_ns(int(played))
    assert b.origin_samples[Origin.PAUSED] > 0
    assert b.origin_samples[Origin.RECEIVED] > 2900 * FRAME


@pytest.mark.parametrize("pause_s", [0.3, 2.5, 4.0, 12.0])
def test_a_pause_of_any_length_is_no_dropout_and_costs_no_word(pause_s):
    send, arrival = arrivals(120)
    spurt = (send // 4000).astype(int)
    trace = make_trace("made", send + 1000 * pause_s * spurt, arrival + 1000 * pause_s * spurt)
    heard = play(trace, ADAPTIVE)
    assert heard.concealed_pct < 0.1
    assert heard.mean_ms < 60


@pytest.mark.parametrize("packet_ms", [2.5, 5, 10, 20, 60, 120])
def test_packets_of_every_length_come_down_to_a_low_delay_after_a_stall(packet_ms):
    rng = np.random.default_rng(2)
    send = np.arange(0, 180_000, packet_ms)
    arrival = send + 10 + rng.exponential(2.0, send.size)
    arrival[(send > 20_000) & (arrival < 20_600)] = 20_600
    trace = make_trace("made", send, np.maximum.accumulate(arrival))
    assert mean_ms(trace, 20, 21) > 200
    assert mean_ms(trace, 150, 180) < 50


def test_speech_is_hurried_by_no_more_than_5_ms_at_a_time():
    b = JitterBuffer(ADAPTIVE, payload_bytes=0)
    now = 0
    changes = []
    for n in range(3000):
        stalled = 30_300 if 30_000 <= 20 * n < 30_300 else 20 * n  # in ms, after half a calm minute
        while now < stalled * MS:
            if b.pull(now) == at.PLAY:
                changes.append(int(b.state["action_stretch_samples"][0]))
            samples = b.state["action_samples"][0] + b.state["action_stretch_samples"][0]
            now += samples_to_ns(int(samples))
        b.insert(n, n * FRAME, FRAME, stalled * MS)
    hurried = [-one for one in changes if one < 0]
    assert len(hurried) > 20
    assert max(hurried) == 240
    # ...and by 12.5 % over all, at most.
    assert all(sum(changes[i : i + 50]) >= -50 * FRAME / 8 - 240 for i in range(len(changes)))


def test_after_a_stall_the_next_word_comes_at_once_and_nothing_of_it_is_missing():
    b = JitterBuffer(ADAPTIVE, payload_bytes=0)
    now = 0
    heard = []
    for n in range(160):
        until = max(20 * n, 2400 if n >= 100 else 0) * MS  # packet 100 and the rest come together
        while now < until:
            heard.append((b.pull(now), int(b.state["action_media"][0]), now))
            samples = b.state["action_samples"][0] + b.state["action_stretch_samples"][0]
            now += samples_to_ns(int(samples))
        b.insert(n, n * FRAME, FRAME, until)
    first = next((action, media) for action, media, at_ns in heard if at_ns >= 2400 * MS)
    assert first == (at.PLAY, 100 * FRAME)
    actions = [action for action, _, _ in heard]
    assert at.PAUSE not in actions[actions.index(at.PLAY) :]
    played = [media for action, media, _ in heard if action == at.PLAY]
    assert played == [n * FRAME for n in range(len(played))]


def test_what_an_outage_piled_up_is_not_held_beyond_the_largest_delay():
    config = JitterConfig(mode="adaptive", delay_max_ms=500)
    send, arrival = arrivals(40, stalls=[(20, 2500)])
    trace = make_trace("made", send, arrival)
    delays = play_packets(trace, config)[1][:1900]  # the end of a trace is drawn out like a stall
    held_ms = (delays[delays != at.NONE] - trace.fastest) / 48
    assert held_ms.max() < 560
    assert play(trace, config).concealed_pct > 100 * 1500 / 35_000  # the price: it was skipped


@pytest.mark.parametrize("mode", ["synchronised", "adaptive"])
def test_media_time_goes_on_above_all_that_was_when_a_sender_starts_anew(mode):
    b = JitterBuffer(JitterConfig(mode=mode), payload_bytes=0)
    for n in range(50):
        b.insert(n, n * FRAME, FRAME, 20 * n * MS)
    b.seek(0)
    for _ in range(50):
        b.pull(2000 * MS)
    played = int(b.state["next_media"][0])
    for n in range(3):
        slot = b.insert(40_000 + n, 5 + n * FRAME, FRAME, (2000 + 20 * n) * MS)
    assert b.counts()[Count.SENDER_RESTARTS] == 1
    assert b.slots["media"][slot] > played


@pytest.mark.parametrize("mode", ["synchronised", "adaptive"])
def test_a_number_that_was_passed_is_not_played_in_the_time_of_a_later_one(mode):
    b = JitterBuffer(JitterConfig(mode=mode), payload_bytes=0)
    for n in [0, 1, 2, 3, 8, 9]:
        b.insert(n, n * FRAME, FRAME, 20 * n * MS)
    b.seek(0)
    for _ in range(4):
        assert b.pull(200 * MS) == at.PLAY
    accepted = b.counts()[Count.PACKETS_ACCEPTED]
    assert b.insert(2, 6 * FRAME, FRAME, 200 * MS) < 0
    assert b.insert(0xFFFF, 6 * FRAME, FRAME, 200 * MS) < 0
    assert b.counts()[Count.PACKETS_ACCEPTED] == accepted


steps = st.lists(
    st.one_of(
        st.tuples(st.just("near"), st.integers(-20, 300), st.integers(-3, 3), st.integers(0, 15)),
        st.tuples(
            st.just("any"), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.integers(0, 15)
        ),
        st.tuples(st.just("pull"), st.integers(1, 30), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 5000), st.just(0), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 1), st.just(0), st.just(0)),
    ),
    max_size=60,
)


def drive(b, todo):
    """Apply `todo`; return (media time, samples) of what was really played."""
    played = []
    now = 0
    for kind, first, second, flags in todo:
        now += 5 * MS
        if kind == "near":
            b.insert(
                first & 0xFFFF,
                (first * FRAME + second * 120) & 0xFFFF_FFFF,
                FRAME,
                now,
                flags=flags,
            )
        elif kind == "any":
            b.insert(first, second, (first % 60) * 120, now, flags=flags)
        elif kind == "wait":
            now += first * MS
        elif kind == "settle":
            b.settle(ended=bool(first))
        else:
            for _ in range(first):
                action = b.pull(now)
                samples = int(b.state["action_samples"][0])
                stretch = int(b.state["action_stretch_samples"][0])
                assert 0 < samples <= 5760
                assert -samples // 2 <= stretch <= samples
                if action == at.PLAY:
                    played.append((int(b.state["action_media"][0]), samples))
                now += samples_to_ns(samples + stretch)
        assert (b.slots["status"][:] == at.HOLDING).sum() == b.state["held"][0]
        assert b.level_samples <= max(b.state["level_max"][0], 256 * 5760)
    return played


@given(steps)
def test_whatever_arrives_no_sample_plays_twice_and_time_does_not_run_backwards(todo):
    b = JitterBuffer(ADAPTIVE, payload_bytes=0)
    for (media, samples), (following, _) in itertools.pairwise(drive(b, todo)):
        assert following >= media + samples
    assert (b.origin_samples >= 0).all()


@given(steps)
def test_equal_inputs_give_equal_states(todo):
    one, other = (JitterBuffer(ADAPTIVE, payload_bytes=0) for _ in range(2))
    drive(one, todo)
    drive(other, todo)
    np.testing.assert_array_equal(one.state, other.state)
