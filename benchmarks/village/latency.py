"""Mouth-to-ear delay of each hardware profile on each link type, by fixed seeds, exact.

Options: --fast (one seed, one minute: what the gate of CI runs), --row NAME (one row alone).
"""

from typing import Final

from benchmarks import table
from benchmarks.options import fast_and_row
from benchmarks.village import matrix

MEASURES: Final = (
    "mouth_to_ear_p50_ms",
    "mouth_to_ear_p95_ms",
    "mouth_to_ear_p99_ms",
    "mouth_to_ear_max_ms",
    "first_sound_ms",
    "skew_p95_ms",
)


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the worst of the seeds for each row and measure, in ms; None: nothing played."""
    rows = matrix.worst(MEASURES, fast=fast, row=row)
    for name, figures in rows.items():
        if name.startswith("adaptive "):
            del figures["skew_p95_ms"]  # each by itself: there is no group to keep up with
    return rows


def run(arguments: list[str]) -> int:
    """Print and write the delays; return 0."""
    fast, row = fast_and_row("latency", __doc__, arguments)
    rows = measure(fast=fast, row=row)
    table.show("latency", "Mouth-to-ear delay in ms, worst of the seeds", rows)
    return 0
