"""What a scenario says, as plain tables: of which its hash is taken."""

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""What says itself."""


def table_of(one: Any) -> Any:
    """Return what a dataclass says, as `dataclasses.asdict`: nothing is copied that is not changed.

    Thousands of places are told so before each run.
    """
    if isinstance(one, (tuple, list)):
        return [table_of(part) for part in one]
    if isinstance(one, dict):
        return {name: table_of(part) for name, part in one.items()}
    if type(one) in _PLAIN:
        return one
    names = _names_of(type(one))  # type: ignore[arg-type]  # a class is hashable
    values = [getattr(one, name) for name in names]
    told = [part if type(part) in _PLAIN else table_of(part) for part in values]
    return dict(zip(names, told, strict=True)) if names else one


@cache
def _names_of(of: Any) -> tuple[str, ...]:
    """Return the names of a dataclass, none of anything else."""
    return tuple(one.name for one in fields(of)) if is_dataclass(of) else ()
