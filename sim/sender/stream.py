"""A real sender without its socket and clock: RTP packets of Opus payloads, and when each is due.

The media clock follows the schedule of sending: the RTP timestamp of a packet stands for the
instant at which it is due. Time comes in, as everywhere in the core, as `now_ns`.
"""

from collections.abc import Sequence
from typing import Final

from node.rtp import packet as rtp
from node.rtp import rtcp
from node.rtp.rtcp_packet import Goodbye, Packet, SenderReport, SourceDescription
from node.units import NS_PER_MS, ns_to_samples, samples_to_ns
from sim.sender.sound.live_pace import LivePace

CNAME: Final = b"loalang-send"
"""Canonical name (RFC 3550, 6.5.1); it says nothing of the machine or its user."""

SEQUENCE_BITS: Final = 15
"""Of the first sequence number: a node that comes later counts its wraps from the packet that it
hears first, and has to look for those before (RFC 3711, 3.3.1); other receivers cannot."""

_BACKLOG_MAX_NS: Final = 200 * NS_PER_MS
"""Later than this against the schedule, the media clock jumps to the present (a pause to the
receiver): a live announcement must never be late for the rest of the day."""

_STRAYS_NS: Final = 10 * NS_PER_MS
"""Live: so far the packets may stray from the schedule, on average, before it moves. Blocks and a
busy machine make them, and nodes take a schedule that moves for a clock that is off."""
_MEAN_OF: Final = 64
_FOLLOW: Final = 2048
"""Beyond that it follows the microphone's clock, by this part of the rest per packet: 4 ms behind
one that is 100 ppm off."""


class LiveSender:
    """Number and stamp the packets of one source, and say when each is due.

    Parameters
    ----------
    ssrc : int
        Synchronisation source (32 bits).
    payload_type : int
        RTP payload type, 0 to 127.
    packet_samples : int
        Duration of each packet.
    sequence, timestamp : int
        Of the first packet; RFC 3550 wants them random.
    live : bool
        The sound comes at its own pace, and packets are due when they are there.
    """

    def __init__(
        self,
        *,
        ssrc: int,
        payload_type: int,
        packet_samples: int,
        sequence: int = 0,
        timestamp: int = 0,
        live: bool = False,
    ) -> None:
        self.ssrc = ssrc
        self._payload_type = payload_type
        self._packet_samples = packet_samples
        self._sequence = sequence
        self._media = timestamp
        self._live = live
        self.even = True
        """Of a live source: packets come at its own pace, not held and given in time."""
        self._pace = LivePace(samples_to_ns(packet_samples))
        self._anchor_ns: int | None = None
        self._anchor_media = timestamp
        self._strayed_ns = 0
        self._first_media = timestamp
        self._marker = True
        self.packets = 0
        self.payload_bytes = 0
        self.jumps = 0
        """How often the schedule was left behind and the media clock jumped to the present."""

    def begin(self, now_ns: int, lead_ns: int) -> None:
        """Let the media clock run from `now_ns` on; the first packet is due `lead_ns` later.

        Without it the clock starts with the first packet.
        """
        self._anchor_ns = now_ns
        self._media += ns_to_samples(lead_ns)
        self._first_media = self._media

    @property
    def live(self) -> bool:
        """Whether the sound comes at its own pace."""
        return self._live

    @property
    def begun(self) -> bool:
        """Whether the media clock runs, so that there is something to report."""
        return self._anchor_ns is not None

    def due_ns(self, now_ns: int) -> int:
        """Return when the next packet is due; the first one is due at once."""
        if self._anchor_ns is None:
            if self._live:
                return now_ns
            self._anchor_ns = now_ns
        due = self._anchor_ns + samples_to_ns(self._media - self._anchor_media)
        return min(due, now_ns) if self._live else due

    def takes(self, now_ns: int) -> bool:
        """Return whether the packet that is due goes out; a live source's backlog does not."""
        if not (self._live and self.even):
            return True
        early_ns = 0 if self._anchor_ns is None else -self._late_ns(self._anchor_ns, now_ns)
        return self._pace.takes(early_ns, now_ns)

    @property
    def left(self) -> int:
        """Packets of a live source that were a backlog and did not go out."""
        return self._pace.left

    def next_packet(self, payload: bytes, now_ns: int) -> bytes:
        """Return the RTP packet around `payload`, sent at `now_ns`."""
        self._follow(now_ns)
        packet = rtp.build(
            payload,
            sequence=self._sequence,
            timestamp=self._media,
            ssrc=self.ssrc,
            payload_type=self._payload_type,
            marker=self._marker,
        )
        self._marker = False
        self._sequence += 1
        self._media += self._packet_samples
        self.packets += 1
        self.payload_bytes += len(payload)
        return packet

    @property
    def packet_samples(self) -> int:
        """Duration of each packet."""
        return self._packet_samples

    @property
    def media_samples(self) -> int:
        """Samples from the first packet to the end of the last, pauses included."""
        return self._media - self._first_media

    def media_time_samples(self, now_ns: int) -> int:
        """Return the media time that stands for `now_ns` (what a sender report carries)."""
        assert self._anchor_ns is not None, "asked before the first packet was due"
        return self._anchor_media + ns_to_samples(now_ns - self._anchor_ns)

    def report(self, now_ns: int) -> SenderReport:
        """Return what maps the media time to the sender's monotonic clock."""
        return SenderReport(
            ssrc=self.ssrc,
            ntp=rtcp.ntp_of_ns(now_ns),
            rtp_timestamp=self.media_time_samples(now_ns) & 0xFFFFFFFF,
            packets=self.packets & 0xFFFFFFFF,
            payload_bytes=self.payload_bytes & 0xFFFFFFFF,
        )

    def compound(self, now_ns: int, *, ended: bool = False, more: Sequence[Packet] = ()) -> bytes:
        """Return the RTCP compound that is due each second, or the last one, with a goodbye.

        `more` are packets that it also carries: the announcement of the group's playout delay.
        """
        packets: list[Packet] = [self.report(now_ns), SourceDescription(self.ssrc, CNAME), *more]
        if ended:
            packets.append(Goodbye((self.ssrc,)))
        return rtcp.build(packets)

    def _follow(self, now_ns: int) -> None:
        """Jump over a backlog; let a live schedule drift with the clock of the microphone."""
        early_ns = self._pace.early_ns if self.even else 0
        if self._anchor_ns is None:
            self._anchor_ns = now_ns - early_ns
        late_ns = self._late_ns(self._anchor_ns, now_ns)
        judged = self._live and self.even
        moved = self._pace.moved if judged else late_ns > _BACKLOG_MAX_NS
        if moved and late_ns > early_ns:
            self._media += ns_to_samples(late_ns - early_ns)
            self._strayed_ns = 0
            if self.packets == 0:  # so late the sound itself began
                self._first_media = self._media
                return
            self._marker = True
            self.jumps += 1
        elif self._live:
            self._strayed_ns += (late_ns - self._strayed_ns) // _MEAN_OF
            beyond_ns = max(abs(self._strayed_ns) - _STRAYS_NS, 0) // _FOLLOW
            self._anchor_ns += beyond_ns if self._strayed_ns > 0 else -beyond_ns

    def _late_ns(self, anchor_ns: int, now_ns: int) -> int:
        return now_ns - anchor_ns - samples_to_ns(self._media - self._anchor_media)
