"""What a province costs: the node's jitter kernel over arrays of states, count-only.

Both modes on ordinary jitter with loss (the GE families of the held-out traces), in chunks of
nodes that fit the cache or not, on one thread and on two. Node-seconds per second of CPU; making
the arrivals is not counted. Wanted, per core: 500,000 synchronised.

What a second thread brings is told by the CPU of the thread that worked longest: it takes that long
where each has a core. Seconds of the clock say the same on an idle machine only: Linux gives all
threads of a session one share (`sched_autogroup_enabled`), so on a busy one two get what one gets.

Options: `--nodes N` (default 1000), `--seconds S` (default 60).
"""

import argparse
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks import table
from node.config import JitterConfig
from sim.fleet.jitter_buffers import JitterBatch, Programme, programme

SAMPLES: Final = 960
_ROUNDS: Final = 5
_MODES: Final[tuple[Literal["synchronised", "adaptive"], ...]] = ("synchronised", "adaptive")


def run(arguments: list[str]) -> int:
    """Print the table and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args(arguments)
    media = np.arange(options.seconds * 50, dtype=np.int64) * SAMPLES
    heard = programme(media, SAMPLES, arrivals(options.nodes, media, seed=7))
    rows: dict[str, dict[str, float | None]] = {}
    for mode in _MODES:
        for threads in (1, 2):
            rows[f"{mode}, {threads} threads"] = _row(mode, threads, heard)
    table.show("fleet", f"{options.nodes} nodes, {options.seconds} s, count-only", rows)
    return 0


def arrivals(nodes: int, media: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return when packets come to each node: lognormal jitter, 1 % lost, in order.

    media  (packets,) int64, media time of each in samples

    The result is (nodes, packets) int64 in ns, -1 for what is lost.
    """
    rng = np.random.default_rng(seed)
    late_ms = 10 * np.exp(0.5 * rng.standard_normal((nodes, media.size)))
    came_ns = ((media / 48.0 + 20 + late_ms) * 1e6).astype(np.int64)
    came_ns = np.maximum.accumulate(came_ns, axis=1)
    came_ns[rng.random(came_ns.shape) < 0.01] = -1
    return came_ns


def _row(
    mode: Literal["synchronised", "adaptive"],
    threads: int,
    heard: Programme,
) -> dict[str, float | None]:
    nodes, packets = heard.arrivals_ns.shape
    starts = np.full(nodes, 200 * 48, np.int64) if mode == "synchronised" else None
    best = (float("inf"), float("inf"), float("inf"))
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            batch = JitterBatch(JitterConfig(mode=mode), nodes, parts=threads)
            run_parts = _Timed(map if threads == 1 else pool.map)
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            batch.play(heard, starts=starts, run=run_parts)
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            best = min(best[0], cpu_s), min(best[1], max(run_parts.spent_s)), min(best[2], wall_s)
    node_s = nodes * packets * SAMPLES / 48_000
    return {
        "node_seconds_per_cpu_s": round(node_s / best[0]),
        "per_cpu_s_of_the_longest_thread": round(node_s / best[1]),
        "per_wall_s": round(node_s / best[2]),
    }


class _Timed:
    """`map`, or a pool's, that notes the CPU of each part."""

    def __init__(self, run: Callable[..., Iterable[None]]) -> None:
        self.spent_s: list[float] = []
        self._run = run

    def __call__(self, play: Callable[[slice], None], parts: Iterable[slice]) -> Iterable[None]:
        def timed(part: slice) -> None:
            begin_s = time.thread_time()
            play(part)
            self.spent_s.append(time.thread_time() - begin_s)

        return self._run(timed, parts)
