"""Sources that wait: for the horn that another one has, for a place that others hold."""

import heapq

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.events import SendDatagram
from node.kernel.record import new, together
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode

MS = 1_000_000
S = 1000 * MS
START_NS = 3 * S
PERIOD = 960
HOST = "10.0.0.1"
LIVE = 0x99
PAYLOADS = {
    2.5: b"\xe0" + bytes(20),
    5: b"\xe8" + bytes(20),
    20: b"\xf8" + bytes(20),
    120: b"\x19" + bytes(20),
}

modes = st.sampled_from(["synchronised", "adaptive"])
delays_ms = st.sampled_from([100, 400, 1000, 3000])
packets_ms = st.sampled_from(sorted(PAYLOADS))


def spoken(ssrc, begin_ms, end_ms, *, packet_ms=20, held_until_ms=0, clock_khz=48):
    """Return (ms, datagram, address) of what a source says; the way holds it until a time."""
    return [
        (
            max(begin_ms + i * packet_ms + 20, held_until_ms),
            packet.build(
                PAYLOADS[packet_ms],
                sequence=i & 0xFFFF,
                timestamp=round(i * packet_ms * clock_khz),
                ssrc=ssrc,
                payload_type=96,
                marker=False,
            ),
            (HOST, 5004 + 2 * ssrc),
        )
        for i in range(round((end_ms - begin_ms) / packet_ms))
    ]


def played_of(arrivals, end_ms, *, mode, delay_ms, answers=None):
    """Play what arrives at its time, and what `answers` makes of what the node sends."""
    jitter = JitterConfig(mode=mode, playout_delay_ms=delay_ms)
    node = SpeakerNode(NodeConfig(name="n", jitter=jitter), decoder_factory=None)
    out = np.zeros((PERIOD, 1), np.float32)
    rows = new(Played, 4096)
    played = []
    under_way = [(at_ms, number, *rest) for number, (at_ms, *rest) in enumerate(arrivals)]
    heapq.heapify(under_way)
    for now_ms in range(0, round(end_ms), 20):
        while under_way and under_way[0][0] <= now_ms:
            at_ms, _, data, source = heapq.heappop(under_way)
            node.receive_datagram(data, source, START_NS + round(at_ms * MS))
        due_ns = node.next_deadline_ns()
        if due_ns is not None and due_ns <= START_NS + now_ms * MS:
            node.handle_deadline(START_NS + now_ms * MS)
        while (event := node.next_event()) is not None:
            if answers and isinstance(event, SendDatagram):
                for at_ms, *rest in answers(event.data, now_ms):
                    heapq.heappush(under_way, (at_ms, len(arrivals), *rest))
        node.render(out, START_NS + now_ms * MS)
        played.append(rows[: node.take_journal(rows)].copy())
    return together(played, Played)


def holes_ms(arrivals, begin_ms, end_ms, *, mode, delay_ms, ssrc=LIVE):
    """Play what arrives, in that order; return the longest time between without `ssrc`."""
    played = played_of(arrivals, end_ms + delay_ms, mode=mode, delay_ms=delay_ms)
    played = played[(played["ssrc"] == ssrc) & (played["origin"] == Origin.RECEIVED)]
    begins = np.sort((played["presentation_ns"] - START_NS) / MS)
    ends = begins + played["samples"].max(initial=0) / 48
    inside = (ends > begin_ms) & (begins < end_ms)
    begins = np.concatenate([begins[inside], [end_ms]])
    ends = np.concatenate([[begin_ms], ends[inside]])
    return float((begins - ends).max())


@settings(deadline=None, max_examples=30)
@given(modes, delays_ms, packets_ms, st.integers(0, 3000), st.integers(1000, 9000))
@example("synchronised", 400, 20, 1000, 9000)
@example("synchronised", 3000, 2.5, 500, 6000)
def test_who_speaks_while_another_has_the_horn_sounds_when_that_one_ends(
    mode, delay_ms, packet_ms, after_ms, together_ms
):
    """However long it waited: what it says as the horn is free is there, and no hole after it."""
    end_ms = after_ms + together_ms
    first = spoken(1, 0, end_ms, packet_ms=packet_ms)
    second = spoken(LIVE, after_ms, end_ms + delay_ms + 4000, packet_ms=packet_ms)
    arrivals = sorted(first + second, key=lambda one: one[0])
    begin_ms = end_ms + delay_ms + 2000
    assert holes_ms(arrivals, begin_ms, begin_ms + 1500, mode=mode, delay_ms=delay_ms) < 50


@settings(deadline=None, max_examples=60)
@given(
    modes,
    delays_ms,
    packets_ms,
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(240, 12_000),
    st.sampled_from([48, 16, 8, 90]),
    st.one_of(st.none(), st.integers(0, 100)),
)
@example("synchronised", 100, 20, 8, 8, 1000, 16, None)
@example("synchronised", 3000, 20, 8, 8, 1000, 48, None)
def test_who_speaks_on_sounds_within_two_seconds_of_a_stall_that_ends_with_many_sources(
    mode, delay_ms, packet_ms, others, place, lasted_ms, clock_khz, mixed
):
    """All in one instant: sources that say nothing more, and at any place among them the live."""
    stall_ms = 2000 + lasted_ms
    how = {"packet_ms": packet_ms, "held_until_ms": stall_ms, "clock_khz": clock_khz}
    came = [spoken(1 + i, 2000, stall_ms, **how) for i in range(others)]
    came.insert(min(place, others), spoken(LIVE, 2000, stall_ms + delay_ms + 4000, **how))
    arrivals = [one for each in came for one in each]
    if mixed is not None:  # of whichever source, each in its order
        owners = np.random.default_rng(mixed).permutation([one[2][1] for one in arrivals])
        ways = {each[0][2][1]: iter(each) for each in came}
        arrivals = [next(ways[owner]) for owner in owners]
    arrivals.sort(key=lambda one: one[0])
    begin_ms = stall_ms + delay_ms + 2000
    assert holes_ms(arrivals, begin_ms, begin_ms + 1500, mode=mode, delay_ms=delay_ms) < 50


@settings(deadline=None, max_examples=30)
@given(delays_ms, packets_ms, st.integers(3000, 12_000), st.integers(0, 40))
@example(3000, 2.5, 9000, 0)
def test_of_a_stall_that_is_longer_than_what_can_be_held_the_end_is_kept(
    delay_ms, packet_ms, lasted_ms, lost
):
    """The way held all from the first packet on: what is not late is there at once."""
    stall_ms = 2000 + lasted_ms
    live = spoken(LIVE, 2000, stall_ms + 5000, packet_ms=packet_ms, held_until_ms=stall_ms)
    first = round((lasted_ms - 300) / packet_ms)
    del live[first : first + lost]
    begin_ms = stall_ms + 700
    hole_ms = holes_ms(live, begin_ms, begin_ms + 1500, mode="synchronised", delay_ms=delay_ms)
    assert hole_ms <= lost * packet_ms + 50


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(500, 2400), st.booleans())
def test_an_announcement_that_waits_for_its_time_keeps_its_place_whoever_else_comes(
    others, begin_ms, is_far
):
    """It came at its pace and its playout delay is not over: a crowd does not push it out."""
    live = spoken(LIVE, 0, 1500)
    crowd = [
        (at_ms, data, ("10.0.0.2" if is_far else HOST, address[1]))
        for i in range(others)
        for at_ms, data, address in spoken(1 + i, 0, 1500 + begin_ms, held_until_ms=1500 + begin_ms)
    ]
    arrivals = sorted(live + crowd, key=lambda one: one[0])
    assert holes_ms(arrivals, 3100, 4400, mode="synchronised", delay_ms=3000) < 50


@settings(deadline=None, max_examples=60)
@given(
    modes,
    delays_ms,
    packets_ms,
    st.tuples(st.integers(2000, 6000), st.integers(0, 1500), st.integers(0, 1000)),
    st.tuples(st.floats(0, 1), st.integers(0, 12)),
    st.tuples(st.floats(0, 1), st.integers(2, 60), st.integers(0, 600)),
)
@example("adaptive", 100, 120, (4195, 1471, 65), (0.17, 10), (0.08, 48, 64))
@example("adaptive", 400, 20, (2024, 426, 29), (0.31, 8), (0.8, 44, 48))
def test_what_a_way_held_and_repeats_keeps_no_successor_from_the_horn(
    mode, delay_ms, packet_ms, times_ms, held, repeated
):
    """Its sender has begun another source since: old packets say nothing of the one before."""
    first_ms, gap_ms, pause_ms = times_ms
    first = spoken(1, 0, first_ms, packet_ms=packet_ms)
    begin = int(held[0] * (len(first) - held[1]))
    for i in range(begin, begin + held[1]):
        first[i] = (first_ms + gap_ms + (i - begin) * packet_ms, *first[i][1:])
    begin_ms = int(first_ms + gap_ms + held[1] * packet_ms) + pause_ms
    calm_ms = begin_ms + repeated[2]
    begin = int(repeated[0] * len(first))
    old = [(calm_ms, *one[1:]) for one in first[begin : begin + repeated[1]]]
    sounds_ms = calm_ms + delay_ms + 2000
    live = spoken(LIVE, begin_ms, sounds_ms + 2000, packet_ms=packet_ms)
    arrivals = sorted(first + old + live, key=lambda one: one[0])
    assert holes_ms(arrivals, sounds_ms, sounds_ms + 1500, mode=mode, delay_ms=delay_ms) < 50


@settings(deadline=None, max_examples=30)
@given(modes, delays_ms, st.integers(300, 3000), st.integers(500, 3000), st.booleans())
def test_who_has_the_horn_and_speaks_on_keeps_it_whoever_else_begins_on_that_host(
    mode, delay_ms, after_ms, together_ms, is_same_socket
):
    """From the same socket too."""
    end_ms = after_ms + together_ms
    live = spoken(LIVE, 0, end_ms + delay_ms + 1000)
    other = spoken(1, after_ms, end_ms)
    if is_same_socket:
        other = [(at_ms, data, live[0][2]) for at_ms, data, _ in other]
    arrivals = sorted(live + other, key=lambda one: one[0])
    begin_ms = delay_ms + 1000
    assert holes_ms(arrivals, begin_ms, end_ms + delay_ms, mode=mode, delay_ms=delay_ms) < 50
