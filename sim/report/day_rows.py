"""The day per hamlet: one row for each item of the calendar and each warning."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim.result.day import DayDecision, DayItem, DayNode, DayResult, DaySpan
from sim.result.wall_clock import WallClock

_ACTIONS = {
    "lower": "lowered to the limit",
    "refuse": "silenced: the limit cannot be kept",
    "justify": "above the limit, with a recorded justification",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HamletItem:
    """What one hamlet had of one item; levels are those at the nearest dwellings, in dBA."""

    commune: str
    hamlet: str
    item: str
    message_class: str
    clusters: int
    played: int
    due_s: float
    started_s: tuple[float, float] | None
    """First and last start among the clusters."""

    volumes: tuple[int, int] | None
    asked_dba: tuple[float, float] | None
    played_dba: tuple[float, float] | None
    limits_dba: tuple[float, float] | None
    first_sample_ms: float | None
    """Of the slowest cluster."""

    avoided: str
    """What the rules did, or why it did not play."""

    taken_by: str
    """What took the horn from it, and when it had it back."""


def hamlet_items(day: DayResult) -> list[HamletItem]:
    """Return the rows of a day, by commune and hamlet, then by the time at which they are due."""
    nodes = {one.node: one for one in day.nodes}
    groups: dict[tuple[str, str, str], list[DayItem]] = {}
    for item in day.items:
        place = nodes[item.node]
        groups.setdefault((place.commune, place.hamlet, item.item), []).append(item)
    order = {(one.commune, one.hamlet): i for i, one in reversed(list(enumerate(day.nodes)))}
    spans = _by_item(day.spans, nodes)
    decisions = _by_item(day.decisions, nodes)
    rows = [
        _row(key, items, spans.get(key, []), _taken(decisions.get(key, []), day.clock))
        for key, items in groups.items()
    ]
    return sorted(rows, key=lambda row: (order[row.commune, row.hamlet], row.due_s, row.item))


def item_name(name: str) -> str:
    """Return what people call an item; warnings have numbers."""
    if name.startswith("#"):
        return f"warning {int(name[1:], 16)}"
    return name


def span_text(values: tuple[float, float] | None, decimals: int = 0) -> str:
    """Return least and greatest in words: one number where they are equal."""
    if values is None:
        return "–"
    low, high = (f"{one:.{decimals}f}" for one in values)
    return low if low == high else f"{low}–{high}"


def _by_item(
    rows: "Sequence[DaySpan] | Sequence[DayDecision]", nodes: dict[str, DayNode]
) -> dict[tuple[str, str, str], list[DaySpan | DayDecision]]:
    found: dict[tuple[str, str, str], list[DaySpan | DayDecision]] = {}
    for row in rows:
        place = nodes[row.node]
        found.setdefault((place.commune, place.hamlet, row.item), []).append(row)
    return found


def _row(
    key: tuple[str, str, str],
    items: list[DayItem],
    spans: "Sequence[DaySpan | DayDecision]",
    taken_by: str,
) -> HamletItem:
    heard = [one for one in spans if isinstance(one, DaySpan)]
    return HamletItem(
        commune=key[0],
        hamlet=key[1],
        item=key[2],
        message_class=next((one.message_class for one in items if one.message_class), ""),
        clusters=len({one.node for one in items}),
        played=sum(one.outcome == "played" for one in items),
        due_s=min(one.due_s for one in items),
        started_s=_ends([one.started_s for one in items if one.started_s is not None]),
        volumes=_whole_ends([one.volume for one in heard]),
        asked_dba=_ends([one.asked_dba for one in heard if one.asked_dba is not None]),
        played_dba=_ends([one.played_dba for one in heard if one.played_dba is not None]),
        limits_dba=_ends([one.limit_dba for one in heard if one.limit_dba is not None]),
        first_sample_ms=max(
            (one.first_sample_ms for one in items if one.first_sample_ms is not None), default=None
        ),
        avoided=_avoided(items, heard),
        taken_by=taken_by,
    )


def _avoided(items: list[DayItem], spans: list[DaySpan]) -> str:
    found = []
    for action, words in _ACTIONS.items():
        nodes = {one.node for one in spans if one.action == action}
        if nodes:
            rule = next(one.rule for one in spans if one.action == action)
            found.append(f"{words} ({rule}) at {len(nodes)}")
    reasons: dict[str, int] = {}
    for item in items:
        if item.outcome != "played":
            said = f"{item.outcome}: {item.reason}"
            reasons[said] = reasons.get(said, 0) + 1
    found += [f"{said} at {count}" for said, count in reasons.items()]
    missing = [one for one in items if one.failed]
    if missing:
        found.append(f"parts not played ({missing[0].failed}) at {len(missing)}")
    return "; ".join(found)


def _taken(rows: "Sequence[DaySpan | DayDecision]", clock: WallClock) -> str:
    groups: dict[tuple[str, str], list[DayDecision]] = {}
    for one in (row for row in rows if isinstance(row, DayDecision)):
        groups.setdefault((one.taken_by, one.why), []).append(one)
    texts = []
    for (taker, why), group in groups.items():
        at = list(dict.fromkeys(clock.said(one) for one in sorted(one.at_s for one in group)))
        when = at[0] if len(at) == 1 else f"{at[0]} to {at[-1]}"
        away_s = [one.back_s - one.at_s for one in group if one.back_s is not None]
        back = f"back after {span_text(_ends(away_s))} s" if away_s else "not given back"
        lost = len(group) - len(away_s)
        rest = f", not at {lost}" if away_s and lost else ""
        texts.append(f"{item_name(taker)} took the horn at {when}, {back}{rest}: {why}")
    return "; ".join(texts)


def _ends(values: list[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if values else None


def _whole_ends(values: list[int]) -> tuple[int, int] | None:
    return (min(values), max(values)) if values else None
