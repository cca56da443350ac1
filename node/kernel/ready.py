"""The decorators where a library of kernels is there: a kernel is one of its functions."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from node.kernel.shipped import library

F = TypeVar("F", bound=Callable[..., Any])


def kernel(signature: str) -> Callable[[F], F]:
    """Take a function of this `signature` from the library.

    Notes
    -----
    What is no part of a node, as kernels of the simulator, is not in it and runs as plain Python:
    `LOALANG_KERNELS=0` has numba compile everything.
    """

    def take(function: F) -> F:
        name = f"{function.__module__}.{function.__qualname__}"
        found = getattr(library(), name, None)
        assert found is not None or not name.startswith("node."), f"{name}{signature} is missing"
        return function if found is None else cast(F, found)

    return take


def inner_kernel(signature: str) -> Callable[[F], F]:
    """Leave a function as it is: the kernels that call it have its code inside."""
    return lambda function: function


def inlined(function: F) -> F:
    """Leave a function as it is: the kernels that call it have its code inside."""
    return function
