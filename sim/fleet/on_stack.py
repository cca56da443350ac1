"""Records that a kernel keeps to itself, so that the compiler holds their fields in registers.

What a kernel writes to an array may lie anywhere, so each field of a record is loaded and stored
again at each look. Nothing else lies where a record on the stack does: while it goes to no function
that stays one, its fields are variables. So kernels that work on it become part of who calls them.
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any, Final, TypeVar, cast

import numpy as np

from node.kernel import inlined
from node.kernel.record import Record, new
from node.kernel.shipped import library

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Record)

_LONGEST: Final = 16
"""Longer arrays are no part of a copy: they would not be held in registers."""
_BYTES: Final = 8


def numbers(dtype: np.dtype[Any], at: int = 0) -> Iterator[tuple[int, np.dtype[Any]]]:
    """Yield where each number of a record lies that is copied, bytes, and what it is.

    dtype  of the record
    at     where it begins
    """
    for one, offset, *_ in (dtype.fields or {}).values():
        element, shape = one.subdtype or (one, ())
        count = int(np.prod(shape))
        for i in range(count if element.fields is not None or count <= _LONGEST else 0):
            place = at + offset + i * element.itemsize
            if element.fields is not None:
                yield from numbers(element, place)
            else:
                assert element.itemsize == _BYTES, "of eight bytes is all that kernels keep"
                yield place, element


def places_of(of: type[Record]) -> dict[str, int]:
    """Return which number of a record each field begins with, by its name."""
    fields = of.dtype.fields
    assert fields is not None, "it is a record"
    return {name: int(one[1]) // _BYTES for name, one in fields.items()}


def as_part(kernel: F) -> F:
    """Return a kernel that becomes part of each that calls it, with all that it calls."""
    return cast(F, _as_part(kernel))


@cache
def _as_part(kernel: Any) -> Any:
    plain = getattr(kernel, "py_func", None)
    if plain is None:
        return kernel  # nothing is compiled
    names = {
        name: _as_part(one)
        for name in plain.__code__.co_names
        if hasattr(one := plain.__globals__.get(name), "py_func")
    }
    whole = FunctionType(plain.__code__, plain.__globals__ | names, plain.__name__)
    return inlined(whole)


def _plain_copy(here: Any, there: Any) -> None:
    """Copy the numbers of a record to another one of its kind, but for long arrays."""
    source, target = (np.asarray(one).reshape(1).view(np.int64) for one in (here, there))
    for place, _ in numbers(here.dtype):
        target[place // _BYTES] = source[place // _BYTES]


def _plain_room(of: type[T]) -> Callable[[], T]:
    """Return what gives a kernel a record of its own, filled with anything."""
    return lambda: new(of)[0]


def _compiled() -> tuple[Any, Any]:
    """Return both for kernels that numba compiles."""
    import numba
    from llvmlite import ir
    from numba.core import cgutils
    from numba.extending import intrinsic

    octet, word = ir.IntType(8), ir.IntType(64)

    @intrinsic  # type: ignore[untyped-decorator]  # numba is untyped
    def copied(_: Any, here: Any, there: Any) -> Any:
        assert here.dtype == there.dtype, "they are of one kind"

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            ends = [builder.bitcast(one, octet.as_pointer()) for one in arguments]
            for place, of in numbers(here.dtype):
                kind = (ir.DoubleType() if of.kind == "f" else word).as_pointer()
                source, target = (
                    builder.bitcast(builder.gep(one, [word(place)]), kind) for one in ends
                )
                builder.store(builder.load(source, align=_BYTES), target, align=_BYTES)
            return context.get_dummy_value()

        return numba.types.none(here, there), code

    def room_of(of: type[T]) -> Any:
        kind = numba.from_dtype(of.dtype)

        @intrinsic  # type: ignore[untyped-decorator]
        def made(_: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                place = cgutils.alloca_once(builder, ir.ArrayType(word, -(-kind.size // _BYTES)))
                return builder.bitcast(place, context.get_value_type(kind))

            return kind(), code

        return made

    return copied, room_of


def _chosen() -> tuple[Any, Any]:
    if library() is None:
        from node.kernel.decorator import JIT_ENABLED

        if JIT_ENABLED:
            return _compiled()
    return _plain_copy, _plain_room


copy, room_of = _chosen()
