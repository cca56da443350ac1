"""Answers to compare: read from the folders that runs left, or asked of a source tree."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from node.config import ConfigError
from sim.report.files import RESULTS
from sim.report.parquet import RUN_FIELDS
from sim.result.day import DAY_TABLES

RUNS_MAX: Final = 10_000
"""Result files below one folder; a folder with more is not what was meant."""

FILES_MAX: Final = 500_000
"""Files of any kind below it: someone's whole disk is not searched."""

_COMMAND: Final = "import sys; from sim.cli import main; sys.exit(main(sys.argv[1:]))"

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One run with one seed: the rows that it left."""

    scenario: str
    seed: int
    duration_s: float
    scenario_hash: str
    trace_hash: str
    nodes: Rows
    day: dict[str, Rows] = field(default_factory=dict)
    """The tables of its day by their names, where it had one."""

    @property
    def nodes_of_day(self) -> int:
        """How many clusters lived a day; 0 where the run had none."""
        return len(self.day.get("nodes", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What trees are asked."""

    scenario: str | None = None
    seeds: tuple[int, ...] = (1,)
    duration_s: float | None = None
    day: bool = False


class TreeError(Exception):
    """A tree that could not answer; says which and why."""


def is_tree(path: Path) -> bool:
    """Return whether `path` is a source tree of this project."""
    return (path / "sim" / "cli.py").is_file()


def answers_of(path: Path, asked: Asked) -> list[Answer]:
    """Return the answers of one side, by seed.

    Parameters
    ----------
    path : Path
        A folder with `results.parquet` in it or below it, such a file, or a source tree.
    asked : Asked
        For a tree.

    Raises
    ------
    ConfigError
        When there is nothing to compare in it, or two answers of one seed.
    TreeError
        When a tree ends with a fault.
    """
    if is_tree(path):
        if asked.scenario is None:
            raise ConfigError(f"{path} is a source tree: --scenario says what it is asked")
        with tempfile.TemporaryDirectory(prefix="loalang-compare-") as folder:
            for seed in asked.seeds:
                _ask(path, asked, seed, Path(folder, str(seed)))
            return _read(Path(folder), str(path))
    return _read(path, str(path))


def _read(path: Path, name: str) -> list[Answer]:
    files = [path] if path.is_file() else sorted(_result_files(path, name))
    if not files or len(files) > RUNS_MAX:
        many = f"more than {RUNS_MAX}" if files else "no"
        raise ConfigError(
            f"{name}: {many} {RESULTS} in it: must be a folder that `loalang-sim run --out` wrote, "
            "one with such folders in it, or a source tree"
        )
    found = [answer for file in files for answer in _answers(file)]
    seeds = [one.seed for one in found]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ConfigError(f"{name}: holds more than one run of seed {twice[0]}: must hold one each")
    return sorted(found, key=lambda one: one.seed)


def _result_files(path: Path, name: str) -> Iterator[Path]:
    files = 0
    for folder, _, names in os.walk(path):
        files += len(names)
        if files > FILES_MAX:
            raise ConfigError(
                f"{name}: more than {FILES_MAX} files in it: must be a folder of runs alone"
            )
        if RESULTS in names:
            yield Path(folder, RESULTS)


def _answers(file: Path) -> list[Answer]:
    rows = _rows(file)
    beside = {name: file.parent / "day" / f"{name}.parquet" for name in DAY_TABLES}
    tables = {name: _rows(one) for name, one in beside.items() if one.is_file()}
    runs = dict.fromkeys(tuple(row[name] for name in RUN_FIELDS) for row in rows)
    return [
        Answer(
            **dict(zip(RUN_FIELDS, run, strict=True)),
            nodes=[row for row in rows if _run(row) == run],
            day={
                name: [_without_run(row) for row in day if _run(row) == run]
                for name, day in tables.items()
            },
        )
        for run in runs
    ]


def _rows(file: Path) -> Rows:
    try:
        rows: Rows = pq.read_table(file).to_pylist()
        for row in rows:
            _run(row)
    except (pa.ArrowException, OSError, KeyError) as fault:
        raise ConfigError(f"{file}: cannot be read as rows of a run ({fault})") from fault
    return rows


def _run(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in RUN_FIELDS)


def _without_run(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in RUN_FIELDS}


def _ask(tree: Path, asked: Asked, seed: int, folder: Path) -> None:
    """Let the tree's own `loalang-sim run` write one answer into `folder`."""
    own = tree / ".venv" / "bin" / "python"
    python = str(own) if own.is_file() else sys.executable
    scenario = str(asked.scenario)
    if Path(scenario).is_file():
        scenario = str(Path(scenario).resolve())
    command = [python, "-P", "-c", _COMMAND, "run", scenario, *_options(asked, seed)]
    done = subprocess.run(
        [*command, "--out", str(folder)],
        env=dict(os.environ, PYTHONPATH=str(tree.resolve())),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise TreeError(f"{tree}: seed {seed}: {why}")


def _options(asked: Asked, seed: int) -> Sequence[str]:
    duration = [] if asked.duration_s is None else ["--duration", f"{asked.duration_s:g}"]
    return ["--seed", str(seed), "--no-sound", "--json", *duration, *(["--day"] * asked.day)]
