"""The streams of `sim.chance.rng` within kernels: the same bits, drawn where they are used.

It is numpy's PCG64 (M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
Algorithms for Random Number Generation", 2014: XSL-RR on a congruential generator of 128 bits).
What a generator of numpy costs to make, a node of a province pays for each of its streams; these
are four numbers in its record.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel, kernel
from node.kernel.record import Record, Records, whole
from node.kernel.shipped import library
from sim.chance.rng import SEED_WORDS, mix, place_words, root_words

_HIGH: Final = np.uint64(0x2360ED051FC65DA4)
_LOW: Final = np.uint64(0x4385DF649FCCF645)
_ALL: Final = (1 << 64) - 1
_NONE: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)
_TURN: Final = np.uint64(58)
_WHOLE: Final = np.uint64(64)


class Bits(Record):
    """A stream of chance, as far as it is drawn."""

    high: int = whole("", "Higher half of where it is.", of=np.uint64)
    low: int = whole("", "Lower half.", of=np.uint64)
    step_high: int = whole("", "Higher half of what makes it another one than all others.",
                           of=np.uint64)  # fmt: skip
    step_low: int = whole("", "Lower half.", of=np.uint64)


def _plain_added(high: int, low: int, more_high: int, more_low: int) -> tuple[Any, Any]:
    """Return the sum of two numbers of 128 bits, of which each is two uint64."""
    whole = (int(high) << 64 | int(low)) + (int(more_high) << 64 | int(more_low))
    return np.uint64(whole >> 64 & _ALL), np.uint64(whole & _ALL)


def _plain_multiplied(high: int, low: int) -> tuple[Any, Any]:
    """Return a number times the constant of the generator."""
    whole = (int(high) << 64 | int(low)) * (int(_HIGH) << 64 | int(_LOW))
    return np.uint64(whole >> 64 & _ALL), np.uint64(whole & _ALL)


def _compiled() -> tuple[Any, Any]:
    """Return both for kernels that numba compiles, which has no numbers of 128 bits."""
    import numba
    from llvmlite import ir
    from numba.extending import intrinsic

    double = ir.IntType(128)

    @intrinsic  # type: ignore[untyped-decorator]  # numba is untyped
    def upper(_: Any, one: Any, other: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            wide = [builder.zext(one, double) for one in arguments]
            above = builder.lshr(builder.mul(*wide), ir.Constant(double, 64))
            return builder.trunc(above, ir.IntType(64))

        return numba.types.uint64(numba.types.uint64, numba.types.uint64), code

    @inlined
    def added(high: Any, low: Any, more_high: Any, more_low: Any) -> Any:
        found = low + more_low
        return high + more_high + (_ONE if found < low else _NONE), found

    @inlined
    def multiplied(high: Any, low: Any) -> Any:
        return upper(low, _LOW) + high * _LOW + low * _HIGH, low * _LOW

    return added, multiplied


def _chosen() -> tuple[Any, Any]:
    if library() is None:
        from node.kernel.decorator import JIT_ENABLED

        if JIT_ENABLED:
            return _compiled()
    return _plain_added, _plain_multiplied


_added: Callable[[int, int, int, int], tuple[int, int]]
_multiplied: Callable[[int, int], tuple[int, int]]
_added, _multiplied = _chosen()


@inlined
def stepped(high: int, low: int, step_high: int, step_low: int) -> tuple[int, int]:
    """Return where a stream is after one step.

    high, low            where it is, uint64
    step_high, step_low  its own, uint64
    """
    high, low = _multiplied(high, low)
    return _added(high, low, step_high, step_low)


@inlined
def raw_of(high: int, low: int) -> int:
    """Return what a stream gives where it is, uint64: both halves as one, turned by six bits."""
    both = high ^ low
    turn = high >> _TURN
    return both >> turn | both << (_WHOLE - turn & _TOP)  # type: ignore[return-value]  # unsigned


@inner_kernel("uint64(Bits)")
def next_raw(bits: Bits) -> int:
    """Return the next 64 bits of a stream."""
    high, low = stepped(bits.high, bits.low, bits.step_high, bits.step_low)
    bits.high, bits.low = high, low
    return raw_of(high, low)


@kernel("void(Bits[::1], uint64[::1])")
def fill(bits: Records[Bits], raw: NDArray[np.uint64]) -> None:
    """Take the next bits of a stream.

    bits  (1,)
    raw   (n,) uint64, bits: filled
    """
    own = bits[0]
    high, low, step_high, step_low = own.high, own.low, own.step_high, own.step_low
    for i in range(raw.shape[0]):
        high, low = stepped(high, low, step_high, step_low)
        raw[i] = raw_of(high, low)
    own.high, own.low = high, low


@inner_kernel("void(Bits, int64[::1], int64[::1], uint64[::1])")
def _begin(
    bits: Bits, words: NDArray[np.int64], seed: NDArray[np.int64], whole: NDArray[np.uint64]
) -> None:
    """Let a stream begin as numpy's PCG64 does with a seed.

    words  (4 or more,) int64, bits: 32 each, of the seed
    seed   (8,) int64, room
    whole  (4,) uint64, room
    """
    mix(words, seed, whole)
    bits.step_high = whole[2] << _ONE | whole[3] >> _TOP
    bits.step_low = whole[3] << _ONE | _ONE
    bits.high, bits.low = _added(bits.step_high, bits.step_low, whole[0], whole[1])
    next_raw(bits)


@kernel("void(Bits[::1], int64[::1], int64[::1], int64[::1], int64[::1], uint64[::1])")
def _begin_all(
    bits: Records[Bits],
    purposes: NDArray[np.int64],
    root: NDArray[np.int64],
    where: NDArray[np.int64],
    room: NDArray[np.int64],
    whole: NDArray[np.uint64],
) -> None:
    """Let streams begin that are at one place, of one run, each for a purpose of its own.

    bits      (n,)
    purposes  (n,) int64, `rng.Purpose`
    root      (r,) int64, bits: 32 each, of the seed of the run
    where     (w,) int64, bits: 32 each, of the place and of the number of the run
    room      (r + 1 + w + 8,) int64
    whole     (4,) uint64, room
    """
    count = root.shape[0] + 1 + where.shape[0]
    words, seed = room[:count], room[count:]
    for i in range(root.shape[0]):
        words[i] = root[i]
    for i in range(where.shape[0]):
        words[root.shape[0] + 1 + i] = where[i]
    for i in range(bits.shape[0]):
        words[root.shape[0]] = purposes[i]
        _begin(bits[i], words, seed, whole)


def begin(
    bits: Records[Bits], root: int, purposes: NDArray[np.int64], *, commune: str, node: str
) -> None:
    """Let streams begin that are `rng.stream`'s of those purposes at one place.

    Parameters
    ----------
    bits : Records[Bits]
        One for each purpose.
    root : int
        Seed of the run, 0 or more.
    purposes : (n,) int64
        Indices of `rng.Purpose`.
    commune, node : str
        As for `rng.stream`.
    """
    assert root >= 0 and len(bits) == purposes.size, "who reads seeds checks this"
    seed, where = _root(root), np.array(place_words(commune, node), np.int64)
    room = np.empty(seed.size + 1 + where.size + SEED_WORDS, np.int64)
    _begin_all(bits, purposes, seed, where, room, np.empty(SEED_WORDS // 2, np.uint64))


@lru_cache(maxsize=64)
def _root(root: int) -> NDArray[np.int64]:
    return np.array(root_words(root), np.int64)
