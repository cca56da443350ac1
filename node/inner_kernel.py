"""The decorator of kernels that other kernels call: compiled when the first of them is.

A kernel that is loaded from the cache brings the code of all that it calls along. To load each of
those as well costs a node of a gateway a second at start and half of its memory, for code that
nothing runs. An inner kernel therefore waits: it is compiled, or taken from the cache, when a
caller is compiled, or when Python calls it, as tests do.

Nothing is compiled late: what the audio thread calls from Python is a `node.kernel.kernel`.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

import numba

from node.kernel import BOUNDS_CHECKED, JIT_ENABLED, KernelCacheLocator

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
        # The flags are those of node.kernel: the same code must come out.
        dispatcher = numba.njit(
            nogil=True, fastmath=False, error_model="numpy", boundscheck=BOUNDS_CHECKED
        )(function)
        compile_any = dispatcher.compile

        def compile_once(_: object) -> object:
            del dispatcher.compile
            _enable_cache(dispatcher)
            try:
                entry = compile_any(signature)
            except OSError:  # the cache cannot be written: the code is there all the same
                entry = compile_any(signature)
            dispatcher.disable_compile()
            return entry

        dispatcher.compile = compile_once
        return cast(F, dispatcher)

    return compile_later


def _enable_cache(dispatcher: Any) -> None:
    before = numba.config.CACHE_LOCATOR_CLASSES
    locator = KernelCacheLocator
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
