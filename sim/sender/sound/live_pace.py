"""Whether live sound comes at its source's own pace, or out of a pipe that had filled meanwhile.

A pipe holds what came while nobody read: a third of a second of WAV, seconds of MP3. Whoever sends
that too is late by it until he ends. It shows by coming faster than it lasts. Sources also write in
blocks, and readers are stopped by their machine, so single packets say nothing: looked at is how
far the source was at each packet of the last quarter of a second. Time comes in.
"""

from collections import deque
from typing import Final

from node.units import NS_PER_MS

_WINDOW_NS: Final = 240 * NS_PER_MS
"""Over so long a source must not have been faster than time: two rounds of the pattern of 120 ms
that blocks of 24 ms (MPEG-1 layer II and III at 48 kHz) and packets of 20 ms make. Decoding and
encoding what a pipe held takes less than a tenth of its duration: no backlog passes for that."""

_EVEN_NS: Final = 30 * NS_PER_MS
"""... to within such a block."""

_BLOCK_NS: Final = 200 * NS_PER_MS
"""Blocks of a source may be so long (ALSA's recorder writes 125 ms). More is no block."""


class LivePace:
    """Take the packets of a live source, or leave those that are a backlog.

    At the start nothing is taken before the pace is known, so that nodes hear no packet ahead of
    its time. Later everything is, until the source has run ahead for good: it stalled, and gave
    what it had at once.

    Parameters
    ----------
    packet_ns : int
        Duration of each packet.
    """

    def __init__(self, packet_ns: int) -> None:
        self._packet_ns = packet_ns
        self._given_ns = 0
        self._window: deque[tuple[int, int]] = deque()  # when a packet came, and how far ahead
        self._known = False
        self._behind = False
        self.left = 0
        """Packets not taken."""
        self.moved = False
        """The packet taken last follows on no other: the schedule is to be set anew."""
        self.early_ns = 0
        """How much earlier than the packet looked at last those of its window came, the median."""

    def takes(self, early_ns: int, now_ns: int) -> bool:
        """Return whether the packet that comes at `now_ns`, so early by the schedule, is to go."""
        stood_still = self._known and not self._behind and early_ns < -_BLOCK_NS
        if stood_still:
            self._window.clear()
        ahead_ns = self._given_ns - now_ns
        is_full = self._remember(ahead_ns, now_ns)
        self._given_ns += self._packet_ns
        others_ns = [one - ahead_ns for _, one in self._window]
        self.early_ns = sorted(others_ns)[len(others_ns) // 2]
        is_even = is_full and min(others_ns) >= -_EVEN_NS
        self.moved = self._behind or not self._known
        if not self._known:
            self._known = is_even and early_ns <= 0  # the sender may be told to wait
        elif self._behind:
            self._behind = not is_even or early_ns > 0
        elif early_ns > _BLOCK_NS or (is_full and early_ns + min(others_ns) > _EVEN_NS):
            self._behind = True
        else:
            paused = is_full and early_ns + max(others_ns) < -_EVEN_NS
            self.moved |= stood_still or paused
        taken = self._known and not self._behind
        self.left += not taken
        return taken

    def _remember(self, ahead_ns: int, now_ns: int) -> bool:
        """Remember how far the source is; return whether the window is full."""
        window = self._window
        window.append((now_ns, ahead_ns))
        while len(window) > 1 and now_ns - window[1][0] >= _WINDOW_NS:
            window.popleft()
        return now_ns - window[0][0] >= _WINDOW_NS
