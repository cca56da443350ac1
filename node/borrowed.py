"""Arrays that kernels pass on without counting references.

A compiled function counts references to each array that it is given: an atomic instruction or
two per array and call. A small kernel that is called fifty times per frame spends more on that
than on its work. The outermost kernel therefore borrows: the caller in Python holds the array
for as long as the kernel runs, so nothing inside needs to.
"""

from typing import Any, TypeVar, cast

from numba.core import cgutils
from numba.extending import intrinsic

from node.kernel import JIT_ENABLED

T = TypeVar("T")


def _without_owner(_typing_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), generate


def _itself(array: T) -> T:
    return array


borrow = cast("Any", intrinsic(_without_owner)) if JIT_ENABLED else _itself
"""Return the same array without its owner; only for the arguments of an outermost kernel."""
