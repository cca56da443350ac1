"""Random histories of orders to a node: nobody acts without a right, nobody above loses one.

`python -m benchmarks orders [--histories N] [--seed N] [--first N] [--all]`. Ends with 1 when a
promise is broken, and prints each history that broke one: the first alone, or `--all`. `--faults`
leaves out checks of a right, one by one, and ends with 1 when the histories do not notice one;
`--only NAME` plants that one.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from typing import Final

import numpy as np

from benchmarks.control.orders_history import History
from benchmarks.control.orders_holes import HOLES
from benchmarks.control.several.history import SeveralHistory
from benchmarks.fault import find_all, one_history
from benchmarks.options import count, parser_of

HISTORIES: Final = 1000
_SEVERAL: Final = 4
"""Of so many histories one is of orders that several sign, of roots, and of a time asked for."""
_AT_ONCE: Final = 20
"""Histories that a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one history."""

    number: int
    orders: int
    cpu_s: float
    violations: list[str]
    log: list[str]


def run(arguments: list[str]) -> int:
    """Draw histories until one breaks a promise; return 0 when none does."""
    parser = parser_of("orders", __doc__)
    parser.add_argument("--histories", type=count, default=HISTORIES, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--seed", type=int, default=2026, help="root of all randomness")
    parser.add_argument("--all", action="store_true", help="go on after one that breaks a promise")
    parser.add_argument("--faults", action="store_true", help="plant holes in the checks instead")
    parser.add_argument("--processes", type=count, default=1, help="side by side (1)")
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help="this hole")
    options = parser.parse_args(arguments)
    first, histories, seed = options.first, options.histories, options.seed
    if first < 0:
        parser.error(f"--first {first}: must be at least 0")
    if options.only and not options.faults:
        parser.error("--only names a hole: it needs --faults")
    if options.faults:
        return find_all(HOLES, ["orders"], histories=histories, seed=seed, only=options.only)
    begin_s, cpu_s, tried, orders, broken = time.perf_counter(), 0.0, 0, 0, list[str]()
    for one in drawn(histories, seed=seed, first=first, processes=options.processes):
        tried += 1
        orders += one.orders
        cpu_s += one.cpu_s
        if not one.violations:
            continue
        broken.append(one.violations[0])
        print(f"history {one.number} of seed {seed}:", *one.log, sep="\n  ")
        print(*one.violations, sep="\n", flush=True)
        if not options.all:
            break
    said = "every promise holds" if not broken else f"{len(broken)} broke a promise: {broken[0]}"
    took = f"{cpu_s:.1f} s of CPU in {time.perf_counter() - begin_s:.1f} s"
    print(f"{tried} histories from {first}, {orders} orders, {took}: {said}")
    return int(bool(broken))


def drawn(histories: int, *, seed: int, first: int = 0, processes: int = 1) -> Iterator[Outcome]:
    """Yield what came of each history, in their order."""
    numbers = range(first, first + histories)
    follow = partial(_follow, seed=seed)
    if processes == 1:
        yield from map(follow, numbers)
        return
    with Pool(processes) as pool:
        yield from pool.imap(follow, numbers, chunksize=_AT_ONCE)


def first_broken(histories: int, *, seed: int, first: int = 0) -> Outcome | None:
    """Return the first history that breaks a promise; None when none does."""
    return next((one for one in drawn(histories, seed=seed, first=first) if one.violations), None)


def _follow(number: int, *, seed: int) -> Outcome:
    begin_s = time.process_time()
    rng = np.random.default_rng((seed, number))
    history = SeveralHistory(rng) if number % _SEVERAL == 1 else History(rng)
    with one_history(number, seed=seed):
        history.run()
    cpu_s = time.process_time() - begin_s
    return Outcome(number, history.orders, cpu_s, history.violations, history.log)
