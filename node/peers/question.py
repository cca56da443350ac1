"""What a node says of a source with each question: what came of it, what it needs, what it made up.

The share lost and the share made up are those since the question before.
"""

from typing import Final

from msgspec import Struct

from node.clock.timebase import Timebase
from node.counters import ORIGINS, Origin
from node.rtp import rtcp
from node.rtp.delay_report import need_words
from node.rtp.exchange_packets import Block, Need, QuestionLayout
from node.rtp.loss_report import loss_words
from node.units import NS_PER_S

# Numbers and no members of an enumeration, which as bounds of a slice are slow.
_REDUNDANT: Final = int(Origin.REDUNDANT)
_CONCEALED: Final = int(Origin.CONCEALED)
_PAUSED: Final = int(Origin.PAUSED)
_LOST_MAX: Final = 1 << 23
_WORD: Final = 0xFFFFFFFF


class Reception(Struct, frozen=True):
    """What a receiver report says of the source, as the jitter buffer counted it."""

    extended_sequence: int
    packets_lost: int
    jitter_samples: int
    origin_samples: tuple[int, ...] = (0,) * ORIGINS
    """What was played, by `counters.Origin`."""


class Heard(Struct, frozen=True):
    """What was heard of the source's sender."""

    last_sr: int
    """Middle 32 bits of its last report's time, 0 before the first."""
    at_ns: int
    """When that came."""


class Questions:
    """Writes a node's questions to one source, one after the other.

    Parameters
    ----------
    source_ssrc : int
        Of the source.
    layout : QuestionLayout
        Of the node's questions.
    late_ratio : float
        Share of packets that may be late, for the delay that the node says it needs.
    """

    def __init__(self, source_ssrc: int, layout: QuestionLayout, *, late_ratio: float) -> None:
        self._source_ssrc = source_ssrc
        self._layout = layout
        self._late_ratio = late_ratio
        self.begin_anew()

    def begin_anew(self) -> None:
        """Count from zero: the source begins or has ended."""
        self._sequence_before = self._lost_before = 0
        self._played_before = (0, 0, 0)

    def next(
        self,
        reception: Reception,
        timebase: Timebase | None,
        heard: Heard,
        now_ns: int,
        *,
        asked_ns: int,
    ) -> bytes:
        """Return the question that carries the time `asked_ns`, and leaves now.

        Without a time base nothing was heard of the source, and no delay is asked for.
        """
        loss = self._loss(reception.origin_samples)
        need = None if timebase is None else self._need(timebase, now_ns)
        block = self._block(reception, heard, now_ns)
        return self._layout.question(block, rtcp.ntp_of_ns(asked_ns), need, loss)

    def _block(self, reception: Reception, heard: Heard, now_ns: int) -> Block:
        """Return the report block about the source (RFC 3550, A.3)."""
        sequence, packets_lost = reception.extended_sequence, reception.packets_lost
        share = 0
        if self._sequence_before > 0 and (expected := sequence - self._sequence_before) > 0:
            share = min(255, max(0, (packets_lost - self._lost_before) * 256 // expected))
        self._sequence_before, self._lost_before = sequence, packets_lost
        since_ns = now_ns - heard.at_ns if heard.last_sr else 0
        told_lost = min(max(packets_lost, -_LOST_MAX), _LOST_MAX - 1)
        return (
            self._source_ssrc,
            share << 24 | told_lost & 0xFFFFFF,
            sequence & _WORD,
            reception.jitter_samples & _WORD,
            heard.last_sr,
            min(_WORD, (since_ns << 16) // NS_PER_S) & _WORD,
        )

    def _loss(self, origin_samples: tuple[int, ...]) -> tuple[int, int]:
        """Return what became of the sound since the question before."""
        whole = sum(origin_samples[:_PAUSED])
        made_up = sum(origin_samples[_CONCEALED:_PAUSED])
        repaired = sum(origin_samples[_REDUNDANT:_CONCEALED])
        before, self._played_before = self._played_before, (whole, made_up, repaired)
        since = max(1, whole - before[0])
        return loss_words((made_up - before[1]) / since, (repaired - before[2]) / since)

    def _need(self, timebase: Timebase, now_ns: int) -> Need:
        return need_words(
            timebase.needed_delay_ns(self._late_ratio),
            timebase.playout_delay_ns,
            timebase.uncertainty_ns(now_ns) if timebase.mapped else None,
            timebase.skew_ppm,
        )
