"""Random histories of orders to a node: nobody acts without a right, nobody above loses one.

`python -m benchmarks orders [--histories N] [--seed N] [--first N] [--all]`. Ends with 1 when a
promise is broken, and prints each history that broke one: the first alone, or `--all`. `--faults`
leaves out checks of a right, one by one, and ends with 1 when the histories do not notice one;
`--only NAME` plants that one.
"""

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.control.orders_history import History
from benchmarks.control.orders_holes import HOLES
from benchmarks.fault import find_all, one_history
from benchmarks.options import count, parser_of

HISTORIES: int = 1000


def run(arguments: list[str]) -> int:
    """Draw histories until one breaks a promise; return 0 when none does."""
    parser = parser_of("orders", __doc__)
    parser.add_argument("--histories", type=count, default=HISTORIES, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--seed", type=int, default=2026, help="root of all randomness")
    parser.add_argument("--all", action="store_true", help="go on after one that breaks a promise")
    parser.add_argument("--faults", action="store_true", help="plant holes in the checks instead")
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help="this hole")
    options = parser.parse_args(arguments)
    first, histories, seed = options.first, options.histories, options.seed
    if first < 0:
        parser.error(f"--first {first}: must be at least 0")
    if options.only and not options.faults:
        parser.error("--only names a hole: it needs --faults")
    if options.faults:
        return find_all(HOLES, ["orders"], histories=histories, seed=seed, only=options.only)
    begin_s, tried, orders, broken = time.process_time(), 0, 0, list[str]()
    for number, history in drawn(histories, seed=seed, first=first):
        tried += 1
        orders += history.orders
        if not history.violations:
            continue
        broken.append(history.violations[0])
        print(f"history {number} of seed {seed}:", *history.log, sep="\n  ")
        print(*history.violations, sep="\n", flush=True)
        if not options.all:
            break
    cpu_s = time.process_time() - begin_s
    said = "every promise holds" if not broken else f"{len(broken)} broke a promise: {broken[0]}"
    print(f"{tried} histories from {first}, {orders} orders, {cpu_s:.1f} s of CPU: {said}")
    return int(bool(broken))


def drawn(histories: int, *, seed: int, first: int = 0) -> Iterator[tuple[int, History]]:
    """Yield the number of each history and what came of it."""
    for number in range(first, first + histories):
        history = History(np.random.default_rng((seed, number)))
        with one_history(number, seed=seed):
            history.run()
        yield number, history


def first_broken(histories: int, *, seed: int, first: int = 0) -> tuple[int, History] | None:
    """Return the first history that breaks a promise, and its number; None when none does."""
    found = drawn(histories, seed=seed, first=first)
    return next((one for one in found if one[1].violations), None)
