"""What comes and is not heard, told once in words: why the horn is silent although packets arrive.

Every drop is counted; a count says nothing to who stands under a silent horn. What is dropped for
more than a second for one reason becomes one sentence with its likely cause.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import NodeConfig
from node.counters import Count
from node.events import Note
from node.jitter import state as js
from node.opus import foreign
from node.rtp import packet as rtp
from node.source import state as ss
from node.units import NS_PER_S

_LONG_NS: Final = NS_PER_S
_PACKETS_MIN: Final = 8
_OVER_NS: Final = 2 * NS_PER_S
"""A reason that did not come up for so long has ended, ..."""
_AGAIN_NS: Final = 600 * NS_PER_S
"""... and is said again when it comes up so long after it was said."""

DROPS: Final = {
    ss.NOT_RTP + rtp.TOO_SHORT: Count.DROPPED_TOO_SHORT,
    ss.NOT_RTP + rtp.MALFORMED: Count.DROPPED_MALFORMED,
    ss.OTHER_PAYLOAD: Count.DROPPED_PAYLOAD_TYPE,
    ss.BAD_FRAMING: Count.DROPPED_OPUS_FRAMING,
    ss.TOO_LARGE: Count.DROPPED_TOO_LARGE,
    ss.NO_SOUND: Count.PACKETS_EMPTY,
}
"""What becomes of a datagram that is no packet of a source, by the result of `receive`."""

_REFUSALS: Final = {
    js.LATE: Count.PACKETS_LATE,
    js.EARLY: Count.PACKETS_DISCARDED_EARLY,
    js.DUPLICATE: Count.PACKETS_DUPLICATE,
    js.PROBATION: Count.PACKETS_DISCARDED_PROBATION,
}
"""Reasons of single packets of a source: one that is taken ends them."""

_PLAYABLE: Final = frozenset(_REFUSALS.values())

_READINGS: Final = {
    foreign.PCM: "but PCM or G.711 by its look (PCMU, PCMA)",
    foreign.AMR: "but AMR or AMR-WB",
    foreign.GSM: "but GSM 06.10",
    foreign.AMR | foreign.GSM: "but AMR-WB or GSM 06.10, which look alike here",
    foreign.STREAMS: (
        "or it is multichannel (several Opus streams in a packet, or self-delimited ones: send "
        "mono or stereo)"
    ),
}
"""What it seems to be instead, by the kinds of `foreign.reading`."""
_NO_IDEA: Final = "but another codec, or encrypted"

_CAUSES: Final = {
    Count.DROPPED_TOO_SHORT: "they are no RTP: does something else send to this port?",
    Count.DROPPED_MALFORMED: "they are no RTP: does something else send to this port?",
    Count.DROPPED_PAYLOAD_TYPE: (
        "their payload type {payload_type} is none of [receive] payload_types = {payload_types}; "
        "if they carry Opus, add it there, else let the sender encode Opus"
    ),
    Count.DROPPED_OPUS_FRAMING: (
        "what they carry is not Opus (RFC 6716, section 3.4), {reading}; let the sender encode Opus"
    ),
    Count.DROPPED_SOURCE_LIMIT: (
        "all places for sources are taken; raise [receive] sources_max = {sources_max}, or let "
        "fewer send at once"
    ),
    Count.DROPPED_TOO_LARGE: (
        f"they are larger than {rtp.PACKET_BYTES_MAX} bytes; let the sender use a lower bitrate or "
        "shorter packets"
    ),
    Count.DROPPED_SSRC_COLLISION: (
        "another address sends under the same SSRC; give each sender an SSRC of its own"
    ),
    Count.PACKETS_LATE: (
        "they come after their time; raise [jitter] playout_delay_ms = {playout_delay_ms}, or see "
        "what delays them on the way"
    ),
    Count.PACKETS_DISCARDED_EARLY: "their stamps run ahead of their arrival: the sender's clock?",
    Count.PACKETS_DUPLICATE: "they came before: does the sender repeat its sequence numbers?",
    Count.PACKETS_DISCARDED_PROBATION: (
        "their sequence numbers do not follow each other: two senders under one SSRC?"
    ),
}


@dataclass(slots=True)
class _Spell:
    """One reason that comes up."""

    since_ns: int
    last_ns: int
    packets: int
    said_ns: int | None = None


def wrong_size(size_bytes: int) -> Count:
    """Return why a datagram of that size is no packet."""
    is_short = size_bytes < rtp.HEADER_BYTES
    return Count.DROPPED_TOO_SHORT if is_short else Count.DROPPED_TOO_LARGE


class Unheard:
    """Turns drops into notes; bounded by the number of reasons.

    Parameters
    ----------
    config : NodeConfig
        Of the node; its settings are named in the sentences.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._words = {
            "payload_types": list(config.receive.payload_types),
            "sources_max": config.receive.sources_max,
            "playout_delay_ms": config.jitter.playout_delay_ms,
        }
        self._spells: dict[Count, _Spell] = {}
        self.may_end = False
        """Whether a packet that is taken would end a reason: `accept` is worth its call."""

    def drop(
        self,
        reason: Count,
        source: tuple[str, int],
        now_ns: int,
        header: NDArray[np.int64] | None = None,
        *,
        reading: int = foreign.NO_READING,
    ) -> Note | None:
        """Take one dropped packet; return what is to be said now, or None.

        header   (HEADER_FIELDS,) int64, units by the fields' names
        reading  as what else its stream reads
        """
        if reason not in _CAUSES:
            return None
        spell = self._spells.setdefault(reason, _Spell(now_ns, now_ns, 0))
        if now_ns - spell.last_ns > _OVER_NS:
            spell.since_ns, spell.packets = now_ns, 0
        spell.last_ns = now_ns
        spell.packets += 1
        self.may_end |= reason in _PLAYABLE
        if now_ns - spell.since_ns <= _LONG_NS or spell.packets < _PACKETS_MIN:
            return None
        payload_type = -1 if header is None else int(header[rtp.PAYLOAD_TYPE])
        words = {"payload_type": payload_type, "reading": _words_of(reading)}
        return self._say(reason, source, now_ns, words)

    def doubt(self, source: tuple[str, int], reading: int, now_ns: int) -> Note | None:
        """Take note of a stream that keeps the framing rules and yet does not prove to be Opus."""
        reason = Count.DROPPED_OPUS_FRAMING
        self._spells.setdefault(reason, _Spell(now_ns, now_ns, 0))
        return self._say(reason, source, now_ns, {"reading": _words_of(reading)})

    def _say(
        self, reason: Count, source: tuple[str, int], now_ns: int, words: dict[str, object]
    ) -> Note | None:
        spell = self._spells[reason]
        if spell.said_ns is not None and now_ns - spell.said_ns < _AGAIN_NS:
            return None
        spell.said_ns = now_ns
        cause = _CAUSES[reason].format(**self._words, **words)
        host = f"{source[0]}:{source[1]}"
        return Note(f"packets from {host} come and are not heard: {cause}", now_ns)

    def receive(self, result: int, source: tuple[str, int], now_ns: int) -> Note | None:
        """Take what the jitter buffer made of a packet; return what is to be said now, or None."""
        if result in _REFUSALS:
            return self.drop(_REFUSALS[result], source, now_ns)
        if result >= 0 or result == js.RESTARTED:
            self._accept()
        return None

    def _accept(self) -> None:
        """Take note of a packet that will play."""
        for reason in _PLAYABLE & self._spells.keys():
            self._spells[reason].packets = 0
            self._spells[reason].since_ns = self._spells[reason].last_ns
        self.may_end = False


def _words_of(reading: int) -> str:
    return _READINGS.get(reading & foreign.KINDS, _NO_IDEA)
