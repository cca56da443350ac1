"""Every form of the answer tells the time as the clocks of the village show it."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from sim import run_command
from sim.report import print_result, terminal
from sim.report.day_section import day_section
from sim.report.day_strip import day_strip
from sim.report.page import page
from sim.report.summaries import junit, markdown
from sim.result.day import DayDecision, DayItem
from sim.result.faults import FaultRow
from sim.result.wall_clock import WallClock
from tests.sim.day.told import ORDER, told

CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/Havana": ("2025-03-09", "2025-11-02"),
    "Asia/Ho_Chi_Minh": ("2026-11-23",),
}
"""Days on which clocks change: by an hour, by half of one, and at midnight itself."""

ON = [(zone, day) for zone, days in CHANGES.items() for day in days]


@lru_cache
def begins(zone, day):
    """Return the first instant of a day: found by trying each minute around it."""
    asked = date.fromisoformat(day)
    noon = datetime(asked.year, asked.month, asked.day, 12, tzinfo=UTC)
    for minute in range(-48 * 60, 0):
        at = noon + timedelta(minutes=minute)
        if at.astimezone(ZoneInfo(zone)).date() == asked:
            return at
    raise AssertionError


def shown(zone, day, at_s):
    return (begins(zone, day) + timedelta(seconds=at_s)).astimezone(ZoneInfo(zone))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(on=st.sampled_from(ON), at_s=st.integers(-2 * 86_400, 3 * 86_400))
@example(on=("Europe/Berlin", "2026-10-25"), at_s=3 * 3600)
@example(on=("Europe/Berlin", "2026-03-29"), at_s=2 * 3600)
def test_a_moment_is_told_as_the_clocks_show_it_and_no_two_are_told_alike(on, at_s):
    zone, day = on
    clock, wall = WallClock(day, zone), shown(zone, day, at_s)
    said = clock.said(at_s)
    assert f"{wall:%H:%M}" in said
    days = (wall.date() - date.fromisoformat(day)).days
    assert said.startswith(f"{days:+d} d ") == bool(days)
    assert clock.at(at_s).isoformat() == wall.isoformat()
    for apart_s in (1800, 3600):
        assert clock.said(at_s + apart_s) != said


def forms(result, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(
        terminal, "Console", lambda **more: Console(file=out, width=1000, highlight=False)
    )
    monkeypatch.setattr(
        "sim.report.day_terminal.Console", lambda **_: Console(file=out, width=1000)
    )
    print_result(result)
    return {
        "terminal": out.getvalue(),
        "page": page(result),
        "JUnit": ElementTree.tostring(ElementTree.fromstring(junit(result)), encoding="unicode"),
        "summary": markdown(result),
    }


ITEM = DayItem(
    node="node-00", item="#0000000000000001", message_class="urgent", outcome="played", reason="",
    due_s=0.0, started_s=0.0, first_sample_ms=1.0, sounded_s=8, volume=75, expected_dba=70.0,
    languages="vi", failed="",
)  # fmt: skip
TAKEN = DayDecision(
    node="node-00", at_s=0.0, item="#0000000000000001", taken_by="#0000000000000002", why="why",
    first_sample_ms=1.0, back_s=None,
)  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), ON)
@pytest.mark.parametrize("hour", [3.0, 26.0])
def test_every_form_tells_it_so(monkeypatch, zone, day, hour):
    at_s = 3600 * hour
    wall, clock = shown(zone, day, at_s), WallClock(day, zone)
    late = replace(ORDER, sent_s=at_s, arrived_s=at_s + 1, fate="not heard", reason="no power")
    result = told(
        [replace(late, first_sound_s=None)],
        date=day,
        zone=zone,
        items=[replace(ITEM, due_s=at_s, started_s=at_s)],
        decisions=[replace(TAKEN, at_s=at_s)],
    )
    fault = FaultRow(
        kind="power_cut", where="", from_s=at_s, until_s=at_s + 7200, clusters=1, drawn=False
    )
    result = replace(result, faults=[fault])
    said = clock.said(at_s)
    for form, text in forms(result, monkeypatch).items():
        assert f"{said} warning 1" in text, form
        assert form in ("JUnit", "summary") or f"power_cut {said} to " in text, form
    assert f"{said} alert 1" in day_section(result) and f"horn at {said}" in day_section(result)
    in_json = json.loads(run_command.to_json(result))
    told_at = wall.isoformat()
    assert in_json["unwarned"][0]["sent_at"] == in_json["faults"][0]["from_at"] == told_at
    rows = in_json["day"]
    assert rows["zone"] == zone and rows["items"][0]["due_at"] == told_at
    assert rows["orders"][0]["sent_at"] == rows["decisions"][0]["clock_at"] == told_at


@pytest.mark.parametrize(("zone", "day"), ON)
def test_the_strip_of_a_day_is_as_long_as_it_and_has_each_hour_where_it_begins(zone, day):
    drawn = day_strip([], [], [], width=1056.0, title="", clock=WallClock(day, zone))
    marks = re.findall(r'x="([\d.]+)" y="90"[^>]*>(\d+)<', drawn)
    long = begins(zone, f"{date.fromisoformat(day) + timedelta(days=1)}") - begins(zone, day)
    for x, hour in marks[1:-1]:
        at_s = (float(x) - 30) / (1050 - 30) * long.total_seconds()
        wall = shown(zone, day, round(at_s / 60) * 60)
        assert (wall.hour, wall.minute) == (int(hour), 0)
    assert marks[-1][1] == "24" and float(marks[-1][0]) == 1050


def test_two_warnings_of_one_minute_have_each_its_line():
    """Warning 2, heard by nobody, stood in the line of warning 1."""
    other = replace(ORDER, number=2, fate="not heard", reason="no power", first_sound_s=None)
    again = replace(ORDER, fate="late", reason="it waited at the pole", first_sound_s=100.0)
    there = replace(ORDER, order="mute", kind="mute", number=0, fate="obeyed", place="A, T1")
    section = day_section(told([ORDER, other, again, there, replace(there, place="B")]))
    lines = re.findall("<li>(00:00 .*?)</li>", str(section))
    assert lines == [
        "00:00 alert 1 of the commune: came to 1 of 1 clusters, the slowest after 1.00 s; "
        "heard at 1",
        "00:00 alert 2 of the commune: came to 1 of 1 clusters, the slowest after 1.00 s; "
        "not heard (no power) at 1",
        "00:00 alert 1 of the commune: came to 1 of 1 clusters, the slowest after 1.00 s; "
        "late (it waited at the pole) at 1",
        "00:00 mute of the commune for A, T1: came to 1 of 1 clusters, the slowest after 1.00 s; "
        "obeyed at 1",
        "00:00 mute of the commune for B: came to 1 of 1 clusters, the slowest after 1.00 s; "
        "obeyed at 1",
    ]
