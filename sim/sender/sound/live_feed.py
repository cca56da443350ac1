"""Live sound that comes in long blocks, such as Ogg pages of 1 s or segments of HLS, evened out.

```
 came    ████████            ████████            ████████          a block, and long nothing
 goes      █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █         a margin later, at its pace
```
Packets go at once (`live_pace` judges them) until two blocks follow each other by as much time as
the first one lasts. From then on they are held for as long as a block needs. Blocks of 2 s and
more are segments of a playlist, found when it is asked for the next time: each a little later than
the one before, until two are found at once. They are held for a whole block more. Time comes in.
"""

from collections import deque
from typing import Final

from node.units import NS_PER_MS, NS_PER_S
from sim.sender.sound.packet_encoder import Encoded

GAP_NS: Final = 200 * NS_PER_MS
"""Nothing for so long ends a block; shorter blocks are no matter for the jitter buffers."""
_FAR_GAP_NS: Final = 60 * NS_PER_MS
"""... but where the network adds to them: an Icecast gives 1,400 bytes at a time, 175 ms of MP3."""

_EVEN_AGAIN_NS: Final = 10 * NS_PER_S
"""No such gap for so long, beyond a block: it comes evenly now."""
_MARGIN_MIN_NS: Final = 100 * NS_PER_MS
_FAR_MARGIN_NS: Final = 500 * NS_PER_MS
"""A packet of TCP that was lost is there again in less."""
_MARGIN_MAX_NS: Final = 2 * NS_PER_S
"""... or a block and a tenth, where that is longer."""
_SEGMENT_NS: Final = 2 * NS_PER_S
"""Blocks as long as this, but for a tenth, are segments: of 2 to 10 s; pages of Ogg have 1 s."""
_BLOCKS_LOOKED_AT: Final = 8
_BLOCKS_TO_LEAVE: Final = 2
"""Regular blocks after which a source that went at once is held; one, if it did not or is far."""
_EXCESS_NS: Final = NS_PER_S
"""More than this, or a block, beyond the margin is a backlog, and left out."""
_HELD_NS: Final = 60 * NS_PER_S
"""More is held of no source; the oldest goes."""
_FOLLOW: Final = 5000
"""The pace moves by 200 ppm at most, to hold the margin against the source's clock."""


class LiveFeed:
    """Take packets as they come, give them when they are to go.

    Parameters
    ----------
    packet_ns : int
        Duration of each packet.
    far : bool
        The source is behind a network, such as a radio station: shorter blocks are held too.
    """

    def __init__(self, packet_ns: int, *, far: bool = False) -> None:
        self._packet_ns = packet_ns
        self._far = far
        self._gap_ns = _FAR_GAP_NS if far else GAP_NS
        self._margin_min_ns = _FAR_MARGIN_NS if far else _MARGIN_MIN_NS
        self._held: deque[Encoded] = deque()
        self._last_ns: int | None = None
        self._begin_ns = 0
        self._media_ns = 0
        self._regular = 0
        self._block_ns = 0
        self._blocks_ns: deque[int] = deque(maxlen=_BLOCKS_LOOKED_AT)
        self._spares_ns: deque[int] = deque(maxlen=_BLOCKS_LOOKED_AT)
        self._margin_ns = self._margin_min_ns
        self._next_ns = 0
        self._is_dry = True
        self.in_blocks = False
        """Whether packets are held for their time."""
        self.went = False
        """Told from outside: a packet went out before there were blocks."""
        self.left = 0
        """Packets left out because they were a backlog."""
        self.dry = 0
        """How often a block came too late."""

    def receive_packet(self, packet: Encoded, now_ns: int) -> None:
        """Take a packet that came at `now_ns`."""
        if self._last_ns is None or now_ns - self._last_ns >= self._gap_ns:
            self._begin_block(now_ns)
        elif self.in_blocks and now_ns - self._begin_ns > _EVEN_AGAIN_NS + 2 * self._media_ns:
            self.in_blocks = False
            self._regular = 0
        self._last_ns = now_ns
        self._media_ns += self._packet_ns
        self._held.append(packet)
        if len(self._held) * self._packet_ns > _HELD_NS:
            self._held.popleft()
            self.left += 1

    def due_ns(self, now_ns: int) -> int | None:
        """Return when the next packet is to go; None when there is none."""
        if not self._held:
            return None
        if not self.in_blocks:
            return now_ns
        return self._next_ns

    def take(self, now_ns: int) -> Encoded:
        """Return the packet that is due at `now_ns`."""
        if self.in_blocks:
            self._next_ns += self._packet_ns + self._correction_ns()
            self._is_dry = len(self._held) == 1
        return self._held.popleft()

    def _begin_block(self, now_ns: int) -> None:
        """Judge the block that ended, and begin another."""
        took_ns = (self._last_ns or now_ns) - self._begin_ns
        lasts_ns = now_ns - self._begin_ns
        is_block = self._media_ns >= self._gap_ns and 2 * took_ns <= self._media_ns
        is_regular = is_block and 5 * abs(lasts_ns - self._media_ns) <= lasts_ns
        self._regular = self._regular + 1 if is_regular else 0
        wanted = _BLOCKS_TO_LEAVE if self.went and not self._far else 1
        self._blocks_ns.append(self._media_ns)
        if self.in_blocks:
            self._go_on(now_ns)
        elif self._regular >= wanted:
            self.in_blocks = True
            self._hold_for(self._media_ns)
            self._held.clear()
            self._restart(now_ns)
        self._begin_ns = now_ns
        self._media_ns = 0

    def _hold_for(self, block_ns: int) -> None:
        """Choose the margin for blocks of a length."""
        self._block_ns = block_ns
        self._margin_ns = max(self._margin_min_ns, block_ns // 10)
        if block_ns >= _SEGMENT_NS - _SEGMENT_NS // 10:
            self._margin_ns += block_ns

    def _go_on(self, now_ns: int) -> None:
        """Note how much was left when the next block came; begin anew where nothing was."""
        if self._is_dry and now_ns > self._next_ns:
            self.dry += 1
            longest_ns = max(_MARGIN_MAX_NS, self._block_ns + self._block_ns // 10)
            self._margin_ns = min(2 * self._margin_ns, longest_ns)
            self._restart(now_ns)
            return
        self._spares_ns.append(self._next_ns + len(self._held) * self._packet_ns - now_ns)
        if 2 * max(self._blocks_ns) <= self._block_ns:
            self._hold_for(max(self._blocks_ns))
        excess_ns = min(self._spares_ns) - self._margin_ns
        is_backlog = excess_ns > max(_EXCESS_NS, self._block_ns)
        if len(self._spares_ns) == _BLOCKS_LOOKED_AT and is_backlog:
            for _ in range(min(excess_ns // self._packet_ns, len(self._held))):
                self._held.popleft()
                self.left += 1
            self._spares_ns.clear()

    def _restart(self, now_ns: int) -> None:
        self._next_ns = now_ns + self._margin_ns
        self._is_dry = False
        self._spares_ns.clear()

    def _correction_ns(self) -> int:
        """Return how much later the next packet goes, so that the margin stays what it is."""
        if len(self._spares_ns) < _BLOCKS_LOOKED_AT:
            return 0
        off_ns = self._margin_ns - min(self._spares_ns)
        bound_ns = self._packet_ns // _FOLLOW
        return max(-bound_ns, min(bound_ns, off_ns // _FOLLOW))
