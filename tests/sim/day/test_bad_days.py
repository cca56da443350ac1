"""Each bad day that ships is named as one in terminal, page, JSON, JUnit and exit status."""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from sim import condition, run_command
from sim.report import print_result, terminal, write_files
from sim.village import scenario
from tests.sim.parts_of_days import around_orders

DAYS = {
    "thin_backhaul": (
        "11 streams ask ",
        "of the 40 kbit/s of the backhaul of Đèo Gia",
        {"over_capacity > 0", "nodes_silent > 0", "warned_late > 0"},
    ),
    "full_cell": (
        "40 streams ask ",
        "of the 100 kbit/s of the cell of Xa Lý (cell)",
        {"over_capacity > 0", "nodes_silent > 0", "warned_late > 0"},
    ),
    "flood_2025": (
        "17 of 24 clusters were NOT warned.",
        "fl-18 (no power)",
        {"unwarned > 0", "nodes_silent > 0", "warned_late > 0"},
    ),
}


@pytest.fixture(scope="module", params=DAYS)
def ran(request):
    asked = scenario.load(request.param)
    result = run_command.answer(asked.asked(duration_s=3), sound=False)
    first = replace(asked.day, orders=asked.day.orders[:1])
    result = run_command.with_day(result, around_orders(replace(asked, day=first)))
    return request.param, result


def test_every_form_of_the_answer_says_what_is_wrong(ran, tmp_path, monkeypatch):
    name, result = ran
    what, where, _ = DAYS[name]
    out = io.StringIO()
    monkeypatch.setattr(
        terminal, "Console", lambda **more: Console(file=out, width=1000, highlight=False)
    )
    print_result(result)
    write_files(result, tmp_path)
    junit = ElementTree.parse(tmp_path / "junit.xml").getroot()
    forms = {
        "terminal": out.getvalue(),
        "verdict": result.verdict,
        "page": (tmp_path / "report.html").read_text(),
        "JSON": json.dumps(json.loads(run_command.to_json(result)), ensure_ascii=False),
        "JUnit": ElementTree.tostring(junit, encoding="unicode"),
        "summary": (tmp_path / "summary.md").read_text(),
    }
    for form, text in forms.items():
        assert what in text and where in text, form
    assert int(junit.get("failures")) > 0


def test_the_exit_status_can_be_made_to_say_it(ran):
    name, result = ran
    for text in DAYS[name][2]:
        assert condition.read(text, day=result.day is not None).met(result), text


def test_a_warning_beside_a_programme_that_fills_the_way_waits_for_room(ran):
    name, result = ran
    if name == "flood_2025":
        return  # cut
    warnings = [one for one in result.day.orders if one.kind == "alert"]
    late = [one for one in warnings if one.first_sound_s > 10]
    assert late
    assert all(one.reason.endswith(" s on its way beside the live programme") for one in late)


def test_what_shares_a_cell_that_nobody_measured_is_not_said_to_fit(ran):
    name, result = ran
    unknown = [one for one in result.capacity if one.fits is None]
    assert {one.bearer for one in unknown} == (
        {"ftth", "lte_good", "lte_weak", "wifi24_outdoor"} if name == "flood_2025" else set()
    )
