"""The smallest word by which a broker knows that its node lives: the idle month of a mobile link.

```
 node ── beat, quality 0, by its alias ─► broker      134 bytes with headers and TCP's word for it
 node ── PINGREQ ─► ◄─ PINGRESP ─────────              204
```
A beat has no answer: that the broker's host is there, TCP says. That the broker itself lives, one
beat in two minutes asks by quality 1 (MQTT 5, 3.3.1.2).

```
 0 s          beat, heard of            the host is gone from now on
 7.6          beat
 9.6          `loalang-station watch`: nothing heard for so long: lost
 9.8          node: the host owes its word for 2.2 s: `degraded`, broker
 15.6         TCP gives up: node connects anew
 12 to 18     the broker has looked again and gives up too; 2 s later it tells the last will
```
"""

import asyncio
from collections.abc import Callable
from typing import Final

ASK_S: Final = 120.0
"""A beat so long after the last answer asks for one."""

EARLY: Final = 0.95
"""Share of the keep-alive after which a beat leaves: it has to be there when that is over."""

UNHEARD_S: Final = 2.2
"""The broker's host is doubted when it owes its word for so long: with the keep-alive that is set
by default it is known within 10 s that it is gone."""
_AGAIN_S: Final = 0.5
"""How often a host that is doubted is looked at."""
_NOW_S: Final = 5e-7
"""Less is no time to wait for: it rounds to none, and the loop would turn in place."""
_ROUNDED_S: Final = 0.01
"""A timer may be so early, and the kernel counts in ms."""


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
        if wait_s > _NOW_S:
            return wait_s
        asks = self._asked_s is None and now_s - self._answered_s >= ASK_S
        if asks:
            self._asked_s = now_s
        self._said_s = now_s
        self._send(asks)
        return self._every_s


class Beating:
    """A connection's beats in time, and whether the host at its other end hears them.

    Parameters
    ----------
    loop : AbstractEventLoop
        Of the connection.
    keepalive_s : int
        As the broker was told.
    send : callable
        Sends a beat; told whether an answer is wanted.
    heard_s : callable
        Returns how long ago the host said its last word, in s; None where it has acknowledged
        everything that was sent.
    give_up : callable
        Ends the connection, whose broker does not answer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keepalive_s: int,
        *,
        send: Callable[[bool], None],
        heard_s: Callable[[], float | None],
        give_up: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._beats = Beats(EARLY * keepalive_s, send, loop.time())
        self._heard_s = heard_s
        self._give_up = give_up
        self._timer = loop.call_later(EARLY * keepalive_s, self._beat)
        self._look_timer: asyncio.TimerHandle | None = None
        self._sent_s = 0.0
        """When the first of what may not be acknowledged yet was sent, where a look is due."""
        self._is_doubted = False
        self._has_ended = False
        self.doubted: Callable[[bool], None] = lambda is_doubted: None
        """Told True when the host owes its word for `UNHEARD_S`, False when it has given it."""

    def end(self) -> None:
        """Send no more."""
        self._has_ended = True
        self._timer.cancel()
        if self._look_timer is not None:
            self._look_timer.cancel()

    def note_said(self) -> None:
        """Note that something left anyway."""
        self._beats.note_said(self._loop.time())
        self._look_later()

    def note_answer(self) -> None:
        """Note that the broker has answered."""
        self._beats.note_answer(self._loop.time())

    def _beat(self) -> None:
        """Say that we live, when nothing else did, and see that the broker does."""
        now_s = self._loop.time()
        if self._beats.is_unanswered(now_s):
            self.end()
            self._give_up()
            return
        wait_s = self._beats.run(now_s)  # which may have been the end of the connection
        if not self._has_ended:
            self._timer = self._loop.call_later(wait_s, self._beat)
            self._look_later()

    def _look_later(self) -> None:
        if self._look_timer is None and not self._has_ended:
            self._sent_s = self._loop.time()
            self._look_timer = self._loop.call_later(UNHEARD_S, self._look)

    def _look(self) -> None:
        """See whether the host has acknowledged what was sent a while ago."""
        self._look_timer = None
        heard_s = self._heard_s()
        owed_s = 0.0 if heard_s is None else min(heard_s, self._loop.time() - self._sent_s)
        is_doubted = owed_s >= UNHEARD_S - _ROUNDED_S
        if is_doubted != self._is_doubted:
            self._is_doubted = is_doubted
            self.doubted(is_doubted)
        if heard_s is not None and not self._has_ended:
            wait_s = _AGAIN_S if is_doubted else UNHEARD_S - owed_s
            self._look_timer = self._loop.call_later(wait_s, self._look)
