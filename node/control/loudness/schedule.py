"""How loud, and why: the weekly volume plan, its exceptions, quiet hours, offsets and floor.

A person can predict the result, for it is always made in this order (`Decision.steps` keeps it):

1. the default volume of the commune;
2. the one rule that wins: of the nearest place (cluster before hamlet before commune), there an
   exception (dates, recurrence) before the weekly plan, there the one written last;
3. plus the offset of the message class, unless that volume is 0: off stays off;
4. at most what each quiet hour that covers the class allows;
5. for an urgent message at least the emergency floor: nothing lowers it further but the noise
   limit of a rule file that does not exempt it (`node.control.loudness.regulation`).

Times are whole minutes of the wall clock, so a decision holds for a minute.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from node.config import check
from node.control.civil_time import MINUTE_S, load_zone, local_time, parse_time
from node.control.names import same_name
from node.control.precedence import CLASSES, SILENT_DB, MessageClass
from node.control.recurrence import DaysConfig, Span

VOLUME_MAX: Final = 100

_ANCHORS_DB: Final = ((1, -40.0), (10, -30.0), (25, -20.0), (50, -10.0), (75, -4.5), (100, 0.0))
"""Volume to gain, straight between these; 0 is silence. Half way is -10 dB, which listeners call
half as loud (Stevens' sone rule); the quiet end is finer than the ear needs, never a jump."""

_DECISIONS_KEPT: Final = 64


def _gain_table_db() -> tuple[float, ...]:
    gains_db = [SILENT_DB]
    for (v0, g0), (v1, g1) in pairwise(_ANCHORS_DB):
        gains_db += [round(g0 + (g1 - g0) * (v - v0) / (v1 - v0), 1) for v in range(v0, v1)]
    return (*gains_db, _ANCHORS_DB[-1][1])


GAIN_DB: Final = _gain_table_db()
"""`gain_db` of each volume from 0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node stands."""

    commune: str = ""
    hamlet: str = ""
    cluster: str = ""
    """Names as the rules of the plan use them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRule:
    """One entry of the plan (table `[[volume.rules]]`)."""

    name: str
    """What people call it; `explain` says it."""

    volume: int
    """0 to 100."""

    start: str = "00:00"
    """First minute, wall clock `hh:mm`."""

    end: str = "00:00"
    """First minute after it; before `start` means past midnight, the same means all day."""

    on: DaysConfig = field(default_factory=DaysConfig)
    """The days on which it starts."""

    hamlet: str | None = None
    """Only there; not given with `cluster`."""

    cluster: str | None = None
    """Only there."""

    def __post_init__(self) -> None:
        rules = _span_rules(self.start, self.end, self.volume)
        both = self.hamlet is not None and self.cluster is not None
        rules["cluster"] = (not both, self.cluster, f"left out beside hamlet = {self.hamlet!r}")
        check(f"volume rule {self.name!r}", rules)

    @property
    def place_order(self) -> int:
        """How near the place is that the rule is for."""
        return 2 if self.cluster is not None else 1 if self.hamlet is not None else 0

    def is_for(self, place: Place) -> bool:
        """Return whether the rule is for a node at `place`."""
        return (self.cluster is None or same_name(self.cluster, place.cluster)) and (
            self.hamlet is None or same_name(self.hamlet, place.hamlet)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A cap on the volume (table `[[volume.quiet_hours]]`): the people's sleep, a night limit."""

    name: str
    volume_max: int
    """Most that may be played then, 0 to 100."""

    start: str
    end: str
    on: DaysConfig = field(default_factory=DaysConfig)
    classes: tuple[str, ...] = ("normal", "priority")
    """Message classes that it holds for."""

    def __post_init__(self) -> None:
        rules = _span_rules(self.start, self.end, self.volume_max)
        rules["volume_max"] = rules.pop("volume")
        known = set(self.classes) <= set(CLASSES)
        rules["classes"] = (known, self.classes, f"some of {', '.join(CLASSES)}")
        check(f"quiet hours {self.name!r}", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConfig:
    """The volume plan of a commune (table `[volume]`)."""

    zone: str = "Asia/Ho_Chi_Minh"
    """Time zone of its wall clocks."""

    volume: int = 70
    """Where nothing else is said."""

    rules: tuple[VolumeRule, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()

    class_offset: dict[str, int] = field(default_factory=dict)
    """Added to the volume of a class, for instance `priority = 5`."""

    emergency_floor: int = 80
    """An urgent message is never softer, whatever the plan and the quiet hours say."""

    untrusted_volume: int = 80
    """Of urgent messages while the date is not known, but for the floor; others do not play then.
    """

    def __post_init__(self) -> None:
        load_zone(self.zone)
        rules: dict[str, tuple[bool, object, str]] = {
            name: (0 <= value <= VOLUME_MAX, value, f"0 to {VOLUME_MAX}")
            for name, value in (
                ("volume", self.volume),
                ("emergency_floor", self.emergency_floor),
                ("untrusted_volume", self.untrusted_volume),
            )
        }
        rules["class_offset"] = (
            all(k in CLASSES and -100 <= v <= 100 for k, v in self.class_offset.items()),
            self.class_offset,
            f"-100 to 100 for some of {', '.join(CLASSES)}",
        )
        check("volume", rules)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that made the volume what it is: `kind` of `explain`, its cause, the result."""

    kind: str
    volume: int
    amount: int = 0
    rule: VolumeRule | None = None
    quiet: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The volume of a class at a minute, its gain, and the way to it."""

    volume: int
    gain_db: float
    steps: tuple[Step, ...]


class VolumeSchedule:
    """Evaluate a volume plan at a place."""

    def __init__(self, config: VolumeConfig, place: Place) -> None:
        self._config = config
        self._zone = load_zone(config.zone)
        mine = [(rule, i) for i, rule in enumerate(config.rules) if rule.is_for(place)]
        # The winner first, so that the first that covers a minute is the answer.
        mine.sort(key=lambda e: (e[0].place_order, e[0].on.exceptional, e[1]), reverse=True)
        self._rules = [(rule, Span(rule.start, rule.end, rule.on, self._zone)) for rule, _ in mine]
        self._quiet = [(q, Span(q.start, q.end, q.on, self._zone)) for q in config.quiet_hours]
        self._kept: dict[tuple[int, MessageClass], Decision] = {}

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of its wall clocks."""
        return self._zone

    def decide(self, utc_s: int, message_class: MessageClass, *, trusted: bool = True) -> Decision:
        """Return the volume of `message_class` at `utc_s`, with its reasons.

        With an untrusted clock that is silence, but for an urgent message its stated volume, or
        the emergency floor where that is higher.
        """
        if not trusted:
            if message_class is not MessageClass.URGENT:
                return _decision([Step("untrusted_silent", 0)])
            return _decision(self._raised([Step("untrusted", self._config.untrusted_volume)]))
        key = (utc_s // MINUTE_S, message_class)
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= _DECISIONS_KEPT:
                self._kept.clear()
            known = self._kept[key] = _decision(self._steps(utc_s, message_class))
        return known

    def _steps(self, utc_s: int, message_class: MessageClass) -> list[Step]:
        config, name = self._config, CLASSES[message_class]
        local = local_time(utc_s, self._zone)
        steps = [Step("default", config.volume)]
        rule = next((rule for rule, span in self._rules if span.covers(local)), None)
        if rule is not None:
            steps.append(Step("rule", rule.volume, rule=rule))
        offset = config.class_offset.get(name, 0)
        if offset and steps[-1].volume > 0:
            volume = min(max(steps[-1].volume + offset, 0), VOLUME_MAX)
            steps.append(Step("offset", volume, amount=offset))
        for quiet, span in self._quiet:
            if name in quiet.classes and span.covers(local):
                volume = min(steps[-1].volume, quiet.volume_max)
                steps.append(Step("quiet", volume, amount=steps[-1].volume, quiet=quiet))
        return self._raised(steps) if message_class is MessageClass.URGENT else steps

    def _raised(self, steps: list[Step]) -> list[Step]:
        """Return the steps of an urgent message, with the floor where they end below it."""
        floor = self._config.emergency_floor
        return [*steps, Step("floor", floor)] if steps[-1].volume < floor else steps


def _decision(steps: list[Step]) -> Decision:
    volume = steps[-1].volume
    return Decision(volume, GAIN_DB[volume], tuple(steps))


def _span_rules(start: str, end: str, volume: int) -> dict[str, tuple[bool, object, str]]:
    return {
        "start": (parse_time(start) is not None, start, "hh:mm from 00:00 to 23:59"),
        "end": (parse_time(end) is not None, end, "hh:mm from 00:00 to 23:59"),
        "volume": (0 <= volume <= VOLUME_MAX, volume, f"0 to {VOLUME_MAX}"),
    }
