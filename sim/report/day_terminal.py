"""The day in a terminal: a line for each hamlet and item, and the figures under it."""

from typing import Final

from rich.console import Console

from sim.day.verdict import hamlet_of, order_lines, warned_lines, warned_sentence
from sim.report.day_rows import HamletItem, hamlet_items, item_name, span_text
from sim.result.day import DayResult
from sim.result.wall_clock import WallClock

_COLUMNS: Final = (
    ("hamlet", 32),
    ("item", 16),
    ("clusters", 8),
    ("played", 6),
    ("volume", 7),
    ("asked dBA", 11),
    ("played dBA", 11),
    ("limit", 5),
    ("first ms", 8),
)


def print_day(day: DayResult) -> None:
    """Print the day per hamlet."""
    console = Console(highlight=False, soft_wrap=True)
    for line in day_lines(day):
        console.print(line, markup=False)


def print_warned(day: DayResult) -> None:
    """Print who was not warned, hamlet by hamlet, before anything else; nothing without a warning.

    It comes before all tables: who reads one line reads this one.
    """
    said = warned_sentence(day)
    if not said:
        return
    console = Console(highlight=False, soft_wrap=True)
    is_bad = day.totals["unwarned"] or day.totals["strangers_obeyed"]
    console.print(said, style="bold red" if is_bad else "bold", markup=False)
    for line in warned_lines(day):
        console.print(f"  {line}", markup=False)
    console.print()


def day_lines(day: DayResult) -> list[str]:
    """Return the lines of the table and its figures."""
    lines = [f"The day {day.date}, {day.zone}", _line(tuple(name for name, _ in _COLUMNS))]
    places = {(one.commune, one.hamlet): one for one in day.nodes}
    for row in hamlet_items(day):
        hamlet = hamlet_of(day, places[row.commune, row.hamlet])
        lines.append(_line((hamlet, *_cells(row, day.clock))))
        lines += [f"{'':4}{words}" for words in (row.avoided, row.taken_by) if words]
    lines += order_lines(day)
    totals = day.totals
    lines.append(
        f"{totals['items']} items: {totals['played']} played, {totals['refused']} refused, "
        f"{totals['missed']} missed, {totals['cut_off']} cut off, "
        f"{totals['items_not_known']} not known; "
        f"orders not obeyed at {totals['orders_not_obeyed']} clusters; "
        f"lowered {totals['lowered_minutes']} min, silenced {totals['silenced_minutes']} min, "
        f"justified {totals['justified_minutes']} min; breaches {totals['breaches']}"
    )
    lines.append(f"trace hash of the day {day.trace_hash[:16]}")
    return lines


def _cells(row: HamletItem, clock: WallClock) -> tuple[str, ...]:
    return (
        item_name(row.item) if not row.item.startswith("#") else f"{clock.said(row.due_s)} warning",
        str(row.clusters),
        str(row.played),
        span_text(row.volumes),
        span_text(row.asked_dba, 1),
        span_text(row.played_dba, 1),
        span_text(row.limits_dba),
        "–" if row.first_sample_ms is None else f"{row.first_sample_ms:.0f}",
    )


def _line(cells: tuple[str, ...]) -> str:
    widths = (width for _, width in _COLUMNS)
    parts = (
        f"{cell:{'<' if i < 2 else '>'}{width}}"
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return " ".join(parts).rstrip()
