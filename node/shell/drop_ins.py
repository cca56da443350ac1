"""A configuration of several files: the main one, and what lies in `conf.d/` beside it.

```
 node.toml ─► conf.d/10-broker.toml ─► conf.d/50-volume.toml       in order of their names
   a table is merged field by field; a value, or a list, of a later file replaces the earlier one
```
"""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.files import read_text

FOLDER: Final = "conf.d"
FILES_MAX: Final = 64
_PATH: Final = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)*")


class Tables:
    """What the files say together, and which of them said it."""

    def __init__(self, main: Path) -> None:
        self._main = main
        self._origins: dict[str, Path] = {}
        self.merged: dict[str, Any] = {}

    def add(self, table: dict[str, Any], path: Path) -> None:
        """Let a later file speak."""
        self._merge(self.merged, table, path, "")

    def named(self, fault: str) -> str:
        """Return a fault, which begins with the main file, with the file that is at fault."""
        rest = fault.removeprefix(f"{self._main}: ")
        found = _PATH.match(rest)
        path = "" if found is None else found[0]
        while path:
            if path in self._origins:
                return f"{self._origins[path]}: {rest}"
            path = path.rpartition(".")[0]
        return fault

    def _merge(self, into: dict[str, Any], table: dict[str, Any], path: Path, above: str) -> None:
        for name, value in table.items():
            where = f"{above}{name}"
            self._origins[where] = path
            if isinstance(value, dict) and isinstance(into.get(name), dict):
                self._merge(into[name], value, path, f"{where}.")
                continue
            into[name] = value
            if isinstance(value, dict):
                into[name] = {}
                self._merge(into[name], value, path, f"{where}.")


def read_tables(path: Path, *, alone: bool = False) -> Tables:
    """Read the configuration `path`, and unless it is `alone` what lies beside it in `conf.d/`.

    Raises
    ------
    ShellError
        If one of the files cannot be read or is not TOML: names it, with line and column.
    """
    tables = Tables(path)
    tables.add(_read_toml(path), path)
    for one in [] if alone else _drop_ins(path.parent / FOLDER):
        tables.add(_read_toml(one), one)
    return tables


def _drop_ins(folder: Path) -> list[Path]:
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix == ".toml")
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise file_fault(folder, fault) from fault
    found = [one for one in found if not one.name.startswith(".")]
    if len(found) > FILES_MAX:
        raise ShellError(
            f"{folder}: {len(found)} files: must be {FILES_MAX} at most", exit_status=EXIT_INPUT
        )
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as fault:  # too long a number, too deep a list as well
        raise ShellError(f"{path}: not TOML: {fault}", exit_status=EXIT_INPUT) from fault
