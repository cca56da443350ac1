"""The short way of an ordinary packet into the jitter buffer leaves what the long way leaves."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import JitterConfig
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.jitter.following import admit_next
from node.jitter.kernel import admit, admit_any
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.kernel import kernel
from node.kernel.record import Records, as_bytes
from node.units import NS_PER_MS

NS_PER_PACKET = 20 * NS_PER_MS


@kernel("int64(Jitter[::1], Steering[::1], Slot[::1], Packet[::1])")
def short_way(
    states: Records[Jitter],
    steering: Records[Steering],
    slots: Records[Slot],
    packets: Records[Packet],
) -> int:
    """Take a packet as a node does."""
    return int(admit(states[0], steering[0], slots, packets[0]))


@kernel("int64(Jitter[::1], Steering[::1], Slot[::1], Packet[::1])")
def long_way(
    states: Records[Jitter],
    steering: Records[Steering],
    slots: Records[Slot],
    packets: Records[Packet],
) -> int:
    """Take a packet as if none were ordinary."""
    return int(admit_any(states[0], steering[0], slots, packets[0]))


@kernel("int64(Jitter[::1], Slot[::1], Packet[::1])")
def _next_only(states: Records[Jitter], slots: Records[Slot], packets: Records[Packet]) -> int:
    """Take a packet by the short way alone."""
    return int(admit_next(states[0], slots, packets[0]))


def next_only(
    states: Records[Jitter], _: object, slots: Records[Slot], packets: Records[Packet]
) -> int:
    """Take a packet by the short way alone."""
    return _next_only(states, slots, packets)


Way = Callable[[Records[Jitter], Records[Steering], Records[Slot], Records[Packet]], int]


@dataclass(frozen=True)
class Step:
    """One packet, what is wrong with it, and what is played before it."""

    skip: int
    """Numbers that are left out, or gone back."""
    late_ms: int
    stamp_off: int
    samples: int
    marks: int
    pulls: int
    seeks: bool
    length: int


USUAL = Step(0, 3, 0, 960, 0, 1, False, 80)
ODD: dict[str, list[Any]] = {
    "skip": [1, 3, 70, 200, -1, -2, -3, 4000, 30_000],
    "late_ms": [0, 50, 900, 3000],
    "stamp_off": [1, -40, 480, 960, 96_000, -960],
    "samples": [480, 1920, 2880, 0],
    "marks": [at.MARKER, at.HAS_FEC, at.REDUNDANT, at.RETRANSMITTED, at.EXACT],
    "pulls": [0, 2, 10, 60],
    "seeks": [True],
    "length": [0, -1],
}
"""What may be otherwise at a packet, one at a time: then what comes after it may be ordinary."""

odd = st.sampled_from(sorted(ODD)).flatmap(
    lambda name: st.sampled_from(ODD[name]).map(lambda value: [replace(USUAL, **{name: value})])
)
sent_again_first = st.just([replace(USUAL, marks=at.RETRANSMITTED), replace(USUAL, skip=-1)])
runs = st.tuples(st.integers(0, 60), st.sampled_from([0, 0, 1, 1, 2]), odd | sent_again_first)
histories = st.lists(runs, min_size=1, max_size=10).map(
    lambda found: [
        step
        for count, pulls, other in found
        for step in (*[replace(USUAL, pulls=pulls)] * count, *other)
    ]
)


def played(
    buffer: JitterBuffer, steps: list[Step], first: int, way: Way, begin: int = 0
) -> list[object]:
    """Send a history to a buffer; return each result, and all that it holds after it."""
    found: list[object] = []
    number, stamp = first + begin, (first * 7919 + begin * 960) & 0xFFFF_FFFF
    for i, step in enumerate(steps, begin):
        now_ns = i * NS_PER_PACKET + step.late_ms * NS_PER_MS
        number += step.skip
        stamp += step.skip * 960
        if step.seeks or i == 5:
            buffer.seek(int(buffer.state["highest_media"][0]) - 960 * step.pulls)
        found += [buffer.pull(now_ns) for _ in range(step.pulls)]
        packet = buffer.packet
        packet["length"], packet["samples"], packet["marks"] = step.length, step.samples, step.marks
        packet["sequence"] = number & 0xFFFF
        packet["timestamp"] = (stamp + step.stamp_off) & 0xFFFF_FFFF
        packet["arrival_ns"] = now_ns
        found.append(way(buffer.state, buffer.steering, buffer.slots, packet))
        found += [as_bytes(one).tobytes() for one in (buffer.state, buffer.steering, buffer.slots)]
        number += 1
        stamp += step.samples
    return found


@pytest.mark.parametrize("mode", ["synchronised", "adaptive"])
@settings(deadline=None, max_examples=300)
@given(steps=histories, first=st.sampled_from([0, 100, 65_530, 40_000]), delay_ms=st.just(400))
def test_a_packet_leaves_the_same_by_both_ways(
    mode: str, steps: list[Step], first: int, delay_ms: int
) -> None:
    config = JitterConfig(mode=mode, playout_delay_ms=delay_ms)  # type: ignore[arg-type]
    short, long = (JitterBuffer(config, payload_bytes=0, slots=128) for _ in range(2))

    assert played(short, steps, first, short_way) == played(long, steps, first, long_way)


def test_an_ordinary_packet_goes_the_short_way_and_one_after_a_loss_does_not() -> None:
    """Else the test above compares the long way with itself."""
    buffer = JitterBuffer(JitterConfig(), payload_bytes=0, slots=64)

    played(buffer, [USUAL] * 50, 65_520, short_way)
    found = played(buffer, [USUAL, USUAL, replace(USUAL, skip=1)], 65_520, next_only, 50)
    assert [one for one in found if isinstance(one, int)][1::2] == [65_570 & 63, 65_571 & 63, -1]
