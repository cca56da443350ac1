"""The report page: one HTML file that needs nothing else but the sounds beside it."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from node.counters import ORIGINS, Origin
from sim.day.verdict import warned_lines
from sim.report.budgets import Outcome, amount, is_silent, judge
from sim.report.charts import delay_distribution, stage_bars
from sim.report.classes import (
    DROPOUT_CLASSES,
    ORIGIN_COLOURS,
    SILENT_NAME,
    STAGE_NAMES,
    bearer_name,
    group_name,
    place_name,
)
from sim.report.day_section import day_section
from sim.report.headline import headline
from sim.report.listen import waveform
from sim.report.node_table import COLUMNS, node_table
from sim.report.province import WORST, shown, worst_groups
from sim.report.raster import coarse, dropout_raster, mark_s, run_lengths
from sim.report.svg import number
from sim.report.village_map import village_map
from sim.result.capacity import capacity_lines
from sim.result.faults import fault_lines
from sim.result.run import NodeRow, RunResult

WIDE_PX: Final = 1056.0
NARROW_PX: Final = 358.0
"""Figures are drawn twice, for a desk and for a telephone: shrunk letters cannot be read."""

GROUP_COLUMNS: Final = (
    ("Clusters", "nodes", 0),
    ("Silent", "nodes_silent", 0),
    ("Dropout %", "dropout_pct", 2),
    ("Worst %", "dropout_worst_pct", 2),
    ("Events/h", "dropout_events_per_hour", 1),
    ("Longest gap ms", "longest_gap_ms", 0),
    ("Delay p50 ms", "mouth_to_ear_p50_ms", 0),
    ("p95", "mouth_to_ear_p95_ms", 0),
    ("p99", "mouth_to_ear_p99_ms", 0),
    ("max", "mouth_to_ear_max_ms", 0),
    ("Skew p95 ms", "skew_p95_ms", 2),
    ("First sound ms", "first_sound_max_ms", 0),
    ("J", "j_mean", 0),
    ("Missed", "deadline_misses", 0),
)
"""Heading, field of `GroupRow`, decimals."""

LISTEN_LABELS: Final = {"best": "Best", "median": "Median", "worst": "Worst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Player:
    name: str
    label: str
    where: str
    said: str
    waveform: Markup


def page(result: RunResult) -> str:
    """Return the whole HTML page of a run; its players look for listen/*.wav beside it."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["n"] = number
    environment.filters["group_name"] = group_name
    template = environment.from_string(_resource("page.html.j2"))
    return template.render(
        _words(result) | _figures(result) | _tables(result),
        run=result,
        css=Markup(_resource("page.css")),  # our own files: nothing of a user
        js=Markup(_resource("page.js")),
        data=_data(result),
        day=day_section(result),
    )


def _resource(name: str) -> str:
    return resources.files("sim.report").joinpath(name).read_text(encoding="utf-8")


def _words(result: RunResult) -> dict[str, object]:
    outcomes = judge(result)
    rows = {row.node: row for row in result.nodes}
    minutes = result.duration_s / 60
    duration = f"{number(result.duration_s)} s" if minutes < 3 else f"{number(minutes)} min"
    return {
        "all_hold": all(one.holds for one in outcomes)
        and _all_warned(result)
        and not any(one.over for one in result.capacity),
        "capacity": capacity_lines(result.capacity),
        "faults": fault_lines(result.faults, result.clock),
        "warned": [] if result.day is None else warned_lines(result.day),
        "outcomes": [_outcome_words(one, rows) for one in outcomes],
        "headline": headline(result),
        "communes": len({row.commune for row in result.nodes}),
        "duration": duration,
        "mark_s": f"{mark_s(result):g}",
        "seconds": f"{result.duration_s:g}",
        "players": _players(result),
        "bearers": _bearers(result),
    }


def _all_warned(result: RunResult) -> bool:
    day = result.day
    return day is None or not (day.unwarned() or day.totals["strangers_obeyed"])


def _outcome_words(one: Outcome, rows: dict[str, NodeRow]) -> dict[str, object]:
    budget = one.budget
    counted = budget.name == "heard"
    worst = f"{amount(one.worst, budget.unit)} {budget.unit}"
    place = rows[one.worst_node] if one.worst_node and one.worst else None
    broken = len(one.broken_by)
    beyond = "silent" if counted else "beyond"
    missing = f"not known: {one.unknown}"
    return {
        "budget": budget,
        "holds": one.holds,
        "limit": "all" if counted else f"{amount(budget.limit, budget.unit)} {budget.unit}",
        "worst_text": "" if counted else worst,
        "worst_place": place_name(place) if place and not counted else "",
        "holds_text": "yes"
        if one.holds
        else missing
        if one.worst is None
        else f"no: {broken} {beyond}",
    }


def _figures(result: RunResult) -> dict[str, object]:
    part = shown(result)
    row_height = min(14.0, max(5.0, 520 / max(len(part.listed.nodes), 1)))
    delays = result.delay_quantiles_ms
    return {
        "map_wide": village_map(part.on_map, width=680),
        "map_narrow": village_map(part.on_map, width=NARROW_PX),
        "left_out": part.left_out,
        "worst_shown": WORST,
        "cdf_wide": delay_distribution(delays, width=WIDE_PX, height=330),
        "cdf_narrow": delay_distribution(delays, width=NARROW_PX, height=270),
        "stages_wide": stage_bars(result.nodes, width=WIDE_PX),
        "stages_narrow": stage_bars(result.nodes, width=NARROW_PX),
        "raster_wide": dropout_raster(part.listed, width=WIDE_PX, row_height=row_height),
        "raster_narrow": dropout_raster(part.listed, width=NARROW_PX, row_height=row_height),
        "dropout_names": [name for name, _ in DROPOUT_CLASSES] + [SILENT_NAME],
        "stage_names": list(STAGE_NAMES.values()),
        "origins": [
            {"name": name, "colour": _css(colour), "blank": colour[3] == 0}
            for name, colour in ORIGIN_COLOURS.values()
        ],
    }


def _tables(result: RunResult) -> dict[str, object]:
    titles = {"commune": "Commune", "bearer": "Link", "profile": "Gateway"}
    groups, left_out = {}, {}
    for kind, title in (titles | {"hamlet": "Hamlet"}).items():
        found = worst_groups([group for group in result.groups if group.kind == kind])
        groups[title], left_out[title] = found
    return {
        "hamlets": groups.pop("Hamlet"),
        "groups": groups,
        "groups_left_out": left_out,
        "group_columns": GROUP_COLUMNS,
        "columns": COLUMNS,
        "table_rows": node_table(shown(result).listed.nodes),
    }


def _players(result: RunResult) -> list[_Player]:
    rows = {row.node: row for row in result.nodes}
    players = []
    for name, label in LISTEN_LABELS.items():
        if name not in result.listen:
            continue
        one = result.listen[name]
        row = rows[one.node]
        players.append(
            _Player(
                name=name,
                label=label,
                where=place_name(row),
                said=_said(row),
                waveform=waveform(one.samples, title=f"Loudness at {row.cluster} over time"),
            )
        )
    return players


def _said(row: NodeRow) -> str:
    gap = "played nothing" if is_silent(row) else f"longest gap {number(row.longest_gap_ms)} ms"
    dropout = f"dropout {number(row.dropout_pct, 2)} %"
    return " · ".join((row.cluster, bearer_name(row.bearer), dropout, gap))


def _bearers(result: RunResult) -> list[dict[str, str]]:
    found = []
    for name, values in result.delay_quantiles_ms.items():
        if not values:
            continue
        last = len(values) - 1
        p50, p95, p99 = (values[round(last * part)] for part in (0.5, 0.95, 0.99))
        nodes = sum(row.bearer == name for row in result.nodes)
        clusters = f"{nodes} cluster{'' if nodes == 1 else 's'}"
        said = f"p50 {number(p50)} · p95 {number(p95)} · p99 {number(p99)} ms · {clusters}"
        found.append({"name": bearer_name(name), "said": said})
    return found


def _data(result: RunResult) -> Markup:
    """Return what the script reads, as JSON that cannot end its own element."""
    result = shown(result).listed
    data = {
        "duration_s": result.duration_s,
        "names": [f"{row.cluster}, {place_name(row)}" for row in result.nodes],
        "origins": [ORIGIN_COLOURS[Origin(i)][0] for i in range(ORIGINS)],
        "raster": run_lengths(coarse(result.raster)),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # made safe here


def _css(colour: tuple[int, int, int, int]) -> str:
    red, green, blue, alpha = colour
    return f"rgb({red} {green} {blue} / {alpha / 255:.2f})"
