"""A stored sound as a source of its own: pulled by the sound card, so it waits for no network.

```
 packets of the file ──► fed a little ahead of the position ──► jitter buffer ──► as any source
          ▲                                                          exact time base, no delay
          └── back to the beginning of the sentence, when the horn was lost
```
It begins with the period that asks for it, or at a stated instant. While another source has the
horn it stands still and costs nothing; what it goes on with is the sentence it was cut off in. It
is made once and never forgotten: a warning that comes later finds its place.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node import units
from node.audio.gain import gain_of_db
from node.config import NodeConfig
from node.jitter import kernel as jitter
from node.jitter import state as js
from node.kernel import kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Records
from node.opus.protocol import Decoder
from node.source.playable import Playable
from node.source.state import Source
from node.units import NS_PER_MS, RATE_HZ

PACKET_MS: Final = 20
OWN_SSRCS: Final = 0xFFFF0000
"""Numbers from here on are the node's own; a packet from outside never has one."""

STORED_MAX: Final = 24
"""Sources of stored sounds beside the streams, 16 of calendars and 8 of warnings."""

SENTENCE_MAX_MS: Final = 30_000
"""Music has no sentences: what is cut off longer after the last pause goes on where it was."""

_PACKET_SAMPLES: Final = RATE_HZ * PACKET_MS // 1000
_AHEAD_SAMPLES: Final = 2 * _PACKET_SAMPLES
"""Fed beyond the period: what the resampler looks ahead, and one packet."""

_SLOTS: Final = 16
"""Packets held at once: a period, what is fed ahead, and a stall that skips nothing are 14."""

_JOURNAL_ROWS: Final = 64
"""Of what it played so much is known to who begins to ask."""

_DELAY_MS: Final = 20
"""Least that a configuration may ask for; the packets carry stamps that take it away again."""

_STALL_NS: Final = 100 * NS_PER_MS
"""A card that stood still longer than this skips nothing of a file: it goes on where it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Opus packets of 20 ms each, and where its sentences begin."""

    data: NDArray[np.uint8]
    """(bytes,) uint8, all packets one after another."""

    offsets: NDArray[np.int64]
    """(packets + 1,) int64: packet i is `data[offsets[i]:offsets[i + 1]]`."""

    sentences: tuple[int, ...] = ()
    """Numbers of the packets with which sentences begin, rising; empty when nobody looked."""

    gain: float = 1.0
    """Linear; what the file's header asks for (RFC 7845, 5.1, output gain)."""

    @classmethod
    def of(
        cls,
        packets: tuple[bytes, ...],
        sentences: tuple[int, ...] = (),
        *,
        gain_db: float = 0.0,
    ) -> "Recording":
        """Return the sound of `packets`, none of them empty."""
        data = np.frombuffer(bytearray(b"".join(packets)), np.uint8)
        offsets = np.zeros(len(packets) + 1, np.int64)
        np.cumsum([len(packet) for packet in packets], out=offsets[1:])
        return cls(data, offsets, sentences, gain_of_db(gain_db) if gain_db else 1.0)

    @property
    def packets(self) -> int:
        """How many packets there are."""
        return len(self.offsets) - 1

    def resume_at(self, packet: int) -> int:
        """Return the packet to go on with after `packet` was the first one not heard."""
        if not self.sentences:
            return packet
        found = bisect_right(self.sentences, packet)
        begin = self.sentences[found - 1] if found else 0
        return begin if (packet - begin) * PACKET_MS <= SENTENCE_MAX_MS else packet


class StoredSource(Playable):
    """Play stored sounds, one after another, under one number.

    Parameters
    ----------
    config : NodeConfig
        Of the node.
    ssrc : int
        From `OWN_SSRCS` on.
    decoder : Decoder or None
        None counts only.
    now_ns : int
        Now; presentation times are not before it.
    """

    def __init__(self, config: NodeConfig, ssrc: int, decoder: Decoder | None, now_ns: int) -> None:
        super().__init__(_by_own_time(config), ssrc, decoder, slots=_SLOTS)
        self._origin_ns = now_ns
        self._stamp_ns = now_ns - _DELAY_MS * NS_PER_MS
        self.timebase.receive_packet(0, self._stamp_ns)
        self._state["proven"][0] = 1  # whoever stored it knows what it is
        self._file = Recording.of(())
        self._index = self._first = self._last = 0
        self._begin_ns = now_ns
        self._sequence = 0
        self._is_placed = False
        self._first_media = self._fed_media = self._heard_media = 0
        self._next_ns = 0
        self._is_resumed = False
        self._is_given_up = True
        self._rewound_packets = 0

    def play(self, recording: Recording, duration_s: int, begin_ns: int = 0) -> None:
        """Play `recording`, at most `duration_s` of it, from presentation time `begin_ns` on.

        What is being heard of the sound before it is heard to its end.
        """
        self._file = recording
        self.begin_programme()
        self._index = 0
        self._last = min(recording.packets, duration_s * 1000 // PACKET_MS)
        self._begin_ns = begin_ns
        self._is_placed = self._is_resumed = self._is_given_up = False
        self._go_on()

    def give_up(self) -> None:
        """Play nothing more of it; what sounds now fades."""
        self._is_given_up = True

    def is_due(self, presentation_ns: int, samples: int) -> bool:
        """Return whether there is something to say in this period."""
        ends_ns = presentation_ns + units.samples_to_ns(samples)
        return not (self.finished or self._is_given_up) and ends_ns > self._begin_ns

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, n <= PERIOD_SAMPLES_MAX, from the file."""
        n = out.shape[0]
        if self._playout["running"][0] and presentation_ns - self._next_ns > _STALL_NS:
            self._go_back(self._heard())
        self._feed(presentation_ns, n)
        super().render(out, presentation_ns)
        if self._file.gain != 1.0:
            np.multiply(out, np.float32(self._file.gain), out=out)
        self._next_ns = presentation_ns + units.samples_to_ns(n)
        self._heard_media = self._position(self._next_ns)

    def stop(self) -> None:
        """Lose the horn; what was not heard waits, from the beginning of its sentence."""
        if not self.finished and not self._is_given_up:
            heard = self._heard()
            begin = self._file.resume_at(heard)
            self._rewound_packets += heard - begin
            self._go_back(begin)
        super().stop()

    def take_rewound_ns(self) -> int:
        """Return how much will be heard twice, since the last call."""
        rewound, self._rewound_packets = self._rewound_packets, 0
        return rewound * PACKET_MS * NS_PER_MS

    def status(self) -> dict[str, object]:
        """Return what a person wants to know of this source, JSON-able."""
        return {"ssrc": self.ssrc, "address": "stored:0", **super().status()}

    @property
    def is_at_rest(self) -> bool:
        """Whether it has nothing to say."""
        return self.finished or self._is_given_up

    @property
    def finished(self) -> bool:
        """Whether all of this sound was handed on; its last 40 ms may still be unheard."""
        return self._index >= self._last

    @property
    def left_ns(self) -> int:
        """How much of this sound is still to be handed on."""
        return (self._last - self._index) * PACKET_MS * NS_PER_MS

    @property
    def has_sounded(self) -> bool:
        """Whether it goes on after an interruption, and needs a ramp."""
        return self._is_resumed

    def _position(self, presentation_ns: int) -> int:
        return (self.timebase.position_q16(presentation_ns) + 0x8000) >> 16

    def _heard(self) -> int:
        """Return the first packet that was not heard to its end."""
        if not self._is_placed:
            return self._index
        passed = (self._heard_media - self._first_media) // _PACKET_SAMPLES
        return min(max(self._first + passed, self._first), self._index)

    def _go_back(self, packet: int) -> None:
        self._index = packet
        self._is_placed = False
        self._is_resumed = packet > 0
        self._playout["running"] = 0
        self._playout["planned"] = 0

    def _feed(self, presentation_ns: int, n: int) -> None:
        """Hand on what this period needs."""
        position = self._position(presentation_ns)
        marker = js.EXACT
        if not self._is_placed and not self.finished:
            self._place(max(position, self._position(self._begin_ns)))
            marker = js.MARKER | js.EXACT
        wanted = -(-(position + n + _AHEAD_SAMPLES - self._fed_media) // _PACKET_SAMPLES)
        count = max(min(wanted, self._last - self._index), 0)
        if count:
            source = self._source
            source["packet"][0, 0] = (
                0,
                0,
                self._sequence,
                self._fed_media,
                _PACKET_SAMPLES,
                marker,
                self._stamp_ns,
            )
            offsets = self._file.offsets[self._index : self._index + count + 1]
            _hand_on(self._file.data, offsets, source, self._payloads)
            self._index += count
            self._sequence += count
            self._fed_media += count * _PACKET_SAMPLES
            self.shorten_journal(_JOURNAL_ROWS)
        if self.finished and not self.ended:
            self._end()

    def _place(self, media: int) -> None:
        """Let the next packet be at `media`, or right after what was handed on before."""
        state = self._state
        self._first = self._index
        self._first_media = self._fed_media = max(media, self._fed_media)
        self._is_placed = True
        if self._playout["running"][0]:
            self._first_media = max(self._first_media, int(state["next_media"][0]))
            self._fed_media = self._first_media
        elif state["phase"][0] == js.PLAYING and state["next_media"][0] < self._fed_media:
            self.buffer.seek(self._fed_media)


@kernel("void(uint8[::1], int64[::1], Source[::1], uint8[:, ::1])")
def _hand_on(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    sources: Records[Source],
    payloads: NDArray[np.uint8],
) -> None:
    """Put packets, one less than `offsets`, into a jitter buffer.

    data, offsets  of a `Recording`
    sources        one; its packet says of the first: sequence and media time, unwrapped, flags,
                   and when media time 0 arrives
    payloads       of the jitter buffer
    """
    source = sources[0]
    packet = source.packet[0]
    slots = source.slots[: source.slot_count]
    sequence = packet.sequence
    media = packet.timestamp
    stamp_ns = packet.arrival_ns
    for i in range(offsets.shape[0] - 1):
        at = media + i * _PACKET_SAMPLES
        packet.offset = offsets[i]
        packet.length = offsets[i + 1] - offsets[i]
        packet.sequence = (sequence + i) & 0xFFFF
        packet.timestamp = at
        packet.arrival_ns = stamp_ns + samples_to_ns(at)
        jitter.insert(source.jitter[0], source.steering[0], slots, payloads, data, packet)
        packet.marks &= js.EXACT


def _by_own_time(config: NodeConfig) -> NodeConfig:
    """Return `config` for a source that no network delays: its own delay comes from who starts."""
    by_time = replace(config.jitter, mode="synchronised", playout_delay_ms=_DELAY_MS, delay_ms=0)
    return replace(config, jitter=by_time)
