"""On which days something holds: weekdays, lists of dates, RFC 5545 recurrence, and exceptions.

Tết follows the moon and is given as a list of dates; what repeats by the calendar as a rule of
RFC 5545 (`node.control.recurrence_text`). Only the days of such a rule count; hours come from the
table around it. To ask costs some microseconds, whatever was signed.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Final
from zoneinfo import ZoneInfo

from node.config import ConfigError, check
from node.control.civil_time import WEEKDAYS, covers, load_zone, parse_date, parse_time
from node.control.recurrence_text import YEARS, Recurrence, read_recurrence
from node.control.year_days import bit_of, days_of

DATES_MAX: Final = 1000
"""Single days of an entry, and as many exceptions."""

_ZONE: Final = load_zone("Asia/Ho_Chi_Minh")

_YEARS_KEPT: Final = 8
"""Years of a rule remembered. A schedule asks for this one and the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysConfig:
    """Days on which an entry holds (table `on`); with nothing said, every day."""

    weekdays: tuple[str, ...] = ()
    """Some of mon, tue, wed, thu, fri, sat, sun."""

    dates: tuple[str, ...] = ()
    """Single days, `yyyy-mm-dd`."""

    recurrence: str | None = None
    """`DTSTART:20260101` and `RRULE:FREQ=YEARLY;…`, one a line; also EXDATE and RDATE."""

    except_dates: tuple[str, ...] = ()
    """Days on which it does not hold whatever else is said."""

    def __post_init__(self) -> None:
        all_dates = (*self.dates, *self.except_dates)
        wrong = "" if self.recurrence is None else _wrong(self.recurrence)
        longest = max(len(self.dates), len(self.except_dates))
        check(
            "on",
            {
                "weekdays": (
                    set(self.weekdays) <= set(WEEKDAYS),
                    self.weekdays,
                    f"some of {', '.join(WEEKDAYS)}",
                ),
                "dates": (
                    all(parse_date(one) for one in all_dates),
                    all_dates,
                    "dates like 2026-02-17",
                ),
                "dates and except_dates": (longest <= DATES_MAX, longest, f"at most {DATES_MAX}"),
                "recurrence": (
                    not wrong,
                    (self.recurrence or "")[:60],
                    f"DTSTART:yyyymmdd and RRULE:FREQ=DAILY, WEEKLY, MONTHLY or YEARLY "
                    f"(RFC 5545); {wrong}",
                ),
            },
        )

    @property
    def exceptional(self) -> bool:
        """Whether it names days of its own rather than days of the week."""
        return bool(self.dates) or self.recurrence is not None


class Days:
    """Answer whether a date belongs to a `DaysConfig`, by the wall clock of `zone`."""

    def __init__(self, config: DaysConfig, zone: ZoneInfo = _ZONE) -> None:
        self._config = config
        self._dates = frozenset(config.dates)
        self._except = frozenset(config.except_dates)
        self._years: dict[int, int] = {}
        self._recurrence: Recurrence | None = None
        if config.recurrence is not None:
            self._recurrence = read_recurrence(config.recurrence, zone)

    def __contains__(self, day: date) -> bool:
        text = day.isoformat()
        if text in self._except:
            return False
        if text in self._dates:
            return True
        if self._recurrence is not None and self._recurs(day, self._recurrence):
            return True
        if self._config.weekdays:
            return WEEKDAYS[day.weekday()] in self._config.weekdays
        return not self._config.exceptional

    def _recurs(self, day: date, recurrence: Recurrence) -> bool:
        if day in recurrence.except_dates or day.year not in YEARS:
            return False
        if day.year not in self._years:
            if len(self._years) >= _YEARS_KEPT:
                self._years.clear()
            named, left_out = (
                reduce(or_, (days_of(rule, day.year) for rule in rules), 0)
                for rules in (recurrence.rules, recurrence.except_rules)
            )
            for one in recurrence.dates:
                named |= bit_of(one) if one.year == day.year else 0
            self._years[day.year] = named & ~left_out
        return bool(self._years[day.year] & bit_of(day))


class Span:
    """Minutes of the wall clock on certain days; those past midnight belong to the day before."""

    def __init__(self, start: str, end: str, on: DaysConfig, zone: ZoneInfo = _ZONE) -> None:
        first, last = parse_time(start), parse_time(end)
        assert first is not None and last is not None, "checked when the rule was made"
        self._start, self._end, self._days = first, last, Days(on, zone)

    def covers(self, local: datetime) -> bool:
        """Return whether the wall clock `local` lies in it."""
        at = local.time()
        if not covers(at, self._start, self._end):
            return False
        after_midnight = self._end < self._start and at < self._end
        return (local.date() - timedelta(days=int(after_midnight))) in self._days


def _wrong(text: str) -> str:
    """Return what is wrong with a recurrence, or nothing; its zone is not known yet."""
    try:
        read_recurrence(text, _ZONE)
    except ConfigError as fault:
        return str(fault)
    return ""
