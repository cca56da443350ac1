"""What strangers send who have no right to: forged warnings, and orders said again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

from node.control.precedence import MessageClass
from node.control.trust.fates import CANCELS
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S
from sim.day.observer import Observer
from sim.day.station import Sent, Station
from sim.result.day import DayOrder
from sim.village.course import Befallen, repeats
from sim.village.day_config import DayConfig

_TTL_S: Final = 600
_LASTS_S: Final = 3600
_NUMBER: Final = 1 << 31
_COUNTER: Final = 1 << 40
"""Far above those of the stations: a forged order is never refused for its counter alone."""

_KEY_ID: Final = slice(4, 12)
"""Where an envelope has the id of its key."""

_DONE: Final = CANCELS | {"obeyed", "waiting"}


class Attacked(Protocol):
    """A pole with what was written down of it."""

    observer: Observer


def strangers_orders(
    day: DayConfig, station: Station, genuine: Sequence[Sent], befallen: Sequence[Befallen]
) -> Iterator[Sent]:
    """Yield what strangers send on a day: `genuine` is what the stations do, ns into the day."""
    communes = dict.fromkeys(one.commune for one in genuine)
    for number, one in enumerate(befallen):
        for commune in communes:
            if one.fault.commune not in (None, commune):
                continue
            if one.fault.kind == "forged":
                yield _forged(day, station, commune, one, number)
            elif one.fault.kind == "replayed":
                yield from _again(genuine, commune, one)


def _forged(day: DayConfig, station: Station, commune: str, one: Befallen, number: int) -> Sent:
    message = Message(
        kind=Kind.SHORT_ALERT,
        key_id=b"",
        counter=_COUNTER + number,
        issued_s=station.midnight_s + one.start_ns // NS_PER_S,
        ttl_s=_TTL_S,
        message_class=MessageClass.URGENT,
        area=f"{day.area}/{commune}",
        content=encode_short("alert", _NUMBER + number, lasts_s=_LASTS_S),
    )
    data = seal(message, station.stranger())
    if one.fault.by is not None:  # under the name of a key that is known
        data = data[: _KEY_ID.start] + station.key_id(one.fault.by, commune) + data[_KEY_ID.stop :]
    return Sent("forged", one.start_ns, _TTL_S, commune, data, attack=one.fault)


def _again(genuine: Sequence[Sent], commune: str, one: Befallen) -> Iterator[Sent]:
    found = [
        sent
        for sent in genuine
        if sent.commune == commune
        and sent.order is not None
        and repeats(one.fault, sent.order, sent.at_ns, one.start_ns)
    ]
    if found:
        yield replace(found[-1], label="replayed", at_ns=one.start_ns, order=None, attack=one.fault)


def attack_fate(node: str, pole: Attacked, sent: Sent, hindered_by: Sequence[str]) -> DayOrder:
    """Return what became of a stranger's order at one pole that has lived through its day."""
    fault = sent.attack
    assert fault is not None, "the station's own orders have other fates"
    message = open_envelope(sent.data)
    assert not isinstance(message, str), "a stranger seals what it sends too"
    key, observer = (message.key_id.hex(), message.counter), pole.observer
    first_ns = observer.came_ns.get(key)
    again = [(at_ns, fate) for one, at_ns, fate in observer.came_again if one == key]
    came = [(first_ns, observer.answers.get(key, ""))] * (first_ns is not None) + again
    after = [(at_ns, fate) for at_ns, fate in came if at_ns is not None and at_ns >= sent.at_ns]
    told = DayOrder(
        node=node,
        order=sent.label,
        kind=fault.kind,
        by=fault.by or "a stranger",
        place=fault.commune or "",
        number=fault.number if fault.kind == "replayed" else 0,
        sent_s=sent.at_ns / NS_PER_S,
        arrived_s=None,
        answer="",
        fate="refused",
        reason="; ".join(hindered_by) or "it never came",
        first_sound_s=None,
        heard_pct=0.0,
        played_dba=None,
        languages="",
    )
    if not after:
        return told
    at_ns, answer = after[0]
    told = replace(told, arrived_s=at_ns / NS_PER_S, answer=answer, reason=answer or "no answer")
    if answer not in _DONE:
        return told
    if fault.kind == "replayed" and at_ns == first_ns:
        return replace(told, fate="as ordered", reason="the order itself had not come before")
    return replace(told, fate="obeyed", reason="")
