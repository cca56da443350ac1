"""The smallest word by which a broker knows that its node lives: the idle month of a mobile link.

```
 node ── beat, quality 0, by its alias ─► broker      134 bytes with headers and TCP's word for it
 node ── PINGREQ ─► ◄─ PINGRESP ─────────              204
```
A beat has no answer: that the broker's host is there, TCP says. That the broker itself lives, one
beat in two minutes asks by quality 1 (MQTT 5, 3.3.1.2).
"""

from collections.abc import Callable
from typing import Final

ASK_S: Final = 120.0
"""A beat so long after the last answer asks for one."""


class Beats:
    """When to say that the node lives.

    Parameters
    ----------
    every_s : float
        The longest silence.
    send : callable
        Sends a beat; told whether an answer is wanted.
    now_s : float
        The broker has answered: it let the node in.
    """

    def __init__(self, every_s: float, send: Callable[[bool], None], now_s: float) -> None:
        self._every_s = every_s
        self._send = send
        self._said_s = self._answered_s = now_s
        self._asked_s: float | None = None

    def note_said(self, now_s: float) -> None:
        """Note that something left anyway."""
        self._said_s = now_s

    def note_answer(self, now_s: float) -> None:
        """Note that the broker has answered."""
        self._answered_s = now_s
        self._asked_s = None

    def is_unanswered(self, now_s: float) -> bool:
        """Return whether a beat that wants an answer has none, a whole silence later."""
        return self._asked_s is not None and now_s - self._asked_s >= self._every_s

    def run(self, now_s: float) -> float:
        """Send a beat if nothing was said for so long; return how long to wait for the next."""
        wait_s = self._said_s + self._every_s - now_s
        if wait_s > 0:
            return wait_s
        asks = self._asked_s is None and now_s - self._answered_s >= ASK_S
        if asks:
            self._asked_s = now_s
        self._said_s = now_s
        self._send(asks)
        return self._every_s
