"""What left the horn of each item, held against its record: a node that was off, slow or without
its card does not know all of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Protocol

from node.control.calendar.programme import ItemConfig, ProgrammeConfig
from node.control.sessions import record_name
from node.units import NS_PER_S
from sim.day.hindrance import at_pole, blocks, hindrances
from sim.day.observer import Observer
from sim.gateway.amplifier import audible
from sim.gateway.cpu import cpu_load
from sim.gateway.power import Uptime
from sim.result.day import DayItem, DaySpan
from sim.village.places import Place

IN_PART: Final = "in part"

_MISSING_S: Final = 1.0
_MISSING_SHARE: Final = 0.3
_LIVE_SHARE: Final = 0.01
_MOMENT_S: Final = 0.2
"""So much may be missing of what counts as played: of a live programme, which has a way to go, a
hundredth, and of others a second or, of what is short, less.
Less than a moment was not heard.
"""


class Observed(Protocol):
    """A pole with what was written down of it."""

    observer: Observer


@dataclass(frozen=True, slots=True)
class LiveItem:
    """The live programme of a day, as far as the day was lived."""

    name: str
    """Of its records."""

    begin_s: float
    end_s: float
    """Into the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """All that left the horn of one pole, s into the day."""

    place: Place
    power: Sequence[Uptime]
    """Since `begin_s`."""

    begin_s: float
    spans: tuple[DaySpan, ...]
    """Since `begin_s`."""

    stretches: dict[str, tuple[tuple[float, float], ...]]
    """Item to from when to when it left the horn, in order."""

    cuts_s: tuple[float, ...]

    def seconds(self, item: str, from_s: float = 0.0, until_s: float = inf) -> float:
        """Return for how long an item left the horn meanwhile."""
        parts = ((max(a, from_s), min(b, until_s)) for a, b in self.stretches.get(item, ()))
        return sum(b - a for a, b in parts if a < b)


def heard_at(
    place: Place,
    pole: Observed,
    power: Sequence[Uptime],
    begin_ns: int,
    streams: Sequence[tuple[int, float, float]],
) -> Heard:
    """Return what left the horn of a pole that was lived from `begin_ns` into the day on.

    `streams` are those that left it, and from when to when, s since then.
    """
    observer, begin_s = pole.observer, begin_ns / NS_PER_S
    spans = observer.diary.spans
    stretches: dict[str, list[tuple[float, float]]] = {}
    release_s = place.profile.amplifier.mute_release_s.value
    for one in audible(spans, release_s, observer.unmuted):
        at = (begin_s + one.from_s, begin_s + one.span.until_s)
        stretches.setdefault(one.span.item, []).append(at)
    for source, from_s, until_s in streams:
        at = (begin_s + from_s, begin_s + until_s)
        stretches.setdefault(record_name(source), []).append(at)
    return Heard(
        place=place,
        power=power,
        begin_s=begin_s,
        spans=tuple(spans),
        stretches={name: tuple(found) for name, found in stretches.items()},
        cuts_s=tuple(begin_s + one for one in observer.cuts_s),
    )


def as_heard(items: Sequence[DayItem], heard: Heard, programme: ProgrammeConfig) -> list[DayItem]:
    """Return items of a calendar, and warnings, with what left the horn of each of them."""
    known = {one.name: one for one in programme.items}
    last: dict[tuple[str, float], DayItem] = {}
    for one in items:
        at = one.item, one.due_s
        # Who was told a wrong time tells of what it missed by that, and then plays it.
        if at not in last or one.item not in known or _rank(one) >= _rank(last[at]):
            last[at] = one
    return [
        _as_heard(one, heard, known.get(one.item), list(last.values())) for one in last.values()
    ]


def _rank(one: DayItem) -> int:
    return ("missed", "refused", "stopped", "interrupted", "played").index(one.outcome)


def _as_heard(
    one: DayItem, heard: Heard, item: ItemConfig | None, others: Sequence[DayItem]
) -> DayItem:
    # By a wrong clock it may have sounded at any time: who is due once a day has all of the day.
    dues_s = [other.due_s for other in others if other.item == one.item]
    until_s = min((due_s for due_s in dues_s if due_s > one.due_s), default=inf)
    from_s = 0.0 if min(dues_s) == one.due_s else one.due_s
    told = replace(one, heard_s=round(heard.seconds(one.item, from_s, until_s), 1))
    if item is None or one.failed:
        return told
    whole_s = _length_s(item)
    missing_s = min(_MISSING_S, _MISSING_SHARE * whole_s)
    untold = one.outcome == "missed" and told.heard_s > _MOMENT_S
    if untold or (one.outcome == "played" and told.heard_s < whole_s - missing_s):
        since_s = one.due_s if one.started_s is None else one.started_s
        why = _why(heard, one.item, since_s, since_s + item.duration_s)
        return _in_part(told, whole_s, [*([one.reason] * untold), *why])
    return told


def with_live(
    items: Sequence[DayItem], heard: Heard, live: LiveItem, *, announced_s: float | None
) -> list[DayItem]:
    """Return items with one for the live programme, whatever the node kept of it: who boots in it
    tells of that boot alone, and who never heard of it, or has no power at its end, of nothing.

    `announced_s` is when the node knew of it, s into the day; None: never.
    """
    told = [one for one in items if one.item == live.name]
    whole_s = live.end_s - live.begin_s
    if whole_s <= 0:
        return list(items)
    found = [one for one in items if one.item != live.name]
    last = told[-1] if told else _untold(heard.place.node, live)
    seconds = heard.seconds(live.name)
    stretches = heard.stretches.get(live.name, ())
    one = replace(
        last,
        due_s=live.begin_s,
        started_s=float(int(stretches[0][0])) if stretches else last.started_s,
        heard_s=round(seconds, 1),
    )
    if seconds >= (1 - _LIVE_SHARE) * whole_s and last.outcome in ("missed", "played", IN_PART):
        reason = "" if last.outcome == "missed" else last.reason
        return [*found, replace(one, outcome="played", reason=reason)]
    why = [*_why_live(heard, live), *_why_unknown(live, announced_s)]
    if not seconds:
        said = one.reason if told and one.outcome != "played" else ""
        words = "; ".join(dict.fromkeys(filter(None, (said, *why))))
        outcome = "missed" if one.outcome in ("played", IN_PART) else one.outcome
        return [*found, replace(one, outcome=outcome, reason=words or "nothing of it was heard")]
    if one.outcome in ("played", "missed", IN_PART):
        one = _in_part(one, whole_s, why)
    return [*found, one]


def _length_s(item: ItemConfig) -> float:
    """Return how long all of an item sounds, without pauses: its sounds last as its parts do."""
    parts = [one.duration_s for one in item.parts if one.kind != "relay" and not one.fallback]
    return float(sum(parts) * item.repeat)


def _in_part(one: DayItem, whole_s: float, why: Sequence[str]) -> DayItem:
    said = f"{one.heard_s:.0f} of {whole_s:.0f} s left the horn"
    return replace(one, outcome=IN_PART, reason="; ".join((said, *dict.fromkeys(why))))


def _why(heard: Heard, item: str, from_s: float, until_s: float) -> Iterator[str]:
    """Yield what was wrong at the pole meanwhile."""
    if any(from_s < one < until_s for one in heard.cuts_s):
        yield "the power went while it sounded"
    span = (round(from_s * NS_PER_S), round(until_s * NS_PER_S))
    yield from at_pole(heard.place.befallen, span, cpu_load(heard.place.profile))
    for one in heard.spans:
        inside = one.from_s + heard.begin_s < until_s and one.until_s + heard.begin_s > from_s
        if one.item == item and one.played_dba is None and inside:
            by = one.rule if one.action == "refuse" else "the volume plan"
            yield f"silenced by {by}"
    for other in heard.stretches:
        if other != item and heard.seconds(other, from_s, until_s):
            yield f"{'a warning' if other.startswith('#') else other} had the horn"


def _why_live(heard: Heard, live: LiveItem) -> Iterator[str]:
    """Yield what stood between the station and the horn meanwhile."""
    span = (round(live.begin_s * NS_PER_S), round(live.end_s * NS_PER_S))
    begin_ns = round(heard.begin_s * NS_PER_S)
    power = [Uptime(one.start_ns + begin_ns, one.end_ns + begin_ns) for one in heard.power]
    for _, word in hindrances(span, power, blocks(heard.place.befallen)):
        yield word
    yield from _why(heard, live.name, live.begin_s, live.end_s)


def _why_unknown(live: LiveItem, announced_s: float | None) -> Iterator[str]:
    """Yield how its announcement fared, without which a node plays nothing of it."""
    if announced_s is None:
        yield "its announcement never came"
    elif announced_s > live.begin_s + _MOMENT_S:
        yield f"its announcement came {announced_s - live.begin_s:.0f} s after its begin"


def _untold(node: str, live: LiveItem) -> DayItem:
    """Return the item of a node that kept no record of the live programme."""
    return DayItem(
        node=node,
        item=live.name,
        message_class="normal",
        outcome="missed",
        reason="",
        due_s=live.begin_s,
        started_s=None,
        first_sample_ms=None,
        sounded_s=0,
        volume=-1,
        expected_dba=0.0,
        languages="",
        failed="",
    )
