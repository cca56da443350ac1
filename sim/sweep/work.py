"""What a worker does: the throws of one chunk, as the bytes of a Parquet file."""

from typing import Final

from sim.sweep.store import encode
from sim.sweep.sweep import Sweep, code_hash
from sim.sweep.throw import rows_of

ATTEMPTS_MAX: Final = 3
"""So often a chunk is begun whose worker dies."""


class WorkerError(RuntimeError):
    """A sweep cannot go on: what is wrong with its workers, and what helps."""


def chunk(sweep: Sweep, code: str, first: int, end: int) -> bytes:
    """Return the rows of throws `first` to before `end`.

    Raises
    ------
    WorkerError
        When the code here is not the code that asks: its figures would be others.
    """
    if code_hash() != code:
        raise WorkerError("a worker runs another version of this software: install the same one")
    return encode(sweep, [row for n in range(first, end) for row in rows_of(sweep, n)])
