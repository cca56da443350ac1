"""Figures that were measured before: those of the tree, of a commit, of a file of another run."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeGuard

from benchmarks.table import Rows
from benchmarks.verdict.outcome import INEXACT

RECORDED: Final = "benchmarks/figures.json"
"""Where a tree has its figures, from its root."""


class AskedError(ValueError):
    """What is asked for cannot be: says which option, file or commit, and what would be right."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at one time."""

    rows: Mapping[str, Rows]
    """By measurement."""

    name: str
    """Where they are from."""


def figures_of_tree(path: Path, length: str) -> Figures:
    """Return the figures that the tree records of one length in the file `path`; it may have none.

    Raises
    ------
    AskedError
        When the file is not JSON, or holds something else.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
    return _read(text, RECORDED, length, or_none=True)


def figures_against(against: str, length: str, *, repository: Path) -> Figures:
    """Return the figures of a JSON file, or of a commit of the repository around a folder.

    Raises
    ------
    AskedError
        When there are none, or the file is not JSON, or holds something else.
    """
    unknown = AskedError(f"--against {against!r}: neither a file nor a commit with {RECORDED}")
    if not against:  # git would show its index
        raise unknown
    if Path(against).is_file():
        text = Path(against).read_text(encoding="utf-8", errors="replace")
        return _read(text, against, length)
    show = ["git", "show", "--end-of-options", f"{against}:{RECORDED}"]
    done = subprocess.run(show, capture_output=True, text=True, cwd=repository, check=False)
    if done.returncode != 0:
        raise unknown
    return _read(done.stdout, f"{RECORDED} of {against}", length)


def record(path: Path, length: str, measured: Mapping[str, Rows]) -> None:
    """Write what was measured into the file: a figure in each line, so that a diff is read."""
    whole = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    exact = {name: rows for name, rows in measured.items() if name not in INEXACT}
    whole[length] = whole.get(length, {}) | exact
    text = json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _read(text: str, name: str, length: str, *, or_none: bool = False) -> Figures:
    try:
        recorded = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise AskedError(f"{name}: not JSON: {fault}") from fault
    # Either the gate's own gate_fast.json or gate_full.json, or what is recorded.
    key = "measured" if isinstance(recorded, dict) and "measured" in recorded else length
    found = recorded.get(key, {} if or_none else None) if isinstance(recorded, dict) else None
    if not _is_figures(found):
        raise AskedError(f"{name}: no figures of {length!r}: a gate_{length}.json, or {RECORDED}")
    return Figures(found, name)


def _is_figures(found: object) -> TypeGuard[dict[str, Rows]]:
    """Return whether it is benchmark -> row -> figures."""
    return isinstance(found, dict) and all(
        isinstance(rows, dict) and all(map(_is_row, rows.values())) for rows in found.values()
    )


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(
        value is None or isinstance(value, int | float) for value in row.values()
    )
