"""Live sound in long blocks leaves evenly, for hours, and is never far behind."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.sender.sound.live_feed import LiveFeed
from sim.sender.stream import LiveSender

MS = 1_000_000
S = 1000 * MS
PACKET_MS = 20
PACKET = (b"x", b"")


def in_blocks(seconds, block_s, *, skew_ppm=0.0, jitter_ms=0.0, seed=1):
    """Return when each packet is there, in ns: whole blocks, each a little after its time."""
    ends_s = (np.arange(round(seconds * 50)) + 1) * PACKET_MS / 1000
    block = np.ceil(np.round(ends_s / block_s, 9))
    late_s = np.random.default_rng(seed).uniform(0, jitter_ms / 1000, int(block[-1]) + 1)
    at_s = block * block_s * (1 + skew_ppm * 1e-6) + late_s[block.astype(int)]
    spread_s = (np.arange(len(ends_s)) % 50) * 0.001  # decoding and encoding take time
    return np.maximum.accumulate(((at_s + spread_s) * S).astype(np.int64)) + S


def run(arrivals_ns, *, far=False):
    """Send as the loop does; return feed, sender, and number, when sent and stamp of each in ns."""
    feed = LiveFeed(PACKET_MS * MS, far=far)
    sender = LiveSender(ssrc=1, payload_type=111, packet_samples=48 * PACKET_MS, live=True)
    sent, taken = [], 0
    for i, arrival_ns in enumerate(arrivals_ns):
        until_ns = arrivals_ns[i + 1] if i + 1 < len(arrivals_ns) else arrival_ns + 10 * S
        feed.receive_packet((str(i).encode(), b""), int(arrival_ns))
        now_ns = int(arrival_ns)
        while (due_ns := feed.due_ns(now_ns)) is not None and due_ns < until_ns:
            now_ns = max(now_ns, due_ns)
            number = int(feed.take(now_ns)[0])
            taken += 1
            sender.even = not feed.in_blocks
            if sender.takes(now_ns):
                feed.went = True
                sender.next_packet(bytes(20), now_ns)
                media_ns = (sender.media_samples - sender.packet_samples) * S // 48_000
                sent.append((number, now_ns, media_ns))
    return feed, sender, np.array(sent, np.int64).reshape(-1, 3)


@pytest.mark.parametrize("block_s", [0.3, 0.5, 1.0, 2.0, 6.0])
def test_a_source_in_blocks_is_sent_evenly_after_its_second_block(block_s):
    arrivals = in_blocks(60, block_s)
    feed, sender, sent = run(arrivals)
    number, now_ns, media_ns = sent.T
    assert number[0] * PACKET_MS / 1000 <= block_s + 0.3
    assert (np.diff(number) == 1).all(), "none of it is left out"
    assert np.abs(np.diff(now_ns) - PACKET_MS * MS).max() <= 1 * MS
    assert np.ptp(media_ns - now_ns) <= 20 * MS
    captured_ns = S + number * PACKET_MS * MS
    held = 2.1 if block_s >= 2 else 1.1  # a playlist is not asked for when its segment is there
    assert (now_ns - captured_ns).max() <= (held * block_s + 0.25) * S
    assert feed.dry == 0 and sender.jumps == 0


def by_playlist(seconds, segment_s, *, phase, longer_ms):
    """Return when each packet of an HLS programme is there: its list is asked for now and then.

    libavformat asks a segment's duration after a list that was new, and half of one after a list
    that was not; segments are a little longer or shorter than the list is asked for.
    """
    lasts_s = segment_s + longer_ms / 1000
    count = round(seconds / lasts_s)
    asked_s, known, there_s = (1 + phase) * lasts_s, 0, []
    while known < count:
        new = min(int(asked_s / lasts_s), count)
        there_s += [asked_s] * (new - known)
        asked_s += segment_s if new > known else segment_s / 2
        known = new
    ends_s = (np.arange(int(count * lasts_s * 50)) + 1) * PACKET_MS / 1000
    segment = np.minimum(np.ceil(np.round(ends_s / lasts_s, 9)).astype(int), count) - 1
    spread_s = (np.arange(len(ends_s)) % 50) * 0.001
    at_s = np.array(there_s)[segment] + spread_s
    return np.maximum.accumulate((at_s * S).astype(np.int64)) + S


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([2.0, 4.0, 6.0, 10.0]), st.floats(0, 1, exclude_max=True), st.integers(-80, 80)
)  # fmt: skip
@example(4.0, 0.1, 11)
@example(10.0, 0.5, -40)
def test_a_playlist_that_is_asked_for_now_and_then_has_no_gaps_for_hours(
    segment_s, phase, longer_ms
):
    feed, _, sent = run(by_playlist(80 * segment_s, segment_s, phase=phase, longer_ms=longer_ms))
    number, now_ns, _ = sent.T
    assert feed.dry == 0 and feed.left == 0
    late = now_ns > now_ns[0] + 10 * segment_s * S
    assert (np.diff(number[late]) == 1).all()
    assert np.diff(now_ns[late]).max() <= 30 * MS, "no gap"
    captured_ns = S + number * PACKET_MS * MS
    assert (now_ns - captured_ns).max() <= (3.2 * segment_s + 0.3) * S


@pytest.mark.parametrize("segment_s", [2.0, 4.0, 6.0, 10.0])
@pytest.mark.parametrize("phase", [0.05, 0.6])
def test_a_playlist_is_heard_from_its_third_segment_on_and_before_that_once_at_most(
    segment_s, phase
):
    """A player is given the last three segments at once, and then one after the other."""
    arrivals = by_playlist(20 * segment_s, segment_s, phase=2 + phase, longer_ms=0)
    _, _, sent = run(arrivals, far=True)
    now_ns = sent[:, 1]
    begins = np.flatnonzero(np.diff(now_ns) > 300 * MS)
    assert len(begins) <= 1, "bits of its segments, one by one"
    goes_on_ns = now_ns[begins[0] + 1] if len(begins) else now_ns[0]
    assert goes_on_ns - arrivals[0] <= (2 + 1.2) * segment_s * S + 0.6 * S


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0.0, 8.0]), st.sampled_from([0.0875, 0.175]), st.integers(0, 1000))
@example(8.0, 0.175, 1)
def test_a_radio_station_has_no_gaps_though_its_network_wavers(burst_s, block_s, seed):
    """MP3 by an Icecast: 1,400 bytes at a time, and some seconds at once for who begins."""
    wavers_ms, radio_s = 180, 120
    rng = np.random.default_rng(seed)
    blocks = in_blocks(radio_s, block_s, jitter_ms=wavers_ms, seed=int(rng.integers(1000)))
    before = [S] * round(burst_s * 50)
    _, _, sent = run(np.array([*before, *blocks], np.int64), far=True)
    number, now_ns, media_ns = sent.T
    late = now_ns > S + 20 * S
    assert late.sum() >= (radio_s - 25) * 50
    assert (np.diff(number[late]) == 1).all(), "none is left out"
    assert np.diff(now_ns[late]).max() <= 30 * MS, "no gap"
    assert np.abs(np.diff((media_ns - now_ns)[late])).max() <= 2 * MS, "nor does the clock jump"
    captured_ns = S + (number - len(before)) * PACKET_MS * MS
    assert (now_ns - captured_ns)[late].max() <= 1.2 * S


@pytest.mark.parametrize("skew_ppm", [-100, 100])
def test_the_clock_of_a_source_in_blocks_is_followed_for_hours(skew_ppm):
    feed, sender, sent = run(in_blocks(2400, 1.0, skew_ppm=skew_ppm, jitter_ms=30))
    number, now_ns, media_ns = sent.T
    assert feed.dry == 0 and feed.left == 0 and sender.jumps == 0
    late_ns = now_ns - S - (number * PACKET_MS * (1 + skew_ppm * 1e-6) * MS).astype(np.int64)
    assert np.ptp(late_ns[3000:]) <= 150 * MS
    steps = np.diff(media_ns - now_ns)
    assert np.abs(steps).max() <= 2 * MS


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["blocks", "even", "stall", "gone"]), st.integers(1, 40)),
        min_size=1, max_size=6,
    ),
    st.integers(0, 1000),
)  # fmt: skip
@example([("stall", 20), ("stall", 24)], 0)
def test_whatever_a_source_does_it_is_heard_live_again(history, seed):
    """Blocks, an even pace, stalls with and without a backlog in any order: then 30 s in blocks."""
    rng = np.random.default_rng(seed)
    at_ns, arrivals = S, []
    for what, tenths in [*history, ("blocks", 300)]:
        length_ns = tenths * S // 10
        if what == "even":
            count = length_ns // (PACKET_MS * MS)
            arrivals += [at_ns + (i + 1) * PACKET_MS * MS for i in range(count)]
        elif what == "blocks":
            part = in_blocks(tenths / 10, 1.0, jitter_ms=20, seed=int(rng.integers(100)))
            arrivals += list(part - S + at_ns)
        elif what == "stall":
            arrivals += [at_ns + length_ns] * (length_ns // (PACKET_MS * MS))
        at_ns = max([at_ns + length_ns, *arrivals[-1:]])
    _, _, sent = run(np.maximum.accumulate(np.array(arrivals, np.int64)))
    last = sent[sent[:, 1] > at_ns - 20 * S]
    assert len(last) >= 50 * 18, "the last 20 s are heard"
    assert np.abs(np.diff(last[:, 1]) - PACKET_MS * MS).max() <= 60 * MS
    behind_ns = last[:, 1] - (at_ns - (len(arrivals) - last[:, 0]) * PACKET_MS * MS)
    assert behind_ns.max() <= 4.5 * S


def test_what_is_held_has_a_bound():
    feed = LiveFeed(PACKET_MS * MS)
    for arrival_ns in in_blocks(4, 1.0):
        feed.receive_packet(PACKET, int(arrival_ns))
    assert feed.in_blocks
    for _ in range(100_000):
        feed.receive_packet(PACKET, 5 * S)
    held = 0
    while feed.due_ns(5 * S) is not None:
        feed.take(5 * S)
        held += 1
    assert held == 60 * 50
    assert feed.left >= 97_000
