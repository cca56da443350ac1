"""Random streams addressed by name, and draws that are the same bits on every machine.

A stream is found by what it is for, never by the order of calls: adding a node or a fault moves
no other stream. Only raw integers are taken from numpy; the transforms are integer look-ups here.
"""

import hashlib
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.chance.tables_quantiles import CELLS, Q


class Purpose(IntEnum):
    """What a stream decides. Numbers are part of every seed's meaning: append, never renumber."""

    LOSS = 1
    JITTER = 2
    STALL = 3
    OUTAGE = 4
    BUSY = 5
    CRYSTAL = 6
    WANDER = 7
    WAKE = 8
    SENDER = 9
    EXCHANGE = 10
    UPLINK = 11
    START = 12
    PHASE = 13
    REPAIR = 14
    GAP = 15
    MACHINE = 16
    ROOM = 17
    SLEEP = 18
    CONNECT = 19
    SAMPLE = 20
    GRID = 21


CELL_BITS: Final = 10
assert 1 << CELL_BITS == CELLS
FRACTION_BITS: Final = 20
"""A draw is a cell of a table by its highest bits, and where in the cell by those after them."""


def stream(
    root: int, purpose: Purpose, *, commune: str = "", node: str = "", run: int = 0
) -> np.random.PCG64:
    """Return the bit generator of one purpose at one place.

    Parameters
    ----------
    root : int
        Seed of the run, 0 or more.
    purpose : Purpose
        What is drawn from it.
    commune, node : str
        Where; empty for what a whole commune, or everything, shares.
    run : int
        Number of the run within a sweep.
    """
    key = (int(purpose), _name_key(commune), _name_key(node), run)
    return np.random.PCG64(np.random.SeedSequence(root, spawn_key=key))


def raw_draws(bits: np.random.PCG64, count: int) -> NDArray[np.uint64]:
    """Return the next `count` 64-bit integers of `bits`: (count,) uint64."""
    return bits.random_raw(count)


def from_table(
    raw: NDArray[np.uint64], table: NDArray[np.int64], *, scale: int
) -> NDArray[np.int64]:
    """Turn raw integers into draws of a frozen distribution.

    Parameters
    ----------
    raw : (n,) uint64
        Bits as they were drawn.
    table : (1025,) int64
        Quantiles in Q16, of `sim.chance.tables_quantiles`.
    scale : int
        What 1.0 of the table stands for, in the unit of the result; below 2**40 / 1000.

    Returns
    -------
    (n,) int64
        In the unit of `scale`.
    """
    cell = (raw >> np.uint64(64 - CELL_BITS)).astype(np.int64)
    mask = np.uint64((1 << FRACTION_BITS) - 1)
    fraction = ((raw >> np.uint64(64 - CELL_BITS - FRACTION_BITS)) & mask).astype(np.int64)
    low = table[cell]
    value_q16 = low + ((table[cell + 1] - low) * fraction >> FRACTION_BITS)
    return value_q16 * scale >> Q


def one_from_table(bits: np.random.PCG64, table: list[int], *, scale: int) -> int:
    """Return the next draw of a frozen distribution: `from_table` of one, at a tenth of its cost.

    The numbers of `table` are Python's own.
    """
    raw = int(bits.random_raw())
    cell = raw >> 64 - CELL_BITS
    fraction = (raw >> 64 - CELL_BITS - FRACTION_BITS) & ((1 << FRACTION_BITS) - 1)
    low = table[cell]
    return (low + ((table[cell + 1] - low) * fraction >> FRACTION_BITS)) * scale >> Q


def between(raw: NDArray[np.uint64], low: int, high: int) -> NDArray[np.int64]:
    """Turn raw integers into whole numbers from `low` to `high`, both included.

    raw  (n,) uint64, bits as they were drawn

    The result is (n,) int64 in the unit of `low` and `high`.
    """
    above, below = divmod(high - low + 1, 1 << 32)
    half = raw >> np.uint64(32)
    # In two parts, for a span in ns times 2**32 does not fit 64 bits.
    found = half * np.uint64(above) + (half * np.uint64(below) >> np.uint64(32))
    return low + found.astype(np.int64)


def _name_key(name: str) -> int:
    """Return a number for `name`: the same in every process, unlike `hash`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") if name else 0
