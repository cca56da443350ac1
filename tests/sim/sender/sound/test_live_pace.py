"""Live sound out of a pipe: it goes out at its own pace, and never late for the rest of the day."""

import numpy as np
import pytest

from node.units import samples_to_ns
from sim.sender.stream import LiveSender

MS = 1_000_000
S = 1000 * MS
PACKET_MS = 20


def at_its_pace(count, *, begin_ms=0.0, block_ms=PACKET_MS):
    """Return when each packet of a source that writes such blocks is there, in ms."""
    ends = (np.arange(count) + 1) * PACKET_MS
    return begin_ms + np.ceil(ends / block_ms) * block_ms


def out_of_a_pipe(held, count, *, block_ms=PACKET_MS, encode_ms=0.5):
    """Return the same where `held` packets had waited for their reader."""
    waited = np.arange(held) * encode_ms
    return np.concatenate([waited, at_its_pace(count, block_ms=block_ms)])


def send(arrivals_ms):
    """Send what comes at these times; return the sender, and of each packet in ns

    its number, the time for which it stands by the sender's reports, when it went, and when its
    media time began by these reports.
    """
    sender = LiveSender(ssrc=1, payload_type=111, packet_samples=48 * PACKET_MS, live=True)
    sent = []
    for number, at_ms in enumerate(np.maximum.accumulate(arrivals_ms)):
        now_ns = S + round(float(at_ms) * MS)
        assert sender.due_ns(now_ns) <= now_ns
        if not sender.takes(now_ns):
            continue
        sender.next_packet(bytes(20), now_ns)
        ahead = sender.media_samples - sender.packet_samples - sender.media_time_samples(now_ns)
        begun_ns = now_ns - samples_to_ns(sender.media_time_samples(now_ns))
        sent.append((number, now_ns + samples_to_ns(ahead), now_ns, begun_ns))
    return sender, np.array(sent, np.int64).reshape(-1, 4)


@pytest.mark.parametrize("block_ms", [20, 24, 64, 125])
@pytest.mark.parametrize("held", [2, 5, 17, 34, 200])
def test_what_a_pipe_held_before_the_sender_came_is_not_kept_as_delay(held, block_ms):
    sender, sent = send(out_of_a_pipe(held, 250, block_ms=block_ms))
    number, stamp_ns, now_ns, begun_ns = sent.T
    # What is heard first is sound of now, and from then on all of it is heard.
    read_ms = 0.5 * held  # the source goes on meanwhile
    assert held <= number[0] <= held + (250 + 2 * block_ms + read_ms) // PACKET_MS
    assert (np.diff(number) == 1).all()
    # It is stamped with its time, from the first packet on: no node learns a wrong one.
    captured_ns = S + (number - held) * PACKET_MS * MS
    assert (stamp_ns - captured_ns).max() <= (block_ms + 30) * MS
    assert abs(stamp_ns - now_ns).max() <= (block_ms + 30) * MS
    assert np.ptp(begun_ns) <= (MS // 20 if block_ms <= 64 else 2 * MS)
    assert abs((stamp_ns - now_ns).mean()) <= (2 + block_ms // 6) * MS
    assert sender.left == number[0]


def test_a_station_that_gives_what_it_stored_at_three_times_its_pace_is_waited_for():
    stored = np.repeat(np.arange(40) * 33, 5)  # 4 s, by the network in blocks of 100 ms
    sender, sent = send(np.concatenate([stored, 1320 + at_its_pace(200)]))
    assert 200 <= sent[0, 0] == sender.left <= 214


@pytest.mark.parametrize("seed", range(40))
def test_a_machine_that_stops_the_reader_now_and_then_does_not_bring_the_backlog_back(seed):
    rng = np.random.default_rng(seed)
    arrivals = out_of_a_pipe(34, 250, encode_ms=1.5)
    for at in rng.uniform(0, 400, 6):  # each stop holds back what came during it
        held_back = (arrivals >= at) & (arrivals < at + (length := rng.exponential(25)))
        arrivals[held_back] = at + length
    _, sent = send(arrivals)
    number, stamp_ns, _, _ = sent.T
    late_ns = stamp_ns - S - (number - 34) * PACKET_MS * MS
    assert number[0] <= 34 + 40
    assert late_ns[number > 34 + 60].max() <= (20 + 40) * MS


def test_a_microphone_loses_a_quarter_of_a_second_at_the_start_and_nothing_later():
    rng = np.random.default_rng(3)
    sender, sent = send(at_its_pace(3000) + rng.exponential(2.0, 3000))
    assert sender.left <= 13
    assert (np.diff(sent[:, 0]) == 1).all()


@pytest.mark.parametrize("skew_ppm", [-100, 100])
def test_a_microphone_whose_clock_is_off_is_followed_for_hours(skew_ppm):
    arrivals = at_its_pace(90_000, block_ms=24) * (1 + skew_ppm * 1e-6)
    sender, sent = send(arrivals)
    _, stamp_ns, now_ns, begun_ns = sent.T
    assert np.abs(stamp_ns - now_ns).max() <= 45 * MS
    assert sender.jumps == 0 and sender.left <= 14
    moved_ppm = np.diff(begun_ns[-6001::6000]) / (120 * 1000)
    assert moved_ppm == pytest.approx(skew_ppm, abs=5)


@pytest.mark.parametrize("stopped_ms", [150, 210, 250, 1000, 5000])
def test_a_source_that_stood_still_and_gives_it_all_at_once_is_heard_live_again(stopped_ms):
    arrivals = at_its_pace(600)
    arrivals[(arrivals >= 2000) & (arrivals < 2000 + stopped_ms)] = 2000 + stopped_ms
    sender, sent = send(arrivals)
    number, stamp_ns, now_ns, begun_ns = sent.T
    back = number * PACKET_MS > 2000 + stopped_ms + 400
    late_ns = (stamp_ns - S - number * PACKET_MS * MS)[back]
    assert back.sum() > 100
    assert late_ns.max() <= 60 * MS
    assert (np.diff(number[back]) == 1).all()
    # The schedule is the old one or a new one, and right at once: no node has to follow it.
    assert np.ptp(begun_ns[back]) <= 3 * MS
    # Until then nothing is sent that is further ahead of its time than a node expects.
    assert (stamp_ns - now_ns).max() <= 220 * MS
    assert sender.left <= stopped_ms // PACKET_MS + 17  # 12 of them at the start


def test_a_source_that_was_late_for_a_while_is_not_kept_late():
    arrivals = at_its_pace(600)
    arrivals[(arrivals > 2000) & (arrivals <= 3500)] += 150
    sender, sent = send(arrivals)
    number, stamp_ns, now_ns, begun_ns = sent.T
    back = number * PACKET_MS > 3500 + 600
    assert (stamp_ns - S - number * PACKET_MS * MS)[back].max() <= 60 * MS
    assert abs(stamp_ns - now_ns)[back].max() <= 25 * MS
    assert np.ptp(begun_ns[back]) <= MS
    assert sender.left <= 13 + 10


@pytest.mark.parametrize("block_ms", [20, 24, 64])
@pytest.mark.parametrize("stopped_ms", [60, 100, 150, 1000, 20_000])
def test_a_source_that_paused_loses_nothing_of_its_next_word(stopped_ms, block_ms):
    arrivals = at_its_pace(400, block_ms=block_ms)
    arrivals[arrivals > 2000] += stopped_ms
    sender, sent = send(arrivals)
    number, stamp_ns, now_ns, begun_ns = sent.T
    assert (np.diff(number) == 1).all()
    assert sender.left <= 13
    # The schedule waits with it, instead of being late and hurrying after.
    back = number * PACKET_MS >= 2000 + (0 if stopped_ms > 250 else 300)
    assert abs(stamp_ns - now_ns)[back].max() <= (block_ms + (30 if stopped_ms <= 250 else 2)) * MS
    if stopped_ms <= 250:
        assert abs((stamp_ns - now_ns)[back].mean()) <= 12 * MS
    assert np.ptp(begun_ns[back]) <= 3 * MS


def test_a_file_given_as_live_is_not_poured_into_the_network():
    sender, sent = send(np.arange(3000) * 0.7)
    assert not sent.size
    assert sender.left == 3000


def test_live_sound_that_comes_while_a_sender_still_announces_itself_is_not_kept_for_later():
    sender = LiveSender(ssrc=1, payload_type=111, packet_samples=960, live=True)
    sender.begin(S, 3 * S)
    sent = []
    for number in range(300):
        now_ns = S + number * 20 * MS
        if sender.takes(now_ns):
            sender.next_packet(bytes(20), now_ns)
            sent.append(number)
    assert sent == list(range(150, 300))


def test_other_senders_leave_nothing_out():
    sender = LiveSender(ssrc=1, payload_type=111, packet_samples=960)
    for number in range(100):
        now_ns = S + number * MS
        assert sender.takes(now_ns)
        sender.next_packet(bytes(20), now_ns)
    assert sender.left == 0
