"""RTP of another sender, GStreamer or ffmpeg, as a stream of our own: numbers go on, time is known.

```
 its sequence numbers, its media time ──► ours, by two offsets      lost stays lost, late stays late
 its fastest packets ───────────────────► when media time was, for the reports that nodes follow
```
A sender that begins anew, or jumps, is taken up where ours is then. Time comes in.
"""

from typing import Final

import numpy as np

from node.opus.packet import packet_samples
from node.rtp import packet as rtp
from node.units import NS_PER_MS, NS_PER_S, ns_to_samples, samples_to_ns
from sim.sender.stream import LiveSender

_LOOKED_AT_NS: Final = 4 * NS_PER_S
_FIRST_NS: Final = NS_PER_S
"""Until then the fastest packet sets the time at once."""
_FOLLOW_NS: Final = _LOOKED_AT_NS // 5000
"""Later it moves by 200 ppm at most, as a crystal does."""
_JUMP_NS: Final = 500 * NS_PER_MS
"""A packet so far from where its media time should be begins a new map."""
_NUMBERS_MAX: Final = 3000
"""A sequence number so far from the last one does too (RFC 3550, A.1: MAX_DROPOUT)."""


class RelayedSender(LiveSender):
    """Renumber and restamp the packets of whoever sends, and report about them as their sender.

    `next_packet` takes datagrams, looked at by `is_sound` before.
    """

    def __init__(self, *, ssrc: int, payload_type: int, sequence: int, timestamp: int) -> None:
        super().__init__(
            ssrc=ssrc, payload_type=payload_type, packet_samples=960, sequence=sequence,
            timestamp=timestamp, live=True,
        )  # fmt: skip
        self._header = np.zeros(rtp.HEADER_FIELDS, np.int64)
        self._source: int | None = None
        self._sequence_offset = self._media_offset = 0
        self._newest = 0
        self._begun_ns = self._window_ns = 0
        self._fastest_ns: int | None = None

    def begin(self, now_ns: int, lead_ns: int) -> None:
        """Do nothing: media time begins with the first packet."""

    def takes(self, now_ns: int) -> bool:
        """Return that all packets go out: what comes is as live as its sender made it."""
        return True

    def next_packet(self, payload: bytes, now_ns: int) -> bytes:
        """Return our packet for the datagram `payload`, which came at `now_ns`."""
        array = np.frombuffer(bytearray(payload), np.uint8)
        rtp.parse(array, self._header)
        header = self._header
        begin = int(header[rtp.PAYLOAD_OFFSET])
        sound = payload[begin : begin + int(header[rtp.PAYLOAD_BYTES])]
        marker = bool(header[rtp.MARKER])
        if self._is_new(now_ns):
            self._rebase(now_ns)
            marker = True
        sequence = self._newest + _signed(
            int(header[rtp.SEQUENCE]) + self._sequence_offset - self._newest, 16
        )
        media = self._media + _signed(
            int(header[rtp.TIMESTAMP]) + self._media_offset - self._media, 32
        )
        self._newest = max(self._newest, sequence)
        self._media = max(self._media, media)
        self._note_time(media, now_ns)
        self.packets += 1
        self.payload_bytes += len(sound)
        return rtp.build(
            sound, sequence=sequence, timestamp=media, ssrc=self.ssrc,
            payload_type=self._payload_type, marker=marker,
        )  # fmt: skip

    def _is_new(self, now_ns: int) -> bool:
        """Return whether the packet in the header follows on none before it."""
        header = self._header
        if self._anchor_ns is None or int(header[rtp.SSRC]) != self._source:
            return True
        ahead = int(header[rtp.SEQUENCE]) + self._sequence_offset - self._newest
        media = _signed(int(header[rtp.TIMESTAMP]) + self._media_offset - self._media, 32)
        late_ns = self._late_ns(self._anchor_ns, now_ns) - samples_to_ns(media)
        return abs(_signed(ahead, 16)) > _NUMBERS_MAX or abs(late_ns) > _JUMP_NS

    def _rebase(self, now_ns: int) -> None:
        header = self._header
        if self._anchor_ns is None:
            self._anchor_ns = now_ns
            self._newest = self._sequence - 1
        else:
            self.jumps += 1
            self._media += max(ns_to_samples(self._late_ns(self._anchor_ns, now_ns)), 0)
        self._source = int(header[rtp.SSRC])
        self._sequence_offset = self._newest + 1 - int(header[rtp.SEQUENCE])
        self._media_offset = self._media - int(header[rtp.TIMESTAMP])
        self._begun_ns = self._window_ns = now_ns
        self._fastest_ns = None

    def _note_time(self, media: int, now_ns: int) -> None:
        """Let media time be what the fastest packets of the last seconds say."""
        assert self._anchor_ns is not None, "set with the first packet"
        late_ns = now_ns - self._anchor_ns - samples_to_ns(media - self._anchor_media)
        if now_ns - self._begun_ns < _FIRST_NS:
            self._anchor_ns += min(late_ns, 0)
            return
        self._fastest_ns = late_ns if self._fastest_ns is None else min(self._fastest_ns, late_ns)
        if now_ns - self._window_ns >= _LOOKED_AT_NS:
            self._anchor_ns += max(-_FOLLOW_NS, min(_FOLLOW_NS, self._fastest_ns))
            self._window_ns, self._fastest_ns = now_ns, None


def is_sound(data: bytes) -> bool:
    """Return whether `data` is an RTP packet whose payload can be Opus. Never raises."""
    header = np.zeros(rtp.HEADER_FIELDS, np.int64)
    array = np.frombuffer(bytearray(data), np.uint8)
    if rtp.parse(array, header) != rtp.RTP or header[rtp.PAYLOAD_TYPE] < 96:
        return False
    begin, count = int(header[rtp.PAYLOAD_OFFSET]), int(header[rtp.PAYLOAD_BYTES])
    return count > 0 and packet_samples(array, begin, count) > 0


def _signed(value: int, bits: int) -> int:
    """Return `value` modulo 2^bits, nearest to 0."""
    half = 1 << bits - 1
    return (value + half) % (1 << bits) - half
