"""What all measurements share: rows of figures as a table on the terminal and as a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from sim.report import write_all

FOLDER: Final = Path("out/benchmarks")

Rows = Mapping[str, Mapping[str, float | None]]
"""Per row name, the figures by name; None where there is none, for instance in silence."""


def show(name: str, title: str, rows: Rows) -> None:
    """Print `rows` on standard output and write them to out/benchmarks/`name`.json."""
    columns = list(dict.fromkeys(column for figures in rows.values() for column in figures))
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right", header_style="dim")
    for row, figures in rows.items():
        table.add_row(row, *(_text(figures.get(column)) for column in columns))
    # A log has no width: nothing is to be cut off in it.
    console = Console(highlight=False)
    Console(highlight=False, width=max(console.width, 160)).print(table)
    write(name, rows)


def write(name: str, rows: object) -> None:
    """Write figures to out/benchmarks/`name`.json, whole or not at all."""
    text = json.dumps(rows, indent=1, allow_nan=False) + "\n"
    write_all({f"{name}.json": text.encode()}, FOLDER)
    print(f"written: {FOLDER / name}.json")


def _text(figure: float | None) -> str:
    if figure is None:
        return "–"
    return f"{figure:,.0f}" if figure == int(figure) else f"{figure:,.2f}"
