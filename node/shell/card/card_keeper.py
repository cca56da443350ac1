"""A sound card that may be missing: opened beside the loop, waited for, and tried again when lost.

```
 start ─► opening ─► sounds ─► lost ─► 1, 2, 4 … 30 s, or a device comes ─► opening
             └────────┴─ its library hangs ─► fault: only a fresh process helps
```
The broker, orders and all else that is not sound go on meanwhile.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.shell.card.sinks import Render
from node.shell.clocks import now_ns
from node.shell.faults import ShellError
from node.units import NS_PER_S

LOG: Final = logging.getLogger("loalang")

WAITS_S: Final = (1.0, 30.0)
"""First and longest wait before the card is tried again: each is twice the one before."""

DEVICES: Final = Path("/dev/snd")
"""What appears here is tried at once."""

_LOOK_S: Final = 0.5
_SETTLE_S: Final = 0.3
"""From a device's appearance to the time when it can be opened (udev sets its group)."""
_STEADY_NS: Final = 10 * NS_PER_S
"""Who sounded so long was no flicker: the waits begin anew."""
_CLOSE_S: Final = 2.0
_OPENING: Final = "the card does not open"
_OPENING_NS: Final = 5 * NS_PER_S
"""A sound server that starts by itself takes a second or two; a fault is told within ten."""


class Card(Protocol):
    """What is kept: `node.shell.sound_card.SoundCard`."""

    underruns: int
    missed_samples: int

    @property
    def jumps(self) -> int:
        """How often its time stamps jumped."""

    @property
    def card_skew_ppm(self) -> float:
        """Its crystal against ours."""

    @property
    def real_time(self) -> bool:
        """Whether its thread goes before others."""

    def start(self, render: Render) -> None:
        """Begin to ask for sound."""

    def fault(self) -> ShellError | None:
        """Return what stopped the sound."""

    def close(self) -> None:
        """Stop."""


class CardKeeper:
    """A sink (`node.shell.sinks.Sink`) that sounds as long as there is a card.

    Parameters
    ----------
    make : callable
        Opens the card; told whether the library is to look for cards anew.
    devices : Path
        Folder in which a device that is plugged in appears.
    """

    def __init__(self, make: Callable[[bool], Card], *, devices: Path = DEVICES) -> None:
        self._make = make
        self._devices = devices
        self._render: Render | None = None
        self._card: Card | None = None
        self._why: str | None = _OPENING
        self._hang: ShellError | None = None
        self._ended = threading.Event()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest: Card | None = None
        """Its figures stay when it is lost."""
        self._past = (0, 0, 0)
        self._begin_ns = now_ns()
        self.losses = 0
        """How often the card was lost while it sounded."""

    def start(self, render: Render) -> None:
        """Begin to look for the card, on a thread of its own."""
        self._render = render
        self._begin_ns = now_ns()
        self._thread = threading.Thread(target=self._run, name="card", daemon=True)
        self._thread.start()

    def opening(self) -> bool:
        """Return whether the first attempt is under way, and may still succeed."""
        return self._why is _OPENING and now_ns() - self._begin_ns < _OPENING_NS

    def missing(self) -> str | None:
        """Return why nothing sounds now, or None while the card asks for sound."""
        card = self._card
        lost = None if card is None else card.fault()
        if lost is not None:
            self._card, self._why = None, str(lost)
            self.losses += 1
            self._news.set()
        return self._why

    def fault(self) -> ShellError | None:
        """Return what no further attempt can mend: the card's library hangs."""
        return self._hang

    def close(self) -> None:
        """Stop; raise `ShellError` when the card's library does not return."""
        self._ended.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
            if self._thread.is_alive() and self._hang is None:
                self._hang = ShellError("the sound card's library does not return", hangs=True)
        if self._hang is not None:
            raise self._hang

    @property
    def underruns(self) -> int:
        """Periods that the cards had to play without us, all together."""
        return self._past[0] + (0 if self._latest is None else self._latest.underruns)

    @property
    def missed_samples(self) -> int:
        """Samples that the cards had to play without us, all together, at the least."""
        return self._past[2] + (0 if self._latest is None else self._latest.missed_samples)

    @property
    def jumps(self) -> int:
        """How often the cards' time stamps jumped, all together."""
        return self._past[1] + (0 if self._latest is None else self._latest.jumps)

    @property
    def card_skew_ppm(self) -> float:
        """The card's crystal against the node's clock, positive is fast."""
        return 0.0 if self._latest is None else self._latest.card_skew_ppm

    @property
    def real_time(self) -> bool:
        """Whether the thread that feeds the card goes before others, which else can stop it."""
        return self._latest is not None and self._latest.real_time

    def _run(self) -> None:
        wait_s, again = WAITS_S[0], False
        while not self._ended.is_set():
            seen = self._seen()
            began_ns = now_ns()
            try:
                self._sound_once(again)
            except ShellError as fault:
                self._why = str(fault)
                if fault.hangs:
                    self._hang = fault
                    return
            again = True
            if now_ns() - began_ns > _STEADY_NS:
                wait_s = WAITS_S[0]
            self._wait(wait_s, seen)
            wait_s = min(2 * wait_s, WAITS_S[1])

    def _sound_once(self, again: bool) -> None:
        """Open the card and let it sound until it is lost, or until the end."""
        card = self._make(again)
        past = self.underruns, self.jumps, self.missed_samples
        self._past, self._latest = past, card
        try:
            self._news.clear()
            card.start(self._fill)
            self._card, self._why = card, None
            while not self._ended.is_set() and self._card is not None:
                self._news.wait()
                self._news.clear()
        finally:
            self._card = None
            card.close()

    def _fill(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Hand a period on; a card that was given up gets silence."""
        if self._render is None or self._why is not None:
            out.fill(0.0)
        else:
            self._render(out, presentation_ns)

    def _wait(self, wait_s: float, seen: int) -> None:
        """Wait for the next attempt; a device that comes or goes ends the wait."""
        until_ns = now_ns() + int(wait_s * NS_PER_S)
        while now_ns() < until_ns and not self._ended.wait(_LOOK_S):
            if self._seen() != seen:
                self._ended.wait(_SETTLE_S)
                return

    def _seen(self) -> int:
        """Return when a device came or went last; 0 where there is no such folder."""
        try:
            return self._devices.stat().st_mtime_ns
        except OSError:
            return 0
