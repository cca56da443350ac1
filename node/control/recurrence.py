"""On which days something holds: weekdays, lists of dates, RFC 5545 recurrence, and exceptions.

Tết follows the moon and is given as a list of dates; what repeats by the calendar as a rule of
RFC 5545, read by dateutil. Only the days of such a rule count; hours come from the table around it.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from dateutil.rrule import rrulestr

from node.config import ConfigError, check
from node.control.civil_time import WEEKDAYS, parse_date

_DAYS_KEPT: Final = 512
"""Answers remembered. A schedule asks for today and its neighbours."""

_FREQUENCY: Final = re.compile(r"FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;|$)", re.MULTILINE)
_FINER: Final = re.compile(r"BY(HOUR|MINUTE|SECOND)=")


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
                "recurrence": (
                    self.recurrence is None or _parsed(self.recurrence) is not None,
                    self.recurrence,
                    "DTSTART:yyyymmdd and RRULE:FREQ=DAILY, WEEKLY, MONTHLY or YEARLY (RFC 5545)",
                ),
            },
        )

    @property
    def exceptional(self) -> bool:
        """Whether it names days of its own rather than days of the week."""
        return bool(self.dates) or self.recurrence is not None


class Days:
    """Answer whether a date belongs to a `DaysConfig`."""

    def __init__(self, config: DaysConfig) -> None:
        self._config = config
        self._dates = frozenset(config.dates)
        self._except = frozenset(config.except_dates)
        self._rule = None if config.recurrence is None else _parsed(config.recurrence)
        self._known: dict[date, bool] = {}

    def __contains__(self, day: date) -> bool:
        known = self._known.get(day)
        if known is None:
            if len(self._known) >= _DAYS_KEPT:
                self._known.clear()
            known = self._known[day] = self._holds(day)
        return known

    def _holds(self, day: date) -> bool:
        text = day.isoformat()
        if text in self._except:
            return False
        if text in self._dates:
            return True
        if self._rule is not None:
            midnight = datetime(day.year, day.month, day.day)
            last = midnight + timedelta(days=1, microseconds=-1)
            if self._rule.between(midnight, last, inc=True):
                return True
        if self._config.weekdays:
            return WEEKDAYS[day.weekday()] in self._config.weekdays
        return not self._config.exceptional


def _parsed(text: str) -> Any:
    """Return dateutil's rule set, or None when the text is not one that we take."""
    if not text.startswith("DTSTART") or not _FREQUENCY.search(text) or _FINER.search(text):
        return None
    try:
        rule = rrulestr(text, forceset=True, cache=True, ignoretz=True)
        rule.after(datetime(2020, 1, 1))
    except (ValueError, TypeError, KeyError, OverflowError, ConfigError):
        return None
    return rule
