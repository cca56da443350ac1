"""How loud, on which day, and that nobody is woken against the plan."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import ConfigError, build, require
from node.control.loudness.schedule import (
    GAIN_DB,
    Place,
    QuietHours,
    VolumeConfig,
    VolumeRule,
    VolumeSchedule,
)
from node.control.precedence import MessageClass
from node.control.recurrence import Days, DaysConfig

NORMAL, PRIORITY, URGENT = MessageClass
PLACE = Place(commune="Hữu Liên", hamlet="Làng Cóc", cluster="coc-1")


def utc_s(text: str) -> int:
    """Seconds UTC of a wall clock time in Viet Nam."""
    return int(datetime.fromisoformat(text + "+07:00").astimezone(UTC).timestamp())


def test_the_gain_table_rises_all_the_way_from_silence_to_full_scale():
    assert len(GAIN_DB) == 101
    assert GAIN_DB[0] == float("-inf") and GAIN_DB[50] == -10.0 and GAIN_DB[100] == 0.0
    assert all(low < high for low, high in pairwise(GAIN_DB))


def test_the_nearest_place_wins_then_the_exception_then_what_was_written_last():
    tet = DaysConfig(dates=("2026-02-17",))
    config = VolumeConfig(
        rules=(
            VolumeRule(name="a", volume=10),
            VolumeRule(name="b", volume=20),
            VolumeRule(name="tet", volume=30, on=tet),
            VolumeRule(name="b2", volume=40),
            VolumeRule(name="hamlet", volume=50, hamlet="Làng Cóc", start="05:00", end="06:00"),
            VolumeRule(name="cluster", volume=60, cluster="coc-1", start="05:00", end="05:30"),
            VolumeRule(name="elsewhere", volume=99, cluster="coc-2"),
        )
    )
    schedule = VolumeSchedule(config, PLACE)

    def at(text: str) -> int:
        return schedule.decide(utc_s(text), NORMAL).volume

    assert at("2026-02-18T04:59") == 40
    assert at("2026-02-17T04:59") == 30
    assert at("2026-02-17T05:00") == 60
    assert at("2026-02-17T05:30") == 50
    assert at("2026-02-17T06:00") == 30


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_starts():
    saturday = DaysConfig(weekdays=("sat",))
    config = VolumeConfig(
        rules=(VolumeRule(name="festival", volume=90, start="22:00", end="02:00", on=saturday),)
    )
    schedule = VolumeSchedule(config, PLACE)
    heard = {
        text: schedule.decide(utc_s(text), NORMAL).volume
        for text in ("2026-11-21T01:00", "2026-11-21T23:00", "2026-11-22T01:59", "2026-11-22T02:00")
    }
    assert list(heard.values()) == [70, 90, 90, 70]


def test_recurrence_of_rfc_5545_with_its_exceptions():
    days = Days(
        DaysConfig(
            recurrence="DTSTART:20260105\nRRULE:FREQ=MONTHLY;BYMONTHDAY=5\nEXDATE:20260305",
            except_dates=("2026-04-05",),
            dates=("2026-04-07",),
        )
    )
    found = [
        day
        for day in (date.fromordinal(date(2026, 1, 1).toordinal() + i) for i in range(130))
        if day in days
    ]
    assert [d.isoformat() for d in found] == [
        "2026-01-05",
        "2026-02-05",
        "2026-04-07",
        "2026-05-05",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"recurrence": "RRULE:FREQ=DAILY"},
        {"recurrence": "DTSTART:20260101\nRRULE:FREQ=SECONDLY"},
        {"recurrence": "DTSTART:20260101\nRRULE:FREQ=DAILY;BYHOUR=5"},
        {"recurrence": "DTSTART:20260101\nRRULE:FREQ=DAILY;NONSENSE=5"},
        {"dates": ("17/2/2026",)},
        {"except_dates": ("2026-02-30",)},
        {"weekdays": ("sunday",)},
    ],
)
def test_days_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match="on\\."):
        DaysConfig(**wrong)


def test_a_plan_is_read_from_a_table_and_every_fault_in_it_is_named_at_once():
    errors: list[str] = []
    table = {
        "volume": 120,
        "class_offset": {"loud": 5},
        "quiet_hours": [{"name": "night", "volume_max": 20, "start": "9pm", "end": "05:30"}],
        "rules": [{"name": "x", "volume": -1}],
    }
    assert build(VolumeConfig, table, where="commune.toml", errors=errors, what="volume") is None
    with pytest.raises(ConfigError) as caught:
        require(errors)
    assert "9pm" in str(caught.value) and "volume = -1" in str(caught.value)
    for name in ("volume", "emergency_floor", "untrusted_volume"):
        with pytest.raises(ConfigError, match=f"volume.{name} = 101"):
            VolumeConfig(**{name: 101})
    with pytest.raises(ConfigError, match="zone"):
        VolumeConfig(zone="Asia/Hanoi2")


HOURS = st.sampled_from(["00:00", "05:00", "05:30", "06:00", "17:00", "21:00", "23:59"])
DAYS = st.builds(
    DaysConfig,
    weekdays=st.sampled_from([(), ("sun",), ("mon", "tue", "wed", "thu", "fri")]),
    dates=st.sampled_from([(), ("2026-02-17", "2026-02-18")]),
)
RULES = st.builds(
    VolumeRule,
    name=st.just("r"),
    volume=st.integers(0, 100),
    start=HOURS,
    end=HOURS,
    on=DAYS,
    cluster=st.sampled_from([None, "coc-1", "other"]),
)
QUIET = st.builds(
    QuietHours,
    name=st.just("q"),
    volume_max=st.integers(0, 100),
    start=HOURS,
    end=HOURS,
    on=DAYS,
    classes=st.sampled_from([("normal",), ("normal", "priority")]),
)
PLANS = st.builds(
    VolumeConfig,
    volume=st.integers(0, 100),
    rules=st.lists(RULES, max_size=5).map(tuple),
    quiet_hours=st.lists(QUIET, max_size=3).map(tuple),
    class_offset=st.dictionaries(
        st.sampled_from(["normal", "priority", "urgent"]), st.integers(-100, 100)
    ),
    emergency_floor=st.integers(0, 100),
    untrusted_volume=st.integers(0, 100),
)
MOMENTS = st.datetimes(datetime(2026, 2, 10), datetime(2026, 2, 25)).map(
    lambda t: utc_s(t.replace(microsecond=0).isoformat())
)


@settings(deadline=None, max_examples=300)
@given(PLANS, MOMENTS, st.sampled_from(list(MessageClass)))
def test_no_plan_exceeds_its_quiet_hours_or_undercuts_its_emergency_floor(plan, moment_s, kind):
    decision = VolumeSchedule(plan, PLACE).decide(moment_s, kind)
    assert 0 <= decision.volume <= 100 and decision.gain_db == GAIN_DB[decision.volume]
    if kind is URGENT:
        assert decision.volume >= plan.emergency_floor
    else:
        for quiet in plan.quiet_hours:
            alone = VolumeConfig(
                volume=100,
                quiet_hours=(quiet,),
            )
            assert decision.volume <= VolumeSchedule(alone, PLACE).decide(moment_s, kind).volume
    assert decision.steps[-1].volume == decision.volume


@settings(deadline=None)
@given(PLANS, MOMENTS)
def test_with_an_untrusted_clock_only_urgent_ones_sound_and_never_below_their_floor(plan, moment_s):
    schedule = VolumeSchedule(plan, PLACE)
    volumes = [schedule.decide(moment_s, kind, trusted=False).volume for kind in MessageClass]
    assert volumes == [0, 0, max(plan.untrusted_volume, plan.emergency_floor)]
