"""Lines of status on standard output, which never keep the node waiting for who reads them.

A pipe that nobody empties, or a terminal that somebody stopped, would stop the loop, and with it
every warning. Where too many wait the oldest are dropped; only the end of the process cuts a line.
"""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Final, TextIO

LINES_MAX: Final = 16
"""Wait for who reads."""

_END_S: Final = 1.0
"""At the end so long is waited for the last ones."""


class StatusLines:
    """Lines for who reads standard output."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None]  # made with the thread: its locks take 5 kB
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines for which nobody had made room."""

    def tell(self, line: str) -> None:
        """Write a line when there is room for it; return at once."""
        if self._thread is None:
            self._lines = queue.Queue(LINES_MAX)
            sys.stdout.flush()
            self._thread = threading.Thread(target=self._write, name="status", daemon=True)
            self._thread.start()
        self._put(line.encode() + b"\n")

    def close(self) -> None:
        """Wait a moment for what is still to be written."""
        if self._thread is not None:
            self._put(None)
            self._thread.join(_END_S)

    def _put(self, line: bytes | None) -> None:
        while True:
            with contextlib.suppress(queue.Full):
                self._lines.put_nowait(line)
                return
            with contextlib.suppress(queue.Empty):  # it was written just now
                self._lines.get_nowait()
                self.dropped += 1

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            put = _put_of(sys.stdout)
            while (line := self._lines.get()) is not None:
                put(line)


def _put_of(out: TextIO) -> Callable[[bytes], None]:
    """Return what writes a line whole."""
    try:
        descriptor = out.fileno()
    except (OSError, ValueError):  # it is in memory, and never full
        return lambda line: print(line.decode(), end="", file=out)

    def put(line: bytes) -> None:
        # Not by `out`: whoever waits inside of it holds its lock when the process ends.
        while line:
            line = line[os.write(descriptor, line) :]

    return put
