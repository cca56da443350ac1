"""Many streams decoded on one thread and on two: what a second core brings the simulator.

Wall time per packet, best of several rounds; the rounds of all rows take turns, so that the
machine's other work disturbs all alike. `cores` is CPU time over wall time in the best round: on a
busy machine it says how much of the two cores there was to have.

Options: `--streams N` (default 64).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import table
from benchmarks.options import count, parser_of
from benchmarks.opus.opus import SPEED_STREAMS, encoded
from node.opus.decoder import OpusDecoder
from sim.fleet.decoders import OpusBatch

_STREAM: Final = "SILK WB mono 12k 20 ms"
_PACKETS: Final = 100
_ROUNDS: Final = 9
_THREADS: Final = (1, 2)


def run(arguments: list[str]) -> int:
    """Print the table and return 0."""
    parser = parser_of("opus_batch", __doc__)
    parser.add_argument("--streams", type=count, default=64)
    streams = parser.parse_args(arguments).streams
    packets = [payload for payload, _ in encoded(*SPEED_STREAMS[_STREAM])[:_PACKETS]]
    best: dict[str, tuple[float, float]] = {}
    for _ in range(_ROUNDS):
        took = {"packet by packet": _one_by_one_s(packets, streams)}
        took |= {f"batch, {n} threads": _batch_s(packets, streams, n) for n in _THREADS}
        for name, pair in took.items():
            best[name] = min(best.get(name, pair), pair)
    rows: dict[str, dict[str, float | None]] = {}
    for name, (wall_s, cpu_s) in best.items():
        wall_us = wall_s / len(packets) / streams * 1e6
        rows[name] = {
            "wall_us_per_packet": round(wall_us, 1),
            "cores": round(cpu_s / wall_s, 2),
            "times_one_thread": round(best["batch, 1 threads"][0] / wall_s, 2),
        }
    table.show("opus_batch", f"{streams} streams of {_STREAM}", rows)
    return 0


def _one_by_one_s(packets: list[NDArray[np.uint8]], streams: int) -> tuple[float, float]:
    """Return wall and CPU seconds of a Python loop over the streams."""
    decoders = [OpusDecoder(48_000, 1) for _ in range(streams)]
    out = np.zeros((960, 1), np.float32)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for payload in packets:
        for decoder in decoders:
            decoder.decode(payload, out)
    return time.perf_counter() - began_s, time.process_time() - cpu_s


def _batch_s(packets: list[NDArray[np.uint8]], streams: int, threads: int) -> tuple[float, float]:
    """Return wall and CPU seconds of a batch in as many parts as there are threads."""
    batch = OpusBatch(48_000, 1, streams, parts=threads)
    outs = np.zeros((streams, 960, 1), np.float32)
    with ThreadPoolExecutor(threads) as pool:
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for payload in packets:
            batch.decode([payload] * streams, outs, run=pool.map)
        return time.perf_counter() - began_s, time.process_time() - cpu_s
