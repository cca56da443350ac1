"""The section "The day" of the report: how loud, against which limit, and who went first."""

from dataclasses import dataclass
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from sim.day.verdict import order_lines, warned_sentence
from sim.report.classes import place_name
from sim.report.day_rows import hamlet_items, item_name, span_text
from sim.report.day_strip import day_strip
from sim.report.svg import number
from sim.result.day import DayResult
from sim.result.run import NodeRow, RunResult
from sim.result.wall_clock import WallClock

WIDE_PX: Final = 1056.0
NARROW_PX: Final = 358.0

_UNPLAYED: Final = ("refused", "missed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One hamlet and item, in words."""

    hamlet: str
    item: str
    message_class: str
    played: str
    at: str
    volume: str
    asked: str
    was: str
    limit: str
    first: str
    rules: str
    taken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hamlet:
    name: str
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commune:
    name: str
    hamlets: list[_Hamlet]
    rows: list[_Row]


def day_section(result: RunResult) -> Markup:
    """Return the section as HTML; empty when the run has no day."""
    if result.day is None:
        return Markup("")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("sim.report").joinpath("day.html.j2").read_text(encoding="utf-8")
    day = result.day
    return Markup(  # the template escapes what it is given
        environment.from_string(source).render(
            day=day,
            verdict=_verdict(day),
            figures=_figures(day),
            communes=_communes(day, {row.node: row for row in result.nodes}),
            turns=_turns(day),
            orders=order_lines(day),
        )
    )


def _verdict(day: DayResult) -> str:
    totals = day.totals
    warned = warned_sentence(day)
    said = f"{warned} " if warned else ""
    not_known = totals["items_not_known"]
    more = f", and of {not_known} it is not known" if not_known else ""
    said += (
        f"{totals['played']} of {totals['items']} items at {len(day.nodes)} clusters played; "
        f"{totals['refused']} were refused, {totals['missed']} missed, {totals['cut_off']} cut off"
        f"{more}."
    )
    breaches = totals["breaches"]
    if breaches:
        return f"{said} {breaches} stretches were louder than allowed, without a justification."
    return f"{said} Nothing was louder than the limit in force without a recorded justification."


def _figures(day: DayResult) -> list[tuple[str, str, str]]:
    totals = day.totals
    nodes = {
        action: len({one.node for one in day.spans if one.action == action})
        for action in ("lower", "refuse", "justify")
    }
    loudest = totals["loudest_dba"]
    urgent = totals["urgent_first_sample_max_ms"]
    first_s = totals["first_warned_max_s"]
    return [
        ("Lowered to the limit", f"{totals['lowered_minutes']:g} min",
         f"{nodes['lower']} clusters"),
        ("Silenced: no limit could be kept", f"{totals['silenced_minutes']:g} min",
         f"{nodes['refuse']} clusters"),
        ("Above the limit, justified", f"{totals['justified_minutes']:g} min",
         f"{nodes['justify']} clusters"),
        ("Refused by the rules of hours", str(totals["refused"]), "items"),
        ("Loudest at a nearest house", "–" if loudest is None else f"{loudest:.1f} dBA",
         "expected"),
        ("Horn taken over", str(totals["taken_over"]), "times"),
        ("Order to first sound", "–" if first_s is None else f"{first_s:.2f} s",
         "slowest of the clusters that were warned"),
        ("... of that at the node", "–" if urgent is None else f"{urgent:.0f} ms",
         "from the order's arrival, slowest cluster"),
    ]  # fmt: skip


def _communes(day: DayResult, rows: dict[str, NodeRow]) -> list[_Commune]:
    items = hamlet_items(day)
    found = []
    for commune in dict.fromkeys(one.commune for one in day.nodes):
        names = dict.fromkeys(one.hamlet for one in day.nodes if one.commune == commune)
        found.append(
            _Commune(
                name=commune,
                hamlets=[_hamlet(day, commune, name, rows) for name in names],
                rows=[
                    _Row(
                        hamlet=_short(commune, row.hamlet),
                        item=item_name(row.item),
                        message_class=row.message_class or "–",
                        played=f"{row.played} of {row.clusters}",
                        at=_at(day.clock, row.started_s, row.due_s),
                        volume=span_text(row.volumes),
                        asked=span_text(row.asked_dba, 1),
                        was=span_text(row.played_dba, 1),
                        limit=span_text(row.limits_dba),
                        first=number(row.first_sample_ms),
                        rules=row.avoided,
                        taken=row.taken_by,
                    )
                    for row in items
                    if row.commune == commune
                ],
            )
        )
    return found


def _hamlet(day: DayResult, commune: str, name: str, rows: dict[str, NodeRow]) -> _Hamlet:
    members = [one.node for one in day.nodes if (one.commune, one.hamlet) == (commune, name)]
    spans = [one for one in day.spans if one.node in members]
    volumes = [one for one in day.volumes if one.node == members[0]]
    silent_s = sorted(
        {one.due_s for one in day.items if one.node in members and one.outcome in _UNPLAYED}
    )
    shown = place_name(rows[members[0]]) if members[0] in rows else name
    title = f"The day of {shown}: expected level at the nearest houses, and the limit"
    return _Hamlet(
        name=_short(commune, name),
        wide=day_strip(spans, volumes, silent_s, width=WIDE_PX, title=title, clock=day.clock),
        narrow=day_strip(spans, volumes, silent_s, width=NARROW_PX, title=title, clock=day.clock),
    )


def _short(commune: str, hamlet: str) -> str:
    """Return a hamlet's name without its commune's before it."""
    return hamlet.removeprefix(f"{commune} · ")


def _at(clock: WallClock, started_s: tuple[float, float] | None, due_s: float) -> str:
    if started_s is None:
        return clock.said(due_s)
    first, last = (clock.said(one) for one in started_s)
    return first if first == last else f"{first} to {last}"


def _turns(day: DayResult) -> list[str]:
    """Return a line for each group, when there is more than one."""
    groups = sorted({(one.group, one.offset_s) for one in day.nodes})
    if len(groups) < 2:
        return []
    lines = []
    for group, offset_s in groups:
        members = [one.cluster for one in day.nodes if one.group == group]
        when = "on time" if not offset_s else f"{number(offset_s / 60, 0)} min later"
        lines.append(f"Group {group + 1}, {when}: {len(members)} clusters: {', '.join(members)}")
    return lines
