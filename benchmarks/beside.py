"""What two trees cost, one beside the other: `python -m benchmarks beside --other TREE`.

Each part runs in a process of its own, in turn with the sources of this tree and of the other one,
and the cheapest run of each counts. What is measured is in this file alone, by names that both
trees have; each needs its kernels compiled once (`loalang-node check`). Figures are CPU time but
for memory. A ratio below 1 is less than the other tree's.

Options: --only PART,... (calls drive fleet node opus village start compile), --rounds N,
--json. `compile` is only run when it is named: it takes minutes.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

RATIO_MAX: Final = 1.03
ROUNDS: Final = 5
_LEFT_OUT: Final = frozenset({"compile"})
_HERE: Final = Path(__file__).resolve().parents[1]
_NS_PER_PACKET: Final = 20_000_000
_SAMPLES: Final = 960
_OPUS_ROUNDS: Final = 30

Figures = dict[str, float]


def run(arguments: list[str]) -> int:
    """Print each figure of both trees and their ratio; return 1 if one is above what is asked."""
    from benchmarks.options import count, parser_of
    from node.config import ConfigError

    parser = parser_of("beside", __doc__)
    parser.add_argument("--other", type=Path, required=True, help="root of the other tree")
    parser.add_argument("--only", default=",".join(p for p in PARTS if p not in _LEFT_OUT))
    parser.add_argument("--rounds", type=count, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not (options.other / "node" / "__init__.py").is_file():
        raise ConfigError(f"beside: {options.other}: must be the root of a tree of this project")
    names = options.only.split(",")
    if not set(names) <= set(PARTS):
        raise ConfigError(f"beside: --only {options.only}: must be of {', '.join(PARTS)}")
    rows: dict[str, tuple[float, float]] = {}
    for name in names:
        rounds = 1 if name in _LEFT_OUT else options.rounds
        rows |= _compared(name, options.other.resolve(), rounds, shown=not options.json)
    if options.json:
        print(json.dumps(rows))
    return int(any(here > RATIO_MAX * there for here, there in rows.values()))


def _compared(
    name: str, other: Path, rounds: int, *, shown: bool
) -> dict[str, tuple[float, float]]:
    """Run one part in both trees by turns; return (this tree, the other) by figure."""
    best: dict[Path, Figures] = {_HERE: {}, other: {}}
    for _ in range(rounds):
        for tree, least in best.items():
            for figure, value in _in_a_process_of_its_own(name, tree).items():
                least[figure] = min(value, least.get(figure, value))
    rows = {one: (here, best[other][one]) for one, here in best[_HERE].items()}
    for one, (here, there) in rows.items():
        if shown:
            print(f"{one:44} {here:12.4g} {there:12.4g} {here / there:7.3f}", flush=True)
    return rows


def _in_a_process_of_its_own(name: str, tree: Path) -> Figures:
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "PYTHONPATH": str(tree), "LOALANG_KERNELS": "0"}
        if name == "compile":
            environment["LOALANG_KERNEL_CACHE"] = empty
        done = subprocess.run(
            [sys.executable, "-P", __file__, name],
            cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def calls() -> Figures:
    """Return what a call of the jitter buffer costs from Python."""
    from node.config import JitterConfig
    from node.jitter.buffer import JitterBuffer

    n, first = 20_000, 20
    buffer = JitterBuffer(JitterConfig())
    spent_ns: dict[str, list[int]] = {"insert": [], "pull": []}
    for i in range(n):
        began_ns = time.perf_counter_ns()
        buffer.insert(i & 0xFFFF, i * _SAMPLES, _SAMPLES, i * _NS_PER_PACKET)
        spent_ns["insert"].append(time.perf_counter_ns() - began_ns)
        if i == first:
            buffer.seek(0)
        if i > first:
            began_ns = time.perf_counter_ns()
            buffer.pull(i * _NS_PER_PACKET)
            spent_ns["pull"].append(time.perf_counter_ns() - began_ns)
    return {
        f"call of {name}, ns": float(sorted(spent)[len(spent) // 2])
        for name, spent in spent_ns.items()
    }


def jitter_drive() -> Figures:
    """Return what it costs to play a trace through the jitter buffer's kernels alone."""
    from benchmarks.playout.held_out_traces import held_out
    from benchmarks.playout.playout_drive import play
    from node.config import JitterConfig

    trace = held_out("ge_mild", "B", 0)
    return {
        f"jitter kernels, one trace, {mode}, ms": 1e3
        * _least_s(lambda: play(trace, JitterConfig(mode=mode), delay_ms=200.0), 60)  # noqa: B023
        for mode in ("synchronised", "adaptive")
    }


def jitter_fleet() -> Figures:
    """Return what a batch of nodes costs in the jitter buffer's kernels."""
    import numpy as np

    from benchmarks.playout.fleet import arrivals
    from node.config import JitterConfig
    from sim.fleet.jitter_buffers import JitterBatch, programme

    nodes = 200
    media = np.arange(30 * 50, dtype=np.int64) * _SAMPLES
    heard = programme(media, _SAMPLES, arrivals(nodes, media, seed=7))
    figures = {}
    for mode in ("synchronised", "adaptive"):
        starts = np.full(nodes, 200 * 48, np.int64) if mode == "synchronised" else None
        spent_s = []
        for _ in range(7):
            batch = JitterBatch(JitterConfig(mode=mode), nodes, parts=1)
            spent_s.append(_least_s(lambda: batch.play(heard, starts=starts, run=map), 1))  # noqa: B023
        figures[f"jitter kernels, {nodes} nodes, {mode}, ms"] = 1e3 * min(spent_s)
    return figures


def whole_node() -> Figures:
    """Return what a node costs per second of sound, counted and played."""
    import contextlib
    import io

    from benchmarks.playout.held_out_traces import held_out
    from benchmarks.playout.playout_cost import print_cost

    with contextlib.redirect_stdout(io.StringIO()) as text:
        print_cost(held_out("ge_mild", "B", 0))
    lines = [line.split(": ") for line in text.getvalue().splitlines() if ", node, " in line]
    return {
        f"{name.removeprefix('cost, ')}, ms/s": float(rest.split()[0]) for name, rest, *_ in lines
    }


def opus() -> Figures:
    """Return what decoding costs per packet."""
    import numpy as np

    from benchmarks.opus.opus import SPEED_STREAMS, encoded
    from node.opus.decoder import OpusDecoder

    figures = {}
    for name, (bitrate, channels, samples, mode, bandwidth) in SPEED_STREAMS.items():
        packets = encoded(bitrate, channels, samples, mode, bandwidth)
        out = np.zeros((5760, channels), np.float32)
        decode = OpusDecoder(48_000, channels).decode

        # The cheapest run of each packet: a machine with other work is seldom quiet for all of
        # them, and one decoded once in a disturbed round weighs more than what is compared.
        least_ns = np.full(len(packets), np.inf)
        for _ in range(_OPUS_ROUNDS):
            for i, (payload, _) in enumerate(packets):
                began_ns = time.perf_counter_ns()
                decode(payload, out)
                least_ns[i] = min(least_ns[i], time.perf_counter_ns() - began_ns)
        figures[f"Opus, {name}, us"] = float(least_ns.mean()) / 1e3
    return figures


def village() -> Figures:
    """Return what a node-second of tier T2 costs, counted only and decoded."""
    from sim.drive import run as drive
    from sim.village import scenario

    asked = scenario.load("huu_lung_six")
    figures = {}
    for what, decode, duration_s in (("counted", False, 60.0), ("decoded", True, 20.0)):
        drive.run(asked, duration_s=2.0, decode=decode)
        result = drive.run(asked, duration_s=duration_s, decode=decode)
        per_s = 1e3 / result.cpu["node_seconds_per_cpu_s"]
        figures[f"T2 {what}, ms per node-second"] = per_s
    return figures


def start() -> Figures:
    """Return what a node takes to start, and what it holds at rest."""
    import importlib

    begun_s = _spent_s()
    for name in ("node.shell.service", "node.shell.govern", "node.opus.decoder"):
        importlib.import_module(name)
    node = _node_at_rest()
    spent_s = _spent_s() - begun_s
    held = Path("/proc/self/status").read_text("ascii").split("VmRSS:")[1].split()[0]
    assert node is not None
    return {
        "start with kernels compiled, s": spent_s,
        "memory of a node at rest, MB": int(held) / 1024,
    }


def cold() -> Figures:
    """Return what compiling all kernels of a node takes: an empty cache is chosen by the caller."""
    from node.shell.commands.check import warm_up

    begun_s = _spent_s()
    warm_up()
    return {
        "compiling all kernels, s": _spent_s() - begun_s,
        "memory of it at most, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _node_at_rest() -> Any:
    from node.config import NodeConfig
    from node.opus.decoder import OpusDecoder
    from node.stack import SpeakerNode

    return SpeakerNode(NodeConfig(name="n"), decoder_factory=OpusDecoder)


def _spent_s() -> float:
    return time.process_time()


def _least_s(work: Callable[[], object], rounds: int) -> float:
    spent_s = []
    for _ in range(rounds):
        began_s = time.process_time()
        work()
        spent_s.append(time.process_time() - began_s)
    return min(spent_s)


PARTS: Final[dict[str, Callable[[], Figures]]] = {
    "calls": calls,
    "drive": jitter_drive,
    "fleet": jitter_fleet,
    "node": whole_node,
    "opus": opus,
    "village": village,
    "start": start,
    "compile": cold,
}
"""Each in a process of its own: this file is its program, the tree is where it imports from."""


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
