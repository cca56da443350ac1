"""A sender that can count is counted by its own numbers, whatever befell its first packets."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import JitterConfig
from node.counters import Origin
from node.jitter import state as js
from node.jitter.buffer import JitterBuffer
from node.jitter.target_level import CATCH_UP_Q10
from tests.node.source.test_waiting_for_the_horn import (
    LIVE,
    MS,
    START_NS,
    delays_ms,
    modes,
    packets_ms,
    played_of,
    spoken,
)

UNSTEADY_MS = 1500
MOVED_MS = 0.0001
"""An arrival names its packet: none comes in the same instant as another."""

HEARD = {"synchronised": 0.92, "adaptive": 1024 / (1024 + CATCH_UP_Q10)}
"""Share of what is said that is heard meanwhile: adaptive playout may speak so much slower, without
a hole, to hold more after packets that were late."""


def repeated(arrivals, *, age, count, every_ms=500):
    """Return what a way gives once more, all at once: each time `count` of those `age` ago."""
    again = []
    for at_ms in np.arange(every_ms, arrivals[-1][0], every_ms):
        newest = np.searchsorted([one[0] for one in arrivals], at_ms)
        first = max(0, int(newest) - age)
        again += [(at_ms, *one[1:]) for one in arrivals[first : min(first + count, newest)]]
    return [(at_ms + i * MOVED_MS, *rest) for i, (at_ms, *rest) in enumerate(again)]


@settings(deadline=None, max_examples=100)
@given(
    modes,
    delays_ms,
    packets_ms,
    st.sampled_from([48, 44.1, 16, 8, 90]),
    st.tuples(st.integers(0, 60), st.integers(1, 60), st.integers(0, 900)),
    st.tuples(st.integers(1, 60), st.integers(1, 12)),
    st.tuples(st.integers(0, 100), st.sampled_from([0, 0.3, 0.6])),
)
@example("synchronised", 100, 120, 8, (4, 7, 192), (9, 9), (0, 0))
@example("synchronised", 400, 120, 8, (0, 1, 0), (9, 9), (0, 0.6))
@example("adaptive", 100, 20, 48, (41, 13, 629), (1, 1), (0, 0))
def test_what_a_way_repeats_is_no_sound_of_a_sender_that_can_count(
    mode, delay_ms, packet_ms, clock_khz, late, echo, lost
):
    """Some of what it says first is late or lost, and the clock of its stamps is another one."""
    first, count, late_ms = late
    last = min(first + count, int(UNSTEADY_MS / packet_ms))
    begin_ms = UNSTEADY_MS + late_ms + 2000 + delay_ms
    end_ms = begin_ms + 3000
    said = spoken(LIVE, 0, end_ms, packet_ms=packet_ms, clock_khz=clock_khz)
    arrivals = [
        (at_ms + (late_ms if first <= i < last else 0) + i * MOVED_MS / 1000, *rest)
        for i, (at_ms, *rest) in enumerate(said)
    ]
    rng = np.random.default_rng(lost[0])
    arrivals = [one for one in arrivals if one[0] > UNSTEADY_MS or rng.random() >= lost[1]]
    arrivals.sort(key=lambda one: one[0])
    again = repeated(arrivals, age=echo[0], count=echo[1])
    came = sorted([*arrivals, *again], key=lambda one: one[0])
    played = played_of(came, end_ms, mode=mode, delay_ms=delay_ms)
    is_heard = played["origin"] == Origin.RECEIVED
    is_heard &= played["presentation_ns"] >= START_NS + begin_ms * MS
    heard = set(played["arrival_ns"][is_heard].tolist())
    assert not heard & {START_NS + round(one[0] * MS) for one in again}
    assert len(heard) * packet_ms >= HEARD[mode] * 3000 - packet_ms


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_of_a_sender_all_of_whose_packets_came_no_numbers_are_missing(first, positions):
    """Wherever playout was as each came: before it, at it, behind it, too far behind it."""
    buffer = JitterBuffer(JitterConfig(mode="synchronised", playout_delay_ms=20))
    fates = set()
    for i, position in enumerate(positions):
        media = 960 * i
        buffer.seek(media + (0, -960, 960, 48_000, -96_000)[position])
        fates.add(buffer.insert((first + i) & 0xFFFF, media, 960, i * 20 * MS))
    assert fates <= {js.LATE, js.EARLY, *range(len(buffer.slots))}
    assert not buffer.skips_since(first)
