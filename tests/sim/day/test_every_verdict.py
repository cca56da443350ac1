"""What a day can say of anybody is named in every form of its answer, and sets the exit status."""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from sim import condition, run_command
from sim.report import print_result, terminal
from sim.report.page import page
from sim.report.summaries import junit
from sim.result.capacity import CapacityRow
from sim.result.day import DayItem
from tests.sim.day.told import ORDER, told

SILENT = {"fate": "not heard", "first_sound_s": None, "heard_pct": 0.0, "played_dba": None}
REASONS = (
    "no power", "no link", "no way to the pole", "no way from the pole", "no backhaul", "no broker",
    "no signal", "each copy of it was lost on its way", "its connection was half open",
    "the broker came back without its database", "packets were damaged",
    "refused: its time to live is over", "refused: known already, as cancelled, superseded or over",
    "superseded", "cancelled", "expired", "silenced by hours_common", "silenced by the volume plan",
    "the amplifier was still mute", "the power went before it was kept",
    "nothing left the horn, though its record says so; its sound card was gone",
    "nothing left the horn, though its record says so; its CPU was too slow to play",
    "its disk was full", "its clock was 7200 s ahead",
)  # fmt: skip
MUTE = {
    "order": "mute", "kind": "mute", "number": 0, "first_sound_s": None, "heard_pct": 0.0,
    "played_dba": None,
}  # fmt: skip
FORGED = MUTE | {"order": "forged", "kind": "forged", "by": "a stranger"}

ROWS = {
    **{f"not heard: {why}": (SILENT | {"reason": why}, {"unwarned"}) for why in REASONS},
    "late": (
        {"fate": "late", "first_sound_s": 300.0, "reason": "no link"}, {"warned_late"},
    ),
    "heard in part": (
        {"fate": "heard in part", "reason": "only 3 s of it: no power"},
        {"unwarned", "warned_in_part"},
    ),
    "too quiet": (
        SILENT | {"fate": "too quiet", "reason": "40 dBA, heard from 45 dBA on"}, {"unwarned"},
    ),
    "not known": (
        SILENT | {"fate": "not known", "reason": "no link when the day ended"},
        {"unwarned", "not_known"},
    ),
    "order not obeyed": (
        MUTE | {"fate": "not obeyed", "reason": "refused: too many orders"}, {"orders_not_obeyed"},
    ),
    "order not known": (
        MUTE | {"fate": "not known", "reason": "no power when the day ended"},
        {"orders_not_obeyed"},
    ),
    "stranger refused": (FORGED | {"fate": "refused", "reason": "unknown key"}, set()),
    "stranger obeyed": (FORGED | {"fate": "obeyed", "reason": ""}, {"strangers_obeyed"}),
}  # fmt: skip
"""A row of one cluster beside one that heard it, and what is then above 0."""
FIGURES = (
    "unwarned", "not_known", "warned_late", "warned_in_part", "orders_not_obeyed",
    "strangers_obeyed",
)  # fmt: skip


def forms(result, monkeypatch):
    out = io.StringIO()

    def console(**more):
        return Console(file=out, width=1000, highlight=False)

    monkeypatch.setattr(terminal, "Console", console)
    monkeypatch.setattr("sim.report.day_terminal.Console", console)
    print_result(result)
    return {
        "terminal": out.getvalue(),
        "page": page(result).replace("&#39;", "'"),
        "JSON": json.dumps(json.loads(run_command.to_json(result)), ensure_ascii=False),
        "JUnit": ElementTree.tostring(
            ElementTree.fromstring(junit(result)), encoding="unicode"
        ).replace("&#10;", "\n"),
    }


def failures(result):
    cases = ElementTree.fromstring(junit(result))
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    assert int(cases.get("failures")) == len(failed)
    assert int(cases.get("tests")) == len(cases.findall("testcase"))
    return failed


def met(result):
    return {one for one in FIGURES if condition.read(f"{one} > 0", day=True).met(result)}


ALL_WELL = told([ORDER])


@pytest.mark.parametrize("name", ROWS)
def test_what_befell_one_cluster_is_named_in_every_form(monkeypatch, name):
    more, above = ROWS[name]
    row = replace(ORDER, **more)
    result = told([replace(ORDER, node="node-01"), row])
    shown = forms(result, monkeypatch)
    for form, text in shown.items():
        if row.kind == "forged" and form == "JUnit" and not above:
            continue  # what was refused is no failure
        assert row.reason in text, form
        if form != "JSON" and row.kind != "forged":
            assert "c00" in text or row.node in text, form
        if row.fate in ("not known", "too quiet", "not obeyed", "refused", "obeyed"):
            assert row.fate in text.lower(), form
    assert met(result) == above
    new = failures(result) - failures(ALL_WELL)
    assert len(new) == bool(above), new


def test_where_everybody_was_warned_nothing_is_said_to_be_wrong(monkeypatch):
    assert not met(ALL_WELL)
    assert "00:00 warning 1" not in failures(ALL_WELL)
    for form, text in forms(ALL_WELL, monkeypatch).items():
        assert "NOT warned" not in text and "c00 not heard" not in text, form


ITEM = DayItem(
    node="node-00", item="evening", message_class="normal", outcome="played", reason="", due_s=0.0,
    started_s=0.0, first_sample_ms=1.0, sounded_s=8, volume=75, expected_dba=70.0, languages="vi",
    failed="", heard_s=8.0,
)  # fmt: skip


@pytest.mark.parametrize("outcome", ["missed", "refused", "interrupted", "in part", "not known"])
def test_what_became_of_an_item_is_named_where_items_are(monkeypatch, outcome):
    why = "3 of 8 s left the horn; no power"
    result = told([ORDER], items=[replace(ITEM, outcome=outcome, reason=why)])
    for form, text in forms(result, monkeypatch).items():
        assert form == "JUnit" or (outcome in text and why in text), form


CELL = CapacityRow(
    kind="cell", commune="Xa Lý", bearer="cell", streams=40, rate_kbit_s=100.0,
    asked_kbit_s=1600.0, repair_kbit_s=0.0, chatter_kbit_s=0.0, dropped_packets=9,
)  # fmt: skip


@pytest.mark.parametrize("fits", [True, False])
def test_what_a_rate_is_asked_for_and_what_a_sim_pays_are_in_every_form(monkeypatch, fits):
    row = CELL if not fits else replace(CELL, asked_kbit_s=90.0)
    result = replace(ALL_WELL, capacity=[row], totals=ALL_WELL.totals | {"over_capacity": 1 - fits})
    for form, text in forms(result, monkeypatch).items():
        assert "an hour of this costs a SIM" in text and "MB a month" in text, form
        assert "kbit/s for all 12" in text, form
        if form != "JUnit" or not fits:
            assert "Xa Lý" in text, form
    assert ("capacity" in failures(result)) == (not fits)
    assert condition.read("over_capacity > 0", day=True).met(result) == (not fits)
