"""Standard output of a command: when it takes no more, a line says so and the status is 1.

A full disk shows with the last bytes, long after the command did its work, and at the end of the
interpreter it would be a traceback. Who reads from a pipe and has read enough is told nothing.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from node.shell.faults import EXIT_FAULT, file_fault


class _OutputError(OSError):
    """Standard output took no more."""


class _Told:
    """A stream whose faults are known for its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None
        """The first: argparse lets those of its help pass."""

    def write(self, text: str) -> int:
        """Write `text`."""
        try:
            return self._stream.write(text)
        except OSError as fault:
            self.fault = self.fault or fault
            raise _OutputError(*fault.args) from fault

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError as fault:
            self.fault = self.fault or fault
            raise _OutputError(*fault.args) from fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def with_output(program: str, work: Callable[[], int]) -> int:
    """Return the status of `work`, or 1 where standard output took no more of what it said."""
    stream = sys.stdout
    if stream is None:  # closed before we began: nobody wants to know
        return work()
    told: Any = _Told(stream)
    sys.stdout = told
    try:
        try:
            return work()
        finally:
            told.flush()
            if told.fault is not None:
                raise _OutputError(*told.fault.args) from told.fault
    except _OutputError as fault:
        if not isinstance(fault.__cause__, BrokenPipeError):
            print(f"{program}: {file_fault('standard output', fault)}", file=sys.stderr)
        # What is left of it must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return EXIT_FAULT
    finally:
        sys.stdout = stream
