"""The same scenario simulated and run for real: `python -m benchmarks truth`.

A real daemon, mosquitto and `loalang-send` on loopback; a relay brings each packet when the
simulator said that it comes, or never, and what is asked and sent again by the simulator's ways.
75 s of a live programme on each of four links, a warning after 60 s. Told for each figure: what
was asked (counts within 0.1 % of the packets, delay within 2 ms, an order within 5 ms), simulated,
real, and the error. A busy machine disturbs it: its load, and how late the relay was, are told too.

Options: --only CASE ..., --seed N. Ends with 1 where a figure misses its bound, and with 2 where
there is no mosquitto.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of
from benchmarks.rig.truth_case import CASES, Figures, simulate, write_files
from benchmarks.rig.truth_real import flush_ns, live_through
from node.units import NS_PER_MS

COUNT_SHARE: Final = 0.001
DELAY_MS: Final = 2.0
ORDER_MS: Final = 5.0

_BOUNDS: Final = {"delay_p50_ms": DELAY_MS, "delay_p99_ms": DELAY_MS, "order_ms": ORDER_MS}
_PRIORITY: Final = 10
"""Of all that runs for real, before whatever else the machine does."""


def run(arguments: list[str]) -> int:
    """Print the table; return 1 where a figure misses its bound."""
    parser = parser_of("truth", __doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if shutil.which("mosquitto") is None:
        print("truth: mosquitto is missing: apt install mosquitto", file=sys.stderr)
        return 2
    met = True
    rows: dict[str, dict[str, float | None]] = {}
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            kept_ns = flush_ns(Path(folder))
            simulated = simulate(write_files(Path(folder), name, options.seed), flush_ns=kept_ns)
            with _in_time():
                real, late_ms = live_through(simulated, Path(folder))
        found, good = compare(name, simulated.figures, real)
        rows |= found
        met &= good
        load = os.getloadavg()[0]
        print(
            f"{name}: load {load:.1f}, the relay up to {late_ms:.1f} ms late, "
            f"a flushed write {kept_ns / NS_PER_MS:.1f} ms",
            flush=True,
        )
    table.show("truth", f"Simulated and real, seed {options.seed}", rows)
    return 0 if met else 1


@contextmanager
def _in_time() -> Iterator[None]:
    """Run before all else meanwhile, children too; who may not measures as he can."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def compare(
    name: str, simulated: Figures, real: Figures
) -> tuple[dict[str, dict[str, float | None]], bool]:
    """Return a row for each figure of a case, and whether all are within their bounds."""
    rows: dict[str, dict[str, float | None]] = {}
    good = True
    told = asdict(real)
    for figure, value in asdict(simulated).items():
        if figure == "packets":
            continue
        asked = _BOUNDS.get(figure, COUNT_SHARE * simulated.packets)
        error = told[figure] - value
        if not abs(error) <= asked:  # nor is what is no number within anything
            good = False
            print(f"truth: {name}: {figure} is {error:+.4g} off, asked within {asked:.4g}")
        rows[f"{name}: {figure}"] = {
            "asked_within": asked,
            "simulated": _finite(value),
            "real": _finite(told[figure]),
            "error": _finite(error),
        }
    return rows, good


def _finite(value: float) -> float | None:
    return round(value, 2) if abs(value) < float("inf") else None
