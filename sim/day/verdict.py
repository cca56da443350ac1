"""Who was not warned, first and by name: the words that every form of a report begins with."""

from collections.abc import Sequence
from typing import Final

from sim.result.day import NOT_OBEYED, STRANGERS, UNWARNED, WARNED, DayNode, DayOrder, DayResult

_NAMES_MAX: Final = 16
"""Clusters named in the sentence; all of them are in the lines below it."""

UNHEARD: Final = ("missed", "in part", "not known")
"""Outcomes of an item of which nobody wanted that it is not heard."""

_ITEMS_MAX: Final = 4
_PLANS: Final = ("calendar", "volume")


def warned_sentence(day: DayResult) -> str:
    """Return in one to three sentences who was not warned, and first where strangers were obeyed.

    Empty when nobody was to be warned, and no stranger was obeyed.
    """
    said = strangers_sentence(day)
    return f"{said} {sentence_of(day, _warnings(day))}".strip()


def calendar_sentence(day: DayResult) -> str:
    """Return what of the calendar was not heard whole, and where it was too loud; empty where all
    was played, or was not by a rule, a warning or an order.
    """
    due = [one for one in day.items if not one.item.startswith("#")]
    unheard = [one for one in due if one.outcome in UNHEARD]
    said = []
    if unheard:
        names = list(dict.fromkeys(one.item for one in unheard))
        counts = {name: sum(one.outcome == name for one in unheard) for name in UNHEARD}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        poles = len({one.node for one in unheard})
        more = f" and {len(names) - _ITEMS_MAX} more" if len(names) > _ITEMS_MAX else ""
        said.append(
            f"Calendar: {len(unheard)} of {len(due)} items at the poles were NOT heard whole "
            f"({told}), at {poles} of {len(day.nodes)} clusters: "
            f"{', '.join(names[:_ITEMS_MAX])}{more}."
        )
    if loud := day.totals["breaches"]:
        said.append(f"Above the noise limit {loud} times, and nobody had said why that may be.")
    return " ".join(said)


def strangers_sentence(day: DayResult) -> str:
    """Return where strangers were obeyed; empty when nowhere."""
    obeyed = [one for one in day.orders if one.kind in STRANGERS and one.fate == "obeyed"]
    names = ", ".join(dict.fromkeys(one.node for one in obeyed))
    return f"A STRANGER'S ORDER WAS OBEYED at {names}." if obeyed else ""


def sentence_of(day: DayResult, orders: Sequence[DayOrder]) -> str:
    """Return in one or two sentences who did not hear these warnings, rows of that day."""
    if not orders:
        return ""
    asked = dict.fromkeys(one.node for one in orders)
    unwarned = [one for one in orders if one.fate in UNWARNED]
    silent = dict.fromkeys(one.node for one in unwarned)
    said = [f"All {len(asked)} clusters were warned."]
    if not any(one.fate in WARNED for one in orders):
        said = [f"Nobody was warned: none of {len(asked)} clusters."]
    elif silent:
        said = [f"{len(silent)} of {len(asked)} clusters were NOT warned."]
    if silent:
        said.append(f"{_by_hamlet(day, unwarned)}.")
    late = [one for one in orders if one.fate == "late" and one.node not in silent]
    if late:
        slowest_s = max(one.first_sound_s for one in late if one.first_sound_s is not None)
        poles = dict.fromkeys(one.node for one in late)
        said.append(
            f"{len(poles)} heard it late, the last {slowest_s:.0f} s after the order: "
            f"{_by_hamlet(day, late)}."
        )
    return " ".join(said)


def warned_lines(day: DayResult) -> list[str]:
    """Return a line per warning and hamlet, those where somebody was not warned first."""
    nodes = {one.node: one for one in day.nodes}
    groups: dict[tuple[float, int, str, str], list[DayOrder]] = {}
    for one in _warnings(day):
        place = nodes[one.node]
        key = (one.sent_s, one.number, place.commune, place.hamlet)
        groups.setdefault(key, []).append(one)
    lines = [
        (_worst(group), number, _line(f"{_title(day, group[0])}, {_hamlet(key)}", group, nodes))
        for number, (key, group) in enumerate(groups.items())
    ]
    return [line for *_, line in sorted(lines)]


def warned_groups(day: DayResult) -> dict[str, list[DayOrder]]:
    """Return the rows of each warning by what people call it."""
    groups: dict[str, list[DayOrder]] = {}
    for one in _warnings(day):
        groups.setdefault(_title(day, one), []).append(one)
    return groups


def order_lines(day: DayResult) -> list[str]:
    """Return what became of each order that people gave during the day, plans in one line."""
    groups: dict[tuple[float, str, int], list[DayOrder]] = {}
    there: dict[tuple[float, str, str], int] = {}
    for one in day.orders:
        if one.order not in _PLANS and not one.order.endswith("'s key"):
            # Two of one moment, of one number and for one place, are two all the same.
            at = (one.sent_s, _order_words(one), one.node)
            there[at] = there.get(at, 0) + 1
            groups.setdefault((*at[:2], there[at]), []).append(one)
    lines = []
    for (sent_s, name, _), group in groups.items():
        came = [one.arrived_s - sent_s for one in group if one.arrived_s is not None]
        fates: dict[str, int] = {}
        for one in group:
            said = f"{one.fate} ({one.reason})" if one.reason else one.fate
            fates[said] = fates.get(said, 0) + 1
        slowest = f", the slowest after {max(came):.2f} s" if came else ""
        said = ", ".join(f"{fate} at {count}" for fate, count in fates.items())
        reached = f"came to {len(came)} of {len(group)} clusters{slowest}"
        lines.append(f"{day.clock.said(sent_s)} {name}: {reached}; {said}")
    return lines


def unmet_lines(day: DayResult) -> list[str]:
    """Return a line for each order, other than a warning, and cluster that did not do it."""
    nodes = {one.node: one for one in day.nodes}
    return [
        f"{day.clock.said(one.sent_s)} {_order_words(one)}: {_name(nodes[one.node])} {one.fate}"
        f" ({one.reason})"
        for one in day.orders
        if one.kind not in ("alert", *STRANGERS) and one.fate in NOT_OBEYED
    ]


def fate_words(one: DayOrder) -> str:
    """Return what became of a warning at one pole: how late, how loud, how much, or why not."""
    if one.first_sound_s is None:
        return f"{one.fate}: {one.reason}"
    level = "" if one.played_dba is None else f", {one.played_dba:.0f} dBA"
    language = f", {one.languages}" if one.languages else ""
    why = f" ({one.reason})" if one.reason else ""
    amount = f", {one.heard_pct:g} % of it"
    return f"{one.fate} after {one.first_sound_s:.2f} s{level}{amount}{language}{why}"


def _warnings(day: DayResult) -> list[DayOrder]:
    return [one for one in day.orders if one.kind == "alert" and one.fate != "not for here"]


def _by_hamlet(day: DayResult, orders: Sequence[DayOrder]) -> str:
    """Return clusters with the reason, hamlet by hamlet; each once."""
    nodes = {one.node: one for one in day.nodes}
    several = len(warned_groups(day)) > 1
    rows: dict[str, list[DayOrder]] = {}
    for one in orders:
        rows.setdefault(one.node, []).append(one)
    hamlets: dict[str, dict[str, dict[str, None]]] = {}
    for node, missed in list(rows.items())[:_NAMES_MAX]:
        why = _why(missed[0])
        if several:
            why = f"{_title(day, missed[0])}: {why}"
        if len(missed) > 1:
            why += f"; and {len(missed) - 1} more"
        reasons = hamlets.setdefault(hamlet_of(day, nodes[node]), {})
        reasons.setdefault(why, {})[_name(nodes[node])] = None
    said = "; ".join(
        f"{hamlet}: " + ", ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
        for hamlet, reasons in hamlets.items()
    )
    more = len(rows) - _NAMES_MAX
    return f"{said}; and {more} more, named below" if more > 0 else said


def hamlet_of(day: DayResult, place: DayNode) -> str:
    """Return what people call a hamlet: with its commune where another one has that name too."""
    communes = {one.commune for one in day.nodes if one.hamlet == place.hamlet}
    return place.hamlet if len(communes) == 1 else f"{place.commune}, {place.hamlet}"


def _title(day: DayResult, one: DayOrder) -> str:
    return f"{day.clock.said(one.sent_s)} warning {one.number}"


def _why(one: DayOrder) -> str:
    if one.fate in ("not known", "too quiet"):
        return f"{one.fate}: {one.reason}"
    return one.reason or one.fate


def _name(place: DayNode) -> str:
    return place.node if place.cluster == place.node else f"{place.cluster} [{place.node}]"


def _worst(group: Sequence[DayOrder]) -> int:
    order = (*UNWARNED, "late", "heard")
    return min(order.index(one.fate) for one in group)


def _hamlet(key: tuple[float, int, str, str]) -> str:
    *_, commune, hamlet = key
    return hamlet if hamlet.startswith(commune) else f"{commune}, {hamlet}"


def _line(about: str, group: Sequence[DayOrder], nodes: dict[str, DayNode]) -> str:
    warned = sum(one.fate in WARNED for one in group)
    ranked = sorted(group, key=lambda one: _worst([one]))
    told = [one for one in ranked if one.fate != "heard"]
    heard = [one for one in ranked if one.fate == "heard"]
    parts = [f"{_name(nodes[one.node])} {fate_words(one)}" for one in told]
    if heard:
        slowest_s = max(one.first_sound_s for one in heard if one.first_sound_s is not None)
        parts.append(f"{len(heard)} heard it within {slowest_s:.2f} s of the order")
    return f"{about}: {warned} of {len(group)} warned; {'; '.join(parts)}"


def _order_words(one: DayOrder) -> str:
    """Return which order it is: its number, who gave it, and where it is for."""
    number = f" {one.number}" if one.number else ""
    by = f" by {one.by}" if one.kind in STRANGERS else f" of the {one.by}" if one.by else ""
    return f"{one.order}{number}{by}{one.place and f' for {one.place}'}"
