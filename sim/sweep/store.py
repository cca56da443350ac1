"""Where the rows of a sweep lie: a Parquet file per chunk, put in place whole, and one of all.

```
FOLDER/chunks/KEY-0000040-0000060.parquet     throws 40 to 59 of the question KEY
FOLDER/rows.parquet                           all throws in order: the same bytes however it came
```

What is in place is right and is never made again: a sweep that was killed goes on with what is
missing, with any number of workers and any size of chunks.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sim.sweep.settings import Value, column
from sim.sweep.sweep import DAY, PROGRAMME, WARNING, Sweep

ROWS: Final = "rows.parquet"
CHUNKS: Final = "chunks"
GROUP_THROWS: Final = 16
"""Throws in a row group of the file of all rows."""

_NAME: Final = re.compile(r"([0-9a-f]{16})-(\d{7})-(\d{7})\.parquet")
_FIXED: Final = (
    ("village", pa.int64()), ("throw", pa.int64()), ("seed", pa.int64()), ("node", pa.string()),
    ("commune", pa.string()), ("hamlet", pa.string()), ("profile", pa.string()),
    ("bearer", pa.string()), ("x_m", pa.float64()), ("y_m", pa.float64()),
    ("households", pa.int64()),
)  # fmt: skip
_PROGRAMME: Final = (
    ("dropout_pct", pa.float64()), ("longest_gap_ms", pa.float64()), ("packets_sent", pa.int64()),
    ("packets_lost", pa.int64()), ("packets_late", pa.int64()), ("redundant_ms", pa.float64()),
    ("retransmitted_ms", pa.float64()), ("in_band_fec_ms", pa.float64()),
    ("mouth_to_ear_p50_ms", pa.float64()), ("mouth_to_ear_p99_ms", pa.float64()),
    ("first_sound_ms", pa.float64()), ("deadline_misses", pa.int64()),
    ("stream_bytes", pa.int64()), ("repair_bytes", pa.int64()),
)  # fmt: skip
_WARNING: Final = (("warned_s", pa.list_(pa.float64())),)


def schema(sweep: Sweep) -> pa.Schema:
    """Return the columns of a sweep: which run, which cluster, what came of it."""
    settings: dict[str, list[Value]] = {}
    for variant in sweep.variants:
        for name, value in variant.values:
            settings.setdefault(column(name), []).append(value)
    columns = [("variant", pa.string())]
    columns += [(name, _type(values)) for name, values in settings.items()]
    columns += _FIXED
    columns += _PROGRAMME if PROGRAMME in sweep.measures else ()
    columns += _WARNING if WARNING in sweep.measures or DAY in sweep.measures else ()
    columns += [("fates", pa.list_(pa.string()))] if DAY in sweep.measures else []
    return pa.schema(columns)


def encode(sweep: Sweep, rows: list[dict[str, Any]]) -> bytes:
    """Return a Parquet file with these rows; nothing of the machine is in it."""
    wanted = schema(sweep)
    for field in wanted:
        if pa.types.is_float64(field.type) or pa.types.is_string(field.type):
            kind: type[Any] = float if pa.types.is_float64(field.type) else str
            for row in rows:
                value = row[field.name]
                row[field.name] = None if value is None else kind(value)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=wanted), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def decode(data: bytes) -> pa.Table:
    """Return the rows of a chunk."""
    return pq.read_table(pa.BufferReader(data))


class Store:
    """The folder of one sweep."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self._key = key
        self._chunks: dict[tuple[int, int], Path] = {}
        for path in sorted((folder / CHUNKS).glob("*.parquet")):
            found = _NAME.fullmatch(path.name)
            if found is not None and found[1] == key:
                self._chunks[int(found[2]), int(found[3])] = path

    def missing(self, throws: int, size: int) -> list[tuple[int, int]]:
        """Return (first, end) of chunks of at most `size` throws that are not there yet."""
        there = {n for first, end in self._chunks for n in range(first, end)}
        found: list[tuple[int, int]] = []
        for n in range(throws):
            if n in there:
                continue
            if found and found[-1][1] == n and n - found[-1][0] < size:
                found[-1] = (found[-1][0], n + 1)
            else:
                found.append((n, n + 1))
        return found

    def put(self, first: int, end: int, data: bytes) -> None:
        """Put a chunk in its place, whole.

        Raises
        ------
        OSError
            When it cannot be written; nothing of it is left in place then.
        """
        path = self.folder / CHUNKS / f"{self._key}-{first:07d}-{end:07d}.parquet"
        put_whole(path, data)
        self._chunks[first, end] = path

    def tables(self, throws: int, *, since: int = 0) -> Iterator[tuple[int, pa.Table]]:
        """Yield (throw, rows) from `since` up to `throws`, as far as there is no hole."""
        wanted = since
        for (first, end), path in sorted(self._chunks.items()):
            if first > wanted:
                return
            if end <= wanted:
                continue  # another size of chunks had it already
            table = pq.read_table(path)
            if table.num_rows % (end - first):
                raise OSError(f"{path}: not a whole chunk; delete it and ask again")
            each = table.num_rows // (end - first)
            for n in range(wanted, min(end, throws)):
                yield n, table.slice((n - first) * each, each)
            wanted = end
            if wanted >= throws:
                return

    def gather(self, throws: int, columns: pa.Schema) -> Path:
        """Write all rows of the first `throws` throws into one file and return it."""
        path = self.folder / ROWS
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with pq.ParquetWriter(scratch, columns, compression="zstd") as writer:
                for group in _grouped(table for _, table in self.tables(throws)):
                    writer.write_table(pa.concat_tables(group).combine_chunks())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
        return path


def put_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _grouped(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if len(group) == GROUP_THROWS:
            yield group
            group = []
    if group:
        yield group


def _type(values: list[Value]) -> pa.DataType:
    if all(isinstance(one, bool) for one in values):
        return pa.bool_()
    if all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        return pa.int64()
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    return pa.float64() if numbers else pa.string()
