"""What is said to have been in the way is what was, second by second."""

from hypothesis import given
from hypothesis import strategies as st

from sim.day.hindrance import hindrances
from sim.gateway.power import Uptime

END = 30


@st.composite
def spans(draw):
    marks = sorted(draw(st.sets(st.integers(0, END), max_size=6)))
    return list(zip(marks[::2], marks[1::2], strict=False))


def within(spans, at):
    return any(start <= at < end for start, end in spans)


@given(spans(), spans(), spans(), st.integers(0, END), st.integers(0, END))
def test_each_moment_names_the_first_thing_that_was_in_the_way(power, down, away, start, end):
    met = {}
    for at in range(start, end):
        if not within(power, at):
            met.setdefault("no power", at)
        elif within(down, at):
            met.setdefault("no link", at)
        elif within(away, at):
            met.setdefault("no broker", at)
    ups = [Uptime(*one) for one in power]
    told = hindrances((start, end), ups, {"no link": down, "no broker": away})
    assert {why: at for at, why in told} == met
    assert [at for at, _ in told] == sorted(met.values())
