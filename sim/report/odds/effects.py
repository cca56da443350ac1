"""What to measure before buying: the inputs ranked, in a terminal, as JSON and as a page."""

import json
from typing import Final

from markupsafe import Markup, escape
from rich.console import Console
from rich.table import Table

from sim.report.odds.page import stylesheet
from sim.report.odds.words import NAMES
from sim.report.svg import Scale, line, picture, tag, text
from sim.sweep.sensitivity import Effect
from sim.sweep.sweep import Sweep

_SHOWN: Final = 15
_WIDTH: Final = 1056.0
_LEFT: Final = 330.0
_ROW: Final = 26.0


def print_effects(sweep: Sweep, figure: str, found: list[Effect]) -> None:
    """Print the inputs that move the figure most."""
    console = Console(highlight=False)
    table = Table(title=_title(figure), title_justify="left", title_style="bold", box=None)
    for name in ("input", "value from", "to", "by itself", "with others", "between"):
        table.add_column(name, justify="left" if name == "input" else "right", header_style="dim")
    for one in found[:_SHOWN]:
        low, high = _range(sweep, one.name)
        cells = (f"{low:g}", f"{high:g}", *_shares(one))
        table.add_row(one.name, *cells)
    console.print(table)
    console.print(_foot(sweep, found), style="dim")


def effects_json(sweep: Sweep, figure: str, found: list[Effect]) -> str:
    """Return one JSON object in one line."""
    told = {
        "scenario": sweep.scenario.name,
        "figure": figure,
        "points": sweep.villages,
        "throws_each": sweep.seeds,
        "effects": [
            {
                "input": one.name,
                "low": _range(sweep, one.name)[0],
                "high": _range(sweep, one.name)[1],
                "first": _rounded(one, one.first),
                "total": _rounded(one, one.total),
                "total_low": _rounded(one, one.total_low),
                "total_high": _rounded(one, one.total_high),
            }
            for one in found
        ],
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def effects_page(sweep: Sweep, figure: str, found: list[Effect]) -> str:
    """Return the page of a study: a bar with its interval for each input."""
    shown = found[:_SHOWN]
    most = max([1.0, *(one.total_high or 0.0 for one in shown)])
    across = Scale(0, most, _LEFT, _WIDTH - 20)
    height = _ROW * len(shown) + 30
    parts: list[Markup] = []
    for value in across.ticks(6):
        parts.append(line(across(value), 0, across(value), height - 30, class_="grid"))
        label = text(across(value), height - 12, f"{value:g}", class_="tick", text_anchor="middle")
        parts.append(label)
    for i, one in enumerate(shown):
        y = _ROW * i + 4
        wide = max(0.0, across(max(0.0, one.total)) - _LEFT)
        parts.append(text(_LEFT - 10, y + 13, one.name, class_="label", text_anchor="end"))
        parts.append(tag("rect", x=_LEFT, y=y, width=wide, height=16, class_="s1"))
        if one.total_low is None or one.total_high is None:
            continue
        low, high = across(max(0.0, one.total_low)), across(max(0.0, one.total_high))
        parts.append(line(low, y + 8, high, y + 8, class_="curve b1"))
    drawn = picture(_WIDTH, height, *parts, title=_title(figure), class_="stages")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(sweep.scenario.name)} · Loa Làng</title><style>{stylesheet()}</style>"
        f"</head><body><header><h1>{escape(_title(figure))}</h1>"
        f'<p class="facts">{escape(_foot(sweep, found))}</p></header>'
        f'<section><p class="sub">Share of the variance of the answer that hangs on an input, '
        f"with all that it does together with others; the line is its interval.</p>"
        f'<div class="scroll">{drawn}</div></section></body></html>\n'
    )


def _shares(one: Effect) -> tuple[str, str, str]:
    """Return what it does by itself, with others, and where that lies; dashes: not known."""
    if one.total_low is None or one.total_high is None:
        return ("–", "–", "–")
    return (
        f"{one.first:.2f}", f"{one.total:.2f}", f"{one.total_low:.2f} to {one.total_high:.2f}"
    )  # fmt: skip


def _rounded(one: Effect, value: float | None) -> float | None:
    return None if one.total_low is None or value is None else round(value, 9)


def _title(figure: str) -> str:
    return f"What to measure before buying: which input moves “{NAMES[figure]}”"


def _range(sweep: Sweep, name: str) -> tuple[float, float]:
    assert sweep.sample is not None
    one = next(one for one in sweep.sample.inputs if one.name == name)
    return one.low, one.high


def _foot(sweep: Sweep, found: list[Effect]) -> str:
    if any(one.total_low is None for one in found):
        return (
            f"{sweep.scenario.name}: at all {sweep.villages} points the answer was the same, so "
            "what moves it is not known: ask more points, or another --figure"
        )
    return (
        f"{sweep.scenario.name}: {len(found)} inputs, {sweep.villages} points, "
        f"{sweep.seeds} throws at each, the same dice at all; intervals hold in 90 % of studies"
    )
