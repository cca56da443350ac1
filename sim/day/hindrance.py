"""What stood between an order and a pole, in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from node.units import NS_PER_S
from sim.day.station import Sent
from sim.gateway.cpu import cpu_load
from sim.gateway.power import Uptime
from sim.result.day import DayOrder
from sim.village.course import Befallen, cuts_ns
from sim.village.faults import Span
from sim.village.places import Place

_SLOWED: Final = {
    "congestion": "others had taken the rate",
    "detour": "a longer way",
    "duplicate": "packets came twice",
    "reorder": "packets were held back",
    "corrupt": "packets were damaged",
}
"""What keeps orders back, and lets some of them through."""

_HALF_OPEN_NS: Final = 15 * NS_PER_S
"""A node has noticed within 8 s that nobody answers, and is connected again some seconds later."""

_AT_POLE: Final = {
    "disk_full": "its disk was full",
    "disk_slow": "its disk was slow",
    "no_rtc": "the clock on its board does not go on",
    "cpu_throttle": "its CPU was too slow to play",
    "card_gone": "its sound card was gone",
}

_UNHEARD: Final = (_AT_POLE["cpu_throttle"], _AT_POLE["card_gone"])
"""What keeps sound from the horn, and no order from being obeyed."""


def blocks(befallen: tuple[Befallen, ...]) -> dict[str, tuple[Span, ...]]:
    """Return when nothing can come to a pole, by why: of two at a time the first one counts."""
    links = tuple(one for one in befallen if not one.fault.backhaul)
    shared = tuple(one for one in befallen if one.fault.backhaul)
    found = {
        "no link": cuts_ns(links, "link_down", "both"),
        "no way to the pole": cuts_ns(links, "link_down", "down"),
        "no way from the pole": cuts_ns(links, "link_down", "up"),
        "no backhaul": cuts_ns(shared, "link_down"),
        "no broker": cuts_ns(befallen, "broker_down"),
    }
    return {why: spans for why, spans in found.items() if spans}


def slowed(befallen: tuple[Befallen, ...], span: Span) -> list[str]:
    """Return what kept an order back from its begin to its end, though it let some through."""
    found = [
        word
        for kind, word in _SLOWED.items()
        if any(start < span[1] and end > span[0] for start, end in cuts_ns(befallen, kind))
    ]
    for one in befallen:
        fault = one.fault
        late_ns = one.start_ns + _HALF_OPEN_NS
        if fault.kind == "half_open" and one.start_ns < span[1] and late_ns > span[0]:
            found.append("its connection was half open")
        if not fault.keeps and span[0] <= one.end_ns < span[1]:
            found.append("the broker came back without its database")
    return list(dict.fromkeys(found))


def at_pole(befallen: tuple[Befallen, ...], span: Span, load: float) -> list[str]:
    """Return what was wrong at a pole itself meanwhile, in words; `load` is that of its CPU."""
    found = []
    for one in befallen:
        if not (one.start_ns < span[1] and one.end_ns > span[0]):
            continue
        if one.fault.kind == "cpu_throttle" and load <= one.fault.amount:
            continue
        if one.fault.kind == "clock_step":
            step_s = one.fault.amount
            where = "ahead" if step_s > 0 else "behind"
            found.append(f"its clock was {abs(step_s):g} s {where}")
        elif one.fault.kind in _AT_POLE:
            found.append(_AT_POLE[one.fault.kind])
    return list(dict.fromkeys(found))


def with_pole(
    fate: DayOrder,
    place: Place,
    sent: Sent,
    came_ns: int | None,
    *,
    begin_ns: int = 0,
    live_ns: Span = (0, 0),
) -> DayOrder:
    """Return a fate that is not as it should be with what was wrong at the pole itself.

    `begin_ns` into the day is when times count from, and `live_ns` when a live programme was sent.
    """
    if came_ns is None or fate.fate in ("heard", "obeyed", "not for here"):
        return fate
    lasts_s = sent.ttl_s
    if sent.order is not None and sent.order.kind == "alert":
        lasts_s = max(lasts_s, sent.order.lasts_s)
    until_ns = sent.at_ns + lasts_s * NS_PER_S
    if fate.fate == "late" and fate.first_sound_s is not None:  # what came after made it no later
        until_ns = sent.at_ns + round(fate.first_sound_s * NS_PER_S)
    refused = fate.reason.startswith("refused")
    if refused:
        until_ns = came_ns + NS_PER_S
    span = (came_ns + begin_ns, until_ns + begin_ns)
    found = at_pole(place.befallen, span, cpu_load(place.profile))
    if refused:
        found = [one for one in found if one not in _UNHEARD]
    words = [fate.reason] * bool(fate.reason) + [one for one in found if one not in fate.reason]
    if not words and fate.fate == "late":
        beside = sent.at_ns < live_ns[1] and came_ns > live_ns[0]
        took_s = (came_ns - sent.at_ns) / NS_PER_S
        words = [f"{took_s:.0f} s on its way{' beside the live programme' * beside}"]
        if fate.first_sound_s is not None and fate.first_sound_s > 2 * took_s:
            words = ["it waited at the pole"]
    return replace(fate, reason="; ".join(words))


def hindrances(
    span: Span, power: Sequence[Uptime], cuts_ns: Mapping[str, Iterable[Span]]
) -> list[tuple[int, str]]:
    """Return what was in the way meanwhile, each with its first moment, in the order of time.

    Nobody says of a link that it was down while there was no power, nor of a broker that it was
    away while there was no link: who has mended the one would not have had the order.

    Parameters
    ----------
    span : (start, end)
        From the order until it came, or was void; ns.
    power : sequence of Uptime
        When the node ran.
    cuts_ns : mapping
        Why nothing came, to when: of two at a time the first one is said.
    """
    on = _both([span], [(one.start_ns, one.end_ns) for one in power])
    met = [(start, "no power") for start, _ in _without([span], on)[:1]]
    for why, cuts in cuts_ns.items():
        cut = _both(on, cuts)
        met += [(start, why) for start, _ in cut[:1]]
        on = _without(on, cut)
    return sorted(met)


def _both(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return when both are, ascending."""
    other = list(others)
    shared = [(max(a, c), min(b, d)) for a, b in some for c, d in other]
    return sorted((start, end) for start, end in shared if start < end)


def _without(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return when some are and the others are not, ascending."""
    left = sorted((a, b) for a, b in some if a < b)
    for start, end in others:
        parts = [part for a, b in left for part in ((a, min(b, start)), (max(a, end), b))]
        left = [(a, b) for a, b in parts if a < b]
    return left
