"""The answer of a sweep in a terminal and as JSON: never a figure without its interval."""

import json
import math
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sim.report.odds.words import NAMES, cell, foot, sentences, signed
from sim.sweep.interval import Estimate
from sim.sweep.odds import Odds, VariantOdds

LOG_COLUMNS: Final = 120
_NAMED: Final = 12


def print_odds(odds: Odds) -> None:
    """Print a line per figure, a column per variant, and who is never reached."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(LOG_COLUMNS, 34 + 34 * len(odds.variants)))
    console.print()
    console.print(_table(odds))
    if len(odds.variants) > 1:
        console.print(_apart(odds))
    for one in odds.variants:
        for line in _reached(one, several=len(odds.variants) > 1):
            console.print(line)
    console.print()
    for line in sentences(odds):
        console.print(Text(line, style="bold"))
    console.print(foot(odds), style="dim")


def odds_json(odds: Odds) -> str:
    """Return one JSON object in one line; equal for equal sweeps."""
    told = {
        "scenario": odds.scenario,
        "throws": odds.throws,
        "villages": odds.villages,
        "clusters": odds.clusters,
        "clusters_with_households": odds.with_households,
        "clusters_with_traces": odds.recorded,
        "within_s": odds.within_s,
        "warned_is": "heard" if odds.is_day else "reached",
        "level": odds.level,
        "stopped": odds.stopped,
        "variants": [_variant(one) for one in odds.variants],
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def _table(odds: Odds) -> Table:
    table = Table(title=odds.title, title_justify="left", title_style="bold", box=None)
    table.add_column("odds, with the interval", header_style="dim")
    for one in odds.variants:
        table.add_column(one.label, justify="right", header_style="dim")
    for name, words in NAMES.items():
        if any(name in one.figures for one in odds.variants):
            table.add_row(words, *(cell(one.figures.get(name), name) for one in odds.variants))
    return table


def _apart(odds: Odds) -> Table:
    table = Table(
        title=f"against {odds.variants[0].label}", title_justify="left", title_style="dim", box=None
    )
    table.add_column("", header_style="dim")
    for one in odds.variants[1:]:
        table.add_column(one.label, justify="right", header_style="dim")
    for name, words in NAMES.items():
        if any(name in one.against_first for one in odds.variants):
            cells = (signed(one.against_first.get(name), name) for one in odds.variants[1:])
            table.add_row(words, *cells)
    return table


def _reached(one: VariantOdds, *, several: bool) -> list[str]:
    where = f"{one.label}: " if several else ""
    found = []
    for words, names in (
        ("never warned in time", one.never_warned),
        ("never hears the programme whole", one.never_heard),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            found.append(f"{where}{words}: {', '.join(names[:_NAMED])}{more}")
    return found


def _variant(one: VariantOdds) -> dict[str, object]:
    return {
        "label": one.label,
        "figures": {name: _plain(value) for name, value in one.figures.items()},
        "against_first": {name: _plain(value) for name, value in one.against_first.items()},
        "by_hour": [_plain(value) for value in one.by_hour],
        "by_time": [{"within_s": t} | _plain(value) for t, value in one.by_time],
        "never_warned": one.never_warned,
        "never_heard": one.never_heard,
        "worst": [{"cluster": name, "in_time": share} for name, share in one.worst],
    }


def _plain(one: Estimate) -> dict[str, float | None]:
    low, high = (None if math.isinf(v) else round(v, 9) for v in (one.low, one.high))
    return {"value": round(one.value, 9), "low": low, "high": high}
