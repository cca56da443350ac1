"""Several poles, orders to some of them, faults at a place: each row is held against an ear, and
each form of the answer against the rows.
"""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sim import condition, run_command
from sim.day.verdict import warned_lines, warned_sentence
from sim.drive.run import run
from sim.report.page import page
from sim.report.summaries import junit
from sim.result.day import STRANGERS, UNWARNED, WARNED
from tests.sim.drawn_days import (
    BEGIN_S,
    END_S,
    LIVE_S,
    NUMBERS,
    REASONS,
    alert,
    befalls,
    broken,
    given_s,
    orders,
    table,
)  # fmt: skip
from tests.sim.ears import lived, sound_by_tones

TONES = {"FFW": 0, "TOR": 3, "FFW-vi": 6, "FFW-tyz": 9, "TOR-vi": 12}
SOUNDS = {f"{name}.flac": tone for name, tone in TONES.items()}
WORDS = {"FFW": ("vi", "tyz"), "TOR": ("vi",)}
SIREN_S, WORDS_S = 4, 3
LOOK_S = 1.6
POLES = {"a-1": ("A", "T1"), "a-2": ("A", "T1"), "a-3": ("A", "T2"), "b-1": ("B", "T1")}
"""Two hamlets have one name."""
FOR = ({}, {}, {"commune": "B"}, {"hamlet": "T1"}, {"commune": "A", "hamlet": "T2"})
AT = (
    {}, {"commune": "A"}, {"hamlet": "T1"}, {"cluster": "a-1"}, {"cluster": "b-1"},
    {"backhaul": "A"},
)  # fmt: skip
HERE = {
    node: {"commune": commune, "hamlet": hamlet, "cluster": node, "backhaul": commune}
    for node, (commune, hamlet) in POLES.items()
}
BOARD_CLOCKS = ({"cluster": "a-2"}, {"cluster": "b-1"}, {"commune": "A"}, {"commune": "B"})
"""Whom an order is for, and what befalls whom."""

VILLAGE = """
title = "Any"
question = "Who hears what?"
seed = {seed}
duration_s = 120

[day]
date = "2026-11-23"
rules = []
live_at = "02:00"
languages = {{ T1 = {languages}, T2 = ["vi"] }}

[day.volume]
volume = {volume}
emergency_floor = {floor}

[day.alert]
interval_s = 2
repeat = {{ normal = 1, priority = 1, urgent = {repeat} }}

[day.alert.phrases.FFW]
siren = "FFW.flac"
siren_s = 4
text = {{ vi = "FFW-vi.flac", tyz = "FFW-tyz.flac" }}
text_s = 3

[day.alert.phrases.TOR]
siren = "TOR.flac"
siren_s = 4
text = {{ vi = "TOR-vi.flac" }}
text_s = 3

{rows}

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "T1"
x_m = 0
y_m = 0
clusters = [
  {{ name = "a-1", profile = "pi_4b_i2s", bearer = "perfect", x_m = 0, y_m = 0 }},
  {{ name = "a-2", profile = "pi_5_usb", bearer = "{bearer}", x_m = 200, y_m = 0 }},
]

[[communes.hamlets]]
name = "T2"
x_m = 800
y_m = 0
clusters = [{{ name = "a-3", profile = "pi_zero_2w_i2s", bearer = "{bearer}", x_m = 0, y_m = 0 }}]

[[communes]]
name = "B"
x_m = 5000
y_m = 0

[[communes.hamlets]]
name = "T1"
x_m = 0
y_m = 0
clusters = [{{ name = "b-1", profile = "pi_5_i2s", bearer = "perfect", x_m = 0, y_m = 0 }}]
"""
AS_ONE = {
    "seed": 1, "volume": 75, "floor": 90, "repeat": 1, "bearer": "perfect",
    "languages": ["tyz", "vi"],
}  # fmt: skip


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    """Return what a run of that village answers, without its day."""
    by_tones = pytest.MonkeyPatch()
    sound_by_tones(by_tones, SOUNDS)
    text = VILLAGE.format(rows=table("day.orders", alert(1)), **AS_ONE)
    asked, *_ = lived(
        tmp_path_factory.mktemp("run"), text, SOUNDS, begin_s=7_200, end_s=7_201, live=False
    )
    by_tones.undo()
    return run(replace(asked, duration_s=2.0), decode=False)


@settings(
    max_examples=16,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    live=st.sampled_from([False, False, True]),
    drawn=orders(FOR).flatmap(
        lambda asked: st.tuples(st.just(asked), broken(asked, AT, board_clocks=BOARD_CLOCKS))
    ),
    more=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 99),
            "volume": st.sampled_from([75, 75, 0]),
            "floor": st.sampled_from([90, 90, 0]),
            "repeat": st.integers(1, 2),
            "bearer": st.sampled_from(["perfect", "lte_weak", "no_signal"]),
            "languages": st.sampled_from([["vi"], ["tyz", "vi"], ["tyz"]]),
        }
    ),
)
@example(live=False, drawn=([alert(1)], []), more=AS_ONE | {"volume": 0, "floor": 0})
@example(
    live=False,
    drawn=(
        [alert(1), alert(2, 2, commune="B"), alert(3, 2, commune="A")],
        [{"kind": "power_cut", "from_s": 100.0, "until_s": 400.0}],
    ),
    more=AS_ONE,
)
@example(
    live=False,
    drawn=(
        [{"at": "02:01", "kind": "cancel", "number": 1, "by": "commune", "ttl_s": 30}, alert(3)],
        [{"kind": "disk_full", "from_s": 160.0, "until_s": 400.0}],
    ),
    more=AS_ONE,
)
@example(live=False, drawn=([alert(1, 1), alert(1, 2)], []), more=AS_ONE | {"repeat": 2})
@example(
    live=False,
    drawn=(
        [alert(1, ttl_s=600)],
        [
            {"kind": "link_down", "from_s": 50.0, "until_s": 200.0},
            {"kind": "card_gone", "from_s": 400.0, "until_s": 410.0},
        ],
    ),
    more=AS_ONE,
)
@example(
    live=False,
    drawn=(
        [alert(3, 2, hamlet="T1")],
        [{"kind": "card_gone", "from_s": 180.0, "cluster": "a-1", "until_s": 1080.0}],
    ),
    more=AS_ONE,
)
def test_every_pole_of_a_village_is_told_of_as_it_was(
    monkeypatch, tmp_path_factory, programme, live, drawn, more
):
    asked, broken = drawn
    sound_by_tones(monkeypatch, SOUNDS)
    rows = [table("day.orders", row) for row in asked] + [table("faults", row) for row in broken]
    said = more | {"languages": json.dumps(more["languages"])}
    text = VILLAGE.format(rows="\n".join(rows), **said)
    _, day, ears = lived(
        tmp_path_factory.mktemp("any"), text, SOUNDS, begin_s=BEGIN_S, end_s=END_S, live=live
    )
    is_a_row_at_every_pole(day, asked)
    for one in [one for one in day.orders if one.kind and one.fate != "not for here"]:
        says_why(one, asked, broken, more)
        if one.kind == "alert":
            is_as_heard(one, ears[one.node], more)
    whys = {one.why for one in day.decisions}
    assert "urgent of the commune goes before urgent of the province" not in whys
    says_in_every_form(run_command.with_day(programme, day))


def is_a_row_at_every_pole(day, asked):
    """Each order has a row at each pole of its communes, and is for those of its hamlet."""
    expected = sorted(
        (node, row["kind"], float(given_s(row)), row.get("hamlet") in (None, hamlet))
        for row in asked
        for node, (commune, hamlet) in POLES.items()
        if row.get("commune") in (None, commune)
    )
    told = sorted(
        (one.node, one.kind, one.sent_s, one.fate != "not for here")
        for one in day.orders
        if one.kind not in ("", *STRANGERS)
    )
    assert told == expected


def says_why(one, asked, broken, more):
    """A reason is one, and names what was broken there between the order and its end."""
    assert one.reason or one.fate in ("heard", "obeyed"), one
    lasts_s = max(
        (
            max(row["ttl_s"], row.get("lasts_s", 0))
            for row in asked
            if row["kind"] == one.kind and given_s(row) == one.sent_s
        ),
        default=600,
    )
    until_s = one.sent_s + lasts_s
    if one.fate == "late":
        until_s = one.sent_s + one.first_sound_s
    met = {
        row["kind"]
        for row in broken
        if befalls(row, HERE[one.node])
        and LIVE_S + row["from_s"] <= until_s + 1
        and LIVE_S + row.get("until_s", row["from_s"]) + 60 > one.sent_s
    }
    for words, kinds in REASONS.items():
        assert words not in one.reason or kinds & met, (one, met)
    if one.kind == "forged":
        assert one.fate == "refused", one
    if one.node in ("a-2", "a-3") and more["bearer"] == "no_signal":
        assert "no signal" in one.reason, one


def is_as_heard(one, ear, more):
    """What a row says of a warning is what left that horn."""
    event = NUMBERS[one.number][1]
    wanted = more["languages"] if POLES[one.node][1] == "T1" else ["vi"]
    spoken = [name for name in wanted if name in WORDS[event]] or ["vi"]
    once_s = SIREN_S + WORDS_S * len(spoken)
    before = one.answer == "known"
    its = {name: tone for name, tone in TONES.items() if name.startswith(event)}
    sounded_s = len(ear.heard_s(*its.values(), from_s=0.0 if before else one.sent_s)) / 100
    assert one.fate in (*WARNED, *UNWARNED), one
    if one.fate in WARNED:
        assert sounded_s > once_s - LOOK_S, one
        heard = {name for name, tone in its.items() if len(ear.heard_s(tone)) > 50}
        assert heard >= {event, *(f"{event}-{name}" for name in spoken)}, one
        assert one.languages == ", ".join(spoken), one
    if one.fate == "not heard" and not before:
        assert sounded_s < LOOK_S, one
    if one.fate == "heard in part":
        assert sounded_s, one


def says_in_every_form(result):
    """Who was not warned is named in every form of the answer, and counted in each as in all."""
    day = result.day
    warnings = [one for one in day.orders if one.kind == "alert" and one.fate != "not for here"]
    unwarned = [one for one in warnings if one.fate in UNWARNED]
    said, lines = warned_sentence(day), warned_lines(day)
    assert ("Nobody was warned" in said) == (len(unwarned) == len(warnings)), said
    for one in unwarned:
        commune, hamlet = POLES[one.node]
        named = said.split(f"{commune}, T1: " if hamlet == "T1" else "T2: ")[1]
        assert one.node in named.split(", T1: ")[0], said
        assert any(one.node in line and one.reason in line for line in lines), lines
    nodes = {one.node for one in unwarned}
    assert day.totals["unwarned"] == len(nodes)
    assert day.totals["to_warn"] == len({one.node for one in warnings})
    assert condition.read("unwarned > 0", day=True).met(result) == bool(nodes)
    told = json.loads(run_command.to_json(result))
    assert {one["node"] for one in told["unwarned"]} == nodes and told["verdict"].startswith(said)
    shown = page(result)
    assert all(node in shown for node in nodes)
    cases = ElementTree.parse(io.BytesIO(junit(result))).getroot()
    failed = {case.get("name"): case.find("failure") for case in cases}
    assert int(cases.get("failures")) == sum(one is not None for one in failed.values())
    for one in warnings:
        fault = failed[f"02:0{(int(one.sent_s) - 7200) // 60} warning {one.number}"]
        assert one.fate == "heard" or (one.node in fault.text and one.node in fault.get("message"))
