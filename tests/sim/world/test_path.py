"""Packets of several poles through one hop behind their own: none waits for what comes after it."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.links import bearer as bearers
from sim.links.spells import busy_of, outages_of
from sim.swarm.history import live
from sim.swarm.rules import broken
from sim.swarm.script import Pole, Script, Step
from sim.world.path import LOST_NS, Modelled

BYTES = 500
SLOW = bearers.load("perfect")
SLOW = replace(
    SLOW,
    rate_kbit_s=replace(SLOW.rate_kbit_s, value=100),
    queue_ms=replace(SLOW.queue_ms, value=60_000),
)
TRANSMIT_NS = 8 * BYTES * NS_PER_MS // 100


def through(come_ns):
    """Return when packets that come then, asked for in this order, are through a slow hop."""
    bits = (stream(1, one, commune="c", node="b") for one in (Purpose.BUSY, Purpose.OUTAGE))
    busy, outages = (make(SLOW, one) for make, one in zip((busy_of, outages_of), bits, strict=True))
    hop = Modelled(
        SLOW, seed=1, commune="c", node="b", busy=busy, outages=outages, behind_others=True
    )
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
