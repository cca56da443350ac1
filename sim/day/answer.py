"""What a day answers, from what was written down at each of its poles."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.control.calendar.play_state import Record
from node.control.loudness.regulation import RuleFile
from node.control.precedence import MessageClass
from node.control.proof.proof import GENESIS, hash_of
from node.counters import Origin
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from sim.day.heard import LiveItem, as_heard, heard_at, with_live
from sim.day.missed import with_missed, with_unwarned
from sim.day.nodes import dwelling
from sim.day.observer import Observer
from sim.day.stagger import StaggerPlan
from sim.day.station import Station, class_name
from sim.day.totals import orders_totals, strangers_totals, totals_of, warned_totals
from sim.gateway.power import Uptime
from sim.result.day import DayItem, DayNode, DayOrder, DayResult, DayRule
from sim.village.day_config import DayConfig
from sim.village.places import Place

_WRONG_S: Final = 2
"""Records count whole seconds: a clock that is right is no more than that off."""

_MADE_UP = (Origin.CONCEALED, Origin.FADED, Origin.SILENT)
_PLAYED = (Origin.RECEIVED, Origin.REDUNDANT, Origin.RETRANSMITTED, Origin.IN_BAND_FEC)


class LivedPole(Protocol):
    """A pole that has lived through its day."""

    observer: Observer
    origin_samples: NDArray[np.int64]
    """(ORIGINS,) int64: output samples by `node.counters.Origin`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """One pole of a day that is over."""

    place: Place
    pole: LivedPole
    power: Sequence[Uptime]
    orders: Sequence[DayOrder]
    """The fate of each order here."""
    begin_ns: int = 0
    """Into the day, when what was lived began."""
    announced_s: float | None = None
    """When it knew of the live programme, s into the day; None: never."""

    streams: Sequence[tuple[int, float, float]] = ()
    """Each live stream that left the horn, and from when to when, s since what was lived began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a day was to be."""

    day: DayConfig
    station: Station
    turns: StaggerPlan
    rules: tuple[RuleFile, ...]
    live: LiveItem | None = None
    """The live programme, where it was lived."""


def answer_of(plan: Plan, lived: Sequence[Lived]) -> DayResult:
    """Return what a day answers; `lived` are its poles in the order of the village's places."""
    day, turns = plan.day, plan.turns
    items = [item for i, one in enumerate(lived) for item in _all_items(plan, i, one)]
    spans = [span for one in lived for span in one.pole.observer.diary.spans]
    decisions = [told for one in lived for told in one.pole.observer.diary.decisions]
    orders = [order for one in lived for order in one.orders]
    in_force = [one for one in plan.rules if one.in_force(date.fromisoformat(day.date))]
    return DayResult(
        date=day.date,
        zone=day.programme.zone,
        live_at=day.live_at,
        trace_hash=_trace_hash(lived),
        totals=totals_of(items, spans, decisions, turns)
        | warned_totals(orders)
        | orders_totals(orders)
        | strangers_totals(orders),
        rules=[_rule(one) for one in in_force],
        nodes=[_node(plan, i, one) for i, one in enumerate(lived)],
        items=items,
        spans=spans,
        decisions=decisions,
        volumes=[told for one in lived for told in one.pole.observer.diary.volumes],
        orders=orders,
    )


def _all_items(plan: Plan, number: int, one: Lived) -> list[DayItem]:
    """Return the node's own records, and what it kept none of: it had no power, or no plan."""
    told = list(_items(one, plan.station.midnight_s))
    programme = replace(
        plan.day.programme, hamlet=one.place.hamlet, offset_s=plan.turns.offsets_s[number]
    )
    told = with_missed(
        told, one.place.node, programme, one.power, plan.station,
        timed_s=one.pole.observer.timed_s, begin_ns=one.begin_ns,
    )  # fmt: skip
    heard = heard_at(one.place, one.pole, one.power, one.begin_ns, one.streams)
    told = as_heard(told, heard, programme)
    if plan.live is not None:
        told = with_live(told, heard, plan.live, announced_s=one.announced_s)
    return with_unwarned(told, one.orders)


def _node(plan: Plan, number: int, one: Lived) -> DayNode:
    place, observer, samples = one.place, one.pole.observer, one.pole.origin_samples
    house = dwelling(place, plan.day)
    to_ms = 1000 / RATE_HZ
    return DayNode(
        node=place.node,
        commune=place.commune,
        hamlet=place.hamlet,
        cluster=place.title,
        house_m=house.distance_m,
        house_area=house.area,
        group=plan.turns.groups[number],
        offset_s=plan.turns.offsets_s[number],
        played_ms=sum(int(samples[origin]) for origin in _PLAYED) * to_ms,
        concealed_ms=sum(int(samples[origin]) for origin in _MADE_UP) * to_ms,
        proof_head=hash_of(observer.proof[-1]) if observer.proof else GENESIS,
        orders_came=observer.orders_came,
    )


def _trace_hash(lived: Sequence[Lived]) -> str:
    """Return the hash over all chains of proof, diaries and counts."""
    whole = hashlib.sha256()
    for one in lived:
        observer = one.pole.observer
        whole.update(one.place.node.encode() + b"\0" + b"\n".join(observer.proof))
        diary = observer.diary
        whole.update(repr((diary.spans, diary.decisions, diary.volumes)).encode())
        whole.update(one.pole.origin_samples.astype("<i8").tobytes())
    return whole.hexdigest()


def _items(lived: Lived, midnight_s: int) -> Iterator[DayItem]:
    observer = lived.pole.observer
    for record in observer.records:
        begun = observer.diary.begun.get(record.name)
        seen = begun is not None and begun.seen and record.started_s
        first_ns = begun.first_sample_ns if begun is not None and seen else None
        kind: MessageClass | None = None if begun is None else begun.message_class
        yield DayItem(
            node=observer.diary.node,
            item=record.name,
            message_class="" if kind is None else class_name(kind),
            outcome=record.outcome,
            reason=record.reason,
            # A live programme is due when it comes, and never did where there is only its end.
            due_s=float((record.due_s or record.started_s or record.ended_s) - midnight_s),
            started_s=_started_s(lived, record, midnight_s),
            first_sample_ms=(
                None
                if begun is None or first_ns is None
                else (first_ns - begun.start_ns) / NS_PER_MS
            ),
            sounded_s=record.sounded_s,
            volume=record.volume,
            expected_dba=record.expected_dba,
            languages=", ".join(record.languages),
            failed=", ".join(record.failed),
        )


def _started_s(lived: Lived, record: Record, midnight_s: int) -> float | None:
    """Return when an item started, s into the day: by the true time where the node's is another."""
    if not record.started_s:
        return None
    told_s = float(record.started_s - midnight_s)
    begun = lived.pole.observer.diary.begun.get(record.name)
    if begun is None:
        return told_s
    true_s = (lived.begin_ns + begun.start_ns) / NS_PER_S
    is_right = record.clock == "trusted" and abs(true_s - told_s) < _WRONG_S
    return told_s if is_right else true_s


def _rule(one: RuleFile) -> DayRule:
    return DayRule(name=one.name, title=one.title, verified=one.verified, source=one.source)
