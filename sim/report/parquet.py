"""The rows of a run as Parquet: one row per (run, node), the same rows for the same seed."""

import types
from dataclasses import asdict, fields
from typing import Final, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from sim.result.day import DAY_TABLES
from sim.result.run import NodeRow, RunResult
from sim.result.wall_clock import moments

RUN_FIELDS: Final = ("scenario", "seed", "duration_s", "scenario_hash", "trace_hash")
"""What tells one run from another; stands before the fields of the node in each row."""

_TYPES: Final = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def parquet(results: list[RunResult]) -> bytes:
    """Return a Parquet file with the nodes of all `results`, in their order.

    The schema follows from `NodeRow`: figures that a silent node does not have are null. Nothing
    of the machine is in it, so that equal runs give equal rows.
    """
    lines = [
        {name: getattr(result, name) for name in RUN_FIELDS} | asdict(row)
        for result in results
        for row in result.nodes
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(lines, schema=schema()), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def day_parquets(result: RunResult) -> dict[str, bytes]:
    """Return a Parquet file for each table of the run's day, by its name; none without a day.

    Each row begins with what tells one run from another, as those of `parquet` do.
    """
    if result.day is None:
        return {}
    found = {}
    for name, kind in DAY_TABLES.items():
        hints = get_type_hints(kind)
        names = [one.name for one in fields(kind)]
        columns = [*_run_columns(), *(_field(one, hints[one]) for one in names)]
        columns += [pa.field(one, pa.string()) for one in moments(names)]
        run = {one: getattr(result, one) for one in RUN_FIELDS}
        lines = [run | result.day.clock.row(row) for row in getattr(result.day, name)]
        sink = pa.BufferOutputStream()
        table = pa.Table.from_pylist(lines, schema=pa.schema(columns))
        pq.write_table(table, sink, compression="zstd")
        found[name] = bytes(sink.getvalue().to_pybytes())
    return found


def schema() -> pa.Schema:
    """Return the columns: those of the run, then those of `NodeRow`."""
    node = get_type_hints(NodeRow)
    columns = _run_columns()
    columns += [_field(one.name, node[one.name]) for one in fields(NodeRow)]
    return pa.schema(columns)


def _run_columns() -> list[pa.Field]:
    run = get_type_hints(RunResult)
    return [pa.field(name, _TYPES[run[name]], nullable=False) for name in RUN_FIELDS]


def _field(name: str, hint: object) -> pa.Field:
    if isinstance(hint, types.UnionType):
        kind = next(one for one in get_args(hint) if one is not type(None))
        return pa.field(name, _TYPES[kind])
    assert isinstance(hint, type), f"{name} of NodeRow has a type that Parquet is not told"
    return pa.field(name, _TYPES[hint], nullable=False)
