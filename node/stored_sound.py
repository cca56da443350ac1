"""A stored sound as a stream of its own: Opus packets become RTP at the pace of their time.

So the node has one way of the sound, whatever it plays, with the same arbiter, jitter buffer and
counts. It costs the playout delay once, at the beginning.
"""

from typing import Final

from node.rtp import packet as rtp
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

PACKET_MS: Final = 20
PAYLOAD_TYPE: Final = 96
AHEAD_MAX: Final = 5
"""Packets sent in one go when a deadline comes late; the rest keeps its pace."""

OWN_SSRCS: Final = 0xFFFF0000
"""Numbers from here on are the node's own; a packet from outside never has one."""

_PACKET_NS: Final = PACKET_MS * NS_PER_MS
_PACKET_SAMPLES: Final = RATE_HZ * PACKET_MS // 1000


class StoredSound:
    """One source of stored sounds, part after part."""

    def __init__(self, number: int, playout_delay_ms: int, now_ns: int) -> None:
        self.ssrc = OWN_SSRCS + number % (1 << 16)
        self._rewind_packets = playout_delay_ms // PACKET_MS
        self.address = ("stored", 0)
        self._begin_ns = now_ns
        self._sequence = 0
        self._packets: tuple[bytes, ...] = ()
        self._index = 0
        self._due_ns = now_ns
        self._clear = True
        self._marked = True

    def play(self, packets: tuple[bytes, ...], duration_s: int, now_ns: int) -> None:
        """Play `packets`, at most `duration_s` of them, after what was played before."""
        self._packets = packets[: duration_s * 1000 // PACKET_MS]
        self._index = 0
        self._go_on(now_ns)

    def set_clear(self, now_ns: int, *, clear: bool) -> None:
        """Hold it while another source has the horn; go on with what was under way and unheard."""
        if clear and not self._clear:
            self._index = max(self._index - self._rewind_packets, 0)
            self._go_on(now_ns)
        self._clear = clear

    def handle_deadline(self, now_ns: int) -> list[bytes]:
        """Return the RTP packets that are due."""
        sent: list[bytes] = []
        while not self.ended and self._clear and self._due_ns <= now_ns and len(sent) < AHEAD_MAX:
            elapsed_ns = self._due_ns - self._begin_ns
            sent.append(
                rtp.build(
                    self._packets[self._index],
                    sequence=self._sequence,
                    timestamp=elapsed_ns * RATE_HZ // NS_PER_S // _PACKET_SAMPLES * _PACKET_SAMPLES,
                    ssrc=self.ssrc,
                    payload_type=PAYLOAD_TYPE,
                    marker=self._marked,
                )
            )
            self._marked = False
            self._sequence += 1
            self._index += 1
            self._due_ns += _PACKET_NS
        return sent

    def next_deadline_ns(self) -> int | None:
        """Return when the next packet is due, or None."""
        return None if self.ended or not self._clear else self._due_ns

    @property
    def ended(self) -> bool:
        """Whether nothing is left of this part."""
        return self._index >= len(self._packets)

    def _go_on(self, now_ns: int) -> None:
        """Begin a new talkspurt on the grid of packets, never in the past."""
        if self._due_ns < now_ns:
            steps = -(-(now_ns - self._begin_ns) // _PACKET_NS)
            self._due_ns = self._begin_ns + steps * _PACKET_NS
            self._marked = True
