"""The table of all clusters in the page: which columns, and how each cell sorts and reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.report.classes import bearer_name, dropout_class, hamlet_name, repaired_ms
from sim.report.svg import number
from sim.result.run import NodeRow


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a text, or a number with so many decimals."""

    name: str
    value: Callable[[NodeRow], str | float | None]
    decimals: int | None = None
    on_paper: bool = True
    """Whether it is printed: an A4 page does not hold them all."""

    @property
    def numeric(self) -> bool:
        """Whether the column sorts by number."""
        return self.decimals is not None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is read, and what it sorts by ("" last)."""

    text: str
    key: str = ""
    numeric: bool = False
    kind: int | None = None
    """Class of dropout, where the cell carries its dot."""

    on_paper: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One cluster."""

    node: str
    cells: list[Cell]


def _repair_bytes_pct(row: NodeRow) -> float | None:
    return 100 * row.repair_bytes / row.stream_bytes if row.stream_bytes else None


DROPOUT: Final = "Dropout %"

COLUMNS: Final = (
    Column("Cluster", lambda row: row.cluster),
    Column("Hamlet", hamlet_name),
    Column("Commune", lambda row: row.commune),
    Column("Link", lambda row: bearer_name(row.bearer)),
    Column("Gateway", lambda row: row.profile, on_paper=False),
    Column(DROPOUT, lambda row: row.dropout_pct, 2),
    Column("Events/h", lambda row: row.dropout_events_per_hour, 1),
    Column("Longest gap ms", lambda row: row.longest_gap_ms, 0),
    Column("Lost", lambda row: row.packets_lost, 0),
    Column("Late", lambda row: row.packets_late, 0),
    Column("Repaired ms", repaired_ms, 0, on_paper=False),
    Column("Repair bytes %", _repair_bytes_pct, 1, on_paper=False),
    Column("Concealed ms", lambda row: row.concealed_ms + row.faded_ms, 0, on_paper=False),
    Column("Silent ms", lambda row: row.silent_ms, 0, on_paper=False),
    Column("Delay p50 ms", lambda row: row.mouth_to_ear_p50_ms, 0),
    Column("p95", lambda row: row.mouth_to_ear_p95_ms, 0, on_paper=False),
    Column("p99", lambda row: row.mouth_to_ear_p99_ms, 0),
    Column("max", lambda row: row.mouth_to_ear_max_ms, 0),
    Column("J", lambda row: row.j, 0, on_paper=False),
    Column("Skew p95 ms", lambda row: row.skew_p95_ms, 2),
    Column("First sound ms", lambda row: row.first_sound_ms, 0, on_paper=False),
    Column("Missed", lambda row: row.deadline_misses, 0),
)


def node_table(rows: list[NodeRow]) -> list[Line]:
    """Return the lines of the table, worst dropout first."""
    worst_first = sorted(rows, key=lambda row: -row.dropout_pct)
    return [Line(row.node, [_cell(column, row) for column in COLUMNS]) for row in worst_first]


def _cell(column: Column, row: NodeRow) -> Cell:
    value = column.value(row)
    kind = dropout_class(row) if column.name == DROPOUT else None
    if isinstance(value, str):
        return Cell(value, on_paper=column.on_paper)
    key = "" if value is None else f"{value:.6g}"
    return Cell(
        number(value, column.decimals or 0),
        key,
        numeric=True,
        kind=kind,
        on_paper=column.on_paper,
    )
