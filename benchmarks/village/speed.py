"""What a run and a node's start cost: CPU seconds, beside a loop that any machine runs.

A run is told as node-seconds per CPU-second of tier T2.

Each request for the sender's time ends the node's fast loop, so a row without answers (a foreign
sender) shows what the conversation costs. Speed is the one figure with noise: it is given as a
ratio to a calibration loop of the same process, and only its order of magnitude is held.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of
from benchmarks.village.footprint import STARTED
from sim.drive import run as drive
from sim.village import scenario

SCENARIO: Final = "huu_lung_six"
LENGTHS_S: Final = (60.0, 240.0)
LOOPS: Final = 5
LOOP_STEPS: Final = 1_000_000
WARM_UP: Final = "perfect"
"""A few nodes: what is held once for all is there, and nothing to be used again by those after."""
WARM_UP_S: Final = 2.0

_START: Final = f"""
import json, time
import {STARTED}
start_s = time.process_time()
from benchmarks.village.speed import calibration_s
print(json.dumps({{"loops_per_start": round(start_s / calibration_s(), 2)}}))
"""
"""Its kernels are compiled before: the package's own programs load them from the cache too."""


def run(arguments: list[str]) -> int:
    """Print and write speed and memory with and without decoding; return 0."""
    parser_of("speed", __doc__).parse_args(arguments)
    rows: dict[str, dict[str, float | None]] = {}
    for decode in (False, True):
        for duration_s in LENGTHS_S:
            name = f"{'decoded' if decode else 'counted only'}, {duration_s:g} s"
            rows[name] = _in_a_process_of_its_own(decode, duration_s)
            if decode:
                counted = rows[f"counted only, {duration_s:g} s"]
                nodes = (counted["node_seconds"] or 0.0) / duration_s
                rows[name]["mb_above_counted"] = _mb_above(rows[name], counted, nodes)
        name = f"{'decoded' if decode else 'counted only'}, {LENGTHS_S[1]:g} s, no answers"
        rows[name] = _in_a_process_of_its_own(decode, LENGTHS_S[1], reports=False)
    table.show("speed", f"Tier T2 on {SCENARIO}, one process", rows)
    return 0


def measure(*, fast: bool) -> dict[str, dict[str, float | None]]:
    """Return what 1,000 node-seconds and a node's start cost in calibration loops."""
    rows: dict[str, dict[str, float | None]] = {}
    for decode in (False, True):
        figures = _in_a_process_of_its_own(decode, LENGTHS_S[0 if fast else 1])
        per_loop = figures["node_seconds_per_loop"] or 0.0
        rows["decoded" if decode else "counted only"] = {
            "loops_per_1000_node_seconds": round(1000 / per_loop, 2)
        }
    rows["start"] = start()
    return rows


def one(decode: bool, duration_s: float, reports: bool = True) -> None:
    """Print speed and memory of one run as JSON: the work of a child process."""
    asked = scenario.load(SCENARIO)
    asked = replace(asked, sender=replace(asked.sender, reports=reports))
    drive.run(WARM_UP, duration_s=WARM_UP_S, decode=decode)
    loop_s = calibration_s()
    before_kb = _memory_kb("VmRSS")
    result = drive.run(asked, duration_s=duration_s, decode=decode)
    speed = result.cpu["node_seconds_per_cpu_s"]
    figures = {
        "node_seconds": duration_s * len(result.nodes),
        "cpu_s": round(result.cpu["drive_cpu_s"], 3),
        "node_seconds_per_cpu_s": round(speed, 1),
        "loop_cpu_s": round(loop_s, 4),
        "node_seconds_per_loop": round(speed * loop_s, 1),
        "kb_per_node": round((_memory_kb("VmHWM") - before_kb) / len(result.nodes), 1),
        "rss_max_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(figures))


def _mb_above(
    decoded: dict[str, float | None], counted: dict[str, float | None], nodes: float
) -> float | None:
    """Return by how many MB the nodes of one run took more at the most than those of another."""
    largest, other = decoded["kb_per_node"], counted["kb_per_node"]
    return None if largest is None or other is None else round((largest - other) * nodes / 1024, 1)


def _memory_kb(which: str) -> int:
    """Return what this process holds now (`VmRSS`) or held at the most (`VmHWM`), in kB."""
    return int(Path("/proc/self/status").read_text("ascii").split(f"{which}:")[1].split()[0])


def start() -> dict[str, float | None]:
    """Return what the start of a node costs in calibration loops, in a process of its own."""
    return _in_a_child(_START)


def calibration_s() -> float:
    """Return the CPU time of a million steps of a linear congruential generator in Python, in s."""
    return min(_loop_cpu_s() for _ in range(LOOPS))


def _in_a_process_of_its_own(
    decode: bool, duration_s: float, *, reports: bool = True
) -> dict[str, float | None]:
    """Run `one` in a child, because the largest memory of a process is never given back."""
    return _in_a_child(
        f"from benchmarks.village.speed import one; one({decode}, {duration_s}, {reports})"
    )


def _in_a_child(code: str) -> dict[str, float | None]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    figures: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _loop_cpu_s() -> float:
    state = 1
    began_s = time.process_time()
    for _ in range(LOOP_STEPS):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
    return time.process_time() - began_s
