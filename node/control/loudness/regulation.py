"""What the law allows at a date and hour: dated rule files, and what follows for a programme.

Rules change: QCVN 26:2010 was replaced on 2025-11-14, districts ceased on 2025-07-01. So they are
files with the days between which they hold, their source, and whether someone has read them there.
"""

import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal

from node.config import build, check, require
from node.control.civil_time import covers, parse_date, parse_time
from node.control.loudness.noise import PROGRAMME_DB, DwellingConfig, HornConfig, expected_dba
from node.control.precedence import MessageClass
from node.control.recurrence import DaysConfig, Span
from node.control.recurrence_text import read_recurrence

GAIN_MIN_DB: Final = -40.0
"""Below it lowering is pointless: nobody hears volume 1 (`node.control.loudness.schedule`)."""

_LIMITS_KEPT: Final = 64

DEFAULT_JUSTIFICATION: Final = "urgent message to protect life"

Policy = Literal["refuse", "lower", "justify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLimit:
    """Highest equivalent level in a kind of area between two times of day."""

    area: str
    start: str
    end: str
    limit_dba: float

    def __post_init__(self) -> None:
        rules = _times(self.start, self.end)
        rules["limit_dba"] = (20 <= self.limit_dba <= 120, self.limit_dba, "20 to 120")
        check("noise", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Times of day at which programmes may play."""

    start: str
    end: str
    on: DaysConfig = field(default_factory=DaysConfig)
    """The days on which they begin: hours past midnight belong to the day before."""

    def __post_init__(self) -> None:
        rules = _times(self.start, self.end)
        if self.on.recurrence is not None:
            read_recurrence(self.on.recurrence, None)  # a rule file has no zone
        check("hours", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """One regulation, with the days between which it holds."""

    name: str
    title: str
    in_force_from: str
    source: str
    verified: bool
    """Whether the numbers were read in the source. Reports print those that were not."""

    in_force_to: str | None = None
    """Last day; none while it holds."""

    urgent_exempt: bool = False
    noise: tuple[NoiseLimit, ...] = ()
    hours: tuple[Hours, ...] = ()
    """Empty: this file says nothing about hours."""

    minutes_per_day: int | None = None

    def __post_init__(self) -> None:
        dates = (self.in_force_from, self.in_force_to)
        minutes = self.minutes_per_day
        check(
            "rule file",
            {
                "in_force_from": (
                    all(one is None or parse_date(one) is not None for one in dates),
                    dates,
                    "dates like 2025-11-14",
                ),
                "in_force_to": (
                    self.in_force_to is None or self.in_force_from <= self.in_force_to,
                    self.in_force_to,
                    f"not before in_force_from = {self.in_force_from}",
                ),
                "minutes_per_day": (
                    minutes is None or 1 <= minutes <= 1440,
                    minutes,
                    "1 to 1440",
                ),
            },
        )

    def in_force(self, day: date) -> bool:
        """Return whether it holds on `day`."""
        text = day.isoformat()
        return self.in_force_from <= text and (self.in_force_to is None or text <= self.in_force_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationConfig:
    """What to do where a programme breaks a rule (table `[regulation]`)."""

    noise: Policy = "lower"
    """Normal and priority messages above the noise limit."""

    urgent_noise: Policy = "justify"
    """Urgent ones, where no rule file exempts them. A warning that nobody hears warns nobody."""

    justification: str = DEFAULT_JUSTIFICATION
    """What is recorded when `justify` applies."""

    programme_db: float = PROGRAMME_DB
    """Mean level of what is played, re a full-scale sine. Where the node levels its programmes
    (`audio.target_lufs`) it follows from that."""

    def __post_init__(self) -> None:
        level_db = self.programme_db
        check("regulation", {"programme_db": (-60 <= level_db <= 0, level_db, "-60 to 0")})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be played: `action`, the gain that is allowed, and the reasons."""

    action: Literal["play", "lower", "refuse", "justify"]
    gain_db: float
    expected_dba: float
    limit_dba: float | None
    rule: str
    verified: bool
    justification: str = ""


def load_rule_file(toml_text: str, *, where: str) -> RuleFile:
    """Return the rule file with content `toml_text`; `where` is its name for errors.

    Raises
    ------
    ConfigError
        Naming every wrong entry; TOML's own error if it is not TOML.
    """
    errors: list[str] = []
    rules = build(RuleFile, tomllib.loads(toml_text), where=where, errors=errors)
    require(errors)
    assert rules is not None, "build returns None only with errors"
    return rules


class Regulation:
    """Judge programmes of one pole by the rule files in force."""

    def __init__(
        self,
        files: tuple[RuleFile, ...],
        config: RegulationConfig,
        horns: tuple[HornConfig, ...] = (),
        dwelling: DwellingConfig | None = None,
    ) -> None:
        self._files = files
        self._config = config
        self._area = dwelling.area if dwelling is not None else ""
        self._full_dba = float("-inf")
        if dwelling is not None:
            self._full_dba = expected_dba(horns, dwelling, programme_db=config.programme_db)
        self._spans = {id(h): Span(h.start, h.end, h.on) for one in files for h in one.hours}
        self._limits: dict[tuple[int, int, bool], tuple[NoiseLimit, RuleFile] | None] = {}

    def judge_noise(self, local: datetime, message_class: MessageClass, gain_db: float) -> Verdict:
        """Return what may sound of a programme at `gain_db`, by the wall clock `local`."""
        urgent = message_class is MessageClass.URGENT
        level_dba = self.level_dba(gain_db)
        found = self._lowest_limit(local, urgent=urgent)
        if found is None:
            return Verdict("play", gain_db, level_dba, None, "", verified=True)
        limit, one = found
        excess_db = level_dba - limit.limit_dba
        policy = self._config.urgent_noise if urgent else self._config.noise
        action: Literal["play", "lower", "refuse", "justify"] = "play"
        allowed_db, why = gain_db, ""
        if excess_db > 0 and policy == "justify":
            action, why = "justify", self._config.justification
        elif excess_db > 0:
            allowed_db = round(limit.limit_dba - self._full_dba, 1)
            action = "lower" if policy == "lower" and allowed_db >= GAIN_MIN_DB else "refuse"
            if action == "refuse":
                allowed_db = float("-inf")
        return Verdict(action, allowed_db, level_dba, limit.limit_dba, one.name, one.verified, why)

    def level_dba(self, gain_db: float) -> float:
        """Return the level at the nearest dwelling at `gain_db`; -inf where none is known."""
        return round(self._full_dba + gain_db, 1)

    def refused_hours(self, local: datetime, message_class: MessageClass) -> str | None:
        """Return the name of the rule that forbids programmes at `local`, or None."""
        urgent = message_class is MessageClass.URGENT
        for one in self._files:
            if not one.hours or not one.in_force(local.date()) or (urgent and one.urgent_exempt):
                continue
            if not any(self._open(hours, local) for hours in one.hours):
                return one.name
        return None

    def minutes_per_day(self, day: date) -> int | None:
        """Return the most minutes of programme on `day`, or None where no rule says so."""
        limits = [
            one.minutes_per_day
            for one in self._files
            if one.minutes_per_day is not None and one.in_force(day)
        ]
        return min(limits, default=None)

    def unverified(self, day: date) -> tuple[str, ...]:
        """Return the rules in force on `day` whose numbers nobody has read in their source."""
        return tuple(one.name for one in self._files if one.in_force(day) and not one.verified)

    def _lowest_limit(self, local: datetime, *, urgent: bool) -> tuple[NoiseLimit, RuleFile] | None:
        """Return the limit that holds at `local`; limits change on whole minutes."""
        key = (local.toordinal(), local.hour * 60 + local.minute, urgent)
        if key not in self._limits:
            if len(self._limits) >= _LIMITS_KEPT:
                self._limits.clear()
            self._limits[key] = self._find_limit(local, urgent=urgent)
        return self._limits[key]

    def _find_limit(self, local: datetime, *, urgent: bool) -> tuple[NoiseLimit, RuleFile] | None:
        found = [
            (limit.limit_dba, one.name, limit, one)
            for one in self._files
            if one.in_force(local.date()) and not (urgent and one.urgent_exempt)
            for limit in one.noise
            if limit.area == self._area and _covers(limit.start, limit.end, local)
        ]
        return min(found, key=lambda f: f[:2])[2:] if found else None

    def _open(self, hours: Hours, local: datetime) -> bool:
        return self._spans[id(hours)].covers(local)


def _covers(start: str, end: str, local: datetime) -> bool:
    first, last = parse_time(start), parse_time(end)
    assert first is not None and last is not None, "checked when the rule was made"
    return covers(local.time(), first, last)


def _times(start: str, end: str) -> dict[str, tuple[bool, object, str]]:
    return {
        "start": (parse_time(start) is not None, start, "hh:mm from 00:00 to 23:59"),
        "end": (parse_time(end) is not None, end, "hh:mm from 00:00 to 23:59"),
    }
