"""Workers of many machines, over dask.distributed: the same call as for processes of one.

The scheduler and its workers are started beside this (docs/sweeps.md). Chunks come back as bytes
and are written by who asked: workers need no common disk. A worker that dies costs its chunk.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from sim.sweep.pool import Span
from sim.sweep.sweep import Sweep, code_hash
from sim.sweep.work import WorkerError, chunk

_CONNECT_S: Final = 30
_AHEAD: Final = 3
"""Chunks per thread of the cluster that are handed out at a time."""


class Cluster:
    """A dask scheduler and whoever works for it.

    Parameters
    ----------
    address : str
        Of the scheduler, as `tcp://10.0.0.1:8786`.

    Raises
    ------
    WorkerError
        When nobody answers there.
    """

    def __init__(self, address: str) -> None:
        try:
            self._client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as fault:
            raise WorkerError(f"no dask scheduler answers at {address}: {fault}") from fault

    def run(self, sweep: Sweep, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """Yield each chunk as it is done, in any order."""
        client, code = self._client, code_hash()
        try:
            rest = iter(spans)
            ahead = _AHEAD * max(1, sum(client.nthreads().values()))
            asked: dict[str, Span] = {}

            def ask(span: Span) -> Future:
                # The sweep goes with each: what is scattered dies with the worker that holds it.
                future = client.submit(chunk, sweep, code, *span, pure=False)
                asked[future.key] = span
                return future

            first = [ask(one) for one in islice(rest, ahead)]
            results = as_completed(first, loop=client.loop)
            for future in results:
                try:
                    data = future.result()
                except KilledWorker as fault:
                    raise WorkerError(
                        f"a chunk ended its workers again and again: {fault}"
                    ) from fault
                for one in islice(rest, 1):
                    results.add(ask(one))
                yield asked.pop(future.key), data
        finally:
            client.close()
