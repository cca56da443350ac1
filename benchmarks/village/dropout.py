"""Dropouts of each hardware profile on each link type, by fixed seeds, exact.

Options: --fast (one seed, one minute: what the gate of CI runs), --row NAME (one row alone).
"""

from typing import Final

from benchmarks import table
from benchmarks.options import fast_and_row
from benchmarks.village import matrix

MEASURES: Final = (
    "dropout_pct",
    "dropout_events_per_hour",
    "longest_gap_ms",
    "concealed_ms",
    "faded_ms",
    "silent_ms",
    "packets_lost",
    "packets_late",
    "deadline_misses",
    "hard_resyncs",
    "j",
)


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the worst of the seeds for each row and measure; None: nothing played."""
    return matrix.worst(MEASURES, fast=fast, row=row)


def run(arguments: list[str]) -> int:
    """Print and write the dropouts; return 0."""
    fast, row = fast_and_row("dropout", __doc__, arguments)
    rows = measure(fast=fast, row=row)
    table.show("dropout", "Dropouts, worst of the seeds", rows)
    return 0
