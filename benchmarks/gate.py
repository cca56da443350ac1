"""Hold the exact figures of `latency`, `dropout` and others: against budgets, and to the digit.

Options: --fast (the short run, with its own budgets); --only NAME (one measurement alone; may be
given again); --row NAME (one row alone, in each measurement that has it; may be given again);
--against REF (compare with the figures of a commit, or of a JSON file; what this tree records in
figures.json as well is told and fails nothing, for that is how a change is meant); --record (write
what is measured now into figures.json); --rewrite (put budgets for it, with the headroom of
`verdict/budgets.py`, into budgets.toml as well; the diff shows what a change costs); --files DIR
(JUnit, Markdown, annotations and three formats for trends; out/benchmarks by default); --speed
(measure speed too and tell it beside its tolerance); --hold-speed (and fail where it is beyond: for
a machine that has nothing else to do).

The figures are virtual time, so they have no noise and the comparison no tolerance: any changed
digit is your change. Budgets stand beside that: they say how much worse is too much.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import table
from benchmarks.options import folder, parser_of
from benchmarks.verdict.budgets import Budgets, broken, lines_of, rewritten
from benchmarks.verdict.causes import COMMAND, summary
from benchmarks.verdict.formats import files
from benchmarks.verdict.measuring import Prepare, measure_all
from benchmarks.verdict.outcome import INEXACT, Breach, Outcome, changes_since
from benchmarks.verdict.recorded import (
    RECORDED,
    AskedError,
    Figures,
    figures_against,
    figures_of_tree,
    record,
)
from sim.report import write_all

_T = TypeVar("_T")

_SHOWN: Final = "benchmarks/budgets.toml"


def _of_the_tree(path: str) -> Path:
    """Return the file of the tree that we stand in, which `--record` is to write; else our own."""
    return Path.cwd() / path if Path(_SHOWN).is_file() else Path(__file__).parents[1] / path


BUDGETS: Final = _of_the_tree(_SHOWN)
FIGURES: Final = _of_the_tree(RECORDED)


def run(arguments: list[str], *, prepare: Prepare | None = None) -> int:
    """Print what is broken or changed and return 1, or 0 when nothing is; 2 for a wrong file.

    `prepare` is called in each process that measures, before it does.
    """
    options = _parser().parse_args(arguments)
    length = "fast" if options.fast else "full"
    try:
        budgets: Budgets = tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
        asked = _asked(budgets, length, options)
        recorded, base = _compared(options.against, length)
        measured = measure_all(
            asked, fast=length == "fast", whole=options.row is None, prepare=prepare
        )
    except (OSError, ValueError, KeyError, ModuleNotFoundError, TypeError) as fault:
        named = "" if isinstance(fault, AskedError) else f"{BUDGETS.name}: "
        print(f"gate: {named}{fault}", file=sys.stderr)
        return 2
    if options.rewrite:
        BUDGETS.write_text(rewritten(BUDGETS, budgets, length, measured), encoding="utf-8")
    if options.record or options.rewrite:
        record(FIGURES, length, measured)
        return 0
    exact = [name for name in asked if name not in INEXACT]
    held = {name: asked[name] for name in (asked if options.hold_speed else exact)}
    outcome = Outcome(
        length=length,
        measured=measured,
        budgets=held,
        breaches=_worst_first(
            one for name in held for one in broken(name, measured[name], held[name])
        ),
        changes=changes_since(
            {name: measured[name] for name in exact},
            {name: _rows_of(rows, options.row) for name, rows in base.rows.items()},
            {name: _rows_of(rows, options.row) for name, rows in recorded.rows.items()},
        ),
        base=base.name if base is recorded else f"{base.name} or from this tree's",
    )
    for name in (one for one in exact if one not in base.rows):
        by = RECORDED if name in recorded.rows else "its budgets alone"
        print(f"gate: {base.name} has no {name} of this length: it is held by {by}")
    for line in _speed_lines(measured, budgets, length):
        print(line)
    return _tell(outcome, options.files)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("gate", __doc__)
    parser.add_argument("--fast", action="store_true", help="the short run that CI does")
    parser.add_argument("--only", action="append", metavar="NAME", help="this measurement alone")
    parser.add_argument("--row", action="append", metavar="NAME", help="this row alone")
    parser.add_argument("--against", metavar="REF", help="commit or JSON file to compare with")
    parser.add_argument("--record", action="store_true", help="take the figures as they are")
    parser.add_argument("--rewrite", action="store_true", help="and make budgets of them")
    parser.add_argument("--files", type=folder, default=table.FOLDER, metavar="DIR")
    parser.add_argument("--speed", action="store_true", help="tell speed beside its tolerance")
    parser.add_argument("--hold-speed", action="store_true", help="and fail where it is beyond")
    return parser


def _compared(against: str | None, length: str) -> tuple[Figures, Figures]:
    """Return the figures that the tree records, and those that changes are counted from."""
    recorded = figures_of_tree(FIGURES, length)
    if against is None:
        return recorded, recorded
    return recorded, figures_against(against, length, repository=BUDGETS.parent)


def _asked(
    budgets: Budgets, length: str, options: argparse.Namespace
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Return the budgets of each measurement that is asked for, of the rows that are.

    Raises
    ------
    AskedError
        When a measurement or a row has none, or part of a measurement is to be recorded.
    """
    exact = [name for name in budgets if length in budgets[name] and name not in INEXACT]
    timed = [name for name in budgets if name in INEXACT and length in budgets[name]]
    names = exact + (timed if options.speed or options.hold_speed else [])
    if options.only is not None:
        unknown = sorted({*options.only} - {*exact, *timed})
        if unknown:
            raise AskedError(f"--only {unknown[0]}: must be one of {', '.join(exact + timed)}")
        names = [name for name in exact + timed if name in options.only]
    if options.row is None:
        return {name: budgets[name][length] for name in names}
    if options.record or options.rewrite:
        raise AskedError("--row: a measurement is recorded whole; leave --row out")
    found = {name: _rows_of(budgets[name][length], options.row) for name in names}
    unknown = [row for row in options.row if not any(row in rows for rows in found.values())]
    if unknown:
        raise AskedError(f"--row {unknown[0]!r}: no such row in {', '.join(names)}")
    return {name: rows for name, rows in found.items() if rows}


def _rows_of(rows: Mapping[str, _T], asked: list[str] | None) -> Mapping[str, _T]:
    return {row: one for row, one in rows.items() if asked is None or row in asked}


def _worst_first(breaches: Iterable[Breach]) -> tuple[Breach, ...]:
    return tuple(sorted(breaches, key=lambda one: -one.amount))


def _speed_lines(measured: Mapping[str, table.Rows], budgets: Budgets, length: str) -> list[str]:
    """Return each figure with noise beside the most that it may be."""
    lines = []
    for name in measured:
        for row, figures in measured[name].items() if name in INEXACT else ():
            for measure, value in figures.items():
                limit = budgets[name].get(length, {}).get(row, {}).get(measure)
                most = "no budget" if limit is None else f"at most {limit:g}"
                told = "none" if value is None else f"{value:g}"
                lines.append(f"gate: {name} [{row}] {measure} {told}, {most}")
    return lines


def _tell(outcome: Outcome, out: Path) -> int:
    """Print the outcome and write its files; return the exit status."""
    rows = {"broken": [str(one) for one in outcome.breaches], "measured": outcome.measured}
    contents = files(outcome, lines_of(BUDGETS, outcome.length), _SHOWN)
    contents[f"gate_{outcome.length}.json"] = (json.dumps(rows, indent=1) + "\n").encode()
    write_all(contents, out)
    for line in summary(outcome):
        print(line, file=sys.stderr)
    if outcome.changes:
        length = " --fast" if outcome.length == "fast" else ""
        meant = f"; when it is meant: `{COMMAND} gate{length} --record`, and commit it"
        print(
            f"gate: {outcome.differing_from_base}, all in {out}/gate.md"
            f"{meant if outcome.unrecorded else ''}",
            file=sys.stderr,
        )
    held = outcome.held - len(outcome.breaches)
    print(f"gate: {held} of {outcome.held} budgets hold, {outcome.differing} ({outcome.length})")
    return 0 if outcome.is_good else 1
