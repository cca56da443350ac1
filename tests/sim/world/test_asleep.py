"""A daemon whose parts tell that they changed sleeps, and notices all that its ticks would."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.shell.vitals import LOOK_NS
from node.units import NS_PER_MS, NS_PER_S
from sim.swarm.history import live
from sim.swarm.script import Pole, Script, Step
from sim.world import pole
from sim.world.devices import VirtualCard
from tests.sim.world.test_stretch import run

LATER_NS = 700 * NS_PER_MS
"""A tick of a node that rests, and what the link takes; what is looked at each five seconds has
another phase."""

ALERT = Step(at_s=20.0, do="alert", number=1, event="FFW")
FAULTS = ("clock_step", "disk_full", "card_gone", "broker_down", "half_open", "power_cut")


HORN_PCT = 1.0
"""Of a warning of 90 s: the horn is given back between its repeats when the loop looks, which one
with ticks does up to a second later."""

WAY_S = 0.005
"""What others send at other moments, over the same backhaul, costs less."""


def told(steps):
    """Return what reached the station of what is told once: (topic, what, ns)."""
    script = Script(seed=1, poles=(Pole(name="n1", bearer="perfect"),), steps=steps)
    history = live(script)
    assert not history.crash
    found = []
    for one in history.poles["n1"].reported:
        if one.topic == "fault":
            body = json.loads(one.payload)
            found.append(("fault", (body["fault"], body["text"]), one.at_ns))
        elif one.topic == "state":
            body = json.loads(one.payload)
            found.append(("state", (body["state"], tuple(body.get("why", ()))), one.at_ns))
        elif one.record is not None:
            found.append(("proof", (one.record.name, one.record.outcome), one.at_ns))
        elif one.answer is not None:
            found.append(("answer", (one.answer.counter, one.answer.fate), one.at_ns))
    sounds = [one.start_ns for one in history.poles["n1"].ear.heard]
    return found, sounds


@st.composite
def steps(draw):
    found = []
    for i in range(draw(st.integers(1, 3))):
        do = draw(st.sampled_from(FAULTS))
        at_s = 25.0 + 40 * i + draw(st.integers(0, 99)) / 10
        amount = draw(st.sampled_from([-7200.0, 3.0, 86400.0])) if do == "clock_step" else 0.0
        # What is looked at each five seconds may be seen or not when it lasts for less.
        for_s = draw(st.sampled_from([25.0] if do == "clock_step" else [4.0, 25.0]))
        found.append(Step(at_s=at_s, do=do, for_s=for_s, amount=amount))
    return (ALERT, *found) if draw(st.booleans()) else tuple(found)


@settings(max_examples=3)
@given(steps())
@example((ALERT, Step(at_s=24.3, do="card_gone", for_s=20.0)))
@example((Step(at_s=20.2, do="disk_full", for_s=20.0), ALERT))
@example((Step(at_s=30.7, do="clock_step", for_s=30.0, amount=-7200.0),))
def test_nothing_reaches_the_station_later_than_from_a_daemon_with_ticks(some):
    asleep, heard = told(some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualCard, "tell_changes", None)  # as of a real one
        patch.setattr(pole, "READ_CLOCK_NS", NS_PER_S)
        ticked, heard_ticked = told(some)
    assert len(heard) == len(heard_ticked)
    for begin_ns, ticked_ns in zip(heard, heard_ticked, strict=True):
        assert begin_ns <= ticked_ns + LATER_NS
    if any(one.do in ("broker_down", "half_open", "power_cut") for one in some):
        return  # each connects anew after a time of its own, by chance
    by = {what: [one[2] for one in asleep if one[:2] == what] for what in {o[:2] for o in asleep}}
    assert sorted(map(repr, by)) == sorted({repr(one[:2]) for one in ticked})
    later_ns = LATER_NS + (LOOK_NS if any(one.do == "clock_step" for one in some) else 0)
    for *what, at_ns in ticked:
        assert any(-3 * LOOK_NS < one - at_ns < later_ns for one in by[tuple(what)]), what


def test_every_fate_of_a_night_is_that_of_daemons_with_ticks():
    asleep = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(VirtualCard, "tell_changes")
        patch.setattr(pole, "READ_CLOCK_NS", NS_PER_S)
        ticked = run()
    assert asleep.world.loop.steps < ticked.world.loop.steps / 2, "one of them sleeps"
    for one, other in zip(asleep.fates(), ticked.fates(), strict=True):
        assert abs(one.heard_pct - other.heard_pct) <= HORN_PCT
        assert one.arrived_s == pytest.approx(other.arrived_s, abs=WAY_S)
        assert replace(one, heard_pct=other.heard_pct, arrived_s=other.arrived_s) == other
    asleep.world.close()
    ticked.world.close()
