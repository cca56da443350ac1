"""Workers of one machine: processes begun anew, each with one chunk at a time.

A worker that dies costs its chunk, which another one begins anew, and nothing else: each has a pipe
of its own, so that none can take a lock or a queue with it. They are interpreters of their own, not
forks: threads and locks of libraries do not survive a fork.
"""

import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Protocol

from sim.sweep.sweep import Sweep, code_hash
from sim.sweep.work import ATTEMPTS_MAX, WorkerError, chunk

Span = tuple[int, int]


class Pool(Protocol):
    """Whoever does the work: processes of this machine, or a cluster."""

    def run(self, sweep: Sweep, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """Yield each chunk as it is done, in any order. Closing it ends the work."""


class InPlace:
    """No worker at all: this process does it, one chunk after the other."""

    def run(self, sweep: Sweep, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """Yield the chunks in their order."""
        code = code_hash()
        for span in spans:
            yield span, chunk(sweep, code, *span)


class Processes:
    """So many processes of this machine.

    Parameters
    ----------
    workers : int
        1 or more.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, sweep: Sweep, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """Yield each chunk as it is done.

        Raises
        ------
        WorkerError
            When a chunk ends its worker again and again.
        Exception
            What a worker raised.
        """
        course = _Course(sweep, spans)
        try:
            for _ in range(min(self._workers, len(spans))):
                course.hire()
            while course.busy:
                yield from course.results()
        finally:
            course.dismiss()


class _Course:
    """Who works at what."""

    def __init__(self, sweep: Sweep, spans: Sequence[Span]) -> None:
        self._sweep = sweep
        self._waiting = deque(spans)
        self._attempts = dict.fromkeys(spans, 0)
        self.busy: dict[Connection, tuple[subprocess.Popen[bytes], Span]] = {}

    def hire(self) -> None:
        """Begin a worker and give it a chunk, where one waits."""
        if not self._waiting:
            return
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from sim.sweep.pool import work; work({number})"],
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        pipe = Connection(ours.detach())
        self._give(pipe, process)

    def results(self) -> Iterator[tuple[Span, bytes]]:
        """Wait for the next chunks, give those who made them others, and yield them."""
        for pipe in wait(list(self.busy)):
            assert isinstance(pipe, Connection)
            process, span = self.busy.pop(pipe)
            try:
                told = pipe.recv()
            except (EOFError, OSError):
                self._bury(pipe, process, span)
                continue
            if isinstance(told, Exception):
                self._end(pipe, process)
                raise told
            if self._waiting:
                self._give(pipe, process)
            else:
                self._end(pipe, process)
            yield span, told

    def dismiss(self) -> None:
        """End all workers, whatever they are at."""
        for pipe, (process, _) in self.busy.items():
            process.terminate()
            self._end(pipe, process)
        self.busy.clear()

    def _give(self, pipe: Connection, process: subprocess.Popen[bytes]) -> None:
        span = self._waiting.popleft()
        self._attempts[span] += 1
        self.busy[pipe] = (process, span)
        try:
            pipe.send((self._sweep, code_hash(), span))
        except OSError:  # it has died meanwhile: `results` finds the pipe closed
            return

    def _bury(self, pipe: Connection, process: subprocess.Popen[bytes], span: Span) -> None:
        self._end(pipe, process)
        if self._attempts[span] >= ATTEMPTS_MAX:
            raise WorkerError(
                f"throws {span[0]} to {span[1] - 1} ended {ATTEMPTS_MAX} workers "
                f"(the last with status {process.returncode}); is there memory enough?"
            )
        self._waiting.appendleft(span)
        self.hire()

    @staticmethod
    def _end(pipe: Connection, process: subprocess.Popen[bytes]) -> None:
        pipe.close()
        process.wait()


def work(number: int) -> None:
    """Do the chunks that come through an open file until its other end closes."""
    pipe = Connection(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked decides when it ends
    try:
        while True:
            sweep, code, span = pipe.recv()
            try:
                told: object = chunk(sweep, code, *span)
            except Exception as fault:  # told to who asked, where it is raised
                told = fault
            pipe.send(told)
    except (EOFError, OSError):
        return
