"""A day node by node, and whole daemons together, tell the same of every order at every pole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.day.run import run_day
from sim.village import scenario
from sim.village.places import build_village
from sim.world.stretch import Stretch
from tests.sim.villages import village

BEGIN_S, END_S = 7_080, 8_400
POLES = [
    ("a-1", "pi_4b_usb", "perfect", 0, 0),
    ("a-2", "pi_zero_2w_i2s", "perfect", 100, 0),
]
DAY = """
[day]
date = "2026-11-23"

[day.volume]
volume = 75
emergency_floor = {floor}

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

{orders}
{faults}
"""


def clock(minute):
    """Return the wall clock so many minutes after 01:59."""
    return f"{(119 + minute) // 60:02}:{(119 + minute) % 60:02}"


@st.composite
def faults(draw):
    kind = draw(st.sampled_from(["power_cut", "link_down", "broker_down"]))
    start = draw(st.integers(0, 7))
    end = start + draw(st.integers(1, 5))
    text = f'[[faults]]\nkind = "{kind}"\nstart = "{clock(start)}"\nend = "{clock(end)}"\n'
    place = "" if kind == "broker_down" else draw(st.sampled_from(["", "a-1", "a-2"]))
    return text + (f'cluster = "{place}"\n' if place else "")


@st.composite
def villages(draw):
    ttl_s = draw(st.sampled_from([60, 200, 3600]))
    lasts_s = draw(st.sampled_from([120, 600, 3600]))
    orders = f'[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = {ttl_s}\nlasts_s = {lasts_s}\n'
    for kind in draw(st.lists(st.sampled_from(["cancel", "mute"]), max_size=2, unique=True)):
        at = clock(draw(st.integers(2, 5)))
        orders += f'[[day.orders]]\nat = "{at}"\nkind = "{kind}"\n'
    seed = draw(st.integers(0, 99))
    day = DAY.format(
        floor=draw(st.sampled_from([90, 0])),
        orders=orders,
        faults="\n".join(draw(st.lists(faults(), max_size=3))),
    )
    return village({("A1", 0, 0): POLES}, duration_s=5, more=day, seed=seed, playout_delay_ms=None)


@settings(max_examples=3, derandomize=True)
@given(villages())
def test_a_day_and_its_daemons_tell_the_same_of_every_order(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("two") / "two.toml"
    path.write_text(text)
    asked = scenario.load(path)
    built = build_village(asked)
    day = run_day(asked, built)
    stretch = Stretch(asked, built, begin_s=BEGIN_S, end_s=END_S)
    try:
        for _ in stretch.advance():
            pass
        alive = stretch.fates()
    finally:
        stretch.world.close()
    told = {(one.node, one.kind, one.sent_s): one for one in day.orders if one.kind}
    lived = {(one.node, one.kind, one.sent_s): one for one in alive if one.kind}
    assert set(told) == set(lived)
    for key, one in told.items():
        other = lived[key]
        assert (one.fate, one.answer, one.languages, one.played_dba) == (
            (other.fate, other.answer, other.languages, other.played_dba)
        ), key
        assert one.heard_pct == pytest.approx(other.heard_pct, abs=2), key
