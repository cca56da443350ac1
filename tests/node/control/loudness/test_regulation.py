"""What the neighbour hears, what the law allows, and what follows."""

import inspect
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.control.loudness import regulation
from node.control.loudness.noise import DwellingConfig, HornConfig, expected_dba
from node.control.loudness.regulation import Regulation, RegulationConfig, load_rule_file
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig, with_loudness

FOLDER = Path(inspect.getfile(regulation)).parents[1] / "regulations"
FILES = {
    path.stem: load_rule_file(path.read_text(encoding="utf-8"), where=path.name)
    for path in sorted(FOLDER.glob("*.toml"))
}
NOISE = (FILES["noise_qcvn_26_2010"], FILES["noise_qcvn_26_2025"])
NORMAL, PRIORITY, URGENT = MessageClass
ONE_HORN = (HornConfig(bearing_deg=0.0),)


@pytest.mark.parametrize(
    ("distance_m", "sine_dba", "speech_dba"),
    [(74, 85.0, 73.0), (355, 70.0, 58.0), (1215, 55.0, 43.0), (103, 82.0, 70.0), (469, 67.0, 55.0)],
)
def test_the_levels_are_those_of_the_published_table(distance_m, sine_dba, speech_dba):
    """docs/why.md: reach of one 30 W horn at 85, 70 and 55 dBA."""
    house = DwellingConfig(distance_m=distance_m, bearing_deg=0.0)
    assert expected_dba(ONE_HORN, house, programme_db=0.0) == pytest.approx(sine_dba, abs=0.1)
    assert expected_dba(ONE_HORN, house) == pytest.approx(speech_dba, abs=0.1)


def test_beside_and_behind_the_horn_it_is_softer_and_two_horns_are_louder():
    houses = [DwellingConfig(distance_m=100, bearing_deg=b) for b in (0, 50, 310, 180)]
    front, left, right, behind = (expected_dba(ONE_HORN, house) for house in houses)
    assert left == right == pytest.approx(front - 6.0, abs=0.11)
    assert behind == pytest.approx(front - 18.0, abs=0.11)
    assert expected_dba(ONE_HORN * 2, houses[0]) == pytest.approx(front + 3.0, abs=0.11)
    assert expected_dba((), houses[0]) == float("-inf")


def judge(files, *, local, kind=NORMAL, gain_db=0.0, area="common", distance_m=50.0, **config):
    house = DwellingConfig(distance_m=distance_m, bearing_deg=0.0, area=area)
    judged = Regulation(files, RegulationConfig(**config), ONE_HORN, house)
    return judged.judge_noise(datetime.fromisoformat(local), kind, gain_db)


def test_a_house_50_m_away_has_the_programme_lowered_to_the_limit():
    verdict = judge(NOISE, local="2024-05-01T17:00")
    assert verdict.action == "lower" and verdict.limit_dba == 70.0
    assert verdict.expected_dba == 76.5 and verdict.gain_db == -6.5 and verdict.verified


@pytest.mark.parametrize(
    ("area", "local", "limit_dba"),
    [
        ("common", "2024-05-01T06:00", 70.0),
        ("common", "2024-05-01T05:59", 55.0),
        ("common", "2024-05-01T21:00", 55.0),
        ("special", "2024-05-01T20:59", 55.0),
        ("special", "2024-05-01T23:00", 45.0),
        ("elsewhere", "2024-05-01T23:00", None),
        ("common", "2010-05-01T23:00", None),
    ],
)
def test_the_limit_is_that_of_the_area_the_hour_and_the_day(area, local, limit_dba):
    assert judge(NOISE, local=local, area=area).limit_dba == limit_dba


def test_the_regulation_of_2025_is_used_from_its_day_on_and_marked_as_not_verified():
    before = judge(NOISE, local="2025-11-13T12:00")
    after = judge(NOISE, local="2025-11-14T12:00")
    assert (before.rule, before.verified) == ("QCVN 26:2010/BTNMT", True)
    assert (after.rule, after.verified) == ("QCVN 26:2025/BNNMT", False)
    everything = Regulation(tuple(FILES.values()), RegulationConfig())
    assert "QCVN 26:2025/BNNMT" in everything.unverified(date(2026, 1, 1))
    assert "QCVN 26:2010/BTNMT" not in everything.unverified(date(2024, 1, 1))


def test_an_urgent_message_is_not_exempt_but_plays_with_its_justification():
    verdict = judge(NOISE, local="2026-01-01T02:00", kind=URGENT)
    assert verdict.action == "justify" and verdict.gain_db == 0.0 and verdict.justification
    lowered = judge(NOISE, local="2026-01-01T02:00", kind=URGENT, urgent_noise="lower")
    assert lowered.action == "lower" and lowered.gain_db < 0


def test_refusing_is_silence_and_what_fits_plays_as_it_is():
    refused = judge(NOISE, local="2026-01-01T12:00", noise="refuse")
    assert refused.action == "refuse" and refused.gain_db == float("-inf")
    hopeless = judge(NOISE, local="2026-01-01T02:00", area="special", distance_m=2.0)
    assert hopeless.action == "refuse"
    assert judge(NOISE, local="2026-01-01T12:00", gain_db=-10.0).action == "play"


def test_hours_and_minutes_are_those_of_the_local_decision():
    urban = Regulation((FILES["hours_ha_noi_urban"],), RegulationConfig())
    saturday, friday = datetime(2026, 11, 21, 7, 30), datetime(2026, 11, 20, 7, 30)
    assert urban.refused_hours(saturday, NORMAL) == "hours_ha_noi_urban"
    assert urban.refused_hours(friday, PRIORITY) is None
    assert urban.refused_hours(saturday, URGENT) is None
    assert urban.minutes_per_day(friday.date()) == 30
    assert urban.minutes_per_day(date(2020, 1, 1)) is None
    common = Regulation((FILES["hours_common"],), RegulationConfig())
    assert common.refused_hours(datetime(2026, 11, 22, 5, 29), NORMAL) == "hours_common"
    assert common.refused_hours(datetime(2026, 11, 22, 5, 30), NORMAL) is None


def test_a_tenth_above_the_limit_is_above_and_of_two_rules_the_stricter_holds():
    assert judge(NOISE, local="2024-05-01T12:00", gain_db=-6.5).action == "play"
    assert judge(NOISE, local="2024-05-01T12:00", gain_db=-6.4).gain_db == -6.5
    strict = load_rule_file(
        'name = "village"\ntitle = "x"\nin_force_from = "2020-01-01"\nsource = "x"\n'
        'verified = true\n[[noise]]\narea = "common"\nstart = "00:00"\nend = "00:00"\n'
        "limit_dba = 60.0\n",
        where="village.toml",
    )
    assert judge((*NOISE, strict), local="2024-05-01T12:00").rule == "village"
    assert judge((strict, *NOISE), local="2024-05-01T23:00").limit_dba == 55.0


@settings(deadline=None)
@given(
    st.datetimes(datetime(2012, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(list(MessageClass)),
    st.floats(-40, 0),
    st.floats(1, 3000),
    st.sampled_from(["special", "common"]),
    st.sampled_from(["refuse", "lower"]),
)
def test_nothing_sounds_above_the_limit_unless_it_is_justified(
    local, kind, gain_db, distance_m, area, policy
):
    house = DwellingConfig(distance_m=distance_m, bearing_deg=0.0, area=area)
    judged = Regulation(NOISE, RegulationConfig(noise=policy), ONE_HORN, house)
    verdict = judged.judge_noise(local, kind, gain_db)
    assert verdict.limit_dba is not None
    assert verdict.gain_db <= gain_db
    full_dba = expected_dba(ONE_HORN, house)
    # 0.05: levels are compared as they are printed, in tenths.
    if verdict.action != "justify":
        assert full_dba + verdict.gain_db <= verdict.limit_dba + 0.051
    else:
        assert kind is URGENT and verdict.justification


def test_a_rule_file_with_faults_is_refused_with_all_of_them():
    text = 'name = "x"\ntitle = "x"\nin_force_from = "soon"\nsource = "x"\nverified = "no"\n'
    with pytest.raises(ConfigError, match=r"x\.toml: verified = 'no'"):
        load_rule_file(text, where="x.toml")
    for wrong, name in (({"distance_m": 0.0}, "distance_m"), ({"bearing_deg": 360.0}, "bearing")):
        with pytest.raises(ConfigError, match=name):
            DwellingConfig(**{"distance_m": 10.0, "bearing_deg": 0.0} | wrong)


def test_the_noise_limit_knows_how_loud_a_levelled_programme_is():
    house = DwellingConfig(distance_m=100, bearing_deg=0)
    control = ControlConfig(root_public_key="0" * 64, area="vn/a")
    levels = {
        target: Regulation(
            (), with_loudness(control, target).regulation, ONE_HORN, house
        ).level_dba(0.0)
        for target in (None, -15.0, -25.0)
    }
    assert levels[-15.0] == pytest.approx(levels[None], abs=0.05), "12 dB below a full sine"
    assert levels[-25.0] == pytest.approx(levels[None] - 10, abs=0.05)


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin():
    text = (
        'name="own"\ntitle="t"\nin_force_from="2020-01-01"\nsource="s"\nverified=true\n'
        '[[hours]]\nstart="20:00"\nend="01:00"\non={weekdays=["fri"]}\n'
    )
    regulation = Regulation((load_rule_file(text, where="own.toml"),), RegulationConfig())
    open_at = {
        wall: regulation.refused_hours(datetime.fromisoformat(wall), NORMAL) is None
        for wall in (
            "2026-11-27T00:30",  # of Thursday's night
            "2026-11-27T19:59",
            "2026-11-27T20:00",
            "2026-11-28T00:59",  # of Friday's night
            "2026-11-28T01:00",
            "2026-11-28T20:30",
        )
    }
    assert list(open_at.values()) == [False, False, True, True, False, False]
