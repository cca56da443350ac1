"""Sinks without a sound card: they ask for sound at the pace of one, by an absolute schedule."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.shell.card.wav import WavWriter
from node.shell.clocks import now_ns
from node.shell.faults import ShellError
from node.units import NS_PER_S, samples_to_ns

Render = Callable[[NDArray[np.float32], int], None]
"""Fill (n, channels) float32 with the sound whose first sample leaves at this instant in ns."""

_WRITTEN_PERIODS: Final = 10
"""So many are written to a file at once: with cold caches that costs as much as one alone."""

_LATE_MAX_NS: Final = NS_PER_S
"""A machine that slept longer than this takes up the schedule at the present, as a card would."""


class Sink(Protocol):
    """Where sound goes. It calls `render` on a thread of its own from `start` to `close`."""

    def start(self, render: Render) -> None:
        """Begin to ask for sound."""

    def close(self) -> None:
        """Stop within 2 s, finish the file, and raise the `ShellError` that had stopped the sound.

        A sink whose library does not return raises one that says so (`hangs`).
        """

    def fault(self) -> ShellError | None:
        """Return what stopped the sound for good, or None while it runs."""

    def missing(self) -> str | None:
        """Return why it asks for no sound now, though it will again by itself, or None."""

    def opening(self) -> bool:
        """Return whether it has not found out yet whether it can ask for sound."""


def within(limit_s: float, what: Callable[[], None], *, name: str) -> bool:
    """Run `what` on a thread of its own; return whether it ended in time, and raise its failure.

    Sound libraries wait for ever for a server that died, and no signal reaches them there.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            what()
        except Exception as fault:  # raised again below, where somebody can see it
            failures.append(fault)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failures:
        raise failures[0]
    return not thread.is_alive()


class PacedSink:
    """Ask for a period of sound each period of time; write it to `wav` or drop it.

    Parameters
    ----------
    channels : int
        Of the sound.
    period_samples : int
        Asked for at a time.
    wav : Path or None
        File to write; None drops the sound.
    """

    def __init__(self, *, channels: int, period_samples: int, wav: Path | None = None) -> None:
        count = 1 if wav is None else _WRITTEN_PERIODS
        self._out = np.zeros((count * period_samples, channels), np.float32)
        self._periods = np.split(self._out, count)
        self._wav = None if wav is None else WavWriter(wav, channels=channels)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: ShellError | None = None
        self.slept = 0
        """How often the schedule was left because the machine had slept."""

    def start(self, render: Render) -> None:
        """Begin to ask for sound, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, args=(render,), name="sink", daemon=True)
        self._thread.start()

    def fault(self) -> ShellError | None:
        """Return what stopped the sound (a full disk), or None while it runs."""
        if self._fault is None and self._thread is not None and not self._thread.is_alive():
            return ShellError("the audio thread ended; the lines above say why")
        return self._fault

    def missing(self) -> str | None:
        """Return None: time is always there."""

    def opening(self) -> bool:
        """Return False."""
        return False

    def close(self) -> None:
        """Stop and finish the file."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._wav is not None:
            if self._fault is None:
                self._wav.close()
            else:
                self._wav.abandon()
        if self._fault is not None:
            raise self._fault

    def _run(self, render: Render) -> None:
        periods = self._periods
        samples, last = periods[0].shape[0], len(periods) - 1
        begin_ns = now_ns()
        played, number = 0, 0
        try:
            while not self._ended.is_set():
                due_ns = begin_ns + samples_to_ns(played)
                wait_ns = due_ns - now_ns()
                if wait_ns > 0:
                    time.sleep(wait_ns / NS_PER_S)
                elif wait_ns < -_LATE_MAX_NS:
                    self.slept += 1
                    begin_ns, played = now_ns(), 0
                    continue
                # What is asked for now leaves one period later, as from a card's own buffer.
                render(periods[number], due_ns + samples_to_ns(samples))
                played += samples
                if number < last:
                    number += 1
                    continue
                number = 0
                if self._wav is not None:
                    self._wav.write(self._out)
            if self._wav is not None and number > 0:
                self._wav.write(self._out[: number * samples])
        except ShellError as fault:
            self._fault = fault
