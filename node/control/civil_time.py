"""Civil time of a commune: UTC to wall clock and back across gaps and folds, and whom to trust.

```
utc_s    ──┬────────┬────────┬────────┬──►      one axis, never jumps by law
wall     01:00    02:00│03:00      the gap: 02:30 does not exist; it is taken as 03:00
wall     01:00    01:59│01:00      the fold: 01:30 comes twice; it is taken as the first one
```
Monotonic time does not appear here. Viet Nam has had no change of its clocks since 1975; the rules
matter elsewhere and in the tests.
"""

import importlib.resources
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from node.config import ConfigError
from node.units import NS_PER_S

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MINUTE_S: Final = 60
DAY_S: Final = 86_400

FAR_S: Final = 100 * 366 * DAY_S
"""What ends in so long ends for nobody: no gateway is that old, and no deadline is beyond all
calendars."""

STEP_S: Final = 1
"""A civil clock that moved by more than this against the monotonic one has been stepped."""

GRACE_NS: Final = 10 * MINUTE_S * NS_PER_S
"""For so long what was taken goes by the clock as it was before it was set ahead: one that was
wrong for a moment is right again by then; one that was put right ends so late what is over."""

HOLDOVER_NS: Final = DAY_S * NS_PER_S
"""A clock that loses its synchronisation is believed for so long: at the 100 ppm of a poor crystal
it is then 9 s off."""

_BUILD: Final = -2
"""Level of what is known without anybody's word: above the root, at -1."""

_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZONE_NAME: Final = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+){0,2}")
_ZONES_MAX: Final = 64
"""Zones remembered: an order that names one again reads no file."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=_ZONES_MAX)
def load_zone(name: str) -> ZoneInfo:
    """Return the time zone `name` from the tzdata package.

    The one place in the core that reads a file, once, while it is configured: zones are code that
    was installed with us, and the tables of the operating system would differ between machines.

    Raises
    ------
    ConfigError
        If there is no such zone.
    """
    if _ZONE_NAME.fullmatch(name):
        entry = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
        if entry.is_file():
            with entry.open("rb") as source:
                return ZoneInfo.from_file(source, key=name)
    raise ConfigError(f"zone = {name!r}: must be a name of the tz database like Asia/Ho_Chi_Minh")


def parse_time(text: str) -> time | None:
    """Return the wall clock time of `hh:mm`, or None."""
    match = _TIME.fullmatch(text)
    return time(int(match[1]), int(match[2])) if match else None


def parse_date(text: str) -> date | None:
    """Return the date of `yyyy-mm-dd`, or None."""
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def local_time(utc_s: int, zone: ZoneInfo) -> datetime:
    """Return the wall clock at `utc_s` seconds after 1970-01-01 UTC."""
    return (_EPOCH + timedelta(seconds=utc_s)).astimezone(zone)


def instant_s(day: date, at: time, zone: ZoneInfo) -> int:
    """Return when the wall clock first shows `at` on `day`, in seconds UTC.

    A time inside a gap is the first instant after it; one that comes twice is the first.
    """
    wall = datetime.combine(day, at, tzinfo=zone)
    before = _utc_s(wall.replace(fold=0))
    if local_time(before, zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return before
    # In a gap fold=0 counts by the offset before it, fold=1 by the one after: the transition lies
    # between the two readings.
    low, high = sorted((before, _utc_s(wall.replace(fold=1))))
    offset = local_time(low - 1, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if local_time(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def covers(at: time, start: time, end: time) -> bool:
    """Return whether `at` is in [start, end); over midnight when end < start, all day if equal."""
    if start < end:
        return start <= at < end
    return start == end or at >= start or at < end


def _utc_s(wall: datetime) -> int:
    return int((wall - _EPOCH).total_seconds())


@dataclass(frozen=True, slots=True)
class Least:
    """The least that civil time can be, as far as each tier is concerned."""

    floors: tuple[tuple[int, int], ...] = ()
    """(level of who says so, seconds)."""
    by: int = _BUILD
    """Level of who gave the time, where it is known by a signature alone."""
    is_own: bool = False
    """Whether the machine's own clock says so: it may have been set."""

    def at(self, level: int) -> int:
        """Return it for something of tier `level`: what is said below it does not count."""
        return max((seconds for by, seconds in self.floors if by <= level), default=0)

    def own_s(self, utc_s: int) -> int:
        """Return civil time by our own clock, in seconds; `utc_s` where nothing is said of it."""
        return self.floors[0][1] if self.is_own else utc_s

    def doubts(self, level: int) -> bool:
        """Return whether the time that is known was given by one below `level`: what is of that
        tier ends by its own floor, as while no time is known.
        """
        return level < self.by

    @classmethod
    def known(cls, utc_s: int | None) -> "Least":
        """Return a time that everybody knows, or that nobody does (None)."""
        return cls() if utc_s is None else cls(((_BUILD, utc_s),))


NO_TIME: Final = Least()


class CivilClock:
    """What the node believes of civil time: a reading, a floor under it, and whether to trust it.

    The shell reports the machine's clock and whether it is synchronised (`receive_time`). A Pi
    has no clock of its own: it boots in 1970 or where it was switched off. What lies below the
    floor is not trusted, and a clock not trusted plays only urgent messages.

    The floor is what signed messages prove: the build, a beacon, an order whose date agrees with
    our own clock. Our clock alone does not lift it, or one wrong day would outlast its correction.
    Each tier has a floor of its own, and nobody is judged by what one below said: a wrong beacon
    of a commune ends nothing of the province. What was right once runs on: without
    synchronisation the last line holds for `HOLDOVER_NS`. So does what a signed answer says of
    the time to a question of ours; nothing of a tier above who signed it ends by that.
    """

    def __init__(self, floor_utc_ns: int) -> None:
        self._floors_ns: dict[int, tuple[int, int | None]] = {_BUILD: (floor_utc_ns, None)}
        """By tier: the floor, and when it was learnt, monotonic."""
        self._read_utc_ns = 0
        self._read_now_ns = 0
        self._synchronised = False
        self._good_ns: int | None = None
        """When the last reading was synchronised and not below the floor, monotonic."""
        self._by = _BUILD
        """Level of who gave the last reading; `_BUILD`: the machine."""
        self._before_ns = 0
        """Civil time less the monotonic one before our own clock was set ahead."""
        self._line: tuple[int, int] | None = None
        """Civil time less the monotonic one when our own clock was last trusted, and when that was;
        None: never, or it was proved wrong."""
        self.held_until_ns: int | None = None
        """Until when that counts for what was taken, monotonic; None: it does not."""

    def receive_time(self, utc_ns: int, now_ns: int, *, synchronised: bool) -> int:
        """Take a reading; return how far the clock was stepped since the last one, in ns."""
        for level, (floor_ns, at_ns) in self._floors_ns.items():
            self._floors_ns[level] = (floor_ns, now_ns if at_ns is None else at_ns)
        before_ns = self._known_ns(now_ns)
        moved_ns = utc_ns - self.utc_ns(now_ns)
        was_trusted = self.trusted
        if synchronised and utc_ns >= self._floor_ns():
            self._good_ns = now_ns
        elif self._holds_over(now_ns) and not synchronised:
            return 0
        else:
            self._good_ns = None
        self._read_utc_ns, self._read_now_ns, self._by = utc_ns, now_ns, _BUILD
        self._synchronised = synchronised
        if self.trusted:
            # Also where it was behind a floor in between: what was known then runs on.
            if before_ns is not None and utc_ns - before_ns > STEP_S * NS_PER_S:
                held_ns = min(before_ns, self._held_ns(now_ns))
                self._before_ns, self.held_until_ns = held_ns - now_ns, now_ns + GRACE_NS
            self._line = (utc_ns - now_ns, now_ns)
        stepped = was_trusted and self.trusted and abs(moved_ns) > STEP_S * NS_PER_S
        return moved_ns if stepped else 0

    def receive_answer(self, utc_ns: int, now_ns: int, *, level: int) -> bool:
        """Take the time that tier `level` has just signed; return whether it is believed now.

        It is not where the machine's own clock is believed, or where it is below a floor.
        """
        if self.is_own or utc_ns < self._floor_ns():
            return False
        self._read_utc_ns, self._read_now_ns, self._by = utc_ns, now_ns, level
        self._good_ns, self._synchronised = now_ns, False
        return True

    def receive_floor(self, utc_ns: int, now_ns: int | None = None, *, level: int = 0) -> None:
        """Raise the floor: something that tier `level` signed says that it is at least `utc_ns`."""
        known = self._floors_ns.get(level)
        if known is not None and utc_ns <= known[0]:
            return
        self._floors_ns[level] = (utc_ns, now_ns)
        if utc_ns > (self._read_utc_ns if now_ns is None else self.utc_ns(now_ns)):
            self._good_ns = self._line = None

    def disprove(self, level: int, now_ns: int) -> bool:
        """Drop floors of tier `level` and below: it has agreed with our synchronised clock.

        Returns
        -------
        bool
            Whether there was one above our clock. The clock may be trusted again then.
        """
        own_ns = self.utc_ns(now_ns)
        wrong = [one for one, (ns, _) in self._floors_ns.items() if one >= level and ns > own_ns]
        for one in wrong:
            del self._floors_ns[one]
        if wrong and self._synchronised and self._read_utc_ns >= self._floor_ns():
            self._good_ns = self._read_now_ns
        return bool(wrong)

    def shown_ns(self, now_ns: int) -> int | None:
        """Return what our clock says by itself, or None while it is neither trusted nor set."""
        return self.utc_ns(now_ns) if self.trusted or self._synchronised else None

    def utc_ns(self, now_ns: int) -> int:
        """Return civil time at `now_ns`, counted on from the last reading."""
        return self._read_utc_ns + (now_ns - self._read_now_ns)

    def least(self, now_ns: int) -> Least:
        """Return the civil time that it surely is: the reading, or without trust the floors."""
        if self.is_own:
            return Least(((_BUILD, self.utc_ns(now_ns) // NS_PER_S),), is_own=True)
        floors = tuple(
            (level, (floor_ns + (now_ns - at_ns if at_ns is not None else 0)) // NS_PER_S)
            for level, (floor_ns, at_ns) in self._floors_ns.items()
        )
        if not self.trusted:
            return Least(floors)
        return Least((*floors, (self._by, self.utc_ns(now_ns) // NS_PER_S)), self._by)

    def held(self, now_ns: int) -> Least:
        """Return the civil time by which what was taken ends, and loses its right.

        ```
        own clock   10:00 ── 10:05 │ 13:00 ── 13:10 │ 13:10       set ahead, and called synchronised
        held        10:00 ── 10:05 │ 10:05 ── 10:15 │ 13:10       as before for `GRACE_NS`
        ```
        A clock that is set ahead is believed as ever for what is new and begins. What was signed
        is no clock of ours: no floor is held.
        """
        if self.held_until_ns is not None and now_ns >= self.held_until_ns:
            self.held_until_ns = None
        least = self.least(now_ns)
        if not least.is_own:
            return least
        return Least(((_BUILD, self._held_ns(now_ns) // NS_PER_S),), is_own=True)

    def least_s(self, now_ns: int) -> int:
        """Return the least that it can be whoever says so: the time where that is known."""
        return max(seconds for _, seconds in self.least(now_ns).floors)

    def floors_s(self) -> dict[int, int]:
        """Return what each tier has proved, in seconds: it is to be kept."""
        return {
            level: ns // NS_PER_S for level, (ns, _) in self._floors_ns.items() if level != _BUILD
        }

    def wants_answer(self, now_ns: int) -> bool:
        """Return whether the station is to be asked for the time: it is not known, or soon not."""
        if self._good_ns is None:
            return True
        return self._by != _BUILD and now_ns - self._good_ns > HOLDOVER_NS // 2

    def _held_ns(self, now_ns: int) -> int:
        """Return civil time, for `GRACE_NS` after a step ahead as if that had not been."""
        own_ns, until_ns = self.utc_ns(now_ns), self.held_until_ns
        is_held = until_ns is not None and now_ns < until_ns
        return min(own_ns, now_ns + self._before_ns) if is_held else own_ns

    def _known_ns(self, now_ns: int) -> int | None:
        """Return civil time as it is known, or was a while ago and runs on; else None."""
        if self.trusted:
            return self.utc_ns(now_ns)
        if self._line is None or now_ns - self._line[1] > HOLDOVER_NS:
            return None
        return now_ns + self._line[0]

    def _holds_over(self, now_ns: int) -> bool:
        return self._good_ns is not None and now_ns - self._good_ns <= HOLDOVER_NS

    def _floor_ns(self) -> int:
        return max(ns for ns, _ in self._floors_ns.values())

    @property
    def trusted(self) -> bool:
        """Whether civil time is known: synchronised above the floor, now or not long ago."""
        return self._good_ns is not None

    @property
    def is_own(self) -> bool:
        """Whether it is known by the machine's own clock, not by a signature alone."""
        return self.trusted and self._by == _BUILD
