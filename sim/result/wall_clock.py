"""Seconds into a day as its clocks show them: also where those are changed, and past midnight.

```
into the day   0 s ───── 3600 ───── 7200 ───── 10800 ──►   Berlin, 25 October 2026: 25 hours
wall          00:00      01:00      02:00│      02:00      the second one is told by its offset
```
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from node.control.civil_time import instant_s, load_zone, local_time

_MARK: Final = "_s"
_MOMENTS: Final = ("due", "started", "sent", "arrived", "at", "back", "from", "until")
"""Fields that are moments, with `_s` after them: others count from something else."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clocks of one day in one zone."""

    date: str
    """`yyyy-mm-dd`"""

    zone: str

    def at(self, at_s: float) -> datetime:
        """Return what they show `at_s` seconds after the midnight at which the day begins."""
        zone = load_zone(self.zone)
        whole_s = instant_s(date.fromisoformat(self.date), time(), zone) + round(at_s)
        return local_time(whole_s, zone)

    def said(self, at_s: float) -> str:
        """Return hh:mm, with seconds where there are any.

        Before it stands how many days later (or earlier) it is, and after it the offset from UTC
        where those clocks show the same twice.
        """
        shown = self.at(at_s)
        days = (shown.date() - date.fromisoformat(self.date)).days
        text = f"{days:+d} d " if days else ""
        text += f"{shown:%H:%M:%S}" if shown.second else f"{shown:%H:%M}"
        if shown.utcoffset() != shown.replace(fold=1 - shown.fold).utcoffset():
            text += f" (UTC{shown.isoformat()[-6:]})"
        return text

    def hours(self) -> list[tuple[str, float]]:
        """Return when each hour of the day begins, and its end: what is written there, and s.

        An hour that those clocks leave out is not there, one that comes twice counts once.
        """
        zone, first = load_zone(self.zone), date.fromisoformat(self.date)
        begin_s = instant_s(first, time(), zone)
        ends_s = instant_s(first + timedelta(days=1), time(), zone)
        begins = {instant_s(first, time(hour), zone): f"{hour}" for hour in range(24)}
        return [(text, float(at_s - begin_s)) for at_s, text in {**begins, ends_s: "24"}.items()]

    def row(self, one: Any) -> dict[str, Any]:
        """Return a row of a result with each moment of it also by the clock (ISO 8601): `due_s` is
        `due_at` too.
        """
        row = asdict(one)
        return row | {
            name: None if row[field] is None else self.at(row[field]).isoformat()
            for name, field in moments(list(row)).items()
        }


def moments(names: list[str]) -> dict[str, str]:
    """Return of the fields of a row those that are moments, by the name they have by the clock."""
    return {
        f"{name.removesuffix(_MARK)}_at" if name != "at_s" else "clock_at": name
        for name in names
        if name.endswith(_MARK) and name.removesuffix(_MARK) in _MOMENTS
    }
