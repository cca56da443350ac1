"""Days of a year as bits, and which of them a rule names (RFC 5545, section 3.3.10).

Bit n of a set is the day n days after 1 January. A year costs some microseconds whatever the rule
says, so that no rule that somebody signs can hold a node up; nothing here walks from its start.

```
 year   Jan 1 ─────────────────────────────────► Dec 31
 bits   0 1 2 3 …                             364 or 365
 weeks  ──┤ 1 ├ 2 ├ …                     52 ├ 1 of the next year: four days or more decide
```
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, Literal

COUNT_YEARS: Final = 10
"""So far the days of a rule are counted."""

WEEK: Final = 7
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEARS_KEPT: Final = 64
_FILTERED_KEPT: Final = 8
"""A week across New Year asks for three years in turn."""

_PICKED_KEPT: Final = 1024
"""Weeks and months look alike."""

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One RRULE, all that it leaves open taken from its start; sets are sorted, without doubles."""

    start: date
    frequency: Frequency
    interval: int = 1
    until: date | None = None
    """Last day."""

    week_start: int = 0
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    """1 to 31, or -31 to -1 from the end of the month."""

    year_days: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    """(weekday from Monday = 0, which one of the month or year; 0: each)."""

    positions: tuple[int, ...] = ()
    """Which of the days of each month, week or year; from the end when negative."""


def days_of(rule: Rule, year: int) -> int:
    """Return the days of `year` that `rule` names."""
    if year < rule.start.year or (rule.until is not None and year > rule.until.year):
        return 0
    found = _chosen(rule, year) if rule.positions else _filtered(rule, year)
    found &= _in_step(rule, year)
    if year == rule.start.year:
        found &= -1 << _day_number(rule.start)
    if rule.until is not None and year == rule.until.year:
        found &= _ones(0, _day_number(rule.until) + 1)
    return found


def last_of(rule: Rule, count: int) -> date | None:
    """Return the `count`-th day of `rule`, or None when it is not reached within `COUNT_YEARS`."""
    for year in range(rule.start.year, rule.start.year + COUNT_YEARS + 1):
        found = days_of(rule, year)
        if count <= found.bit_count():
            for _ in range(found.bit_count() - count):
                found &= ~(1 << found.bit_length() - 1)
            return date(year, 1, 1) + timedelta(found.bit_length() - 1)
        count -= found.bit_count()
    return None


def bit_of(day: date) -> int:
    """Return the set of `day` alone."""
    return 1 << _day_number(day)


def _day_number(day: date) -> int:
    return day.timetuple().tm_yday - 1


def _ones(first: int, end: int) -> int:
    """Return bits `first` to below `end`, those below 0 left out."""
    first = max(first, 0)
    return ((1 << (end - first)) - 1) << first if end > first else 0


def _every(first: int, step: int, end: int) -> int:
    """Return every `step`-th bit from `first` on, below `end`."""
    bits = 0
    for one in range(first, end, step):
        bits |= 1 << one
    return bits


@dataclass(frozen=True, slots=True)
class _Year:
    """What all rules share of a year."""

    length: int
    begins: tuple[int, ...]
    """First day of each month, and of the next year."""

    weekdays: tuple[int, ...]
    """The Mondays, the Tuesdays, …"""

    month_days: dict[int, int]
    """The first of each month and so on, and -1 for the last ones."""

    first_weekday: int


@lru_cache(_YEARS_KEPT)
def _year(number: int) -> _Year:
    first = date(number, 1, 1).weekday()
    leap = date(number, 12, 31).timetuple().tm_yday == 366
    lengths = [days + (leap and i == 1) for i, days in enumerate(_MONTH_DAYS)]
    begins = tuple(accumulate(lengths, initial=0))
    days = tuple(_every((one - first) % WEEK, WEEK, begins[-1]) for one in range(WEEK))
    numbers = (*range(-31, 0), *range(1, 32))
    month_days = {one: _month_days(begins, one) for one in numbers}
    return _Year(begins[-1], begins, days, month_days, first)


@lru_cache(_FILTERED_KEPT)
def _filtered(rule: Rule, number: int) -> int:
    """Return the days that every BY part of `rule` allows."""
    year = _year(number)
    found = _ones(0, year.length)
    if rule.months:
        found &= _union(_ones(year.begins[m - 1], year.begins[m]) for m in rule.months)
    if rule.month_days:
        found &= _union(year.month_days[one] for one in rule.month_days)
    if rule.year_days:
        found &= _union(
            1 << (one - 1 if one > 0 else year.length + one)
            for one in rule.year_days
            if abs(one) <= year.length
        )
    if rule.week_numbers:
        found &= _weeks(rule, number)
    if rule.weekdays:
        found &= _union(_weekday(rule, year, *one) for one in rule.weekdays)
    return found


def _union(sets: Iterable[int]) -> int:
    bits = 0
    for one in sets:
        bits |= one
    return bits


def _month_days(begins: tuple[int, ...], which: int) -> int:
    bits = 0
    for begin, end in pairwise(begins):
        day = begin + which - 1 if which > 0 else end + which
        if begin <= day < end:
            bits |= 1 << day
    return bits


def _weekday(rule: Rule, year: _Year, weekday: int, which: int) -> int:
    """Return each such weekday, or the `which`-th of each month or of the year."""
    if not which:
        return year.weekdays[weekday]
    spans = [(0, year.length)]
    if rule.frequency == "MONTHLY":
        spans = list(pairwise(year.begins))
    elif rule.months:
        spans = [(year.begins[m - 1], year.begins[m]) for m in rule.months]
    bits = 0
    for begin, end in spans:
        if which > 0:
            day = begin + (weekday - year.first_weekday - begin) % WEEK + WEEK * (which - 1)
        else:
            last = end - 1
            day = last - (year.first_weekday + last - weekday) % WEEK + WEEK * (which + 1)
        if begin <= day < end:
            bits |= 1 << day
    return bits


def _week_one(number: int, week_start: int) -> int:
    """Return the day on which week 1 of a year begins: it has four days of the year or more."""
    begin = (week_start - _year(number).first_weekday) % WEEK
    return begin - WEEK if begin >= 4 else begin


def _weeks(rule: Rule, number: int) -> int:
    """Return the days of the numbered weeks; the first and last may be those of another year."""
    length, week_start = _year(number).length, rule.week_start
    first = _week_one(number, week_start)
    after = length + _week_one(number + 1, week_start)
    count = (after - first) // WEEK
    bits = 0
    for one in rule.week_numbers:
        week = one if one > 0 else count + 1 + one
        if 1 <= week <= count:
            begin = first + WEEK * (week - 1)
            bits |= _ones(begin, min(begin + WEEK, length))
    before = (first + _year(number - 1).length - _week_one(number - 1, week_start)) // WEEK
    if {-1, before} & set(rule.week_numbers):
        bits |= _ones(0, first)
    if 1 in rule.week_numbers:
        bits |= _ones(after, length)
    return bits


def _in_step(rule: Rule, number: int) -> int:
    """Return the days of the periods that `interval` leaves."""
    year, step, start = _year(number), rule.interval, rule.start
    if step == 1:
        return _ones(0, year.length)
    if rule.frequency == "YEARLY":
        return 0 if (number - start.year) % step else _ones(0, year.length)
    if rule.frequency == "MONTHLY":
        months = range(12)
        past = (number - start.year) * 12 - start.month + 1
        mine = (m for m in months if (past + m) % step == 0)
        return _union(_ones(year.begins[m], year.begins[m + 1]) for m in mine)
    elapsed = date(number, 1, 1).toordinal() - start.toordinal()
    if rule.frequency == "DAILY":
        return _every(-elapsed % step, step, year.length)
    elapsed += (start.weekday() - rule.week_start) % WEEK  # since its week began
    week = _ones(0, WEEK)
    bits = 0
    for begin in range(-(elapsed % (WEEK * step)), year.length, WEEK * step):
        bits |= week << begin if begin >= 0 else week >> -begin
    return bits & _ones(0, year.length)


def _chosen(rule: Rule, number: int) -> int:
    """Return of each day, week, month or the year the days at the positions of `rule`."""
    year = _year(number)
    days = _filtered(rule, number)
    if rule.frequency == "WEEKLY":
        # A week that crosses New Year is counted whole: seven days of both neighbours, in front
        # and behind.
        shift = WEEK
        before = _filtered(rule, number - 1) >> (_year(number - 1).length - shift)
        after = (_filtered(rule, number + 1) & _ones(0, WEEK)) << (shift + year.length)
        days = before | days << shift | after
        offset = (rule.week_start - year.first_weekday) % WEEK
        spans = [(b, b + WEEK) for b in range(offset, shift + year.length, WEEK)]
        return _union(_at(days, span, rule.positions) for span in spans) >> shift & _ones(
            0, year.length
        )
    if rule.frequency == "DAILY":
        return days if {1, -1} & set(rule.positions) else 0
    spans = [(0, year.length)]
    if rule.frequency == "MONTHLY":
        spans = list(pairwise(year.begins))
    return _union(_at(days, span, rule.positions) for span in spans)


def _at(days: int, span: tuple[int, int], positions: tuple[int, ...]) -> int:
    """Return the days at `positions` among those of `days` in `span`."""
    begin, end = span
    return _picked(days >> begin & _ones(0, end - begin), positions) << begin


@lru_cache(_PICKED_KEPT)
def _picked(bits: int, positions: tuple[int, ...]) -> int:
    numbers = [n for n in range(bits.bit_length()) if bits >> n & 1]
    places = (one - 1 if one > 0 else len(numbers) + one for one in positions)
    return _union(1 << numbers[at] for at in places if 0 <= at < len(numbers))
