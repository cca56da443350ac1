"""Packets of several poles through one hop behind their own: none waits for what comes after it."""

from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.links import bearer as bearers
from sim.links.spells import busy_of, outages_of
from sim.swarm.history import live
from sim.swarm.rules import broken
from sim.swarm.script import Pole, Script, Step
from sim.world.hop import Line, Recorded
from sim.world.path import LOST_NS, Modelled

BYTES = 500
SLOW = bearers.load("perfect")
SLOW = replace(
    SLOW,
    rate_kbit_s=replace(SLOW.rate_kbit_s, value=100),
    queue_ms=replace(SLOW.queue_ms, value=60_000),
)
TRANSMIT_NS = 8 * BYTES * NS_PER_MS // 100


def slow_hop():
    bits = (stream(1, one, commune="c", node="b") for one in (Purpose.BUSY, Purpose.OUTAGE))
    busy, outages = (make(SLOW, one) for make, one in zip((busy_of, outages_of), bits, strict=True))
    return Modelled(
        SLOW, seed=1, commune="c", node="b", busy=busy, outages=outages, behind_others=True
    )


def through(come_ns):
    """Return when packets that come then, asked for in this order, are through a slow hop."""
    hop = slow_hop()
    return np.array([hop.carry(at_ns, BYTES) for at_ns in come_ns])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 30_000)), max_size=40))
def test_a_packet_waits_for_nothing_that_comes_after_it(sent):
    # Asked for when they are sent; they come here when the hop before lets them.
    come_ns = [(at + kept) * NS_PER_MS for at, kept in sorted(sent)]
    asked = through(come_ns)
    order = np.argsort(come_ns, kind="stable")
    in_order = np.empty(len(asked), np.int64)
    in_order[order] = through([come_ns[i] for i in order])
    assert (asked != LOST_NS).all()
    assert (asked <= in_order).all()
    assert (asked >= np.array(come_ns, np.int64) + TRANSMIT_NS).all()
    if come_ns == sorted(come_ns):
        assert (asked == in_order).all()


ROOM = st.sampled_from([0.5, 0.9, 1.5])
"""Of what streams ask of a line, so much there is."""


@settings(max_examples=60)
@given(st.tuples(ROOM, st.integers(1, 3_000)), st.tuples(ROOM, st.integers(1, 3_000)))
@example((1.5, 200), (0.9, 2_000))
def test_what_finds_room_in_full_lines_waits_for_the_whole_queue_of_each(own, beyond):
    """An order waited in a full uplink for as long as the backhaul has a queue."""
    hop = slow_hop()
    (hop.shared, hop.beyond), full_ms = (
        [
            (Line(100, 100 / room, queue_ns=queue_ms * NS_PER_MS),)
            for room, queue_ms in (own, beyond)
        ],
        sum(queue_ms for room, queue_ms in (own, beyond) if room < 1),
    )
    come_ns = [i * NS_PER_S for i in range(60)]
    took_ns = [hop.carry(at_ns, 1) - at_ns for at_ns in come_ns]
    came_ns = [took for at_ns, took in zip(come_ns, took_ns, strict=True) if took >= 0]
    assert came_ns
    assert (
        full_ms * NS_PER_MS <= min(came_ns) <= max(came_ns) < full_ms * NS_PER_MS + NS_PER_MS * 20
    )


def recorded(rate_kbit_s, queue_ms):
    like = replace(
        SLOW,
        rate_kbit_s=replace(SLOW.rate_kbit_s, value=rate_kbit_s),
        queue_ms=replace(SLOW.queue_ms, value=queue_ms),
    )
    way_ns = np.array([7 * NS_PER_MS], np.int64)
    return Recorded(way_ns, like, seed=1, commune="c", node="n", down=None)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
    st.integers(8, 4_000),
    st.integers(0, 500),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_packets_over_a_trace_wait_for_the_rate_that_is_said_beside_it(gaps_ms, rate, queue, left):
    """They waited for nothing, and congestion took nothing of it."""
    hop = recorded(rate, queue)
    hop.left_share = left
    come_ns = np.cumsum(np.array(gaps_ms, np.int64)) * NS_PER_MS
    arrive_ns = np.array([hop.carry(int(at_ns), BYTES) for at_ns in come_ns])
    came = arrive_ns != LOST_NS
    alone_ns = 8 * BYTES * NS_PER_MS / rate
    assert came[0]
    assert (np.diff(arrive_ns[came]) >= round(alone_ns / left)).all()
    late_ns = (arrive_ns - come_ns)[came] - 7 * NS_PER_MS
    assert (late_ns >= 0).all()
    assert (late_ns <= queue * NS_PER_MS + alone_ns / left - alone_ns + 1).all()
    assert hop.full == np.count_nonzero(~came)
    if left == 1.0:
        assert late_ns[0] == 0, "who is alone takes what was recorded"


def test_a_pole_whose_way_up_is_full_keeps_nobody_elses_reports_back():
    poles = (Pole(name="n1", bearer="lte_weak"), Pole(name="n2", bearer="perfect"))
    steps = (
        Step(at_s=20.0, do="alert", number=1, event="FFW"),
        Step(at_s=30.0, do="congestion", pole="n1", for_s=40.0, amount=0.001),
    )
    history = live(Script(seed=1, poles=poles, steps=steps))
    assert [one.said() for one in broken(history)] == []
    heard = {one.payload: one.at_ns for one in history.poles["n2"].reported}
    late_ns = [heard[one.payload] - one.at_ns for one in history.poles["n2"].emitted
               if one.payload in heard]  # fmt: skip
    assert late_ns and max(late_ns) < 5 * NS_PER_S
