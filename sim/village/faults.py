"""What goes wrong, where and when: the one list of kinds, and one row of the one table."""

import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from datetime import date, time, timedelta
from typing import Any, Final, Literal

from node.config import check
from node.control.civil_time import instant_s, load_zone, parse_date
from node.units import NS_PER_MS, NS_PER_S

Span = tuple[int, int]
"""From when to when, ns."""

Kind = Literal[
    "power_cut", "link_down", "congestion", "half_open", "broker_down", "clock_step", "disk_full",
    "disk_slow", "card_gone", "detour", "no_rtc", "cpu_throttle", "duplicate", "reorder", "corrupt",
    "forged", "replayed",
]  # fmt: skip

AT_POLES: Final = ("commune", "hamlet", "cluster", "bearer", "cell", "feeder")
ON_LINKS: Final = (*AT_POLES, "backhaul")
PLACES: Final = ON_LINKS

_TIMES: Final = ("from_s", "until_s", "start", "end")
_MOMENT: Final = re.compile(r"(?:(\d{4}-\d{2}-\d{2}) )?(\d{1,3}):([0-5]\d)")
_LAST_HOUR: Final = 240
_DAY_MIN: Final = 24 * 60
_YEARS: Final = range(1971, 9000)


@dataclass(frozen=True, slots=True)
class KindOfFault:
    """What a kind means, what a row of it says, and who can live it."""

    means: str
    takes: tuple[str, ...] = ()
    """Fields beside time and place."""

    places: tuple[str, ...] = AT_POLES
    lasts: bool = True
    """Whether it has an end; else it is a moment."""

    sweep: bool = False
    """Whether orders of each hour meet it in a sweep; the whole daemons of a day meet all."""

    run: bool = False
    """Whether the live programme of a run meets it: the others are about orders, disk and time."""

    fleet: bool = False
    """... and tier fleet too."""


KINDS: Final[dict[str, KindOfFault]] = {
    "power_cut": KindOfFault(
        "the node is off, and boots when the power is back", sweep=True, run=True, fleet=True
    ),
    "link_down": KindOfFault(
        "nothing comes to it and nothing from it, or only one way",
        ("way",), ON_LINKS, sweep=True, run=True, fleet=True,
    ),
    "congestion": KindOfFault(
        "others leave so much of the rate", ("share",), ON_LINKS, run=True
    ),
    "half_open": KindOfFault(
        "its connection to the broker brings nothing more, and neither end is told", lasts=False
    ),
    "broker_down": KindOfFault(
        "the broker is away for all: no order comes, live sound does", ("keeps",), (), sweep=True
    ),
    "clock_step": KindOfFault("its civil clock is so much ahead, or behind", ("step_s",)),
    "disk_full": KindOfFault("nothing more fits on its disk"),
    "disk_slow": KindOfFault("a flushed write takes so long", ("write_s",)),
    "card_gone": KindOfFault(
        "its sound card is not there: it lives, and nothing sounds", run=True, fleet=True
    ),
    "detour": KindOfFault("each way is so much longer", ("extra_ms",), ON_LINKS, run=True),
    "no_rtc": KindOfFault(
        "the clock on its board does not go on without power: who boots has no time at first"
    ),
    "cpu_throttle": KindOfFault("so much of its CPU's speed is left", ("share",), run=True),
    "duplicate": KindOfFault(
        "so many of the packets come twice, and fill the link", ("share",), ON_LINKS, run=True
    ),
    "reorder": KindOfFault(
        "so many of the packets are held back so long, and overtaken",
        ("share", "extra_ms"), ON_LINKS, run=True,
    ),
    "corrupt": KindOfFault(
        "so many of the packets are damaged: their checksum is wrong, and they are dropped",
        ("share",), ON_LINKS, run=True,
    ),
    "forged": KindOfFault(
        "a stranger sends an urgent warning: under a key of its own, or in the name of a tier",
        ("by",), ("commune",), lasts=False,
    ),
    "replayed": KindOfFault(
        "a stranger sends again what the station has ordered before",
        ("repeats", "number"), ("commune",), lasts=False,
    ),
}  # fmt: skip

_RANGES: Final = {
    "share": (1e-6, 1.0),
    "step_s": (-86_400.0, 86_400.0),
    "write_s": (0.05, 3600.0),
    "extra_ms": (1.0, 60_000.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a cluster is, by all that a fault may name."""

    commune: str
    hamlet: str
    cluster: str
    bearer: str
    cell: str
    feeder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of `[[faults]]`, of a run and its day. Without a place: everybody."""

    kind: Kind
    from_s: float | None = None
    until_s: float | None = None
    """Seconds of the run, which begins at `day.live_at`."""

    start: str | None = None
    end: str | None = None
    """Or wall clock: `hh:mm` of the day, `30:00` is six in the morning after it; or
    `yyyy-mm-dd hh:mm`. An end before the start, both `hh:mm`, is past midnight: in the night before
    the day, and in the night after it."""

    commune: str | None = None
    hamlet: str | None = None
    cluster: str | None = None
    bearer: str | None = None
    cell: str | None = None
    """A cell that clusters name, or the bearer of those that name none."""
    feeder: str | None = None
    """A feeder that communes, hamlets or clusters name."""
    backhaul: str | None = None
    """The commune whose backhaul it is."""

    way: Literal["both", "up", "down"] = "both"
    """Which way the link is down: from the pole or to it."""
    share: float | None = None
    """Of the rate or the speed that is left, or of the packets that it befalls."""
    step_s: float | None = None
    write_s: float | None = None
    extra_ms: float | None = None
    keeps: bool = True
    """Whether the broker comes back with its database."""
    by: str | None = None
    """In the name of which tier; None: of a key that nobody knows."""
    repeats: Literal["alert", "cancel", "mute", "unmute"] = "alert"
    number: int = 1
    """Of the warning that is sent again, or that the cancel is about."""

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        check("faults", self._time_rules(kind) | self._field_rules(kind))

    def _time_rules(self, kind: KindOfFault) -> dict[str, tuple[bool, Any, str]]:
        seconds, clock = (self.from_s, self.until_s), (self.start, self.end)
        says = [one for one in (*seconds, *clock) if one is not None]
        whole = (seconds if kind.lasts else seconds[:1], clock if kind.lasts else clock[:1])
        one_way = any(None not in pair and len(says) == len(pair) for pair in whole)
        ways = "from_s and until_s, or start and end" if kind.lasts else "from_s or start alone"
        good = [one is None or _moment(one) is not None for one in clock]
        right = f"hh:mm up to {_LAST_HOUR}:00, or yyyy-mm-dd hh:mm"
        after = good != [True, True] or None in clock or _goes_on(self.start or "", self.end or "")
        return {
            "times": (one_way, (*seconds, *clock), ways),
            "start": (good[0], self.start, right),
            "end": (
                good[1] and after,
                self.end,
                f"{right}, after start = {self.start}, or before it where both are below 24:00",
            ),
        }

    def _field_rules(self, kind: KindOfFault) -> dict[str, tuple[bool, Any, str]]:
        rules: dict[str, tuple[bool, Any, str]] = {}
        named = [name for name in PLACES if getattr(self, name) is not None]
        wrong = [name for name in named if name not in kind.places]
        may = ", ".join(kind.places) or "no place: it is everybody's"
        rules["kind"] = (not wrong, self.kind, f"without {', '.join(wrong)}: takes {may}")
        rules["backhaul"] = (
            self.backhaul is None or named == ["backhaul"],
            self.backhaul,
            "the only place: it is all of its commune's",
        )
        for one in fields(self):
            if one.name in ("kind", *PLACES, *_TIMES) or one.default is MISSING:
                continue
            value = getattr(self, one.name)
            if one.name not in kind.takes:
                said = ", ".join(kind.takes) or "nothing else"
                rules[one.name] = (
                    value == one.default,
                    value,
                    f"left out: {self.kind} takes {said}",
                )
            elif one.name in _RANGES:
                low, high = _RANGES[one.name]
                good = value is not None and low <= value <= high and value != 0
                rules[one.name] = (good, value, f"{low:g} to {high:g}, other than 0")
        if "number" in kind.takes:
            rules["number"] = (1 <= self.number < 1 << 32, self.number, "1 or more, below 2**32")
        return rules

    @property
    def amount(self) -> float:
        """Return how much: a share, or seconds."""
        for one in (self.share, self.step_s, self.write_s):
            if one is not None:
                return one
        return self.extra_ns / NS_PER_S

    @property
    def extra_ns(self) -> int:
        """Return how much longer packets are under way."""
        return round((self.extra_ms or 0.0) * NS_PER_MS)

    @property
    def said(self) -> str:
        """Return its kind, with what tells rows of one kind apart."""
        more = "" if self.way == "both" else f" {self.way}"
        return self.kind + more + ("" if self.keeps else " without database")

    @property
    def place_words(self) -> str:
        """Return where it is, in words; empty: everywhere."""
        said = [f"{name} {one}" for name in PLACES if (one := getattr(self, name)) is not None]
        return ", ".join(said)

    def meets(self, where: Where) -> bool:
        """Return whether it is for who is there."""
        if self.backhaul is not None:
            return self.backhaul == where.commune
        return all(
            (asked := getattr(self, name)) is None or asked == getattr(where, name)
            for name in AT_POLES
        )

    def spans_ns(self, day: str, zone: str, *, live_ns: int) -> list[Span]:
        """Return from when to when it lasts, ns into the day `day`; a moment is empty.

        `live_ns` is when the run begins.
        """
        if self.from_s is not None:
            first_ns = live_ns + round(self.from_s * NS_PER_S)
            last_ns = first_ns if self.until_s is None else live_ns + round(self.until_s * NS_PER_S)
            return [(first_ns, last_ns)]
        assert self.start is not None, "it says when"
        first_ns = into_day_ns(self.start, day, zone)
        last_ns = first_ns if self.end is None else into_day_ns(self.end, day, zone)
        dated = " " in self.start + (self.end or "")
        if self.end is None or first_ns < last_ns or dated:
            return [(first_ns, last_ns)]
        # Past midnight: what began the evening before, and what begins in the evening.
        midnight_ns = into_day_ns("24:00", day, zone)
        return [(first_ns - midnight_ns, last_ns), (first_ns, last_ns + midnight_ns)]


def into_day_ns(moment: str, day: str, zone: str) -> int:
    """Return a moment, as a row has it, in ns into the day `day`."""
    found, first = _moment(moment), date.fromisoformat(day)
    assert found is not None, "looked at when the row was made"
    asked, minutes = found
    asked = (asked or first) + timedelta(days=minutes // _DAY_MIN)
    wall, own = time(minutes % _DAY_MIN // 60, minutes % 60), load_zone(zone)
    at_s = instant_s(asked, wall, own) - instant_s(first, time(), own)
    return at_s * NS_PER_S


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that touch as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def _moment(text: str) -> tuple[date | None, int] | None:
    """Return the date, if any, and the minutes after its midnight; None where it is no moment."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    day, minutes = found[1], int(found[2]) * 60 + int(found[3])
    if minutes > (_DAY_MIN if day else _LAST_HOUR * 60):
        return None
    if day is None:
        return None, minutes
    asked = parse_date(day)
    return (asked, minutes) if asked is not None and asked.year in _YEARS else None


def _goes_on(start: str, end: str) -> bool:
    """Return whether something can last from `start` to `end`, both moments."""
    first, last = _moment(start), _moment(end)
    assert first is not None and last is not None, "both were looked at"
    if (first[0] is None) != (last[0] is None):
        return True  # that depends on the day
    if first[0] is not None and last[0] is not None:
        return (first[0], first[1]) < (last[0], last[1])
    return first[1] < last[1] or (first[1] > last[1] and first[1] < _DAY_MIN)
