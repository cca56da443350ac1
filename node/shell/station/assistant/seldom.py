"""Why there is no broker, said once and then seldom, and when there is one again.

A broker that lets the bridge in and then refuses it would else fill the journal: two lines an
attempt, an attempt each few seconds, for as long as nobody looks.
"""

from typing import Final

EACH_S: Final = 300.0
"""The same cause is said so often, with how often it was met."""
LINES: Final = (4, 60.0)
"""Causes that differ from the one before are said so many at once, and one more in that time: a
peer writes part of their text."""


class Seldom:
    """What was said last, and what has not been said since. All times are monotonic."""

    def __init__(self) -> None:
        self._said = ""
        self._said_s = 0.0
        self._unsaid = 0
        """Attempts that failed since the last line about one."""
        self._full_s = 0.0
        """When as many lines may be said at once again as ever."""

    def failed(self, why: str, now_s: float) -> str | None:
        """Return the line about an attempt that failed, None where it need not be said."""
        self._unsaid += 1
        if why == self._said and now_s - self._said_s < EACH_S:
            return None
        most, each_s = LINES
        full_s = max(self._full_s, now_s)
        if full_s - now_s > (most - 1) * each_s:
            return None
        count, before_s = self._unsaid, self._said_s
        self._said, self._said_s, self._unsaid = why, now_s, 0
        self._full_s = full_s + each_s
        return why if count == 1 else f"{why} ({count} attempts in {now_s - before_s:.0f} s)"

    def served(self, line: str) -> str | None:
        """Return the line about an attempt that did not fail, None where the last one was it."""
        if self._said == line:
            return None
        self._said = line
        return line
