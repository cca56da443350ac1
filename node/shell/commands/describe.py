"""`loalang-node describe`: every table and setting of a node, printed from what reads them."""

import argparse
import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Final, get_args, get_type_hints

from node.config import NodeConfig, say_type
from node.shell.config import ShellConfig

_ABOUT: Final = """# Settings of a node

What a node's TOML file may hold. This page is what `loalang-node describe` prints, from the classes
that read the file. A table that is left out has its defaults; a wrong entry is named with what
would be right, all of them at once. [Running a node](node.md) has examples.
"""


def describe(_: argparse.Namespace) -> int:
    """Print all settings as Markdown; return the exit status."""
    print(reference(), end="")
    return 0


def reference() -> str:
    """Return all settings as Markdown: one heading per table, one row per setting."""
    parts = [_ABOUT, *_tables(NodeConfig, ""), *_tables(ShellConfig, "")]
    return "\n".join(parts)


def _tables(cls: type, name: str) -> Iterator[str]:
    """Yield the text of a table, then of the tables in it."""
    hints, texts = get_type_hints(cls), _texts(cls)
    rows, inner = [], []
    for one in dataclasses.fields(cls):
        hint = hints[one.name]
        parts = [h for h in (hint, *get_args(hint)) if isinstance(h, type)]
        within = next(filter(dataclasses.is_dataclass, parts), None)
        path = f"{name}.{one.name}" if name else one.name
        if within is None:
            rows.append(
                f"| `{one.name}` | {say_type(hint)} | {_default(one)} | {texts[one.name]} |"
            )
        else:
            is_named = str(hint).startswith("dict")
            inner.append((within, f"{path}.NAME" if is_named else path, "tuple" in str(hint)))
    if rows:
        if name:
            yield f"{_first_paragraph(cls)}\n"
        yield "\n".join(["| setting | is | default | means |", "|---|---|---|---|", *rows]) + "\n"
    elif name:
        yield f"{_first_paragraph(cls)}\n"
    for part, path, is_list in inner:
        yield f"## `[[{path}]]`, any number\n" if is_list else f"## `[{path}]`\n"
        yield from _tables(part, path)


def _texts(cls: type) -> dict[str, str]:
    """Return the sentence below each field; a field without one shares that of the next one."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    waiting: list[str] = []
    for part in body.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            waiting.append(part.target.id)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
            text = " ".join(str(part.value.value).split()).replace("|", "\\|")
            texts |= dict.fromkeys(waiting, text)
            waiting.clear()
    return texts | dict.fromkeys(waiting, "")


def _default(one: dataclasses.Field[Any]) -> str:
    value = one.default
    if one.default_factory is not dataclasses.MISSING:
        value = one.default_factory()
    if value is dataclasses.MISSING:
        return "must be given"
    if value is None or value in ((), {}):
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items())} }}"
    return str(value)


def _first_paragraph(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
