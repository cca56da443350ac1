"""A kernel together with the arrays it always works on: they are looked at once, not at each call.

numba finds out anew at each call of what type each argument is, 0.1 to 0.2 µs for every array. What
an object owns for life needs that once:

```
self._pull = bound(_pull, self.state, self.slots)      their types fit the signature: checked here
self._pull(now_ns, 0)                                  straight into the machine code
```
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np


def bound(kernel: Callable[..., Any], *arrays: Any) -> Callable[..., Any]:
    """Return a kernel of Python's that is called with what comes after `arrays` alone.

    Raises
    ------
    TypeError
        If an array is not what the kernel's signature says.

    Notes
    -----
    Of what comes after them, numbers are converted and an array of elements of another size is
    refused; that it lies without gaps, in as many dimensions as the signature has, is the
    caller's to know.
    """
    overloads = getattr(kernel, "overloads", None)
    if overloads is None:  # plain Python, or of the library that a package ships: that one looks
        return partial(kernel, *arrays)
    for place, one in enumerate(arrays):
        if not _fits(kernel, place, one.dtype, one.ndim, one.flags.carray):
            raise TypeError(f"{kernel.__name__}: argument {place} is no {_wanted(kernel, place)}")
    (compiled,) = overloads.values()
    return partial(compiled.entry_point, *arrays)


@cache
def _fits(kernel: Any, place: int, dtype: np.dtype[Any], dimensions: int, is_plain: bool) -> bool:
    """Return whether an array of this kind is what a signature has there; slow the first time."""
    import numba

    wanted = _wanted(kernel, place)
    return is_plain and bool(wanted == numba.types.Array(numba.from_dtype(dtype), dimensions, "C"))


def _wanted(kernel: Any, place: int) -> Any:
    (compiled,) = kernel.overloads.values()
    return compiled.signature.args[place]
