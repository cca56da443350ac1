"""Measure what the gate holds, on two cores: each village and each other measurement is a task.

How the work is shared out changes no digit: a village is one task whoever runs it, and all that
is random in it hangs on its seed.
"""

import importlib
import multiprocessing
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import product
from typing import Final

from benchmarks.options import measurements
from benchmarks.table import Rows
from benchmarks.verdict.outcome import INEXACT
from benchmarks.village import matrix
from sim.result.run import NodeRow

PROCESSES: Final = 2

MATRIX: Final = ("latency", "dropout")
"""They look at the same villages."""

Prepare = Callable[[], None]
"""Called in every process before it measures."""


def measure_all(
    asked: Mapping[str, Collection[str]],
    *,
    fast: bool,
    whole: bool = True,
    prepare: Prepare | None = None,
) -> dict[str, Rows]:
    """Return the rows of each measurement; one alone is measured in this process.

    Parameters
    ----------
    asked : mapping of str to collection of str
        Rows by measurement, as `python -m benchmarks` knows it.
    fast : bool
        The short run.
    whole : bool
        All rows that a measurement has; otherwise those of `asked` alone, in this process.
    prepare : callable, optional
        Must be found by name, for other processes to call it too.

    Raises
    ------
    KeyError
        When there is no such measurement.
    """
    if prepare is not None:
        prepare()
    names = list(asked)
    if not whole:
        return {name: _measure_rows(name, rows, fast) for name, rows in asked.items()}
    if len(names) == 1:
        return {names[0]: _measure(names[0], fast)}
    # What has noise is measured alone, when nothing else runs.
    others = [name for name in names if name not in (*MATRIX, *INEXACT)]
    known = measurements()
    for name in names:
        known[name]  # before minutes are spent
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn, initializer=prepare) as pool:
        villages: dict[tuple[str, int], Future[list[NodeRow]]] = {}
        if set(names) & set(MATRIX):
            # The longest first, so that no core waits for it at the end.
            for playout, seed in product(reversed(matrix.PLAYOUTS), matrix.seeds(fast=fast)):
                village = pool.submit(matrix.village_rows, playout, seed, fast=fast)
                villages[playout, seed] = village
        alone = {name: pool.submit(_measure, name, fast) for name in others}
        for (playout, seed), rows in villages.items():
            matrix.keep(playout, seed, rows.result(), fast=fast)
        measured = {name: rows.result() for name, rows in alone.items()}
    return {name: measured[name] if name in measured else _measure(name, fast) for name in names}


def _measure(name: str, fast: bool) -> Rows:
    module = importlib.import_module(measurements()[name])
    rows: Rows = module.measure(fast=fast)
    return rows


def _measure_rows(name: str, rows: Collection[str], fast: bool) -> Rows:
    if name in INEXACT:
        return {row: one for row, one in _measure(name, fast).items() if row in rows}
    module = importlib.import_module(measurements()[name])
    found: dict[str, Mapping[str, float | None]] = {}
    for row in rows:
        found |= module.measure(fast=fast, row=row)
    return found
