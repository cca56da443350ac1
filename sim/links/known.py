"""What is made of a bearer or a profile, found again by which one it is.

They are hundreds of figures: to ask whether two are equal takes longer than to make it anew.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

KNOWN_MAX: Final = 64
"""Of one function; then all of it is forgotten."""


def cached_by_self(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that remembers what it said of its first argument, and of numbers after it.

    The first argument is kept beside it: so nobody else is ever known by the same number.
    """
    known: dict[tuple[Any, ...], tuple[Any, R]] = {}

    @wraps(function)
    def find(*given: P.args, **more: P.kwargs) -> R:
        one, *rest = given
        at = (id(one), *rest)
        found = known.get(at)
        if found is None:
            found = one, function(*given, **more)
            if len(known) >= KNOWN_MAX:
                known.clear()
            known[at] = found
        return found[1]

    return find
