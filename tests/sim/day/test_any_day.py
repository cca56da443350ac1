"""Whatever is ordered and whatever breaks: what a day says was heard is what an ear hears."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sim.day.fates import item_name
from sim.result.day import UNWARNED, WARNED
from tests.sim.drawn_days import BEGIN_S, END_S, NUMBERS, alert, broken, orders, table
from tests.sim.ears import first_s, lived, sound_by_tones

EVENTS = {"FFW": 0, "TOR": 10}
"""Of the warnings that there are: their tones."""
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
AS_ONE = {
    "seed": 1, "volume": 75, "floor": 90, "repeat": 2, "profile": "pi_4b_i2s", "bearer": "perfect",
}  # fmt: skip


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
    max_examples=16,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    live=st.booleans(),
    drawn=orders().flatmap(lambda asked: st.tuples(st.just(asked), broken(asked))),
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
    drawn=(
        [alert(1, ttl_s=600, lasts_s=40)],
        [{"kind": "card_gone", "from_s": 64.0, "until_s": 110.0}],
    ),
    more=AS_ONE | {"repeat": 3},
)
@example(
    live=False,
    drawn=(
        [alert(1, ttl_s=600, lasts_s=30), alert(2, ttl_s=600)],
        [{"kind": "link_down", "from_s": 55.0, "until_s": 115.0}],
    ),
    more=AS_ONE,
)
@example(
    live=True,
    drawn=([alert(4, ttl_s=600, lasts_s=60), alert(4, 2, ttl_s=600, lasts_s=60)], []),
    more=AS_ONE | {"repeat": 1},
)
def test_what_a_day_says_was_heard_is_what_an_ear_hears(
    by_tones, tmp_path_factory, live, drawn, more
):
    asked, broken = drawn
    if more["profile"] != "pi_5_usb":  # the others have no clock on their board
        broken = [row for row in broken if row["kind"] != "no_rtc"]
    rows = [table("day.orders", row) for row in asked] + [table("faults", row) for row in broken]
    text = VILLAGE.format(rows="\n".join(rows), **more)
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
