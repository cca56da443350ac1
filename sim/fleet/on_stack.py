"""Small records that a kernel keeps to itself, so that the compiler holds them in registers.

What a kernel writes to an array may lie anywhere, so each field of a record is loaded and stored
again at each look. Nothing else lies where a record on the stack does: while it goes to no function
that stays one, its fields are variables. That pays for as many as there are registers: a whole
source of a node as variables is moved to and fro at each branch, and costs more than it spares.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, Final, TypeVar, cast

from node.kernel import inlined
from node.kernel.record import Record, new
from node.kernel.shipped import library

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Record)

_BYTES: Final = 8


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


def _plain_room(of: type[T]) -> Callable[[], T]:
    """Return what gives a kernel a record of its own, filled with anything."""
    return lambda: new(of)[0]


def _compiled() -> Any:
    """Return it for kernels that numba compiles."""
    import numba
    from llvmlite import ir
    from numba.core import cgutils
    from numba.extending import intrinsic

    word = ir.IntType(64)

    def room_of(of: type[T]) -> Any:
        kind = numba.from_dtype(of.dtype)

        @intrinsic  # type: ignore[untyped-decorator]  # numba is untyped
        def made(_: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                place = cgutils.alloca_once(builder, ir.ArrayType(word, -(-kind.size // _BYTES)))
                return builder.bitcast(place, context.get_value_type(kind))

            return kind(), code

        return made

    return room_of


def _chosen() -> Any:
    if library() is None:
        from node.kernel.decorator import JIT_ENABLED

        if JIT_ENABLED:
            return _compiled()
    return _plain_room


room_of = _chosen()
