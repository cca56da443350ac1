"""The decorator of kernels that other kernels call: compiled when the first of them is.

A kernel that is loaded from the cache brings the code of all that it calls along. To load each of
those as well costs a node of a gateway a second at start and half of its memory, for code that
nothing runs. An inner kernel therefore waits: it is compiled, or taken from the cache, when a
caller is compiled, or when Python calls it, as tests do.

Nothing is compiled late: what the audio thread calls from Python is a `node.kernel.kernel`.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, TypeVar, cast

import numba

from node.kernel.decorator import (
    FLAGS,
    JIT_ENABLED,
    KernelCacheLocator,
    linked_kernel,
    stock_kernel,
    typed,
)
from node.kernel.fit import linked

F = TypeVar("F", bound=Callable[..., Any])


def inner_kernel(signature: str) -> Callable[[F], F]:
    """Compile a function for exactly one `signature`, the first time that a kernel wants it.

    Parameters
    ----------
    signature : str
        numba signature, for instance ``"int64(int64[::1], float64)"``.
    """

    def compile_later(function: F) -> F:
        if not JIT_ENABLED:
            return function
        # numba knows no half-way code: linked by itself, an inner kernel is one like any other.
        return (linked_inner_kernel if linked() else stock_kernel)(signature)(function)

    return compile_later


def linked_inner_kernel(signature: str) -> Callable[[F], F]:
    """Compile a function as `inner_kernel` does, to be linked by this project."""
    from node.kernel.library import InnerCompiler

    def compile_later(function: F) -> F:
        dispatcher = numba.njit(pipeline_class=InnerCompiler, **FLAGS)(function)

        @cache
        def compile_for_kernels() -> object:
            _enable_cache(dispatcher)
            return _lowered(dispatcher, typed(signature, function))

        @cache
        def compile_for_python() -> F:
            return linked_kernel(signature)(function)

        dispatcher.compile = lambda _: compile_for_kernels()
        dispatcher._compile_for_args = lambda *_: compile_for_python()
        return cast(F, dispatcher)

    return compile_later


class InnerCacheLocator(KernelCacheLocator):
    """Keeps the intermediate code apart from the machine code of the same function."""

    def get_disambiguator(self) -> str:
        """Return what tells apart two builds of one function."""
        return f"{super().get_disambiguator()}-inner"


def _lowered(dispatcher: Any, signature: Any) -> object:
    """Return what callers know the function by, after loading or compiling it.

    It is numba's `Dispatcher.compile` for one kernel out of hundreds, each of which waits for
    its callees: without clocks, which all tick for each of them, and without telling the
    interpreter's side, which would call machine code where there is none.
    """
    from numba.core.sigutils import normalize_signature

    from node.kernel.library import kernel_libraries

    arguments, returned = normalize_signature(signature)
    with kernel_libraries():
        result = dispatcher._cache.load_overload(signature, dispatcher.targetctx)
        if result is None:
            with dispatcher._compiling_counter:
                result = dispatcher._compiler.compile(arguments, returned)
            with suppress(OSError):  # the cache cannot be written: the code is there all the same
                dispatcher._cache.save_overload(signature, result)
        else:
            dispatcher._cache_hits[signature] += 1
            dispatcher.targetctx.insert_user_function(
                result.entry_point, result.fndesc, [result.library]
            )
    dispatcher.overloads[tuple(arguments)] = result
    return result.entry_point


def _enable_cache(dispatcher: Any) -> None:
    before = numba.config.CACHE_LOCATOR_CLASSES
    locator = InnerCacheLocator
    numba.config.CACHE_LOCATOR_CLASSES = f"{locator.__module__}.{locator.__qualname__}"
    try:
        dispatcher.enable_caching()
    except OSError:
        pass  # nowhere to keep it: compiled in memory
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = before


def compile_inner(module: ModuleType) -> None:
    """Compile the inner kernels of `module` now: `loalang-node check` shows how far it is."""
    for one in vars(module).values():
        if getattr(one, "__module__", None) == module.__name__ and "compile" in getattr(
            one, "__dict__", {}
        ):
            one.compile(None)
