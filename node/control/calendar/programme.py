"""The calendar of a commune's items: what is to play, when it is due, and in which language.

An item is due at most once a day, at the first instant at which the wall clock shows its time; its
identity is (name, day), which no clock step and no change of its hour alters.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal

from node.config import ConfigError, check
from node.control.civil_time import DAY_S, instant_s, load_zone, local_time, parse_time
from node.control.names import same_name, written
from node.control.precedence import CLASSES, MessageClass
from node.control.recurrence import Days, DaysConfig

ITEMS_MAX: Final = 64
PARTS_MAX: Final = 16
RECURRENCES_MAX: Final = 16_000
"""Characters of all recurrences of a calendar: each costs time when the calendar is read."""

SOUND_RULE: Final = "the SHA-256 of a stored sound in 64 lower case digits"

_HASH: Final = re.compile(r"[0-9a-f]{64}|sha1:[0-9a-f]{40}")
"""SHA-256; SHA-1 only where a CAP document names its resource by it (section 3.2.3, `digest`)."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")

_RECENT_DAYS: Final = 8
"""What is missed is told one by one for so many days; before them it is counted."""

_LOOK_AHEAD_DAYS: Final = 400
"""How far ahead the next due item is looked for: a yearly one is found."""


def is_sound(text: str) -> bool:
    """Return whether `text` can be the name of a stored sound."""
    return _SHA256.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartConfig:
    """One part of an item (table `[[items.parts]]`)."""

    kind: Literal["chime", "file", "text", "relay"]
    """`text` is spoken text as a stored file; `relay` a live stream."""

    duration_s: int
    """How long it may sound; a file may end earlier."""

    media: dict[str, str] = field(default_factory=dict)
    """Language to SHA-256 of the stored file (64 hexadecimal digits); `any` without speech."""

    stream: str = ""
    """Name of the live stream to relay."""

    fallback: bool = False
    """Played only when the part before it could not be."""

    def __post_init__(self) -> None:
        good = all(_HASH.fullmatch(one) for one in self.media.values())
        relay = self.kind == "relay"
        check(
            "part",
            {
                "duration_s": (1 <= self.duration_s <= DAY_S, self.duration_s, f"1 to {DAY_S}"),
                "media": (
                    good and bool(self.media) != relay,
                    self.media,
                    "language = SHA-256 in 64 lower case digits, at least one; none for a relay",
                ),
                "stream": (bool(self.stream) == relay, self.stream, "a name for a relay only"),
            },
        )

    def choose(self, languages: tuple[str, ...]) -> tuple[str, str]:
        """Return (language, hash) for a hamlet that prefers `languages` in this order.

        Decree 49/2024/NĐ-CP asks for minority languages; a part that lacks them is still heard, in
        Vietnamese, or in the first language by name.
        """
        for language in (*languages, "any", "vi"):
            if language in self.media:
                return language, self.media[language]
        return min(self.media.items(), default=("", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemConfig:
    """One item of the calendar (table `[[items]]`)."""

    name: str
    start: str
    """Wall clock `hh:mm`."""

    parts: tuple[PartConfig, ...]
    on: DaysConfig = field(default_factory=DaysConfig)
    message_class: str = "normal"
    level: str = "commune"
    repeat: int = 1
    """How often the parts are played."""

    interval_s: int = 0
    """Pause between repetitions."""

    hamlets: tuple[str, ...] = ()
    """Only in these; empty for all."""

    missed: Literal["skip", "late"] = "skip"
    """After a power cut: leave it out, or play it late."""

    late_max_s: int = 900
    """How late `late` may be."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", written(self.name))  # (name, day) is its identity
        check(
            f"item {self.name!r}",
            {
                "name": (0 < len(self.name) <= 64, self.name, "1 to 64 letters"),
                "start": (parse_time(self.start) is not None, self.start, "hh:mm"),
                "parts": (1 <= len(self.parts) <= PARTS_MAX, len(self.parts), f"1 to {PARTS_MAX}"),
                "message_class": (
                    self.message_class in CLASSES,
                    self.message_class,
                    f"one of {', '.join(CLASSES)}",
                ),
                "repeat": (1 <= self.repeat <= 20, self.repeat, "1 to 20"),
                "interval_s": (0 <= self.interval_s <= 3600, self.interval_s, "0 to 3600"),
                "late_max_s": (0 <= self.late_max_s <= DAY_S, self.late_max_s, f"0 to {DAY_S}"),
            },
        )

    @property
    def duration_s(self) -> int:
        """Longest time it takes, with repetitions and pauses."""
        once_s = sum(part.duration_s for part in self.parts)
        return once_s * self.repeat + self.interval_s * (self.repeat - 1)

    @property
    def message_class_value(self) -> MessageClass:
        """Its class as the arbiter knows it."""
        return MessageClass(CLASSES.index(self.message_class))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeConfig:
    """The calendar and the node's own part in it (table `[programme]`)."""

    items: tuple[ItemConfig, ...] = ()
    zone: str = "Asia/Ho_Chi_Minh"
    hamlet: str = ""
    """Where the node stands."""

    languages: tuple[str, ...] = ("vi",)
    """Languages of the hamlet, the preferred one first."""

    offset_s: int = 0
    """Staggered broadcast: this node starts so much later. Urgent items ignore it."""

    def __post_init__(self) -> None:
        load_zone(self.zone)
        names = [item.name for item in self.items]
        if len(set(names)) != len(names):
            raise ConfigError(f"programme.items: names {names}: must differ from each other")
        rules = sum(len(item.on.recurrence or "") for item in self.items)
        check(
            "programme",
            {
                "items": (len(names) <= ITEMS_MAX, len(names), f"at most {ITEMS_MAX}"),
                "offset_s": (0 <= self.offset_s <= 3600, self.offset_s, "0 to 3600"),
                "recurrences": (
                    rules <= RECURRENCES_MAX,
                    f"{rules} characters",
                    f"at most {RECURRENCES_MAX} together",
                ),
            },
        )


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """An item on a day, and the instant at which it is due."""

    due_s: int
    name: str
    day: str
    """`yyyy-mm-dd`, by the wall clock of the calendar."""

    index: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Counted:
    """An item that was due on several days, long ago."""

    name: str
    first_day: str
    last_day: str
    count: int
    index: int


class Calendar:
    """Answer which items are due, and when the next one is."""

    def __init__(self, config: ProgrammeConfig) -> None:
        self.config = config
        self._zone = load_zone(config.zone)
        self._mine = [
            (index, item, Days(item.on, self._zone))
            for index, item in enumerate(config.items)
            if not item.hamlets or any(same_name(config.hamlet, one) for one in item.hamlets)
        ]

    def due_between(
        self, after_s: int, until_s: int, *, but: tuple[date, date] | None = None
    ) -> list[Due]:
        """Return what is due in (after_s, until_s], in order; `but` are days to leave out."""
        found: list[Due] = []
        for day in self._days(after_s, until_s):
            if but is None or not but[0] <= day <= but[1]:
                found += (due for due in self._due_on(day) if after_s < due.due_s <= until_s)
        return sorted(found)

    def planned_s(self, utc_s: int, until_s: int, known: Container[tuple[str, str]]) -> int:
        """Return the seconds of what is due in that time, neither urgent nor `known`."""
        dues = self.due_between(utc_s - 1, until_s)
        items = [self.config.items[due.index] for due in dues if (due.day, due.name) not in known]
        urgent = MessageClass.URGENT
        return sum(one.duration_s for one in items if one.message_class_value is not urgent)

    def long_ago(self, after_s: int, until_s: int) -> tuple[date, date] | None:
        """Return the whole days within (after_s, until_s] that are only counted; None if few."""
        first = local_time(after_s, self._zone).date() + timedelta(days=2)
        last = local_time(until_s, self._zone).date() - timedelta(days=_RECENT_DAYS)
        return (first, last) if first < last else None

    def count(self, first: date, last: date, known: Container[tuple[str, str]]) -> list[Counted]:
        """Return how often each item is due on the days from `first` to `last`.

        Those that are `known`, as (day, name), do not count.
        """
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        texts = [day.isoformat() for day in days]
        found: list[Counted] = []
        for index, item, on in self._mine:
            held = [
                text
                for day, text in zip(days, texts, strict=True)
                if day in on and (text, item.name) not in known
            ]
            if held:
                found.append(Counted(item.name, held[0], held[-1], len(held), index))
        return found

    def next_due_s(self, after_s: int) -> int:
        """Return the first instant after `after_s` at which something is due, or to look again."""
        until_s = after_s + _LOOK_AHEAD_DAYS * DAY_S
        for day in self._days(after_s, until_s):
            later = [due.due_s for due in self._due_on(day) if due.due_s > after_s]
            if later:
                # An offset may carry an item of this day past one of the next: look there too.
                tomorrow = self._due_on(day + timedelta(days=1))
                return min(later + [due.due_s for due in tomorrow])
        return until_s

    def _days(self, after_s: int, until_s: int) -> Iterator[date]:
        day = local_time(after_s, self._zone).date() - timedelta(days=1)
        last = local_time(until_s, self._zone).date() + timedelta(days=1)
        while day <= last:
            yield day
            day += timedelta(days=1)

    def _due_on(self, day: date) -> list[Due]:
        found: list[Due] = []
        for index, item, days in self._mine:
            at = parse_time(item.start)
            if at is not None and day in days:
                urgent = item.message_class_value is MessageClass.URGENT
                offset_s = 0 if urgent else self.config.offset_s
                due_s = instant_s(day, at, self._zone) + offset_s
                found.append(Due(due_s, item.name, day.isoformat(), index))
        return found
