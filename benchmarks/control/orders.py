"""Random histories of orders to a node: nobody acts without a right, nobody above loses one.

`python -m benchmarks orders [--histories N] [--seed N]`. Ends with 1 when a promise is broken, and
prints the history that broke it.
"""

import time

import numpy as np

from benchmarks.control.orders_history import History
from benchmarks.options import count, parser_of

HISTORIES: int = 1000


def run(arguments: list[str]) -> int:
    """Draw histories until one breaks a promise; return 0 when none does."""
    parser = parser_of("orders", __doc__)
    parser.add_argument("--histories", type=count, default=HISTORIES, help="how many")
    parser.add_argument("--seed", type=int, default=2026, help="root of all randomness")
    options = parser.parse_args(arguments)
    begin_s = time.process_time()
    broken = first_broken(options.histories, seed=options.seed)
    cpu_s = time.process_time() - begin_s
    if broken is None:
        print(f"{options.histories} histories, {cpu_s:.1f} s of CPU: every promise holds")
        return 0
    number, history = broken
    print(f"history {number} of seed {options.seed}:", *history.log, sep="\n  ")
    print(*history.violations, sep="\n")
    return 1


def first_broken(histories: int, *, seed: int) -> tuple[int, History] | None:
    """Return the first history that breaks a promise, and its number; None when none does."""
    for number in range(histories):
        history = History(np.random.default_rng((seed, number)))
        if history.run():
            return number, history
    return None
