"""Ten years of a commune's calendar under power cuts, reboots and clock steps, with an oracle.

The oracle knows Viet Nam as UTC+7 and computes by hand what is due, so that it shares no line with
the calendar that it checks. The shell here does what a gateway's does: events in their order, a
`Persist` kept before the next one is looked at, and the power may fail between any two.
"""

import heapq
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np

from node.control.calendar.play_state import Record, decode
from node.control.calendar.player import Player
from node.control.calendar.programme import ItemConfig, PartConfig, ProgrammeConfig
from node.control.civil_time import DAY_S, CivilClock, load_zone, local_time
from node.control.events import StartPart, StopPart
from node.control.loudness.noise import DwellingConfig, HornConfig
from node.control.loudness.regulation import Regulation, RegulationConfig, RuleFile
from node.control.loudness.schedule import (
    Place,
    QuietHours,
    VolumeConfig,
    VolumeRule,
    VolumeSchedule,
)
from node.control.precedence import MessageClass
from node.control.recurrence import DaysConfig
from node.events import Persist
from node.units import NS_PER_S

FIRST_DAY: Final = date(2024, 1, 1)
OFFSET_S: Final = 7 * 3600  # Viet Nam
LIMITS_DBA: Final = ((6 * 60, 21 * 60, 70.0), (0, 24 * 60, 55.0))
WINDOWS_MIN: Final = ((5 * 60 + 30, 7 * 60 + 30), (16 * 60 + 30, 19 * 60 + 30))
MINUTES_PER_DAY: Final = 120

CUT_RATIO: Final = 3e-3
"""Chance that the power fails right after an event."""

_HASH: Final = "0" * 64
_CHIME: Final = PartConfig(kind="chime", duration_s=10, media={"any": _HASH})


def _item(name: str, start: str, minutes: int, **more: object) -> ItemConfig:
    file = PartConfig(kind="file", duration_s=minutes * 60 - 10, media={"vi": _HASH})
    return ItemConfig(name=name, start=start, parts=(_CHIME, file), **more)  # type: ignore[arg-type]  # fields by name


ITEMS: Final = (
    _item("too early", "05:00", 20),
    _item("morning", "05:30", 45),
    _item(
        "market",
        "06:00",
        5,
        on=DaysConfig(recurrence="DTSTART:20240102\nRRULE:FREQ=DAILY;INTERVAL=5"),
    ),
    _item("evening", "17:00", 50, missed="late", late_max_s=1800),
    _item("health", "17:00", 5, repeat=2, interval_s=60, on=DaysConfig(weekdays=("sat",))),
    _item("too long", "18:00", 90, on=DaysConfig(weekdays=("sun",))),
    _item("runs over", "19:20", 20, on=DaysConfig(weekdays=("wed",))),
)

VOLUME: Final = VolumeConfig(
    volume=70,
    rules=(VolumeRule(name="morning", volume=85, start="05:00", end="06:30"),),
    quiet_hours=(QuietHours(name="dawn", volume_max=60, start="21:00", end="05:45"),),
)


def due_by_hand() -> dict[str, tuple[int, object]]:
    """Return item -> (minute of the day, rule on the day's number since the first)."""
    return {
        "too early": (300, lambda n: True),
        "morning": (330, lambda n: True),
        "market": (360, lambda n: n % 5 == 1),
        "evening": (1020, lambda n: True),
        "health": (1020, lambda n: (n % 7) == 5),  # 2024-01-01 was a Monday
        "too long": (1080, lambda n: (n % 7) == 6),
        "runs over": (1160, lambda n: (n % 7) == 2),
    }


@dataclass(slots=True)
class YearsResult:
    """What happened, and every broken promise in words."""

    years: int
    seed: int
    starts: int = 0
    records: dict[str, int] = field(default_factory=dict)
    power_cuts: int = 0
    cuts_between_events: int = 0
    clock_steps: int = 0
    minutes_played: int = 0
    breaches_avoided: int = 0
    violations: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


class _Gateway:
    """A node that can lose its power, and what its disk holds."""

    def __init__(self, rules: tuple[RuleFile, ...], rng: np.random.Generator, result: YearsResult):
        self.rng = rng
        self.result = result
        self.disk: dict[str, bytes] = {}
        horns = (HornConfig(bearing_deg=0.0),)
        house = DwellingConfig(distance_m=60.0, bearing_deg=30.0)
        self.regulation = Regulation(rules, RegulationConfig(), horns, house)
        self.full_dba = self.regulation.level_dba(0.0)
        self.config = ProgrammeConfig(items=ITEMS)
        self.schedule = VolumeSchedule(VOLUME, Place())
        self.zone = load_zone("Asia/Ho_Chi_Minh")
        self.player: Player | None = None
        self.clock = CivilClock(0)
        self.started: dict[tuple[str, str, int], int] = {}
        self.recorded: dict[str, list[tuple[date, date, int]]] = {}
        self.serials: set[int] = set()
        self.sounding: set[int] = set()
        self.used_s: dict[int, int] = {}
        self.utc_s = 0

    def boot(self) -> None:
        state = decode(self.disk.get("programme"))
        assert state is not None
        self.player = Player(self.config, self.regulation, state)
        self.clock = CivilClock(1_700_000_000 * NS_PER_S)

    def cut(self) -> None:
        self.player = None
        self.sounding.clear()

    def tick(self, now_ns: int) -> None:
        """Run the player at `now_ns`, then its events; rarely the power fails among them."""
        if self.player is None:
            return
        utc_s = self.clock.utc_ns(now_ns) // NS_PER_S
        trusted = self.clock.trusted
        self.player.handle_time(utc_s, now_ns, trusted=trusted)
        self.utc_s = utc_s
        while self.player is not None and (event := self.player.next_event()) is not None:
            self._take(event)
            if self.rng.random() < CUT_RATIO:
                self.result.cuts_between_events += 1
                self.cut()
        if self.sounding:
            self._check_sound(utc_s, trusted=trusted)

    def _take(self, event: object) -> None:
        result = self.result
        if isinstance(event, Persist):
            self.disk[event.key] = event.value
        elif isinstance(event, StartPart):
            self.sounding.add(event.source)
            key = (event.name, event.day, event.step)
            self.started[key] = self.started.get(key, 0) + 1
            if event.step == 0:
                result.starts += 1
                self._check_minutes(event.name)
        elif isinstance(event, StopPart):
            self.sounding.discard(event.source)
        elif isinstance(event, Record) and event.serial not in self.serials:
            self.serials.add(event.serial)
            result.records[event.outcome] = result.records.get(event.outcome, 0) + event.count
            first = date.fromisoformat(event.day)
            last = date.fromisoformat(event.reason[-10:]) if event.count > 1 else first
            self.recorded.setdefault(event.name, []).append((first, last, event.count))

    def _check_minutes(self, name: str) -> None:
        """Add the longest duration of `name` to its day by the node's clock."""
        day = (self.utc_s + OFFSET_S) // DAY_S
        item = next(item for item in ITEMS if item.name == name)
        self.used_s[day] = self.used_s.get(day, 0) + item.duration_s
        if self.used_s[day] > MINUTES_PER_DAY * 60:
            self.result.violations.append(f"{self.used_s[day]} s on day {day}")

    def _check_sound(self, utc_s: int, *, trusted: bool) -> None:
        result = self.result
        minute = (utc_s + OFFSET_S) % DAY_S // 60
        if not trusted:
            result.violations.append(f"sound at {utc_s} with an untrusted clock")
        if not any(start <= minute < end for start, end in WINDOWS_MIN):
            result.violations.append(f"sound at minute {minute} of the day, {utc_s}")
        decision = self.schedule.decide(utc_s, MessageClass.NORMAL)
        local = local_time(utc_s, self.zone)
        verdict = self.regulation.judge_noise(local, MessageClass.NORMAL, decision.gain_db)
        limit_dba = next(limit for a, b, limit in LIMITS_DBA if a <= minute < b)
        if self.full_dba + verdict.gain_db > limit_dba + 0.05:
            result.violations.append(f"{self.full_dba + verdict.gain_db} dBA at {utc_s}")
        result.minutes_played += 1
        result.breaches_avoided += verdict.action == "lower"


class _World:
    """What befalls a gateway from outside: power cuts, boots, and a civil clock that is wrong."""

    def __init__(self, gateway: _Gateway, start_s: int, rng: np.random.Generator) -> None:
        self.gateway = gateway
        self.start_s = start_s
        self._rng = rng
        self._waiting: list[tuple[int, int, str]] = []
        gateway.boot()
        gateway.clock.receive_time(start_s * NS_PER_S, 0, synchronised=True)
        gateway.tick(0)
        self._later(start_s, 3, "cut")
        self._later(start_s, 9, "step")

    def next(self, now_s: int, end_s: int) -> int:
        """Let the next thing befall it, or let it do what is due; return when."""
        player = self.gateway.player
        if player is None and not any(what == "boot" for _, _, what in self._waiting):
            self._later(now_s, 0.04 if self._rng.random() < 0.9 else 6, "boot")
        deadline_ns = None if player is None else player.next_deadline_ns()
        next_s = end_s if deadline_ns is None else self.start_s + -(-deadline_ns // NS_PER_S)
        what = ""
        if self._waiting[0][0] <= next_s:
            now_s, _, what = heapq.heappop(self._waiting)
        else:
            now_s = max(next_s, now_s)
        self._befall(what, now_s)
        self.gateway.tick((now_s - self.start_s) * NS_PER_S)
        return now_s

    def _befall(self, what: str, now_s: int) -> None:
        gateway = self.gateway
        now_ns = (now_s - self.start_s) * NS_PER_S
        error_s = 0
        if what == "cut":
            gateway.result.power_cuts += gateway.player is not None
            gateway.cut()
            self._later(now_s, 3, "cut")
        elif what == "boot":
            gateway.boot()
            gateway.clock.receive_time(17 * NS_PER_S, now_ns, synchronised=False)  # 1970
            self._later(now_s, 0.01, "sync")
        elif what == "step":
            gateway.result.clock_steps += 1
            kind = self._rng.random()
            span_s = 7200 if kind < 0.6 else 3 * DAY_S if kind < 0.95 else 90 * DAY_S
            error_s = int(self._rng.integers(-span_s, span_s))
            self._later(now_s, 0.5, "sync")
            self._later(now_s, 9, "step")
        if what in ("sync", "step"):
            gateway.clock.receive_time((now_s + error_s) * NS_PER_S, now_ns, synchronised=True)

    def _later(self, at_s: int, days: float, what: str) -> None:
        gap_s = 1 + int(self._rng.integers(0, int(2 * days * DAY_S)))
        heapq.heappush(self._waiting, (at_s + gap_s, len(self._waiting), what))


def run_years(rules: tuple[RuleFile, ...], *, years: int, seed: int) -> YearsResult:
    """Simulate `years` of the calendar; the same seed gives the same result."""
    begin_s = time.process_time()
    rng = np.random.default_rng(seed)
    result = YearsResult(years, seed)
    gateway = _Gateway(rules, rng, result)
    start_s = int((FIRST_DAY - date(1970, 1, 1)).total_seconds()) - OFFSET_S
    end_s = start_s + years * 365 * DAY_S
    world = _World(gateway, start_s, rng)
    now_s = start_s
    while now_s < end_s:
        now_s = world.next(now_s, end_s)
    # A last quiet minute with the right time, so that what was due is settled.
    if gateway.player is None:
        gateway.boot()
    gateway.clock.receive_time(end_s * NS_PER_S, (end_s - start_s) * NS_PER_S, synchronised=True)
    gateway.tick((end_s - start_s) * NS_PER_S)
    _check_records(gateway, years)
    result.cpu_s = time.process_time() - begin_s
    return result


def _check_records(gateway: _Gateway, years: int) -> None:
    result = gateway.result
    result.violations += [
        f"part {step} of {name} of {day} started {times} times"
        for (name, day, step), times in gateway.started.items()
        if times > 1
    ]
    for name, (_, rule) in due_by_hand().items():
        single = {a for a, b, _ in gateway.recorded.get(name, []) if a == b}
        spans = [(a, b) for a, b, _ in gateway.recorded.get(name, []) if a < b]
        for number in range(years * 365):
            day = FIRST_DAY + timedelta(days=number)
            if not rule(number) or day in single:  # type: ignore[operator]  # a rule is a function
                continue
            if not any(a <= day <= b for a, b in spans):
                result.violations.append(f"{name} of {day} has no record")
