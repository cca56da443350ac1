"""What a day answers, flat: rows that name their node, for the report and for other programs."""

from dataclasses import dataclass, fields
from typing import Any, Final

from sim.result.wall_clock import WallClock

WARNED: Final = ("heard", "late")
UNWARNED: Final = ("not heard", "not known", "too quiet", "heard in part")
"""Fates of a warning at a node: all of it could be heard there, or not."""

NOT_OBEYED: Final = ("not obeyed", "not known")
"""Fates of another order at a node that did not do it, or may not have."""

STRANGERS: Final = ("forged", "replayed")
"""Kinds of what nobody ordered who may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayNode:
    """One node and its neighbour."""

    node: str
    commune: str
    hamlet: str
    cluster: str
    house_m: float
    """Distance of the nearest dwelling."""

    house_area: str
    group: int
    """Its turn among its neighbours, 0 first."""

    offset_s: int
    """By how much it starts later than the calendar says."""

    played_ms: float
    """Sound that left the horn, and of that what was made up:"""

    concealed_ms: float
    proof_head: str
    """Hash of the newest line in its chain of proof."""

    orders_came: int
    """Orders that were handed to it, each copy counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpan:
    """A stretch of time in which one node's horn belonged to one item, equally loud."""

    node: str
    from_s: float
    until_s: float
    item: str
    message_class: str
    volume: int
    asked_dba: float | None
    """At the nearest dwelling, as loud as the volume plan asks; None where it asks for silence."""

    played_dba: float | None
    """As loud as it was; None where the rules left silence."""

    limit_dba: float | None
    action: str
    """`play`, `lower`, `refuse`, `justify`: what the noise rule made of it."""

    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayItem:
    """One item of one node's day, as its proof of play has it, and what left the horn of it.

    Where that is less than a record that says `played`, the outcome is `in part`: a node does not
    know what its CPU was too slow for, nor what it heard of a live programme before it booted.
    """

    node: str
    item: str
    message_class: str
    """Empty where it never began."""

    outcome: str
    reason: str
    due_s: float
    started_s: float | None
    first_sample_ms: float | None
    """From its start at the node (a warning's: from the order's arrival) to its first sample."""

    sounded_s: int
    volume: int
    expected_dba: float
    languages: str
    failed: str
    heard_s: float = 0.0
    """What left the horn of it, over all boots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayDecision:
    """The horn went from one item to another that goes before it."""

    node: str
    at_s: float
    item: str
    taken_by: str
    why: str
    first_sample_ms: float | None
    """From the start of the taker to its first sample."""

    back_s: float | None
    """When the item had the horn back; None when it never had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVolume:
    """From `at_s` on, the plan's volume for normal messages and the noise limit, at one node."""

    node: str
    at_s: float
    volume: int
    limit_dba: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOrder:
    """One signed order at one node, and its fate there.

    ==============  ========================================================================
    fate            means
    ==============  ========================================================================
    heard           the warning sounded, all of it at least once, within `warned_within_s`
    late            ... later than that
    too quiet       it sounded below `[day] heard_from_dba`
    heard in part   less of it than siren and words once was to be heard
    not heard       no sound of it left the horn; `reason` says why
    obeyed          the node did what the order says; it is no warning
    not obeyed      the node did not; `reason` says why
    not for here    the order is about another place
    not known       the day ended before its fate was settled
    refused         what a stranger sent did nothing here; `reason` says why
    as ordered      ... was the order itself, which had not come: no more than that was done
    ==============  ========================================================================
    """

    node: str
    order: str
    kind: str
    """`alert`, `cancel`, `mute`, `unmute`; empty for keys and plans; `forged` or `replayed` where a
    stranger sent it."""

    by: str
    """The tier that ordered."""

    place: str
    """Where it is for, in words; empty: everywhere under who sent it."""

    number: int
    """Of a warning, or of the one that a cancel is about; 0 for the others."""

    sent_s: float
    arrived_s: float | None
    answer: str
    """What the node made of it when it came, in its own words; empty when it never came."""

    fate: str
    reason: str
    first_sound_s: float | None
    """Of a warning: from its order to the first sample of it that left the horn, which an amplifier
    that was mute lets through `mute_release_s` later. Where a power cut was in it, it begins anew
    after that: then to the first sample of what was heard whole."""

    heard_pct: float
    """Of a warning: how much of siren and words, with all repetitions, left the horn without a
    power cut between."""

    played_dba: float | None
    """Expected level at the nearest dwelling, at its loudest."""

    languages: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """A rule file that was in force."""

    name: str
    title: str
    verified: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """The answer of a day. Exact: the same for the same seed."""

    date: str
    zone: str
    """Whose clocks tell the time: all `_s` count from the midnight at which that date begins."""

    live_at: str
    """Wall clock at which the run's live programme begins."""

    trace_hash: str
    totals: dict[str, float | int | None]
    rules: list[DayRule]
    nodes: list[DayNode]
    items: list[DayItem]
    spans: list[DaySpan]
    decisions: list[DayDecision]
    volumes: list[DayVolume]
    orders: list[DayOrder]

    @property
    def clock(self) -> WallClock:
        """Return the clocks of the day."""
        return WallClock(self.date, self.zone)

    def summary(self) -> dict[str, Any]:
        """Return all of it, JSON-able: each moment also by the clock."""
        rows = {name: [self.clock.row(one) for one in getattr(self, name)] for name in DAY_TABLES}
        return {one.name: getattr(self, one.name) for one in fields(self)} | rows

    def unwarned(self) -> list[DayOrder]:
        """Return each warning at each node that did not hear it, or of which it is not known."""
        return [one for one in self.orders if one.kind == "alert" and one.fate in UNWARNED]


DAY_TABLES: Final[dict[str, type[Any]]] = {
    "rules": DayRule,
    "nodes": DayNode,
    "items": DayItem,
    "spans": DaySpan,
    "decisions": DayDecision,
    "volumes": DayVolume,
    "orders": DayOrder,
}
"""Field of a `DayResult` to what its rows are."""
