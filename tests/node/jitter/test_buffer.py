"""What the listener gets from a jitter buffer whose position the receiver dictates."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.config import JitterConfig
from node.counters import Count, Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.units import NS_PER_S, RATE_HZ, SAMPLES_PER_MS, samples_to_ns

FRAME = 20 * SAMPLES_PER_MS
MS = 1_000_000
ADVANCING = (at.PLAY, at.FEC, at.CONCEAL, at.FADE_OUT, at.SILENCE, at.PAUSE)


def buffer(**config):
    return JitterBuffer(JitterConfig(**config), payload_bytes=0)


def send(b, numbers, *, frame=FRAME, first_sequence=0, first_timestamp=0, flags=0, at_ms=None):
    return [
        b.insert(
            (first_sequence + n) & 0xFFFF,
            (first_timestamp + n * frame) & 0xFFFF_FFFF,
            frame,
            int((n * frame / SAMPLES_PER_MS if at_ms is None else at_ms) * MS),
            flags=flags,
        )
        for n in numbers
    ]


def play(b, chunks):
    """Pull `chunks` and return (action, media time, samples) of each."""
    got = []
    for _ in range(chunks):
        action = b.pull(0)
        got.append((action, int(b.state["action_media"][0]), int(b.state["action_samples"][0])))
    return got


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF_FFFF),
    st.sampled_from([120, 240, 480, 960, 1920, 2880, 5760]),
)
@example(0xFFF0, 0xFFFF_FF00, 960)
def test_perfect_input_plays_in_order_across_every_wrap_around(sequence, timestamp, frame):
    b = buffer()
    played = []
    for n in range(40):
        send(b, [n], frame=frame, first_sequence=sequence, first_timestamp=timestamp)
        if n == 0:
            b.seek(timestamp)
        played += play(b, 1)
    assert played == [(at.PLAY, timestamp + n * frame, frame) for n in range(40)]
    assert b.origin_samples[Origin.RECEIVED] == 40 * frame
    assert b.origin_samples.sum() == 40 * frame


def test_a_lost_packet_is_concealed_and_counted_as_lost():
    b = buffer()
    send(b, [0, 1, 3])
    b.seek(0)
    assert [a for a, _, _ in play(b, 4)] == [at.PLAY, at.PLAY, at.CONCEAL, at.PLAY]
    assert b.counts()[Count.PACKETS_LOST] == 1
    assert b.origin_samples[Origin.CONCEALED] == FRAME


def test_a_packet_that_comes_after_its_time_is_late_and_not_lost():
    b = buffer()
    send(b, [0, 1, 3])
    b.seek(0)
    play(b, 4)
    assert send(b, [2], at_ms=90) == [at.LATE]
    assert send(b, [2], at_ms=90) == [at.DUPLICATE]
    assert b.counts()[Count.PACKETS_LOST] == 0
    assert b.counts()[Count.PACKETS_LATE] == 1
    assert b.counts()[Count.PACKETS_DUPLICATE] == 1


def test_in_band_fec_of_the_next_packet_fills_the_hole_just_before_it():
    b = buffer()
    send(b, [0, 1])
    send(b, [4], flags=at.HAS_FEC)
    b.seek(0)
    played = play(b, 5)
    assert [a for a, _, _ in played] == [at.PLAY, at.PLAY, at.CONCEAL, at.FEC, at.PLAY]
    assert b.origin_samples[Origin.IN_BAND_FEC] == FRAME
    assert b.counts()[Count.PACKETS_LOST] == 2


def test_a_pause_of_the_sender_is_no_dropout():
    b = buffer()
    send(b, [0, 1])
    b.insert(2, 2 * FRAME + 48_000, FRAME, 1_040 * MS)
    b.seek(0)
    play(b, 2)
    while b.pull(0) != at.PLAY:
        pass
    assert b.origin_samples[Origin.PAUSED] == 48_000
    assert b.origin_samples[: Origin.PAUSED].sum() == 3 * FRAME


def test_output_made_up_before_anyone_knew_is_booked_when_a_packet_tells_what_it_was():
    b = buffer(conceal_max_ms=40, fade_ms=20)
    send(b, [0])
    b.seek(0)
    play(b, 6)
    assert b.origin_samples.sum() == FRAME  # five chunks are pending
    # Packet 1 is lost, 2 and 3 pass before it comes, the sender pauses for one packet's time.
    assert b.insert(2, 3 * FRAME, FRAME, 0) == at.LATE
    assert b.origin_samples[Origin.CONCEALED] == FRAME
    assert b.origin_samples[Origin.PAUSED] == FRAME
    assert b.origin_samples[Origin.FADED] == FRAME
    b.settle(ended=True)
    assert b.origin_samples[Origin.PAUSED] == 3 * FRAME
    assert b.counts()[Count.PACKETS_LOST] == 1


def test_a_dead_link_fades_to_silence_after_the_stated_time():
    b = buffer(conceal_max_ms=60, fade_ms=40)
    send(b, [0])
    b.seek(0)
    actions = [a for a, _, _ in play(b, 8)]
    assert actions == [at.PLAY] + 3 * [at.CONCEAL] + 2 * [at.FADE_OUT] + 2 * [at.SILENCE]
    b.settle(ended=False)
    assert b.origin_samples[Origin.SILENT] == 2 * FRAME


def test_a_restarted_sender_is_believed_at_its_second_packet():
    b = buffer()
    send(b, [0, 1])
    b.seek(0)
    play(b, 2)
    assert b.insert(40_000, 77, FRAME, 60 * MS) == at.PROBATION
    assert b.insert(40_001, 77 + FRAME, FRAME, 80 * MS) == at.RESTARTED
    assert b.state["generation"][0] == 1
    assert b.pull(0) == at.PAUSE
    slot = b.insert(40_002, 77 + 2 * FRAME, FRAME, 100 * MS)
    media = int(b.slots["media"][slot])
    assert media > 2 * FRAME  # media time never runs backwards
    assert media % 2**32 == 77 + 2 * FRAME
    b.seek(media - FRAME)
    assert [a for a, _, _ in play(b, 2)] == [at.PLAY, at.PLAY]


@pytest.mark.parametrize("jump", [-(10**7), 10**7])
def test_a_jump_of_the_senders_clock_moves_nothing_while_its_numbers_go_on(jump):
    b = buffer()
    send(b, range(10))
    b.seek(0)
    play(b, 10)
    results = [
        b.insert(n, (n * FRAME + jump) & 0xFFFF_FFFF, FRAME, n * 20 * MS) for n in range(10, 14)
    ]
    assert min(results) >= 0
    assert [media for _, media, _ in play(b, 4)] == [n * FRAME for n in range(10, 14)]


def test_a_single_stray_packet_disturbs_nothing():
    b = buffer()
    send(b, [0, 1])
    b.seek(0)
    assert b.insert(30_000, 5, FRAME, 20 * MS) == at.PROBATION
    send(b, [2, 3])
    assert [a for a, _, _ in play(b, 4)] == 4 * [at.PLAY]
    assert b.counts()[Count.SENDER_RESTARTS] == 0


@given(st.integers(2, 12), st.integers(3_100, 60_000), st.integers(0, 0xFFFF), st.integers(0, 100))
def test_strays_that_come_together_are_no_new_beginning(count, number, stamp, quiet_ms):
    """However long the stream had been quiet: a path that held them gives all at once."""
    b = buffer()
    send(b, [0, 1])
    b.seek(0)
    for n in range(count):
        b.insert(number + n, stamp + n * FRAME, FRAME, (20 + quiet_ms) * MS + n)
    assert b.insert(2, 2 * FRAME, FRAME, (21 + quiet_ms) * MS) >= 0
    assert b.counts()[Count.SENDER_RESTARTS] == 0


@given(
    st.lists(st.integers(0, 60), min_size=40, max_size=40),
    st.sets(st.integers(0, 39), max_size=20),
    st.integers(3_100, 60_000),
)
def test_a_restarted_sender_is_believed_though_its_packets_are_overtaken_or_lost(
    jitter_ms, lost, number
):
    b = buffer()
    send(b, [0, 1])
    b.seek(0)
    arrivals = [(100 + 20 * n + jitter_ms[n], n) for n in range(40) if n not in lost]
    for now, n in sorted(arrivals):
        b.insert(number + n, 77 + n * FRAME, FRAME, now * MS)
    assert b.counts()[Count.SENDER_RESTARTS] == 1


@given(
    st.sampled_from([120, 240, 480, 960, 2880]),
    st.integers(24_000, 47_990),
    st.floats(0, 0.5),
    st.integers(0, 1000),
)
def test_stamps_of_a_slow_clock_do_not_slow_the_sound_down(samples, clock_hz, loss, seed):
    """What comes at its pace plays at its pace, also where each stamp alone is nearly right."""
    lost = np.random.default_rng(seed).random(4 * RATE_HZ // samples) < loss
    b = buffer(playout_delay_ms=3000)
    at_pace = []
    for n in np.flatnonzero(~lost):
        now_ns = samples_to_ns(int(n) * samples)
        slot = b.insert(int(n), int(n) * samples * clock_hz // RATE_HZ, samples, now_ns)
        if slot >= 0 and now_ns > 2 * NS_PER_S:
            at_pace.append(int(b.slots["media"][slot]) - int(n) * samples)
    assert max(at_pace) - min(at_pace) <= samples


def test_a_hole_longer_than_the_buffer_does_not_stop_the_programme():
    b = buffer()
    send(b, [0])
    b.seek(0)
    play(b, 400)
    assert min(send(b, range(400, 405))) >= 0
    assert [a for a, _, _ in play(b, 6)] == [at.CONCEAL] * 0 + [at.PLAY] * 5 + [at.CONCEAL]
    assert b.counts()[Count.PACKETS_LOST] == 399


def test_the_packet_time_may_change_in_the_middle():
    b = buffer()
    timestamp = 0
    for n, frame in enumerate([960, 120, 5760, 480, 960]):
        b.insert(n, timestamp, frame, timestamp * 1_000_000 // 48)
        timestamp += frame
    b.seek(0)
    assert [s for _, _, s in play(b, 5)] == [960, 120, 5760, 480, 960]
    assert b.origin_samples[Origin.RECEIVED] == timestamp


def test_what_is_too_far_ahead_is_discarded_and_counted():
    b = buffer(playout_delay_ms=20)
    send(b, [0])
    b.seek(0)
    results = [b.insert(n, n * FRAME, FRAME, 0) for n in range(1, 200)]
    assert results.count(at.EARLY) > 0
    assert b.counts()[Count.PACKETS_DISCARDED_EARLY] == results.count(at.EARLY)
    assert b.level_samples <= b.state["level_max"][0]


def test_reordering_before_the_start_loses_nothing():
    b = buffer()
    send(b, [5], first_sequence=65_530)
    b.seek(0)
    send(b, [4, 3], first_sequence=65_530)
    media = [m for a, m, _ in play(b, 8) if a == at.PLAY]
    assert media == [3 * FRAME, 4 * FRAME, 5 * FRAME]
    assert b.counts()[Count.PACKETS_REORDERED] == 2


def test_a_seek_lands_on_the_packet_that_holds_the_instant_and_flushes_the_rest():
    b = buffer()
    send(b, range(5))
    b.seek(2 * FRAME + 100)
    assert play(b, 1) == [(at.PLAY, 2 * FRAME, FRAME)]
    assert b.counts()[Count.PACKETS_DISCARDED_FLUSHED] == 2


def test_a_redundant_copy_plays_in_the_place_of_its_lost_packet():
    b = buffer()
    send(b, [0, 1, 4])
    assert b.insert(4, 2 * FRAME, FRAME, 80 * MS, flags=at.REDUNDANT) >= 0
    assert b.insert(4, 1 * FRAME, FRAME, 80 * MS, flags=at.REDUNDANT) == at.DUPLICATE
    b.insert(3, 3 * FRAME, FRAME, 85 * MS, flags=at.RETRANSMITTED)
    b.seek(0)
    assert [a for a, _, _ in play(b, 5)] == 5 * [at.PLAY]
    assert b.origin_samples[Origin.REDUNDANT] == FRAME
    assert b.origin_samples[Origin.RETRANSMITTED] == FRAME
    assert b.counts()[Count.PACKETS_LOST] == 2
    assert send(b, [2], at_ms=200) == [at.LATE]
    assert b.counts()[Count.PACKETS_LOST] == 1


arrivals = st.lists(
    st.one_of(
        st.tuples(st.just("near"), st.integers(-20, 300), st.integers(-3, 3), st.integers(0, 15)),
        st.tuples(
            st.just("any"), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.integers(0, 15)
        ),
        st.tuples(st.just("pull"), st.integers(1, 30), st.just(0), st.just(0)),
        st.tuples(st.just("seek"), st.integers(-50, 50), st.just(0), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 1), st.just(0), st.just(0)),
    ),
    max_size=60,
)


def drive(b, steps, *, may_seek):
    """Apply `steps`; return what was played as (sequence, media time, samples, is_real)."""
    played = []
    now_ns = 0
    for kind, first, second, flags in steps:
        now_ns += 5 * MS
        if kind == "near":
            b.insert(
                first & 0xFFFF,
                (first * FRAME + second * 120) & 0xFFFF_FFFF,
                FRAME,
                now_ns,
                flags=flags,
            )
        elif kind == "any":
            b.insert(first, second, (first % 60) * 120, now_ns, flags=flags)
        elif kind == "seek" and may_seek:
            b.seek(int(b.state["next_media"][0]) + first * 700)
        elif kind == "settle":
            b.settle(ended=bool(first))
        elif kind == "pull":
            if b.state["phase"][0] == at.WAITING:
                b.seek(int(b.slots["media"][b.state["next_sequence"][0] % 256]))
            for _ in range(first):
                action = b.pull(now_ns)
                assert action in ADVANCING
                assert 0 < b.state["action_samples"][0] <= 5760
                if b.state["phase"][0] == at.PLAYING:
                    played.append(
                        (
                            int(b.state["action_media"][0]),
                            int(b.state["action_samples"][0]),
                            action == at.PLAY,
                        )
                    )
        assert b.level_samples <= max(b.state["level_max"][0], 256 * 5760)
        assert 0 <= b.state["held"][0] <= 256
        assert (b.slots["status"][:] == at.HOLDING).sum() == b.state["held"][0]
    return played


@given(arrivals)
def test_whatever_arrives_output_never_runs_backwards_and_no_sample_plays_twice(steps):
    played = drive(buffer(), steps, may_seek=False)
    for (media, samples, _), (following, _, _) in itertools.pairwise(played):
        assert following >= media + samples


@given(arrivals)
@example([("near", 0, 0, 0), ("near", 252, 0, at.RETRANSMITTED), ("near", -4, 0, 0)])
def test_whatever_arrives_every_sample_of_output_is_booked_once(steps):
    b = buffer()
    drive(b, steps, may_seek=True)
    b.settle(ended=False)
    assert (b.origin_samples >= 0).all()
    assert min(b.counts().values()) >= 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["comes", "is lost", "waits", "plays"]), st.integers(1, 8))
        | st.tuples(st.sampled_from(["came later", "jumps"]), st.integers(0, 12))
        | st.tuples(st.just("comes"), st.integers(200, 300)),
        max_size=40,
    ),
    st.integers(0, 0xFFFF),
)
@example([("is lost", 2), ("comes", 2), ("jumps", 1)], 0)
@example([("waits", 1), ("comes", 1), ("jumps", 2), ("came later", 0)], 0)
@example([("is lost", 1), ("comes", 300), ("jumps", 0)], 0)
def test_every_packet_that_was_sent_came_or_came_late_or_is_lost(steps, first):
    # Also what a jump, or a beginning, passes over: the report tells the sender of it.
    b = buffer(playout_delay_ms=200)
    number, waiting, came = 0, [], set()

    def insert(one):
        b.insert((first + one) & 0xFFFF, one * FRAME, FRAME, 20 * number * MS)
        came.add(one)

    for step, count in [("comes", 1), *steps]:
        if step == "jumps":
            b.seek((number - count) * FRAME)
        elif step == "came later" and waiting:
            one = waiting.pop(count % len(waiting))
            if one > number - 256:  # of older ones nothing is remembered
                insert(one)
        elif step == "plays" and b.state["phase"][0] == at.PLAYING:
            for _ in range(count):
                b.pull(20 * number * MS)
        elif step in ("comes", "is lost", "waits"):
            for _ in range(count):
                if step == "comes":
                    insert(number)
                elif step == "waits":
                    waiting.append(number)
                number += 1
    last = max(came)
    b.seek((last + 1) * FRAME)
    counts = b.counts()
    heard_of = counts[Count.PACKETS_ACCEPTED] + counts[Count.PACKETS_LATE]
    early = counts[Count.PACKETS_DISCARDED_EARLY]
    assert counts[Count.SENDER_RESTARTS] == 0
    assert (heard_of + early, counts[Count.PACKETS_LOST] - early) == (
        len(came),
        last + 1 - len(came),
    )


@given(arrivals)
def test_equal_inputs_give_equal_states(steps):
    one, other = buffer(), buffer()
    drive(one, steps, may_seek=True)
    drive(other, steps, may_seek=True)
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_array_equal(one.slots, other.slots)
