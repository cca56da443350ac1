"""Which message goes before which: classes, tiers of government, and the commune's choice.

Circular 39/2020/TT-BTTTT knows three classes: *normal* plays by schedule as the commune chose,
*priority* goes before it and on a clash with the commune's own priority item the commune decides
the order, *urgent* plays at once. Which tiers there are is data: districts ceased on 2025-07-01.
`matrix` prints what the rules amount to.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from node.config import check

RAMP_MAX_MS: Final = 200
"""A lower source may delay an urgent one by no more than this (docs/why.md)."""

RAMP_MIN_MS: Final = 42
"""100 dB in so long are 0.05 dB per sample at 48 kHz: no click (docs/why.md)."""

SILENT_DB: Final = float("-inf")


class MessageClass(IntEnum):
    """Classes of Circular 39/2020/TT-BTTTT (docs/why.md)."""

    NORMAL = 0
    PRIORITY = 1
    URGENT = 2


CLASSES: Final = tuple(one.name.lower() for one in MessageClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityConfig:
    """Rules of the horn (table `[priority]`)."""

    tiers: tuple[str, ...] = ("national", "province", "commune", "hamlet")
    """Levels of authority, highest first."""

    commune_tier: str = "commune"
    """The tier whose own priority items `clash` is about."""

    clash: Literal["upper_first", "commune_first"] = "upper_first"
    """The commune's choice between its own priority items and those from above."""

    tie_break: Literal["first", "newest"] = "first"
    """Between equals: who came first keeps the horn, or the newest takes it, once."""

    level_counts: tuple[str, ...] = ("priority", "urgent")
    """Classes in which a higher tier wins. Normal items of the commune and those above it play by
    schedule, whoever sent them; what is below the commune gives way to them in any class."""

    duck_db: dict[str, float] = field(default_factory=dict)
    """`"urgent over normal" = -20.0`: keep the lower one running at that gain. Others: PREEMPT."""

    hold_ms: dict[str, int] = field(
        default_factory=lambda: {"normal": 1900, "priority": 1900, "urgent": 3000}
    )
    """How long a silent source keeps the horn. Longer than a stall of LTE, after which it goes on
    where it was: a modem gives a weak cell up after 1 s, mostly (T310 of 3GPP TS 36.331), and is
    back some tenths later. But whoever waits for the horn sounds 2 s after the last word."""

    retake_ms: int = 10_000
    """A source back within so long is not a newcomer: it takes nothing from an equal."""

    ramp_ms: int = 125
    """A source that loses the horn, or is ducked, falls by 100 dB in so long."""

    return_ms: int = 125
    """One that gets it back rises by 100 dB in so long."""

    def __post_init__(self) -> None:
        pairs = [f"{upper} over {lower}" for upper in CLASSES for lower in CLASSES]
        check(
            "priority",
            {
                "tiers": (
                    0 < len(self.tiers) <= 16 and len(set(self.tiers)) == len(self.tiers),
                    self.tiers,
                    "1 to 16 different names",
                ),
                "commune_tier": (
                    self.commune_tier in self.tiers,
                    self.commune_tier,
                    f"one of {', '.join(self.tiers)}",
                ),
                "level_counts": (
                    set(self.level_counts) <= set(CLASSES),
                    self.level_counts,
                    f"some of {', '.join(CLASSES)}",
                ),
                "duck_db": (
                    all(k in pairs and -60.0 <= v <= -3.0 for k, v in self.duck_db.items()),
                    self.duck_db,
                    "entries like 'urgent over normal' = -60 to -3",
                ),
                "hold_ms": (
                    set(self.hold_ms) == set(CLASSES)
                    and all(100 <= v <= 60_000 for v in self.hold_ms.values()),
                    self.hold_ms,
                    f"100 to 60000 for each of {', '.join(CLASSES)}",
                ),
                "retake_ms": (0 <= self.retake_ms <= 600_000, self.retake_ms, "0 to 600000"),
                "ramp_ms": (
                    RAMP_MIN_MS <= self.ramp_ms <= RAMP_MAX_MS,
                    self.ramp_ms,
                    f"{RAMP_MIN_MS} (softer than a click) to {RAMP_MAX_MS}, so that an urgent "
                    "message is not delayed",
                ),
                "return_ms": (
                    RAMP_MIN_MS <= self.return_ms <= 5000,
                    self.return_ms,
                    f"{RAMP_MIN_MS} to 5000",
                ),
            },
        )

    def rank(self, message_class: MessageClass, level: str) -> int:
        """Return the standing of (class, level): higher takes the horn, equal is a tie."""
        within = int(self.tiers.index(level) <= self.tiers.index(self.commune_tier))
        if CLASSES[message_class] in self.level_counts:
            within = len(self.tiers) - self.tiers.index(level)
        if (
            message_class is MessageClass.PRIORITY
            and self.clash == "commune_first"
            and level == self.commune_tier
        ):
            within = len(self.tiers) + 1
        return int(message_class) * (len(self.tiers) + 2) + within

    def gain_under_db(self, upper: MessageClass, lower: MessageClass) -> float:
        """Return the gain of a `lower` source under an `upper` one: DUCK, or `SILENT_DB`."""
        return self.duck_db.get(f"{CLASSES[upper]} over {CLASSES[lower]}", SILENT_DB)


def matrix(config: PriorityConfig) -> str:
    """Return the rules as a table: what a newcomer (row) does to a holder (column)."""
    kinds = [(c, level) for c in reversed(MessageClass) for level in config.tiers]
    names = [f"{CLASSES[c]}/{level}" for c, level in kinds]
    width = max(len(name) for name in names)
    lines = [" " * width + " | " + " | ".join(name.rjust(width) for name in names)]
    for (new_class, new_level), name in zip(kinds, names, strict=True):
        cells = [_cell(config, new_class, new_level, c, level) for c, level in kinds]
        lines.append(name.rjust(width) + " | " + " | ".join(c.rjust(width) for c in cells))
    return "\n".join(lines)


def _cell(
    config: PriorityConfig,
    new_class: MessageClass,
    new_level: str,
    holder_class: MessageClass,
    holder_level: str,
) -> str:
    difference = config.rank(new_class, new_level) - config.rank(holder_class, holder_level)
    if difference == 0:
        return "waits" if config.tie_break == "first" else "takes once"
    upper, lower = (new_class, holder_class) if difference > 0 else (holder_class, new_class)
    duck_db = config.gain_under_db(upper, lower)
    if difference > 0:
        return "PREEMPT" if duck_db == SILENT_DB else f"DUCK {duck_db:g} dB"
    return "waits" if duck_db == SILENT_DB else f"under {duck_db:g} dB"
