"""Read a recurrence of RFC 5545 as calendars export it: DTSTART, RRULE, RDATE, EXDATE, EXRULE.

Only its days count. A time in UTC is the day that the commune's wall clock shows then; a time
without zone, or with a TZID, is the day that stands there.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, cast
from zoneinfo import ZoneInfo

from node.config import ConfigError
from node.control.year_days import COUNT_YEARS, Frequency, Rule, last_of

TEXT_MAX: Final = 4000
"""Characters of a recurrence: a year of single days."""

RULES_MAX: Final = 2
"""RRULE and EXRULE lines of one recurrence."""

INTERVAL_MAX: Final = 1000
COUNT_MAX: Final = 4000
_TEXTS_KEPT: Final = 128
"""Each is read when it is checked and when it is used."""

YEARS: Final = range(1970, 2200)
"""Years that a day of it may lie in."""

_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_DAY_NAMES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LINE: Final = re.compile(r"([A-Z]+)((?:;[^:;]+)*):(.*)", re.ASCII | re.DOTALL)
_STAMP: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)
_BY_DAY: Final = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d{1,6}", re.ASCII)

_NUMBERS: Final = {
    "BYMONTH": ("months", 1, 12, False),
    "BYMONTHDAY": ("month_days", 1, 31, True),
    "BYYEARDAY": ("year_days", 1, 366, True),
    "BYWEEKNO": ("week_numbers", 1, 53, True),
    "BYSETPOS": ("positions", 1, 366, True),
}
"""Part of a rule to its field, least and most, and whether it may be counted from the end."""

_KNOWN: Final = set(_NUMBERS)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a text says, its days by the wall clock of one zone."""

    rules: tuple[Rule, ...]
    except_rules: tuple[Rule, ...] = ()
    dates: frozenset[date] = frozenset()
    except_dates: frozenset[date] = frozenset()


@lru_cache(_TEXTS_KEPT)
def read_recurrence(text: str, zone: ZoneInfo | None) -> Recurrence:
    """Return what `text` says in `zone`; without one, times in UTC are refused.

    Raises
    ------
    ConfigError
        Saying which part is wrong, and what would be right.
    """
    if len(text) > TEXT_MAX:
        raise ConfigError(f"{len(text)} characters: at most {TEXT_MAX}")
    start: date | None = None
    rules: dict[str, list[str]] = {"RRULE": [], "EXRULE": []}
    dates: dict[str, set[date]] = {"RDATE": set(), "EXDATE": set()}
    for line in _unfolded(text):
        name, value = _named(line)
        if name == "DTSTART" and start is None:
            start = _day(value, zone)
        elif name in rules:
            rules[name].append(value)
        elif name in dates:
            dates[name].update(_day(one, zone) for one in value.split(",") if one)
        else:
            raise ConfigError(f"{name}: known are one DTSTART, RRULE, RDATE, EXDATE and EXRULE")
    if start is None:
        raise ConfigError("no DTSTART: begin with a line DTSTART:20260101")
    if not rules["RRULE"]:
        raise ConfigError("no RRULE: add a line RRULE:FREQ=WEEKLY, or use `dates`")
    if sum(map(len, rules.values())) > RULES_MAX:
        raise ConfigError(f"more than {RULES_MAX} lines RRULE and EXRULE")
    return Recurrence(
        tuple(_rule(one, start, zone) for one in rules["RRULE"]),
        tuple(_rule(one, start, zone) for one in rules["EXRULE"]),
        frozenset(dates["RDATE"]),
        frozenset(dates["EXDATE"]),
    )


def _unfolded(text: str) -> list[str]:
    """Return the lines; one that begins with a blank goes on the line before (RFC 5545, 3.1)."""
    # In a literal string of TOML a line break that was meant stands as its two letters.
    return re.sub(r"\r?\n[ \t]", "", text.replace("\\n", "\n")).split()


def _named(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line.upper())
    if match is None:
        raise ConfigError(f"{line[:40]!r}: a line is NAME:VALUE, like RRULE:FREQ=WEEKLY")
    return match[1], match[3].strip()


def _day(text: str, zone: ZoneInfo | None) -> date:
    """Return the day of `20260101`, `20260101T053000` or `20251231T223000Z`."""
    match = _STAMP.fullmatch(text.strip())
    wrong = f"{text[:40]!r}: a day is 20260101, 20260101T053000 or 20251231T223000Z"
    if match is None:
        raise ConfigError(wrong)
    year, month, day, hour, minute, second = (int(match[i] or 0) for i in range(1, 7))
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59))
    except ValueError as fault:
        raise ConfigError(wrong) from fault
    if year not in YEARS:
        raise ConfigError(f"{text[:40]!r}: years from {YEARS[0]} to {YEARS[-1]}")
    if not match[7]:
        return at.date()
    if zone is None:
        raise ConfigError(f"{text[:40]!r}: no zone is known here; write the local time without Z")
    return at.replace(tzinfo=UTC).astimezone(zone).date()


def _rule(text: str, start: date, zone: ZoneInfo | None) -> Rule:
    """Return the rule `FREQ=…;…`, with what it leaves open taken from `start`."""
    parts = _parts(text)
    frequency = parts.pop("FREQ", "nothing")
    if frequency not in _FREQUENCIES:
        raise ConfigError(f"FREQ={frequency[:20]}: must be one of {', '.join(_FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ConfigError("COUNT and UNTIL: one of them")
    count = parts.pop("COUNT", None)
    until = parts.pop("UNTIL", None)
    week_start = parts.pop("WKST", "MO")
    if week_start not in _DAY_NAMES:
        raise ConfigError(f"WKST={week_start[:20]}: must be one of {', '.join(_DAY_NAMES)}")
    interval = parts.pop("INTERVAL", "1")
    weekdays = _weekdays(parts.pop("BYDAY", ""), frequency)
    numbers = {_NUMBERS[name][0]: _numbers(name, parts.pop(name)) for name in set(parts) & _KNOWN}
    if parts:
        raise ConfigError(f"{min(parts)[:20]}: unknown in a rule of whole days")
    months, month_days = numbers.pop("months", ()), numbers.pop("month_days", ())
    if not (month_days or weekdays or {"year_days", "week_numbers"} & set(numbers)):
        if frequency == "YEARLY":
            months = months or (start.month,)
        if frequency in ("YEARLY", "MONTHLY"):
            month_days = (start.day,)
        elif frequency == "WEEKLY":
            weekdays = ((start.weekday(), 0),)
    rule = Rule(
        start=start,
        frequency=cast(Frequency, frequency),
        interval=_whole("INTERVAL", interval, INTERVAL_MAX),
        until=None if until is None else _day(until, zone),
        week_start=_DAY_NAMES.index(week_start),
        months=months,
        month_days=month_days,
        weekdays=weekdays,
        **numbers,
    )
    if count is None:
        return rule
    last = last_of(rule, _whole("COUNT", count, COUNT_MAX))
    if last is None:
        raise ConfigError(
            f"COUNT={count}: not reached within {COUNT_YEARS} years of DTSTART; end it with UNTIL"
        )
    return replace(rule, until=last)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for one in filter(None, text.split(";")):
        name, equals, value = one.partition("=")
        if not equals or not value or name in parts:
            raise ConfigError(f"{one[:40]!r}: each part of a rule is NAME=VALUE, once")
        parts[name] = value
    return parts


def _whole(name: str, text: str, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise ConfigError(f"{name}={text[:20]}: must be 1 to {most}")
    return int(text)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    _, least, most, both = _NUMBERS[name]
    texts = text.split(",")
    values = {int(one) for one in texts if _NUMBER.fullmatch(one)}
    good = all(_NUMBER.fullmatch(one) for one in texts) and all(
        least <= (abs(one) if both else one) <= most for one in values
    )
    if not good:
        end = f", or -{most} to -{least} from the end" if both else ""
        raise ConfigError(f"{name}={text[:40]}: must be numbers from {least} to {most}{end}")
    return tuple(sorted(values))


def _weekdays(text: str, frequency: str) -> tuple[tuple[int, int], ...]:
    found = set()
    for one in text.split(",") if text else ():
        match = _BY_DAY.fullmatch(one)
        most = {"MONTHLY": 5, "YEARLY": 53}.get(frequency, 0)
        which = int(match[1] or 0) if match else 0
        if match is None or abs(which) > most or (match[1] and not which):
            right = f"a number of 1 to {most} may stand before it" if most else "without numbers"
            raise ConfigError(f"BYDAY={one[:20]}: {', '.join(_DAY_NAMES)}, {right}")
        found.add((_DAY_NAMES.index(match[2]), which))
    return tuple(sorted(found))
