"""Random streams addressed by name, and draws that are the same bits on every machine.

A stream is found by what it is for, never by the order of calls: adding a node or a fault moves
no other stream. Only raw integers are taken from numpy; the transforms are integer look-ups here.
"""

import hashlib
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
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
    SLEEP = 18
    CONNECT = 19
    SAMPLE = 20
    GRID = 21
    TROUBLE = 22
    CHATTER = 23
    CROWD = 24


_POOL: Final = 4
SEED_WORDS: Final = 8
"""Of 32 bits, that a generator is made of."""
_NO_WORDS: Final = (0,) * _POOL
_WORD: Final = 0xFFFF_FFFF
_HALF: Final = np.uint64(32)
_INIT_A: Final = 0x43B0D7E5
_MULT_A: Final = 0x931E8875
_INIT_B: Final = 0x8B51F9DD
_MULT_B: Final = 0x58F38DED
_MIX_L: Final = 0xCA01F9DD
_MIX_R: Final = 0x4973F715

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
    assert root >= 0 <= run, "who reads seeds checks this"
    words = [*root_words(root), purpose, *place_words(commune, node, run)]
    return np.random.PCG64(_Seed(words))  # type: ignore[arg-type]  # it is all that PCG64 asks for


class _Seed(ISeedSequence):
    """What `np.random.SeedSequence` gives a PCG64, made at a tenth of the cost."""

    __slots__ = ("_words",)  # each stream keeps its own

    def __init__(self, words: list[int]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """Return what PCG64 asks for: (4,) uint64, bits."""
        assert n_words == SEED_WORDS // 2 and dtype is np.uint64, "only PCG64 asks"
        halves = np.empty(SEED_WORDS, np.int64)
        seed = np.empty(n_words, np.uint64)
        mix(np.array(self._words, np.int64), halves, seed)
        del self._words  # nobody asks twice, and a node has dozens of streams
        return seed


@lru_cache(maxsize=64)
def root_words(root: int) -> tuple[int, ...]:
    """Return the seed of a run in 32-bit words, a pool full at least."""
    words = _words(root)
    return words + _NO_WORDS[len(words) :]


def place_words(commune: str, node: str, run: int = 0) -> tuple[int, ...]:
    """Return in 32-bit words where a stream is drawn, and in which run."""
    return (*_name_words(commune), *_name_words(node), *_words(run))


@lru_cache(maxsize=4096)
def _name_words(name: str) -> tuple[int, ...]:
    """Return `name` in 32-bit words: the same in every process, unlike `hash`."""
    digest = hashlib.sha256(name.encode()).digest()
    return _words(int.from_bytes(digest[:8], "big")) if name else (0,)


def _words(number: int) -> tuple[int, ...]:
    """Return a number, 0 or more, in as many 32-bit words as it has, the lowest first."""
    found = [number & _WORD]
    while number := number >> 32:
        found.append(number & _WORD)
    return tuple(found)


@inner_kernel("int64(int64, int64)")
def _hashed(value: int, constant: int) -> int:
    value = (value ^ constant) * (constant * _MULT_A & _WORD) & _WORD
    return value ^ value >> 16


@inner_kernel("int64(int64, int64)")
def _mixed(value: int, other: int) -> int:
    found = (_MIX_L * value - _MIX_R * other) & _WORD
    return found ^ found >> 16


@kernel("void(int64[::1], int64[::1], uint64[::1])")
def mix(words: NDArray[np.int64], seed: NDArray[np.int64], whole: NDArray[np.uint64]) -> None:
    """Fill in the words of a seed, as M. E. O'Neill's seed_seq_fe does in numpy's SeedSequence.

    words  (4 or more,) int64, bits: 32 each
    seed   (8,) int64, bits: 32 each; filled
    whole  (4,) uint64, bits: the same, two together; filled
    """
    constant = _INIT_A
    for i in range(_POOL):
        seed[i] = _hashed(int(words[i]), constant)
        constant = constant * _MULT_A & _WORD
    for source in range(words.shape[0]):
        for i in range(_POOL):
            if source == i:
                continue
            value = int(seed[source]) if source < _POOL else int(words[source])
            seed[i] = _mixed(int(seed[i]), _hashed(value, constant))
            constant = constant * _MULT_A & _WORD
    constant = _INIT_B
    for i in range(SEED_WORDS - 1, -1, -1):
        seed[i] = seed[i % _POOL]
    for i in range(SEED_WORDS):
        value = int(seed[i]) ^ constant
        constant = constant * _MULT_B & _WORD
        value = value * constant & _WORD
        seed[i] = value ^ value >> 16
    for i in range(whole.shape[0]):
        whole[i] = np.uint64(seed[2 * i]) | np.uint64(seed[2 * i + 1]) << _HALF


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


@inner_kernel("int64(int64[::1], int64, uint64)")
def drawn(table: NDArray[np.int64], scale: int, raw: int) -> int:
    """Return one draw of a frozen distribution, for kernels: `from_table` of one.

    table  (1025,) int64, quantiles in Q16
    scale  what 1.0 of the table stands for
    raw    bits as they were drawn
    """
    cell = np.int64(raw >> np.uint64(64 - CELL_BITS))
    below = raw >> np.uint64(64 - CELL_BITS - FRACTION_BITS)
    fraction = np.int64(below & np.uint64((1 << FRACTION_BITS) - 1))
    low = table[cell]
    value_q16 = low + ((table[cell + 1] - low) * fraction >> FRACTION_BITS)
    return int(value_q16 * scale >> Q)


@inner_kernel("int64(int64, int64, uint64)")
def drawn_between(low: int, high: int, raw: int) -> int:
    """Return a whole number from `low` to `high`, both included, for kernels: `between` of one.

    raw  bits as they were drawn
    """
    choices = np.uint64(high - low + 1)
    above, below = choices >> np.uint64(32), choices & np.uint64(_WORD)
    half = raw >> np.uint64(32)
    # In two parts, for a span in ns times 2**32 does not fit 64 bits.
    return int(low + np.int64(half * above + (half * below >> np.uint64(32))))


def one_from_table(bits: np.random.PCG64, table: list[int], *, scale: int) -> int:
    """Return the next draw of a frozen distribution: `from_table` of one, at a tenth of its cost.

    The numbers of `table` are Python's own.
    """
    raw = int(bits.random_raw())
    cell = raw >> 64 - CELL_BITS
    fraction = (raw >> 64 - CELL_BITS - FRACTION_BITS) & ((1 << FRACTION_BITS) - 1)
    low = table[cell]
    return (low + ((table[cell + 1] - low) * fraction >> FRACTION_BITS)) * scale >> Q


def one_between(bits: np.random.PCG64, low: int, high: int) -> int:
    """Return the next whole number from `low` to `high`, both included: `between` of one."""
    return low + ((int(bits.random_raw()) >> 32) * (high - low + 1) >> 32)


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
