"""Civil time where clocks change, and clocks that are wrong."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.control.civil_time import (
    CivilClock,
    covers,
    instant_s,
    load_zone,
    local_time,
    parse_date,
    parse_time,
)
from node.units import NS_PER_S

ZONES = ["Asia/Ho_Chi_Minh", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"]


@settings(deadline=None)
@given(
    st.sampled_from(ZONES),
    st.dates(date(1990, 1, 1), date(2036, 1, 1)),
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
@example("Europe/Berlin", date(2026, 3, 29), time(2, 30))
@example("Europe/Berlin", date(2026, 10, 25), time(2, 30))
@example("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15))
@example("America/Santiago", date(2026, 9, 6), time(0, 0))
def test_a_time_of_day_is_the_first_instant_at_which_the_wall_clock_has_reached_it(zone, day, at):
    tz = load_zone(zone)
    wanted = datetime.combine(day, at)
    found_s = instant_s(day, at, tz)
    shown = local_time(found_s, tz).replace(tzinfo=None)
    assert shown >= wanted
    # A second earlier the clock was still before it: nothing comes late, and once only.
    assert local_time(found_s - 1, tz).replace(tzinfo=None) < wanted
    assert local_time(found_s - 7200, tz).replace(tzinfo=None) < wanted
    assert shown == wanted or shown - wanted <= timedelta(hours=1)


def test_in_the_gap_it_is_the_first_instant_after_it():
    berlin = load_zone("Europe/Berlin")
    after = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()
    assert instant_s(date(2026, 3, 29), time(2, 30), berlin) == after


def test_a_span_over_midnight_covers_both_sides():
    assert covers(time(23), time(21), time(6)) and covers(time(5, 59), time(21), time(6))
    assert not covers(time(6), time(21), time(6)) and covers(time(4), time(0), time(0))


@pytest.mark.parametrize("name", ["Mars/Base", "../../etc/passwd", "", "Asia", "/etc/localtime"])
def test_a_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(ConfigError, match="zone = "):
        load_zone(name)


@given(st.text(max_size=12))
def test_any_text_is_a_time_and_a_date_or_not_but_never_an_error(text):
    assert parse_time(text) is None or len(text) == 5
    assert parse_date(text) is None or len(text) == 10


BUILD_NS = 1_790_000_000 * NS_PER_S


def test_a_boot_in_1970_is_not_trusted_even_if_it_says_it_is_synchronised():
    clock = CivilClock(BUILD_NS)
    assert not clock.trusted
    clock.receive_time(17 * NS_PER_S, 5, synchronised=True)
    assert not clock.trusted
    clock.receive_time(BUILD_NS + 1, 10, synchronised=False)
    assert not clock.trusted
    clock.receive_time(BUILD_NS + 1, 15, synchronised=True)
    assert clock.trusted
    clock.receive_floor(BUILD_NS + NS_PER_S)
    assert not clock.trusted


def test_a_step_is_reported_once_with_its_size_and_slewing_is_not():
    clock = CivilClock(0)
    assert clock.receive_time(BUILD_NS, 0, synchronised=True) == 0
    slewed_ns = BUILD_NS + 60 * NS_PER_S + 30_000_000
    assert clock.receive_time(slewed_ns, 60 * NS_PER_S, synchronised=True) == 0
    back_ns = slewed_ns - 3600 * NS_PER_S
    assert clock.receive_time(back_ns, 60 * NS_PER_S, synchronised=True) == -3600 * NS_PER_S
    assert clock.receive_time(back_ns, 60 * NS_PER_S, synchronised=True) == 0
    assert clock.utc_ns(61 * NS_PER_S) == back_ns + NS_PER_S
