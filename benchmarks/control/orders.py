"""Random histories of orders to a node: nobody acts without a right, nobody above loses one.

`python -m benchmarks orders [--histories N] [--seed N] [--first N] [--all]`. Ends with 1 when a
promise is broken, and prints each history that broke one: the first alone, or `--all`. `--faults`
leaves out checks of a right, one by one, and ends with 1 when the histories do not notice one.
"""

import time

import numpy as np

from benchmarks.control.orders_history import History
from benchmarks.control.orders_holes import HOLES
from benchmarks.fault import find_all
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
    options = parser.parse_args(arguments)
    if options.first < 0:
        parser.error(f"--first {options.first}: must be at least 0")
    if options.faults:
        drawn = ["--histories", str(options.histories), "--seed", str(options.seed)]
        return find_all(HOLES, ["orders", *drawn])
    begin_s, failed = time.process_time(), 0
    first, end = options.first, options.first + options.histories
    while (
        first < end
        and (broken := first_broken(end - first, seed=options.seed, first=first)) is not None
    ):
        number, history = broken
        failed += 1
        print(f"history {number} of seed {options.seed}:", *history.log, sep="\n  ")
        print(*history.violations, sep="\n", flush=True)
        first = number + 1
        if not options.all:
            end = first
    cpu_s, tried = time.process_time() - begin_s, end - options.first
    said = "every promise holds" if not failed else f"{failed} broke a promise"
    print(f"{tried} histories from {options.first}, {cpu_s:.1f} s of CPU: {said}")
    return int(failed > 0)


def first_broken(histories: int, *, seed: int, first: int = 0) -> tuple[int, History] | None:
    """Return the first history that breaks a promise, and its number; None when none does."""
    for number in range(first, first + histories):
        history = History(np.random.default_rng((seed, number)))
        if history.run():
            return number, history
    return None
