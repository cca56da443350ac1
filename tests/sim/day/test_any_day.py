"""Whatever is ordered and whatever breaks: what a day says was heard is what an ear hears."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sim.day.fates import item_name
from sim.result.day import UNWARNED, WARNED
from tests.sim.ears import first_s, lived, sound_by_tones

BEGIN_S, END_S = 7_080, 7_920
EVENTS = {"FFW": 0, "TOR": 10}
"""Of the warnings that there are: their tones."""
NUMBERS = {1: ("commune", "FFW"), 2: ("province", "TOR")}
SIREN_S = 8
LOOK_S = 1.6
"""Sound is seen by looks, and what a part of it lasts is told in whole seconds."""

VILLAGE = """
title = "Any"
question = "What is heard?"
seed = {seed}
duration_s = 240

[day]
date = "2026-11-23"
rules = []
live_at = "02:00"

[day.volume]
volume = {volume}
emergency_floor = {floor}

[day.alert]
interval_s = 2
repeat = {{ normal = 1, priority = 1, urgent = {repeat} }}

[day.alert.phrases.FFW]
siren = "FFW.flac"
siren_s = 8

[day.alert.phrases.TOR]
siren = "TOR.flac"
siren_s = 8

{rows}

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [{{ name = "a-1", profile = "{profile}", bearer = "{bearer}", x_m = 0, y_m = 0 }}]
"""
PLAYED_BY = {
    "power_cut": "",
    "card_gone": "",
    "cpu_throttle": "share = 0.001",
    "link_down": "",
    "broker_down": "",
    "congestion": "share = 0.01",
    "half_open": "",
    "disk_slow": "write_s = 10.0",
    "detour": "extra_ms = 2000.0",
    "corrupt": "share = 0.5",
    "duplicate": "share = 1.0",
}
"""Faults, and what their rows say beside their time."""


ALERT = """[[day.orders]]
at = "02:0{}"
kind = "alert"
number = {}
by = "{}"
event = "{}"
ttl_s = 600
lasts_s = {}
"""
AS_ONE = {
    "seed": 1, "volume": 75, "floor": 90, "repeat": 2, "profile": "pi_4b_i2s", "bearer": "perfect",
}  # fmt: skip


@st.composite
def orders(draw):
    """Return rows of orders, a warning first."""
    found, first = [], True
    for minute in sorted(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))):
        kinds = ["alert"] if first else ["alert", "alert", "cancel", "mute", "unmute"]
        kind, number, first = draw(st.sampled_from(kinds)), draw(st.sampled_from([1, 2])), False
        row = f'[[day.orders]]\nat = "02:0{minute}"\nkind = "{kind}"\n'
        if kind in ("alert", "cancel"):
            by, event = NUMBERS[number]
            row += f'number = {number}\nby = "{by}"\n'
        if kind == "alert":
            ttl_s, lasts_s = (draw(st.sampled_from([30, 60, 600])) for _ in range(2))
            row += f'event = "{event}"\nttl_s = {ttl_s}\nlasts_s = {lasts_s}\n'
        found.append(row)
    return found


@st.composite
def faults(draw):
    kind = draw(st.sampled_from(sorted(PLAYED_BY)))
    from_s = 60.0 * draw(st.integers(0, 4)) + draw(
        st.sampled_from([-5.0, -1.0, 0.0, 1.0, 4.25, 9.0])
    )
    row = f'[[faults]]\nkind = "{kind}"\nfrom_s = {max(0.0, from_s)}\n{PLAYED_BY[kind]}\n'
    if kind != "half_open":
        lasts_s = draw(st.sampled_from([0.5, 2.0, 5.0, 30.0, 60.0, 120.0]))
        row += f"until_s = {max(0.0, from_s) + lasts_s}\n"
    return row


def heard_s(ear, number, from_s=0.0):
    """Return the instants of a warning, one for each 10 ms of it."""
    return ear.heard_s(EVENTS[NUMBERS[number][1]], from_s=from_s)


@pytest.fixture
def by_tones(monkeypatch):
    sound_by_tones(monkeypatch, {f"{event}.flac": tone for event, tone in EVENTS.items()})


def heard_here(folder, text, *, live):
    """Return the answer of a part of the day, and what an ear heard."""
    sounds = [f"{event}.flac" for event in EVENTS]
    _, day, ears = lived(folder, text, sounds, begin_s=BEGIN_S, end_s=END_S, live=live)
    return day, ears["a-1"]


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    live=st.booleans(),
    rows=orders(),
    broken=st.lists(faults(), max_size=3),
    more=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 99),
            "volume": st.sampled_from([75, 0]),
            "floor": st.sampled_from([90, 90, 0]),
            "repeat": st.integers(1, 3),
            "profile": st.sampled_from(["pi_4b_i2s", "pi_zero_2w_i2s", "pi_5_usb"]),
            "bearer": st.sampled_from(["perfect", "lte_weak", "ftth"]),
        }
    ),
)
@example(
    live=False,
    rows=[ALERT.format(1, 1, "commune", "FFW", 40)],
    broken=['[[faults]]\nkind = "card_gone"\nfrom_s = 64.0\nuntil_s = 110.0\n'],
    more=AS_ONE | {"repeat": 3},
)
@example(
    live=False,
    rows=[ALERT.format(1, 1, "commune", "FFW", 30), ALERT.format(2, 1, "commune", "FFW", 600)],
    broken=['[[faults]]\nkind = "link_down"\nfrom_s = 55.0\nuntil_s = 115.0\n'],
    more=AS_ONE,
)
@example(
    live=True,
    rows=[ALERT.format(4, 1, "commune", "FFW", 60), ALERT.format(4, 2, "province", "TOR", 60)],
    broken=[],
    more=AS_ONE | {"repeat": 1},
)
def test_what_a_day_says_was_heard_is_what_an_ear_hears(
    by_tones, tmp_path_factory, live, rows, broken, more
):
    text = VILLAGE.format(rows="\n".join([*rows, *broken]), **more)
    day, ear = heard_here(tmp_path_factory.mktemp("any"), text, live=live)
    warnings = [one for one in day.orders if one.kind == "alert"]
    for one in [one for one in day.orders if one.kind]:
        assert one.reason or one.fate in ("heard", "obeyed"), one
    for one in warnings:
        assert one.fate in (*WARNED, *UNWARNED), one
        before = one.answer == "known"  # it may have sounded for an order before
        sounds_s = heard_s(ear, one.number, 0.0 if before else one.sent_s)
        if one.fate in WARNED:
            assert len(sounds_s) / 100 > SIREN_S - LOOK_S, one
        if one.fate in WARNED and not before:
            assert one.first_sound_s == pytest.approx(first_s(sounds_s) - one.sent_s, abs=1.1), one
        if one.first_sound_s is not None and not before:
            whole_s = SIREN_S * more["repeat"]
            told_s = one.heard_pct / 100 * whole_s
            assert told_s == pytest.approx(
                min(whole_s, len(sounds_s) / 100), abs=1.3 * more["repeat"] + 0.3
            ), one
        if one.answer not in ("", "waiting", "known"):
            assert one.fate == "not heard" and one.answer in one.reason, one
        if one.fate == "not heard" and one.answer in ("", "waiting"):
            assert len(sounds_s) / 100 < LOOK_S, one
        if one.fate == "heard in part":
            assert sounds_s, one
    for number in NUMBERS:
        items = [one for one in day.items if one.item == item_name(number)]
        sounded_s = len(heard_s(ear, number)) / 100
        assert sum(one.sounded_s for one in items) < sounded_s + 2 * LOOK_S, items
        if any(one.outcome == "played" for one in items):
            assert sounded_s > SIREN_S - LOOK_S, items
    assert day.totals["unwarned"] == any(one.fate in UNWARNED for one in warnings)
