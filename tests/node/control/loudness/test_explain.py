"""Twenty situations, and what the node says about them in English and Vietnamese.

`LOALANG_GOLDEN=write` writes the files anew; read the difference before you commit it.
"""

import ast
import inspect
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.config import ConfigError
from node.control.civil_time import load_zone, local_time
from node.control.loudness import explain as explain_module
from node.control.loudness.explain import explain, explain_noise
from node.control.loudness.language import load_catalogue, untranslated
from node.control.loudness.noise import DwellingConfig, HornConfig
from node.control.loudness.regulation import Regulation, RegulationConfig, load_rule_file
from node.control.loudness.schedule import (
    Place,
    QuietHours,
    VolumeConfig,
    VolumeRule,
    VolumeSchedule,
)
from node.control.precedence import MessageClass
from node.control.recurrence import DaysConfig

GOLDEN = Path(__file__).parent / "golden"
PO = Path(inspect.getfile(explain_module)).parents[1] / "locale" / "vi.po"
NORMAL, PRIORITY, URGENT = MessageClass
WORKDAYS = DaysConfig(weekdays=("mon", "tue", "wed", "thu", "fri", "sat"))
TET = DaysConfig(dates=("2026-02-16", "2026-02-17", "2026-02-18"))
MARKET = DaysConfig(recurrence="DTSTART:20260102\nRRULE:FREQ=DAILY;INTERVAL=5\nEXDATE:20260216")
PLAN = VolumeConfig(
    volume=70,
    rules=(
        VolumeRule(name="Buổi sáng", volume=60, start="05:00", end="06:00", on=WORKDAYS),
        VolumeRule(name="Buổi chiều", volume=75, start="17:00", end="18:00", on=WORKDAYS),
        VolumeRule(name="Tết Bính Ngọ", volume=85, start="06:00", end="22:00", on=TET),
        VolumeRule(name="Giao thừa", volume=95, start="23:30", end="00:30", on=TET),
        VolumeRule(name="Phiên chợ", volume=80, start="07:00", end="11:00", on=MARKET),
        VolumeRule(name="Thung lũng", volume=90, hamlet="Làng Cóc"),
        VolumeRule(name="Cạnh trạm y tế", volume=30, cluster="tram-y-te"),
        VolumeRule(name="Tắt loa", volume=0, cluster="hong-loa"),
    ),
    quiet_hours=(
        QuietHours(name="Đêm", volume_max=20, start="21:00", end="05:30"),
        QuietHours(
            name="Nghỉ trưa", volume_max=65, start="11:30", end="13:30", classes=("normal",)
        ),
    ),
    class_offset={"priority": 5, "normal": -5},
    emergency_floor=80,
    untrusted_volume=85,
)
HERE = Place(commune="Hữu Liên")
COC = Place(commune="Hữu Liên", hamlet="Làng Cóc", cluster="coc-1")
CLINIC = Place(commune="Hữu Liên", hamlet="Làng Cóc", cluster="tram-y-te")
BROKEN = Place(commune="Hữu Liên", cluster="hong-loa")

SITUATIONS = {
    "01_sunday_morning_normal": (HERE, "2026-11-22T05:30", NORMAL, True),
    "02_weekday_morning_inside_quiet_hours": (HERE, "2026-11-23T05:15", NORMAL, True),
    "03_weekday_morning_after_quiet_hours": (HERE, "2026-11-23T05:30", NORMAL, True),
    "04_weekday_morning_priority": (HERE, "2026-11-23T05:45", PRIORITY, True),
    "05_weekday_afternoon_urgent": (HERE, "2026-11-23T17:10", URGENT, True),
    "06_night_urgent": (HERE, "2026-11-23T02:00", URGENT, True),
    "07_night_priority": (HERE, "2026-11-23T02:00", PRIORITY, True),
    "08_noon_normal": (HERE, "2026-11-23T12:00", NORMAL, True),
    "09_noon_priority_is_not_covered": (HERE, "2026-11-23T12:00", PRIORITY, True),
    "10_tet_day": (HERE, "2026-02-17T09:00", NORMAL, True),
    "11_new_years_eve_over_midnight": (HERE, "2026-02-17T00:10", PRIORITY, True),
    "12_market_day": (HERE, "2026-01-07T08:00", NORMAL, True),
    "13_market_day_left_out_for_tet": (HERE, "2026-02-16T08:00", NORMAL, True),
    "14_hamlet_in_the_valley": (COC, "2026-11-23T17:30", NORMAL, True),
    "15_cluster_beside_the_clinic": (CLINIC, "2026-11-23T17:30", PRIORITY, True),
    "16_clinic_urgent": (CLINIC, "2026-11-23T17:30", URGENT, True),
    "17_switched_off_cluster": (BROKEN, "2026-11-23T17:30", NORMAL, True),
    "18_unknown_time_normal": (HERE, "1970-01-01T07:00", NORMAL, False),
    "19_unknown_time_urgent": (HERE, "1970-01-01T07:00", URGENT, False),
    "20_quiet_hours_that_change_nothing": (CLINIC, "2026-11-23T12:15", NORMAL, True),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_reasons_read_like_a_sentence_in_both_languages(name):
    place, wall, kind, trusted = SITUATIONS[name]
    utc_s = int(datetime.fromisoformat(wall + "+07:00").astimezone(UTC).timestamp())
    decision = VolumeSchedule(PLAN, place).decide(utc_s, kind, trusted=trusted)
    local = local_time(utc_s, load_zone(PLAN.zone))
    vietnamese = load_catalogue(PO.read_text(encoding="utf-8"), where=PO.name)
    said = "\n".join(
        explain(decision, local, kind, zone=PLAN.zone, translate=translate)
        for translate in (untranslated, vietnamese)
    )
    check_golden(name, said)


HOUSE = DwellingConfig(distance_m=50.0, bearing_deg=0.0)
NOISE = {
    "21_noise_lowered": ("2024-11-22T12:00", NORMAL, -3.0, "lower"),
    "22_noise_refused": ("2026-11-22T02:00", NORMAL, -3.0, "refuse"),
    "23_noise_justified": ("2026-11-22T02:00", URGENT, -3.0, "lower"),
    "24_noise_fits": ("2024-11-22T12:00", NORMAL, -10.0, "lower"),
}


@pytest.mark.parametrize("name", NOISE)
def test_what_the_noise_limit_does_reads_like_a_sentence_too(name):
    wall, kind, gain_db, policy = NOISE[name]
    folder = PO.parent.parent / "regulations"
    files = tuple(
        load_rule_file(
            (folder / f"noise_qcvn_26_{year}.toml").read_text(encoding="utf-8"), where=""
        )
        for year in (2010, 2025)
    )
    horns = (HornConfig(bearing_deg=0.0),)
    judged = Regulation(files, RegulationConfig(noise=policy), horns, HOUSE)
    verdict = judged.judge_noise(datetime.fromisoformat(wall), kind, gain_db)
    vietnamese = load_catalogue(PO.read_text(encoding="utf-8"), where=PO.name)
    check_golden(name, "\n".join(explain_noise(verdict, t) for t in (untranslated, vietnamese)))
    assert (
        explain_noise(
            Regulation((), RegulationConfig()).judge_noise(
                datetime.fromisoformat(wall), kind, gain_db
            )
        )
        == ""
    )


def check_golden(name: str, said: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LOALANG_GOLDEN") == "write":
        path.write_text(said + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == said + "\n"


def test_every_text_has_a_vietnamese_one_with_the_same_places():
    vietnamese = load_catalogue(PO.read_text(encoding="utf-8"), where=PO.name)
    for name in ("explain.py",):
        source = Path(inspect.getfile(explain_module)).with_name(name)
        tree = ast.parse(source.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        texts = [
            call.args[0].value
            for call in calls
            if isinstance(call.func, ast.Name)
            and call.func.id == "_"
            and isinstance(call.args[0], ast.Constant)
        ] + [RegulationConfig().justification]
        assert len(texts) > 30
        for text in texts:
            translated = vietnamese(text)
            assert translated != text, text
            places = {part.split("}")[0] for part in text.split("{")[1:]}
            assert places == {part.split("}")[0] for part in translated.split("{")[1:]}, text


def test_a_catalogue_that_is_none_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"vi\.po: line 2"):
        load_catalogue('msgid "a"\nmsgstr oops\n', where="vi.po")
    with pytest.raises(ConfigError, match=r"vi\.po: line 1"):
        load_catalogue('"a"\n', where="vi.po")
