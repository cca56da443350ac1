"""`python -m benchmarks playout`: the jitter buffer on arrival traces, beside its peers.

Drives the node's own kernels. One trace as JSON, or all of `../shared/traces` as a table with the
peers' rows, fixed delays, a clairvoyant bound and a sweep of the operator's knob (drawn in
`out/playout.svg`). Definitions: docs/glossary.md.

What was skipped instead of being made up counts as concealed, and a hole keeps its length, so no
row of ours lies below the network's loss; NetEQ's do, by up to 0.04 (it merges).

The adaptive rows take time-scale modification to do exactly what it is asked, and decode at the
instant of play; `--whole-node` plays speech through a node with a card that takes 10 ms at a time.
`--cost` measures the CPU of the kernels and of a whole node alone, on a trace made here.
`--held-out A|B` plays seeded traces that nobody tuned to, `--draws N` of each family.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from benchmarks.playout.held_out_traces import held_out
from benchmarks.playout.playout_cost import print_cost
from benchmarks.playout.playout_drive import Outcome, Trace, play, read_trace
from benchmarks.playout.playout_held_out import DRAWS, J_MS_PER_PCT, clairvoyant, print_held_out
from benchmarks.playout.playout_node import print_whole_node
from benchmarks.playout.playout_profiles import (
    concealed_with_skew_pct,
    print_profiles,
    tone_step_ratio,
)
from benchmarks.playout.playout_redundancy import print_copies
from benchmarks.playout.playout_repair import gilbert_elliott, play_with_repair
from benchmarks.playout.playout_svg import Curve, draw
from benchmarks.reference import shared_folder
from node.config import ConfigError, JitterConfig

TRACES: Final = ("ge_mild", "step", "roc_wifi5_rpi", "mm_TMobile-LTE-driving")

LATE_RATIOS: Final = (
    0.1,
    0.05,
    0.02,
    0.01,
    0.005,
    0.002,
    0.001,
    0.0005,
    0.0002,
    0.0001,
    2e-5,
    1e-5,
)
"""Settings of the knob that are swept; 0.005 is the default."""

FIXED_MS: Final = (60, 100, 200, 400, 1000)

WANTED_J: Final = {
    "ge_mild": 77,
    "step": 245,
    "roc_wifi5_rpi": 390,
    "mm_TMobile-LTE-driving": 890,
}
"""J that the adaptive mode must reach with one default setting."""

REPAIR_BURSTS: Final = (1.2, 2.0, 3.0, 5.0)
"""Mean bursts, in packets, of the Gilbert-Elliott losses that repair is tried on."""

REPAIR_BYTES_MAX_PCT: Final = 15.0

COST_ROUNDS: Final = 5
"""The best is printed: other work of the machine only adds."""

TONE_STEP_MAX: Final = 1.05
"""A click is a step larger than the sound's own; 5 % more is what a cross-fade may add."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    who: str
    mean_ms: float
    p95_ms: float
    p99_ms: float
    concealed_pct: float
    stretched_pct: float
    j: float


class _Parser(argparse.ArgumentParser):
    """Faults are one line, and exit status 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"playout: {message}; see --help")


def run(arguments: list[str]) -> int:
    """Run the benchmark; return the exit status: 0, 1 below what is asked, 2 wrong input."""
    try:
        options = _parse(arguments)
        if options.trace is not None:
            return _one(options)
        if options.cost:
            return _verdict(print_cost(held_out("ge_mild", "B", 0)))
        if options.whole_node:
            print_whole_node(_traces_with_j())
            return 0
        if options.held_out is not None:
            return _verdict(print_held_out(options.held_out, options.draws))
        return _all()
    except ConfigError as fault:
        print(fault, file=sys.stderr)
        return 2


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m benchmarks playout", description=__doc__)
    parser.add_argument("--trace", type=Path, help="gzip CSV seq,send_ms,arrival_ms; without: all")
    parser.add_argument("--mode", choices=("adaptive", "synchronised"), default="adaptive")
    parser.add_argument("--late-ratio", type=float, help="adaptive: the operator's knob")
    parser.add_argument(
        "--delay-ms", type=float, help="synchronised: the delay; adaptive: its floor"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    parser.add_argument("--held-out", choices=("A", "B"), help="seeded traces nobody tuned to")
    parser.add_argument("--whole-node", action="store_true", help="speech through a whole node")
    parser.add_argument("--cost", action="store_true", help="CPU of kernels and node, nothing else")
    parser.add_argument("--draws", type=int, default=DRAWS, help="traces of each held-out family")
    options = parser.parse_args(arguments)
    if options.draws < 1:
        raise ConfigError(f"playout: --draws {options.draws}: must be at least 1")
    if options.trace is None and (
        options.json or options.late_ratio is not None or options.delay_ms is not None
    ):
        raise ConfigError("playout: --json, --late-ratio and --delay-ms need --trace FILE.csv.gz")
    return options


def config_of(mode: str, late_ratio: float | None, delay_ms: float | None) -> JitterConfig:
    """Return the jitter buffer's configuration for one run."""
    if delay_ms is not None and not 0 <= delay_ms <= 5000:
        raise ConfigError(f"--delay-ms {delay_ms:g}: must be 0 to 5000")
    default = JitterConfig()
    ratio = default.late_ratio if late_ratio is None else late_ratio
    if mode == "adaptive":
        floor_ms = default.delay_min_ms if delay_ms is None else max(10, round(delay_ms))
        return JitterConfig(
            mode="adaptive",
            late_ratio=ratio,
            delay_min_ms=floor_ms,
            delay_max_ms=max(default.delay_max_ms, floor_ms),
        )
    held_ms = default.playout_delay_ms if delay_ms is None else max(20, round(delay_ms))
    return JitterConfig(mode="synchronised", late_ratio=ratio, playout_delay_ms=held_ms)


def _one(options: argparse.Namespace) -> int:
    trace = read_trace(options.trace)
    config = config_of(options.mode, options.late_ratio, options.delay_ms)
    delay_ms = config.playout_delay_ms if options.delay_ms is None else options.delay_ms
    found = play(trace, config, delay_ms=delay_ms)
    if options.json:
        print(json.dumps(as_json(found)))
    else:
        print(_HEADING)
        print(_line(_row(f"ours, {options.mode}", found)))
    return 0


def as_json(found: Outcome) -> dict[str, float]:
    """Return the figures of one run by name."""
    return {
        "network_loss_pct": round(found.network_loss_pct, 4),
        "mean_ms": round(found.mean_ms, 3),
        "p95_ms": round(found.p95_ms, 3),
        "p99_ms": round(found.p99_ms, 3),
        "concealed_pct": round(found.concealed_pct, 4),
        "stretched_pct": round(found.stretched_pct, 4),
        "j": round(found.j, 3),
    }


def _all() -> int:
    folder = _shared_traces()
    if folder is None:
        return 0
    peers = _read_peers(folder / "peers.csv")
    curves: list[Curve] = []
    missed: list[str] = []
    for name in TRACES:
        trace = read_trace(folder / "arrivals" / f"{name}.csv.gz")
        ours = play(trace, JitterConfig(mode="adaptive"))
        sweep = _sweep(trace)
        print(f"\n{name}: network loss {trace.network_loss_pct:.2f} %")
        print(_HEADING)
        for row in [*_bounds(trace), *peers.get(name, []), _row("OURS, adaptive", ours)]:
            print(_line(row))
        print(f"  must {WANTED_J[name]}; the knob, late_ratio:")
        for ratio, row in zip(LATE_RATIOS, sweep, strict=True):
            print(_line(row) + (" default" if ratio == JitterConfig().late_ratio else ""))
        missed += _not_below(trace, peers.get(name, []), sweep)
        if ours.j > WANTED_J[name]:
            missed.append(f"{name}: J {ours.j:.0f} is above {WANTED_J[name]}")
        curves.append(_curve(name, trace, peers.get(name, []), sweep))
    out = Path("out") / "playout.svg"
    out.parent.mkdir(exist_ok=True)
    out.write_text(draw(curves), encoding="utf-8")
    print(f"\ncurves: {out}")
    missed += _print_repair(folder)
    missed += print_copies(REPAIR_BURSTS, REPAIR_BYTES_MAX_PCT)
    print_profiles()
    missed += _print_sanity()
    missed += print_cost(read_trace(folder / "arrivals" / f"{TRACES[0]}.csv.gz"))
    missed += print_held_out("B", DRAWS)
    return _verdict(missed)


def _shared_traces() -> Path | None:
    folder = shared_folder() / "traces"
    if folder.is_dir():
        return folder
    print(f"SKIPPED: no traces at {folder}: set LOALANG_SHARED to the reference material")
    return None


def _traces_with_j() -> list[tuple[Trace, float]]:
    """Return the shared traces, or held-out ones where there are none, with the kernel's J."""
    folder = _shared_traces()
    if folder is None:
        traces = [held_out(name, "B", 0) for name in ("ge_mild", "stalls, aperiodic")]
    else:
        traces = [read_trace(folder / "arrivals" / f"{name}.csv.gz") for name in TRACES]
    return [(trace, play(trace, JitterConfig(mode="adaptive")).j) for trace in traces]


def _verdict(missed: list[str]) -> int:
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


def _sweep(trace: Trace) -> list[Row]:
    return [
        _row(f"ours, {ratio:g}", play(trace, JitterConfig(mode="adaptive", late_ratio=ratio)))
        for ratio in LATE_RATIOS
    ]


def _bounds(trace: Trace) -> Iterable[Row]:
    """Yield fixed delays through our own buffer, and what a clairvoyant would do."""
    for fixed_ms in FIXED_MS:
        config = config_of("synchronised", None, fixed_ms)
        yield _row(f"ours, fixed {fixed_ms}", play(trace, config, delay_ms=fixed_ms))
    yield _clairvoyant(trace)


def _clairvoyant(trace: Trace) -> Row:
    """Return the bound: every 2 s the delay that is best for the next 2 s, changed for free."""
    delays, late_pct = clairvoyant(trace)
    p95, p99 = np.quantile(delays, [0.95, 0.99])
    mean_ms = float(delays.mean())
    return Row(
        "clairvoyant per 2 s",
        mean_ms,
        float(p95),
        float(p99),
        trace.network_loss_pct + late_pct,
        0.0,
        mean_ms + J_MS_PER_PCT * late_pct,
    )


def _read_peers(path: Path) -> dict[str, list[Row]]:
    """Return the peers' rows by trace."""
    found: dict[str, list[Row]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            mean_ms = float(line["mean_ms"])
            concealed_pct = float(line["concealed_pct"])
            above = max(0.0, concealed_pct - float(line["network_loss_pct"]))
            row = Row(
                line["peer"],
                mean_ms,
                float(line["p95_ms"]),
                float(line["p99_ms"]),
                concealed_pct,
                float(line["stretch_or_trim_pct"] or 0.0),
                mean_ms + J_MS_PER_PCT * above,
            )
            found.setdefault(line["trace"], []).append(row)
    return found


def _not_below(trace: Trace, peers: list[Row], sweep: list[Row]) -> list[str]:
    """Return the settings of NetEQ that our curve does not lie below.

    Merging gives NetEQ back some of what the network lost. Here a hole keeps its length, so what
    counts is what is concealed above the network's loss, as in J.
    """
    rounding_pct = 0.005  # peers.csv has two decimals
    worse = []
    for peer in peers:
        if not peer.who.startswith("NetEQ"):
            continue
        ours = [row.concealed_pct for row in sweep if row.mean_ms <= peer.mean_ms]
        theirs = max(peer.concealed_pct, trace.network_loss_pct)
        if not ours or min(ours) > theirs + rounding_pct:
            worse.append(f"{trace.name}: our curve is not below {peer.who}")
    return worse


def _curve(name: str, trace: Trace, peers: list[Row], sweep: list[Row]) -> Curve:
    return Curve(
        name,
        trace.network_loss_pct,
        [(row.mean_ms, row.concealed_pct) for row in sweep],
        [(row.mean_ms, row.concealed_pct) for row in peers if row.who.startswith("NetEQ")],
        [(row.mean_ms, row.concealed_pct) for row in peers if row.who.startswith("fixed")],
    )


def _print_repair(folder: Path) -> list[str]:
    """Print what retransmission leaves at D = 400 ms; return what is above the wanted figures."""
    print("\nwith repair, D = 400 ms, round trip 100 ms   network  concealed %   must  bytes +%")
    cases = [(read_trace(folder / "arrivals" / f"{name}.csv.gz"), 0.05) for name in TRACES[:2]]
    cases += [(gilbert_elliott(4.0, burst, seed=5), 0.3) for burst in REPAIR_BURSTS]
    missed = []
    for trace, must_pct in cases:
        found = play_with_repair(trace)
        print(
            f"  {trace.name:42}{found.network_loss_pct:7.2f}{found.concealed_pct:12.3f}"
            f"{must_pct:7.2f}{found.overhead_pct:10.1f}"
        )
        if found.concealed_pct > must_pct or found.overhead_pct > REPAIR_BYTES_MAX_PCT:
            missed.append(f"{trace.name}: repair leaves {found.concealed_pct:.3f} %")
    return missed


def _print_sanity() -> list[str]:
    """Print what ten minutes of clock skew do; return what is above the wanted figures."""
    print("\n10 min at +-100 ppm: concealed % (must 0.003), largest step of a tone over its own")
    missed = []
    for skew_ppm in (-100.0, 100.0):
        concealed_pct = concealed_with_skew_pct(skew_ppm)
        ratio = tone_step_ratio(skew_ppm)
        print(f"  {skew_ppm:+.0f} ppm: {concealed_pct:.4f} %, {ratio:.3f}")
        if concealed_pct > 0.003 or ratio > TONE_STEP_MAX:
            missed.append(f"{skew_ppm:+.0f} ppm: {concealed_pct:.4f} % concealed, step {ratio:.3f}")
    return missed


def _row(who: str, found: Outcome) -> Row:
    return Row(
        who,
        found.mean_ms,
        found.p95_ms,
        found.p99_ms,
        found.concealed_pct,
        found.stretched_pct,
        found.j,
    )


_HEADING: Final = f"  {'':40}{'mean':>6}{'p95':>6}{'p99':>6} ms {'conc.':>7}{'str.':>7} %{'J':>7}"


def _line(row: Row) -> str:
    return (
        f"  {row.who[:40]:40}{row.mean_ms:6.0f}{row.p95_ms:6.0f}{row.p99_ms:6.0f}"
        f"    {row.concealed_pct:7.2f}{row.stretched_pct:7.2f}  {row.j:7.0f}"
    )
