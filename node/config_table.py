"""From a table of a TOML file to a frozen dataclass, with every wrong field named at once."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """One or more wrong entries in a file of the user's: one line each, what and what is right."""


def build(
    cls: type[T], table: Mapping[str, Any], *, where: str, errors: list[str], what: str = ""
) -> T | None:
    """Build the dataclass `cls` from a TOML `table`, adding every fault to `errors`.

    Parameters
    ----------
    cls : type
        A dataclass with annotated fields: str, int, float, bool, Literal, nested dataclasses,
        `tuple[X, ...]`, `dict[str, X]`, and `X | None`.
    table : Mapping
        What `tomllib` read.
    where : str
        Prefix of each fault, the path of the file.
    errors : list of str
        Takes one line per fault: file, table, field, value, and what would be right.
    what : str
        Dotted name of the table inside the file, empty at the top.

    Returns
    -------
    cls or None
        None when anything in it was wrong; `errors` then says what.
    """
    known = {f.name: f for f in fields(cast(Any, cls)) if f.init}
    hints = get_type_hints(cls)
    before = len(errors)
    errors.extend(
        f"{where}: {_path(what, name)}: unknown; known here: {', '.join(known)}"
        for name in table
        if name not in known
    )
    values: dict[str, Any] = {}
    for name, one in known.items():
        path = _path(what, name)
        if name in table:
            values[name] = _convert(hints[name], table[name], where=where, path=path, errors=errors)
        elif _required(one):
            errors.append(f"{where}: {path}: missing; it must be {say_type(hints[name])}")
    if len(errors) > before:
        return None
    try:
        return cls(**values)
    except ConfigError as fault:
        errors.extend(f"{where}: {line}" for line in str(fault).split("\n"))
        return None


def require(errors: list[str]) -> None:
    """Raise `ConfigError` with all lines of `errors` if there are any."""
    if errors:
        raise ConfigError("\n".join(errors))


def _path(what: str, name: str) -> str:
    return f"{what}.{name}" if what else name


def _required(one: "Field[Any]") -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _convert(hint: Any, value: Any, *, where: str, path: str, errors: list[str]) -> Any:
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        inner = [a for a in get_args(hint) if a is not type(None)]
        return _convert(inner[0], value, where=where, path=path, errors=errors)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return build(cast(type, hint), value, where=where, errors=errors, what=path)
    if origin is tuple and isinstance(value, list):
        item = get_args(hint)[0]
        return tuple(
            _convert(item, one, where=where, path=f"{path}[{i}]", errors=errors)
            for i, one in enumerate(value)
        )
    if origin is dict and isinstance(value, Mapping):
        item = get_args(hint)[1]
        return {
            key: _convert(item, one, where=where, path=_path(path, key), errors=errors)
            for key, one in value.items()
        }
    if origin is Literal and value in get_args(hint):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint in (str, int, bool) and type(value) is hint:
        return value
    errors.append(f"{where}: {path} = {value!r}: must be {say_type(hint)}")
    return None


_NAMES: Final = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def say_type(hint: Any) -> str:
    """Return what a value of that type is called, as in `a whole number`."""
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        return say_type(next(a for a in get_args(hint) if a is not type(None)))
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in get_args(hint))
    if origin is tuple:
        return f"a list of {say_type(get_args(hint)[0])}"
    if origin is dict or is_dataclass(hint):
        return "a table"
    return _NAMES.get(hint, str(hint))


def check(table: str, rules: Mapping[str, tuple[bool, Any, str]]) -> None:
    """Raise one `ConfigError` naming every broken rule; name -> (holds, value, what is right)."""
    require(
        [
            # One line each, whatever names from a file stand in it.
            " ".join(f"{table}.{name} = {value!r}: must be {right}".split("\n"))
            for name, (holds, value, right) in rules.items()
            if not holds
        ]
    )
