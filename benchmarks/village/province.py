"""What a province costs in tier T3: CPU time and memory over clusters and seconds.

The six communes of huu_lung_six, copied, by their arrivals alone (`sender.reports = false`). The
cost of a cluster should depend neither on how many there are nor on how long the programme is. The
last rows, with --full, are what a province asks: 10,000 clusters for an hour in 120 CPU s and
1 GiB, 100,000 for a minute in 30 CPU s.
"""

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of
from benchmarks.village.speed import WARM_UP_S, calibration_s
from sim.fleet import run as fleet
from sim.village import scenario

SCENARIO: Final = "huu_lung_six"
CLUSTERS: Final = 66
SIZES: Final = ((1, 60.0), (1, 600.0), (10, 60.0), (60, 10.0))
"""Copies, and seconds."""

FULL: Final = ((152, 60.0), (152, 3600.0), (1515, 60.0), (1, 86_400.0))


def run(arguments: list[str]) -> int:
    """Print and write CPU time and memory for each size; return 0."""
    parser = parser_of("province", __doc__)
    parser.add_argument("--full", action="store_true", help="also the sizes of a province")
    options = parser.parse_args(arguments)
    rows = {}
    for copies, duration_s in (*SIZES, *(FULL if options.full else ())):
        rows[f"{copies * CLUSTERS} clusters, {duration_s:g} s"] = in_a_child(copies, duration_s)
    table.show("province", f"Tier T3 on {SCENARIO}, one process, all cores", rows)
    return 0


def in_a_child(copies: int, duration_s: float) -> dict[str, float | None]:
    """Run `one` in a child, because the largest memory of a process is never given back."""
    code = f"from benchmarks.village.province import one; one({copies}, {duration_s})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    figures: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return figures


def one(copies: int, duration_s: float) -> None:
    """Print what one size costs as JSON: the work of a child process."""
    asked = scenario.load(SCENARIO)
    silent = replace(asked, sender=replace(asked.sender, reports=False))
    fleet.run(silent, duration_s=WARM_UP_S)
    loop_s = calibration_s()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "province.toml"
        path.write_text(f"copies = {copies}\n" + Path(asked.path).read_text("utf-8"), "utf-8")
        many = scenario.load(path)
    result = fleet.run(replace(many, sender=silent.sender), duration_s=duration_s)
    figures = {
        "cpu_s": round(result.cpu["cpu_s"], 2),
        "node_seconds_per_cpu_s": round(result.cpu["node_seconds_per_cpu_s"], 1),
        "node_seconds_per_loop": round(result.cpu["node_seconds_per_cpu_s"] * loop_s, 1),
        "wall_s": round(result.cpu["wall_s"], 2),
        "rss_max_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(figures))
