"""Packets of other payload types that share the numbers of the sound: nobody misses those."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.counters import Count, Origin
from node.rtp import packet
from tests.node.source.test_senders_that_cannot_count import SSRC, run, sent

MADE_UP = [Origin.CONCEALED, Origin.FADED, Origin.SILENT]
SECONDS = 5
modes = st.sampled_from(["synchronised", "adaptive"])
delays_ms = st.sampled_from([100, 400, 1000])
packets_ms = st.sampled_from([5, 20, 120])
groups = st.tuples(st.integers(1, 16), st.integers(1, 8)).filter(lambda one: one[0] >= one[1])


def other(number, *, stamp=0):
    return packet.build(
        bytes(60),
        sequence=number & 0xFFFF,
        timestamp=stamp & 0xFFFF_FFFF,
        ssrc=SSRC,
        payload_type=127,
        marker=False,
    )


def protected(group, packet_ms, *, first, late_ms=0):
    """Return what a sender of parity sends: after `sound` packets some of parity, counted on."""
    sound, parity = group
    arrivals, number = [], first
    for at_ms, data, source in sent(lambda i: i, SECONDS, packet_ms=packet_ms):
        i = round((at_ms - 40) / packet_ms)
        data = data[:2] + (number & 0xFFFF).to_bytes(2, "big") + data[4:]
        arrivals.append((at_ms, data, source))
        number += 1
        for _ in range(parity if i % sound == sound - 1 else 0):
            stamp = i * packet_ms * 48
            arrivals.append((at_ms + late_ms, other(number, stamp=stamp), source))
            number += 1
    return sorted(arrivals, key=lambda one: one[0])


@settings(max_examples=40, deadline=None)
@given(groups, packets_ms, modes, delays_ms, st.integers(0, 0xFFFF), st.sampled_from([0, 10]))
@example((2, 1), 20, "synchronised", 400, 0, 0)
@example((3, 2), 20, "adaptive", 400, 0, 0)
@example((8, 4), 20, "synchronised", 400, 0, 10)
@example((16, 8), 20, "synchronised", 400, 65_500, 0)
def test_sound_with_parity_is_heard_without_a_piece_missing(
    group, packet_ms, mode, delay_ms, first, late_ms
):
    late_ms = min(late_ms, packet_ms // 2)
    arrivals = protected(group, packet_ms, first=first, late_ms=late_ms)
    heard, node, _ = run(arrivals, SECONDS + 2, mode=mode, delay_ms=delay_ms)
    # Of sound before the proof only what is due later than that is heard.
    assert heard[0] <= 40 + max(delay_ms, 6 * packet_ms) + packet_ms + 100
    assert max(np.diff(heard)) <= 2 * packet_ms + 20
    end_ms = 40 + SECONDS * 1000
    assert heard[-1] >= end_ms - 2 * packet_ms
    # But for what a group counts that nothing follows, and what had its sound come before it.
    assert node.counts[Count.PACKETS_LOST] <= group[1]
    # After the end nobody can know that there is one.
    assert node.origin_samples()[Origin.CONCEALED] == 0


@settings(max_examples=40, deadline=None)
@given(groups, modes, st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.1, 0.2]))
@example((2, 1), "synchronised", 0, 0.1)
def test_what_a_way_loses_of_sound_and_parity_makes_holes_as_long_as_the_sound_that_is_lost(
    group, mode, seed, share
):
    """Also where all parity is lost: the stamps say that a gap in the numbers holds none."""
    rng = np.random.default_rng(seed)
    all_sent = protected(group, 20, first=7)
    begins = [one for one in all_sent if one[0] < 1000]
    arrivals = [*begins, *(one for one in all_sent[len(begins) :] if rng.random() >= share)]
    _, node, _ = run(arrivals, SECONDS + 2, mode=mode, delay_ms=400)
    sound = sum(len(data) < 60 for _, data, _ in arrivals)
    whole = SECONDS * 50
    origins = node.origin_samples() // 960
    assert origins[Origin.RECEIVED] == sound
    assert whole - sound - 8 <= origins[MADE_UP].sum() <= whole - sound + 1


@settings(max_examples=20, deadline=None)
@given(groups.filter(lambda one: one[0] > one[1]), modes)
@example((2, 1), "synchronised")
def test_sound_whose_parity_somebody_leaves_out_is_heard_without_a_piece_missing(group, mode):
    arrivals = [one for one in protected(group, 20, first=7) if len(one[1]) < 60]
    heard, node, _ = run(arrivals, SECONDS + 2, mode=mode)
    assert heard[0] <= 560
    assert max(np.diff(heard)) <= 60
    assert node.origin_samples()[Origin.CONCEALED] == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(-60, 60), st.integers(1, 3), packets_ms, modes)
@example(1, 1, 20, "synchronised")
@example(50, 1, 20, "adaptive")
def test_other_packets_that_count_by_themselves_take_no_number_of_the_sound(
    ahead, rate, packet_ms, mode
):
    """Keep-alives of the same SSRC: their numbers lie among those of the sound and mean nothing."""
    arrivals = []
    for i, (at_ms, data, source) in enumerate(
        sent(lambda i: i + 100, SECONDS, packet_ms=packet_ms)
    ):
        arrivals.append((at_ms, data, source))
        arrivals += [(at_ms, other(100 + rate * i + ahead + k), source) for k in range(rate)]
    heard, node, _ = run(arrivals, SECONDS + 2, mode=mode)
    sound = len(arrivals) // (1 + rate)
    assert node.counts[Count.PACKETS_ACCEPTED] == sound
    assert node.counts[Count.PACKETS_DUPLICATE] == node.counts[Count.PACKETS_LOST] == 0
    assert max(np.diff(heard)) <= 2 * packet_ms + 20
