"""The measurement that CI runs says what was promised."""

import json

import pytest

from benchmarks.control import run
from benchmarks.control_day import simulate
from benchmarks.control_urgent import run_urgent


def test_the_fast_measurement_keeps_every_promise(capsys: pytest.CaptureFixture[str]):
    assert run(["--fast", "--json", "--only", "urgent"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["broken"] == [] and shown["urgent"]["situations"] == 100


def test_an_urgent_message_sounds_within_200_ms_whatever_else_plays():
    result = run_urgent(300, seed=3)
    assert result.not_heard == 0 and result.two_at_once == 0
    assert result.first_sample_worst_ms <= 200.0 and result.alone_p999_ms <= 200.0


def test_a_day_of_a_village_says_what_each_hamlet_heard_and_why():
    rows = [row for pole in simulate("huu_lien") for row in pole.rows.values()]
    assert len(rows) == 11 * 4
    items = {row.item: row for row in rows}
    assert items["05:00 commune"].reason == "outside the hours of hours_common"
    assert items["17:00 commune"].taken_by == ["17:10 province"]
    assert all(row.outcome == "played" for row in rows if row.item != "05:00 commune")
    for row in rows:
        quiet = row.limit_dba is None or row.allowed_dba <= row.limit_dba + 0.05
        assert quiet or "protect life" in row.reason
    warnings = [row for row in rows if row.item == f"#{1:016x}"]
    assert {row.first_sound_s for row in warnings} == {2 * 3600.0}
