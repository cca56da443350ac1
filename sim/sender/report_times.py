"""When a sender reports to whom: each second, and ever more rarely to joined nodes while it rests.

A report tells a node that the way is good and where the sender's clock is. While nothing sounds for
hours it costs a mobile link 300 MB a month at one a second; nodes that joined keep their path open
themselves, and hear of the sound by its packets.

```
 last packet │ 60 s: each second │ 2 s │ 4 s │ 8 s │ … 128 s, 128 s
```
The step is never more than twice the one before: who heard the last ones knows how long to wait.
"""

from typing import Final

from node.units import NS_PER_S
from sim.sender.outlet import Address

REPORT_NS: Final = NS_PER_S
"""Between two reports of a sender that sounds, or did a moment ago."""
REST_AFTER_NS: Final = 60 * NS_PER_S
"""After the last packet, or after a node joined."""
REST_REPORT_NS: Final = 128 * NS_PER_S


class ReportTimes:
    """Which destinations a report is due to."""

    def __init__(self) -> None:
        self._awake_ns: dict[Address, int] = {}
        self._wait_ns: dict[Address, int] = {}
        self._next_ns: dict[Address, int] = {}
        self._sounded_ns = -REST_AFTER_NS

    def add(self, destination: Address, now_ns: int) -> None:
        """Let a joined node have reports that become rare when nothing sounds."""
        self._awake_ns[destination] = now_ns

    def drop(self, destination: Address) -> None:
        """Forget it."""
        for kept in (self._awake_ns, self._wait_ns, self._next_ns):
            kept.pop(destination, None)

    def note_sound(self, now_ns: int) -> None:
        """Note that a packet was sent."""
        self._sounded_ns = now_ns
        self._wait_ns.clear()
        self._next_ns.clear()

    def is_due(self, destination: Address, now_ns: int) -> bool:
        """Return whether this second's report goes there; asked once in each."""
        since_ns = self._awake_ns.get(destination)
        if since_ns is None or now_ns - max(since_ns, self._sounded_ns) < REST_AFTER_NS:
            return True
        if now_ns < self._next_ns.get(destination, 0):
            return False
        wait_ns = min(2 * self._wait_ns.get(destination, REPORT_NS), REST_REPORT_NS)
        self._wait_ns[destination] = wait_ns
        # A report's own tick may come a little early: it counts as this one.
        self._next_ns[destination] = now_ns + wait_ns - REPORT_NS // 2
        return True
