"""The answer of a run in a terminal: the communes, the worst clusters, the verdict."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sim.report.budgets import Outcome, amount, is_silent, judge
from sim.report.classes import bearer_name, group_name, place_name, repaired_ms
from sim.report.day_terminal import print_day, print_warned
from sim.report.province import worst_groups
from sim.report.svg import number
from sim.result.capacity import capacity_lines
from sim.result.faults import fault_lines
from sim.result.run import NodeRow, RunResult

WORST_SHOWN: Final = 8
LOG_COLUMNS: Final = 120
_COLOURS: Final = {"fits": "green", "DOES NOT FIT": "red", "not known": "yellow"}


def print_result(result: RunResult) -> None:
    """Print the roll-up by commune and link, the worst clusters, the budgets and the verdict."""
    console = Console(highlight=False)
    if not console.is_terminal:  # a log has no width: nothing is to be cut off in it
        console = Console(highlight=False, width=LOG_COLUMNS)
    console.print()
    if result.day is not None:
        print_warned(result.day)
    console.print(_group_table(result))
    console.print()
    console.print(_worst_table(result))
    console.print()
    for mark, said in capacity_lines(result.capacity):
        console.print(Text(f"  {mark:6} ", _COLOURS[mark]).append(said, "default"))
    console.print(Text(f"  data   {result.data_line()}"))
    for line in fault_lines(result.faults, result.clock):
        console.print(Text(f"  fault  {line}"))
    for outcome in judge(result):
        console.print(_budget_line(outcome))
    console.print()
    if result.day is not None:
        print_day(result.day)
        console.print()
    console.print(Text(result.verdict, style="bold"))
    console.print(
        f"scenario {result.scenario}, seed {result.seed}, "
        f"scenario hash {result.scenario_hash[:16]}, trace hash {result.trace_hash[:16]}; "
        f"{len(result.unverified)} inputs unverified",
        style="dim",
        highlight=False,
    )


def _group_table(result: RunResult) -> Table:
    table = _table(
        f"{result.title}: {len(result.nodes)} clusters, {number(result.duration_s)} s",
        (
            "",
            "clusters",
            "silent",
            "dropout %",
            "worst %",
            "repaired %",
            "gap ms",
            "delay p50",
            "p99",
            "skew p95",
        ),
    )
    for kind in ("commune", "bearer"):
        groups, left_out = worst_groups([one for one in result.groups if one.kind == kind])
        for group in groups:
            table.add_row(group_name(group), *_figures(asdict(group)))
        if left_out:
            table.add_row(f"... {left_out} better ones")
        table.add_section()
    table.add_row("all", *_figures(result.totals), style="bold")
    return table


def _figures(figures: Mapping[str, float | None]) -> list[str]:
    decimals = {
        "nodes": 0,
        "nodes_silent": 0,
        "dropout_pct": 2,
        "dropout_worst_pct": 2,
        "repaired_pct": 2,
        "longest_gap_ms": 0,
        "mouth_to_ear_p50_ms": 0,
        "mouth_to_ear_p99_ms": 0,
        "skew_p95_ms": 2,
    }
    return [number(figures.get(name), places) for name, places in decimals.items()]


def _worst_table(result: RunResult) -> Table:
    rows = sorted(result.nodes, key=lambda row: (-row.dropout_pct, row.node))[:WORST_SHOWN]
    table = _table(
        "Worst clusters",
        (
            "cluster",
            "hamlet",
            "link",
            "gateway",
            "dropout %",
            "events/h",
            "gap ms",
            "lost",
            "late",
            "repaired ms",
        ),
        texts=4,
    )
    for row in rows:
        style = "red" if is_silent(row) else None
        table.add_row(*_row_cells(row), style=style)
    return table


def _row_cells(row: NodeRow) -> list[str]:
    return [
        row.cluster,
        place_name(row),
        bearer_name(row.bearer),
        row.profile,
        number(row.dropout_pct, 2),
        number(row.dropout_events_per_hour, 1),
        number(row.longest_gap_ms),
        str(row.packets_lost),
        str(row.packets_late),
        number(repaired_ms(row)),
    ]


def _table(title: str, columns: tuple[str, ...], *, texts: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < texts else "right", header_style="dim")
    return table


def _budget_line(outcome: Outcome) -> Text:
    budget = outcome.budget
    mark = Text("  holds  " if outcome.holds else "  BROKEN ", "green" if outcome.holds else "red")
    words = f"{budget.sentence}: worst {amount(outcome.worst, budget.unit)} {budget.unit}"
    if budget.name == "heard":
        words = f"{budget.sentence}: {len(outcome.broken_by)} silent"
    elif outcome.worst_node and outcome.worst:
        words += f" at {outcome.worst_node}"
    if outcome.left_out:
        words += f" ({outcome.left_out})"
    return mark.append(words, "default")
