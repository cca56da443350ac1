"""Dropouts of each hardware profile on each link type, by fixed seeds, exact.

Options: --fast (one seed, one minute: what the gate of CI runs).
"""

from typing import Final

from benchmarks import table
from benchmarks.options import is_fast
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


def measure(*, fast: bool) -> dict[str, dict[str, float | None]]:
    """Return the worst of the seeds for each row and measure; None: nothing played."""
    return matrix.worst(MEASURES, fast=fast)


def run(arguments: list[str]) -> int:
    """Print and write the dropouts; return 0."""
    rows = measure(fast=is_fast("dropout", __doc__, arguments))
    table.show("dropout", "Dropouts, worst of the seeds", rows)
    return 0
