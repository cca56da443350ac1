"""The fate of every order at every pole: heard, late, in part, not heard and why, or not known.

Times count from the order, for that is how long people were not warned; what a node did after an
order had reached it is only the last part of that.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Final, Protocol

from node.control.precedence import MessageClass
from node.control.trust.fates import CANCELS, NOTHING_IN_FORCE
from node.control.trust.message import open_envelope
from node.control.warning.alert import Alert, item_of
from node.control.warning.alert_blocks import ANY_EVENT
from node.units import NS_PER_S
from sim.day.observer import Observer
from sim.day.station import Sent
from sim.gateway.amplifier import Audible, audible
from sim.result.day import DayOrder
from sim.village.day_config import DayConfig, OrderConfig
from sim.village.faults import into_day_ns
from sim.village.places import Place

_OBEYED: Final = CANCELS | {"obeyed", "waiting", "known"}
"""What a node answers to an order that does what it says."""

_TAKEN: Final = frozenset({"waiting", "known"})
"""What a node answers to a warning that it will sound, or has."""

_WHOLE_S: Final = 1.0
_WHOLE_SHARE: Final = 0.3
"""So much of siren and words may be missing in what counts as all of it: the lesser of both."""

_MOMENT_S: Final = 0.2
"""Less than a syllable: nobody knows by it that there is a warning."""

_KNOWN: Final = "refused: known already, as cancelled, superseded or over"


@dataclass(frozen=True, slots=True)
class Way:
    """What became of one order on its way to one node."""

    arrived_ns: int | None
    """Into the day; None: never."""

    hindered_by: tuple[str, ...]
    """What kept its copies back until it arrived, each once, in the order of time."""


class Observed(Protocol):
    """A pole with what was written down of it."""

    observer: Observer


def order_fate(
    day: DayConfig,
    place: Place,
    pole: Observed,
    sent: Sent,
    way: Way,
    *,
    orders: Sequence[Sent],
    end_ns: int,
) -> DayOrder:
    """Return what became of one order at one pole that has lived until `end_ns`.

    `orders` are all that its station sent; all times are of one clock.
    """
    message = open_envelope(sent.data)
    assert not isinstance(message, str), "the station seals what it sends"
    key = (message.key_id.hex(), message.counter)
    answer = _answer(pole, sent)
    order = sent.order
    told = DayOrder(
        node=place.node,
        order=sent.label,
        kind="" if order is None else order.kind,
        by="" if order is None else order.by,
        place="" if order is None else ", ".join(filter(None, (order.commune, order.hamlet))),
        number=order.number if order is not None and order.kind in ("alert", "cancel") else 0,
        sent_s=sent.at_ns / NS_PER_S,
        arrived_s=None if way.arrived_ns is None else way.arrived_ns / NS_PER_S,
        answer=answer,
        fate="",
        reason="",
        first_sound_s=None,
        heard_pct=0.0,
        played_dba=None,
        languages="",
    )
    if order is not None and order.hamlet not in (None, place.hamlet):
        return replace(told, fate="not for here")
    if order is not None and order.kind == "alert":
        return _warning(day, place, pole, sent, way, told=told, orders=orders, end_ns=end_ns)
    if answer in _OBEYED and key in pole.observer.forgotten:
        why = "done until the power went, and not kept"
        return replace(told, fate="not obeyed", reason=why)
    if answer == NOTHING_IN_FORCE and order is not None:
        before = _ordered_before(day, order)
        if order.by not in before:
            of = f", that is of the {' and the '.join(before)}" if before else ""
            return replace(told, fate="not obeyed", reason=f"refused: {answer}{of}")
        return replace(told, fate="obeyed", reason="nothing was in force here")
    if answer in _OBEYED:
        return replace(told, fate="obeyed")
    fate, reason = _unmet("not obeyed", way, answer)
    return replace(told, fate=fate, reason=reason)


def item_name(number: int) -> str:
    """Return what the proof of play calls the warning of that number."""
    return f"#{number:016x}"


@dataclass(frozen=True, slots=True)
class _Sound:
    """What left the horn of one warning."""

    first_ns: int
    played_s: float
    muted_s: float
    """For so long of that the amplifier was still mute."""

    loudest_dba: float
    anew: bool = False
    """Whether it had begun before, and the power went."""

    @property
    def sounded_s(self) -> float:
        return self.played_s - self.muted_s


def _warning(
    day: DayConfig,
    place: Place,
    pole: Observed,
    sent: Sent,
    way: Way,
    *,
    told: DayOrder,
    orders: Sequence[Sent],
    end_ns: int,
) -> DayOrder:
    order = sent.order
    assert order is not None, "plans are no warnings"
    name = item_name(order.number)
    quiet_dba = day.heard_from_dba
    goes_on = told.answer == "known" and _goes_on(pole, sent, orders)
    since_ns = _counts_from(pole, sent, name) if goes_on else sent.at_ns
    # What begins when it is long over is the sound of another order under its number.
    until_ns = sent.at_ns + (sent.ttl_s + order.lasts_s) * NS_PER_S
    release_s = place.profile.amplifier.mute_release_s.value
    is_refused = told.answer not in ("", *_TAKEN)  # what sounds is another's under its number
    stretches = [
        one
        for one in audible(pole.observer.diary.spans, release_s, pole.observer.unmuted)
        if one.span.item == name
        and not is_refused
        and one.span.until_s * NS_PER_S > since_ns
        and one.span.from_s * NS_PER_S < until_ns
    ]
    once_s, whole_s = _lengths(day, place, order)
    sound = _sound(pole, stretches, since_ns, once_s=once_s, from_dba=quiet_dba)
    if sound is None and (faint := _sound(pole, stretches, since_ns, once_s=once_s)) is not None:
        told = replace(told, fate="too quiet", played_dba=faint.loudest_dba)
        return replace(told, reason=f"{faint.loudest_dba:g} dBA, heard from {quiet_dba:g} dBA on")
    if sound is None:
        fate, reason = _unheard(pole, name, sent, way, told.answer, end_ns=end_ns)
        if told.answer == "known" and not goes_on and name in pole.observer.diary.begun:
            fate, reason = "not heard", _KNOWN
        silenced = _silenced(pole, name, since_ns, until_ns)
        if silenced and told.answer in _TAKEN:
            fate, reason = "not heard", silenced
        return replace(told, fate=fate, reason=reason)
    # What is seen of each repetition is a look longer than it is.
    heard_s = min(sound.played_s, whole_s) - sound.muted_s
    first_s = max(0, sound.first_ns - sent.at_ns) / NS_PER_S
    late = first_s > day.warned_within_s
    fate = "late" if late else "heard"
    why = [*way.hindered_by, *(["the power went while it sounded"] if sound.anew else [])]
    reason = "; ".join(why) if late else ""
    if sound.sounded_s < once_s - _missing_s(once_s):
        fate, reason = "heard in part", _cut_off(pole, name, sound, end_ns=end_ns)
    return replace(
        told,
        fate=fate,
        reason=reason,
        first_sound_s=first_s,
        heard_pct=round(max(0.0, 100 * heard_s / whole_s), 1),
        played_dba=sound.loudest_dba,
        languages=", ".join(pole.observer.diary.begun[name].languages),
    )


def _counts_from(pole: Observed, sent: Sent, name: str) -> int:
    """Return from when on sound of a warning that goes on answers its order."""
    begun = pole.observer.diary.begun.get(name)
    first_ns = None if begun is None else begun.first_sample_ns
    return sent.at_ns if first_ns is None else min(first_ns, sent.at_ns)


def _ordered_before(day: DayConfig, order: OrderConfig) -> list[str]:
    """Return whose warning there was, for whomever, of the number that a cancel is about."""
    at_ns = into_day_ns(order.at, day.date, day.programme.zone)
    return sorted(
        {
            one.by
            for one in day.orders
            if one.kind == "alert"
            and one.number == order.number
            and into_day_ns(one.at, day.date, day.programme.zone) <= at_ns
        }
    )


def _goes_on(pole: Observed, sent: Sent, orders: Sequence[Sent]) -> bool:
    """Return whether a warning is in force at this pole already when it is ordered again."""
    assert sent.order is not None, "plans are no warnings"
    now_ns = pole.observer.came_at_ns(sent.data)
    before = [
        (at_ns, one.order, one.at_ns, _answer(pole, one))
        for one in orders
        if one.order is not None
        and one.order.number == sent.order.number
        and (at_ns := pole.observer.came_at_ns(one.data)) is not None
        and now_ns is not None
        and at_ns < now_ns
    ]
    taken = [one for one in before if one[1].kind == "alert" and one[3] in _TAKEN]
    if not taken or any(one[1].kind == "cancel" and one[3] in CANCELS for one in before):
        return False
    _, first, at_ns, _ = min(taken, key=lambda one: one[0])
    return sent.at_ns < at_ns + first.lasts_s * NS_PER_S


def _answer(pole: Observed, sent: Sent) -> str:
    """Return what a node made of an order; empty where it made nothing of it."""
    message = open_envelope(sent.data)
    assert not isinstance(message, str), "the station seals what it sends"
    return pole.observer.answers.get((message.key_id.hex(), message.counter), "")


def _sound(
    pole: Observed,
    stretches: list[Audible],
    since_ns: int,
    *,
    once_s: float,
    from_dba: float = -inf,
) -> _Sound | None:
    """Return what left the horn of a warning, as far as it was so loud.

    After a power cut it begins anew, so what sounded before and after one makes nothing whole: it
    counts from when on it was heard without a cut for as long as it takes once, and else the most.
    """
    boots: dict[int, list[Audible]] = {}
    for one in stretches:
        if one.loud_dba >= from_dba:
            boots.setdefault(bisect(pole.observer.cuts_s, one.span.from_s), []).append(one)
    if not boots:
        return None
    sounds = [_of_boot(pole, heard, stretches[0], since_ns) for heard in boots.values()]
    whole = [one for one in sounds if one.sounded_s >= once_s - _missing_s(once_s)]
    most = max(sounds, key=lambda one: one.sounded_s)
    first = whole[0] if whole else sounds[0]
    loudest_dba = max(one.loudest_dba for one in sounds)
    anew = first is not sounds[0]
    return replace(most, first_ns=first.first_ns, loudest_dba=loudest_dba, anew=anew)


def _of_boot(pole: Observed, heard: list[Audible], first: Audible, since_ns: int) -> _Sound:
    """Return what left the horn between two power cuts; `first` is the first of all."""
    begun, begins = pole.observer.diary.begun[heard[0].span.item], _begins(heard)
    first_ns = round(begins.from_s * NS_PER_S)
    exact_ns = begun.first_sample_ns if begins is first else None
    if exact_ns is not None and exact_ns >= since_ns:
        first_ns = exact_ns + round(begins.muted_s * NS_PER_S)
    played_s = sum(one.span.until_s - one.span.from_s for one in heard)
    muted_s = sum(one.muted_s for one in heard)
    return _Sound(first_ns, played_s, muted_s, max(one.loud_dba for one in heard))


def _begins(heard: list[Audible]) -> Audible:
    """Return with which stretch it begins: who loses the horn at once again was not heard yet."""
    begins, run_s = heard[0], 0.0
    for one, then in pairwise(heard):
        run_s += one.span.until_s - one.from_s
        if run_s >= _MOMENT_S:
            break
        if then.span.from_s - one.span.until_s > _MOMENT_S:
            begins, run_s = then, 0.0
    return begins


def _missing_s(once_s: float) -> float:
    return min(_WHOLE_S, _WHOLE_SHARE * once_s)


def _silenced(pole: Observed, name: str, since_ns: int, until_ns: int) -> str:
    """Return what kept a warning that had the horn from sounding; empty when it never had it."""
    spans = [
        one
        for one in pole.observer.diary.spans
        if one.item == name and since_ns <= one.from_s * NS_PER_S < until_ns
    ]
    if any(one.played_dba is not None for one in spans):
        return "the amplifier was still mute"
    by = [one.rule if one.action == "refuse" else "the volume plan" for one in spans]
    return f"silenced by {by[0]}" if by else ""


def _unheard(
    pole: Observed, name: str, sent: Sent, way: Way, answer: str, *, end_ns: int
) -> tuple[str, str]:
    """Return fate and reason of a warning of which nothing sounded."""
    if answer not in _TAKEN:
        return _unmet("not heard", way, answer)
    records = [one for one in pole.observer.records if one.name == name]
    if records and records[-1].outcome == "played":
        return "not heard", "nothing left the horn, though its record says so"
    if records:
        return "not heard", records[-1].reason or records[-1].outcome
    if answer == "known":
        return "not heard", _KNOWN
    assert way.arrived_ns is not None, "who answers was reached"
    if way.arrived_ns + sent.ttl_s * NS_PER_S > end_ns:
        return "not known", "the day ends before it could sound"
    message = open_envelope(sent.data)
    assert not isinstance(message, str), "the station seals what it sends"
    if (message.key_id.hex(), message.counter) in pole.observer.forgotten:
        return "not heard", "the power went before it was kept"
    cuts_ns = [round(one * NS_PER_S) for one in pole.observer.cuts_s]
    if any(way.arrived_ns < cut_ns < end_ns for cut_ns in cuts_ns):
        return "not heard", "no power after it had come"
    return "not heard", "it had not begun to sound at the end"


def _unmet(word: str, way: Way, answer: str) -> tuple[str, str]:
    """Return fate and reason of an order that never came, or that the node refused."""
    if way.arrived_ns is not None:
        return word, f"refused: {answer}" if answer else "the node was not ready for it"
    return word, "; ".join(way.hindered_by) or "each copy of it was lost on its way"


def _cut_off(pole: Observed, name: str, sound: _Sound, *, end_ns: int) -> str:
    records = [one for one in pole.observer.records if one.name == name]
    cuts_ns = [round(one * NS_PER_S) for one in pole.observer.cuts_s]
    why = "the rest of it was still to come at the end"
    if records and records[-1].outcome == "played":
        why = "the rest did not leave the horn, though its record says so"
    elif records:
        why = records[-1].reason or records[-1].outcome
    elif any(sound.first_ns < cut_ns < end_ns for cut_ns in cuts_ns):
        why = "no power"
    return f"only {sound.sounded_s:.0f} s of it: {why}"


def _lengths(day: DayConfig, place: Place, order: OrderConfig) -> tuple[float, float]:
    """Return how long siren and words take once, and with all repetitions, in s."""
    languages = day.languages.get(place.hamlet, day.programme.languages)
    item = item_of(_as_alert(order), day.alert, languages)
    if item is None:
        return 0.0, 1.0
    once_s = float(sum(part.duration_s for part in item.parts))
    return once_s, once_s * item.repeat


def _as_alert(order: OrderConfig) -> Alert:
    return Alert(
        sender=order.by,
        identifier=item_name(order.number),
        kind="alert",
        message_class=int(MessageClass.URGENT),
        level=order.by,
        event_code=order.event or ANY_EVENT,
        sent_s=0,
        effective_s=0,
        expires_s=order.lasts_s,
    )
