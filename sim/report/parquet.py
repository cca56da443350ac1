"""The rows of a run as Parquet: one row per (run, node), the same rows for the same seed."""

import types
from dataclasses import asdict, fields
from typing import Final, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from sim.result import NodeRow, RunResult

RUN_FIELDS: Final = ("scenario", "seed", "duration_s", "scenario_hash", "trace_hash")
"""What tells one run from another; stands before the fields of the node in each row."""

_TYPES: Final = {str: pa.string(), int: pa.int64(), float: pa.float64()}


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


def schema() -> pa.Schema:
    """Return the columns: those of the run, then those of `NodeRow`."""
    run = get_type_hints(RunResult)
    node = get_type_hints(NodeRow)
    columns = [pa.field(name, _TYPES[run[name]], nullable=False) for name in RUN_FIELDS]
    columns += [_field(one.name, node[one.name]) for one in fields(NodeRow)]
    return pa.schema(columns)


def _field(name: str, hint: object) -> pa.Field:
    if isinstance(hint, types.UnionType):
        kind = next(one for one in get_args(hint) if one is not type(None))
        return pa.field(name, _TYPES[kind])
    assert isinstance(hint, type), f"{name} of NodeRow has a type that Parquet is not told"
    return pa.field(name, _TYPES[hint], nullable=False)
