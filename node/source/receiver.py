"""A source that the network brings: packets in, reports and questions out."""

from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from node.clock.neighbour_map import SourceMap
from node.config import NodeConfig
from node.jitter import state as js
from node.jitter.repair import Repair
from node.kernel.bound import bound
from node.kernel.record import inner
from node.opus.protocol import Decoder
from node.peers.credit import NEVER_NS
from node.peers.question import Reception
from node.peers.sender import NodeReports, new_reports
from node.rtp import packet as rtp
from node.rtp.retransmission import is_announced
from node.rtp.rtcp_packet import Goodbye, Packet
from node.source import entry
from node.source import state as ss
from node.source.playable import Playable
from node.source.repairs import Repairs
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, samples_to_ns

SPELL_NS: Final = 450 * NS_PER_MS
"""A sender that says nothing for longer has stopped: one with DTX says something every 400 ms."""

FORGET_NS: Final = 10 * NS_PER_S
"""A source silent for so long gives its place to others."""

JITTERS: Final = 4
"""Interarrival jitters (RFC 3550, 6.4.1) that a round trip may be longer than the fastest one."""


class Receiver(Playable):
    """Everything the node holds for one SSRC.

    Parameters
    ----------
    config : NodeConfig
        Of the node.
    ssrc : int
        Of the source, 32 bits.
    address : (str, int)
        Where its packets come from; others may not speak for it.
    decoder : Decoder or None
        None counts only: everything is decided and booked, nothing decoded (for the simulator).
    now_ns : int
        Arrival of its first packet.
    reports : NodeReports or None
        What is known of its sender already; `begin_sound` then hands it on.
    """

    # Of more than 30 attributes each object has a table of names of its own, of 1.3 kB.
    __slots__ = (
        "_accepted_before_ns", "_answers_type", "_asks", "_ceased_ns", "_header",
        "_highest_sequence", "_jitter_q4", "_lost", "_may_ask", "_receive", "_redundancy_type",
        "_repairs", "address", "begun_ns", "last_arrival_ns", "reports", "resumed_ns",
    )  # fmt: skip

    def __init__(
        self,
        config: NodeConfig,
        ssrc: int,
        address: tuple[str, int],
        decoder: Decoder | None,
        *,
        now_ns: int,
        reports: NodeReports | None = None,
    ) -> None:
        super().__init__(config, ssrc, decoder)
        self.address = address
        self.begun_ns = self.last_arrival_ns = now_ns
        self.resumed_ns = now_ns  # the first packet since it was silent for `SPELL_NS`
        self._ceased_ns = now_ns  # the last one before that, of speech
        self._accepted_before_ns = 0
        self.reports = reports or new_reports(config, ssrc, now_ns)
        types = self._source["payload_types"][0]
        types[list(config.receive.payload_types)] = ss.CARRIES_OPUS
        types[config.receive.redundancy_payload_type] = ss.CARRIES_REPAIRS
        types[config.receive.retransmission_payload_type] = ss.CARRIES_REPAIRS
        self._repairs = Repairs(
            crc32(config.name.encode()), ssrc, self.buffer, inner(self._source, "repair", Repair)
        )
        self._header: NDArray[np.int64] = self._source["header"][0]
        self._receive = bound(entry.receive, self._source, self._payloads)
        # A field of an array of records is looked up by name each time: told each question.
        self._highest_sequence: NDArray[np.int64] = self._state["highest_sequence"]
        self._lost: NDArray[np.int64] = self._state["lost"]
        self._jitter_q4: NDArray[np.int64] = self._state["jitter_q4"]
        self._may_ask = config.receive.asks_for_lost
        self._asks = False
        self._answers_type = config.receive.retransmission_payload_type
        self._redundancy_type = config.receive.redundancy_payload_type

    def receive(self, data: NDArray[np.uint8], now_ns: int) -> int:
        """Take a datagram; see `playback.receive` for the result.

        data  (bytes,) uint8
        """
        self.note_word(now_ns)
        assert data.strides == (1,), "bytes without gaps, which the kernel does not look for"
        result: int = self._receive(data, now_ns)
        if result > ss.OTHER_SOURCE:
            self.reports.credit.earn(len(data))
        if result == ss.OTHER_PAYLOAD and self._has_copies():
            result = self._repairs.receive_redundant(data, self._header, now_ns)
            if result >= 0 or result in (js.LATE, js.EARLY):
                media = self._repairs.own_media_samples
                self.timebase.receive_packet(media, now_ns, is_late=result == js.LATE)
        if self.ended and (result >= 0 or result == js.RESTARTED):
            self._go_on()
        if self._asks and result >= 0:
            self._repairs.watch(now_ns)
        if result == js.RESTARTED:
            self._follow_restart(now_ns)
        return result

    def note_word(self, now_ns: int) -> None:
        """Note that something comes from where it speaks, maybe after a silence."""
        if now_ns - self.last_arrival_ns > SPELL_NS:
            self._ceased_ns = self._last_word_ns
            self.resumed_ns = now_ns
            self._accepted_before_ns = self.buffer.accepted_ns

    def note_received(self, arrival_ns: int, size_bytes: int, *, begins_anew: bool) -> None:
        """Note datagrams that were taken by the kernels alone, the last of them at `arrival_ns`."""
        self.last_arrival_ns = arrival_ns
        self.reports.credit.earn(size_bytes)
        if begins_anew:
            self._follow_restart(arrival_ns)

    @property
    def came_at_once(self) -> bool:
        """Whether all that came of it came in less than half of the time that it lasts."""
        came_ns = self.last_arrival_ns - self.begun_ns
        return 2 * came_ns < self.buffer.accepted_ns

    @property
    def is_plain(self) -> bool:
        """Whether a packet is `playback.receive` and a period `playback.advance`, and no more."""
        return not self._is_adaptive and not self.ended and self._leveller is None

    @property
    def asks(self) -> bool:
        """Whether it asks for what is lost."""
        return self._asks

    def receive_reports(self, packets: tuple[Packet, ...], now_ns: int) -> None:
        """Take a compound of the sender's: its clock, its answers, its goodbye."""
        for one in packets:
            if isinstance(one, Goodbye) and self.ssrc in one.ssrcs:
                self._end()
        if self._may_ask and not self._asks:
            self._asks = is_announced(packets, self.ssrc, self._answers_type)
        newest = int(self._state["highest_media"][0])
        self.reports.receive(
            packets, self.timebase, newest, now_ns,
            is_hushed=self._is_hushed, stamps_behind_samples=self.buffer.stamps_behind_samples,
            stamps_wrong=bool(self._state["stamps_wrong"][0]),
        )  # fmt: skip
        self.buffer.hold(self.timebase.longest_delay_ms)
        if not self._playout["running"][0]:
            self.timebase.finish_slews(now_ns)

    def receive_neighbour(self, told: SourceMap, link_ns: int, now_ns: int) -> None:
        """Take a neighbour's map, in own time, of which 32 bits of the media time are known."""
        behind = self.buffer.stamps_behind_samples
        told = told.near(int(self._state["highest_media"][0]) - behind, then_samples=behind)
        hushed = self._is_hushed
        self.reports.receive_neighbour(told, link_ns, self.timebase, now_ns, is_hushed=hushed)
        if not self._playout["running"][0]:
            self.timebase.finish_slews(now_ns)

    def begin_sound(self, now_ns: int) -> None:
        """Make use of what was known of the sender before its first packet."""
        self.reports.begin_sound(self.timebase, now_ns)
        self.buffer.hold(self.timebase.longest_delay_ms)

    def request_report(self, now_ns: int) -> bytes | None:
        """Return the report to send to the source now, or None."""
        if not self.reports.may_ask(now_ns):
            return None
        self.reports.handle_deadline(now_ns)
        reception = Reception(
            max(0, int(self._highest_sequence[0])),
            int(self._lost[0]),
            int(self._jitter_q4[0]) >> 4,
            tuple(self._origin_samples.tolist()),
        )
        return self.reports.next_compound(reception, self.timebase, now_ns)

    def receive_again(
        self,
        data: NDArray[np.uint8],
        header: NDArray[np.int64],
        source: tuple[str, int],
        now_ns: int,
    ) -> bool:
        """Take an RFC 4588 packet, its header parsed; return whether it is of this source.

        data    (bytes,) uint8
        header  (HEADER_FIELDS,) int64, units by the fields' names
        """
        # An answer has an SSRC of its own, but comes from where the source does.
        if source != self.address:
            return False
        self._repairs.receive_retransmission(data, header, now_ns)
        return True

    def request_repair(self, now_ns: int) -> bytes | None:
        """Return the question for lost packets to send to the source now, or None.

        Nobody is asked who has not announced answers, nor before the exchange has told how long
        one takes.
        """
        uncertainty_ns = self.reports.exchange.uncertainty_ns(now_ns) if self._asks else None
        if uncertainty_ns is None:
            self._repairs.wait(now_ns)
            return None
        if self._is_adaptive:
            ahead = int(self._playout["filled"][0] - self._source["stretching"]["begin"][0, 0])
            position = int(self._state["next_media"][0]) - ahead
        else:
            position = self.timebase.position_q16(now_ns) >> 16
        # The exchange knows the fastest round trip; an answer may meet the jitter of both ways.
        jitter_ns = samples_to_ns(int(self._jitter_q4[0]) >> 4)
        round_trip_ns = 2 * uncertainty_ns + JITTERS * jitter_ns
        asked = self._repairs.request(now_ns, position, round_trip_ns)
        return asked if asked is not None and self.reports.credit.pay(asked, now_ns) else None

    @property
    def is_missing(self) -> bool:
        """Whether packets are missing that may be asked for: `next_deadline_ns` may be near."""
        return self._repairs.is_missing

    def next_deadline_ns(self) -> int:
        """Return when a report is due next, or the source is to be forgotten."""
        due = self.reports.next_deadline_ns()
        forgotten_ns = self.last_arrival_ns + FORGET_NS
        return due if due < forgotten_ns else forgotten_ns

    def next_request_ns(self) -> int:
        """Return when a question for what is missing is due next; NEVER_NS for never."""
        question = self._repairs.next_deadline_ns() if self._asks else None
        return NEVER_NS if question is None else question

    def is_due(self, presentation_ns: int, samples: int) -> bool:
        """Return whether sound of this source, not playing now, begins in this period.

        Packets whose time has passed are thrown away, so that a source that waits for the horn
        is always at its live edge.
        """
        if self._is_adaptive:
            return bool(entry.is_due_adaptive(self._source, presentation_ns, samples))
        return bool(entry.is_due(self._source, presentation_ns, samples))

    def has_given_way(self, newcomer: Playable, presentation_ns: int) -> bool:
        """Return whether its sender has begun `newcomer` since, and so given this source up.

        From the same socket at once; from another one on the same host when it has been silent
        for longer than a sender that only pauses.
        """
        if not isinstance(newcomer, Receiver) or self.address[0] != newcomer.address[0]:
            return False
        if self.buffer.is_held:
            return False
        if presentation_ns - self.last_arrival_ns > SPELL_NS:
            has_begun = newcomer.resumed_ns > self._last_word_ns - SPELL_NS  # or as it ended
        else:
            is_same = self.address == newcomer.address
            has_begun = is_same and newcomer.resumed_ns > self.last_arrival_ns
        return has_begun and self.last_sound_ns <= presentation_ns

    @property
    def _last_word_ns(self) -> int:
        """When it spoke last: what comes after a silence is speech once it went on for a second.

        At its pace, or it is what the way held or repeats, of before the silence.
        """
        went_on_ns = self.last_arrival_ns - self.resumed_ns
        lasts_ns = self.buffer.accepted_ns - self._accepted_before_ns
        is_speech = went_on_ns >= NS_PER_S and lasts_ns <= 2 * went_on_ns <= 4 * lasts_ns
        return self.last_arrival_ns if is_speech else self._ceased_ns

    def status(self) -> dict[str, object]:
        """Return what a person wants to know of this source, JSON-able."""
        return {
            "ssrc": self.ssrc,
            "address": f"{self.address[0]}:{self.address[1]}",
            **super().status(),
            "asks_for_lost": self._asks,
            "jitter_ms": round(int(self._state["jitter_q4"][0]) / 16 * 1000 / RATE_HZ, 3),
            "needed_delay_ms": self.reports.needed_delay_ns(self.timebase) / NS_PER_MS,
            **self.reports.status(self.last_arrival_ns),
        }

    @property
    def _is_hushed(self) -> bool:
        return bool(not self._playout["running"][0] or self._state["concealed_run"][0] > 0)

    @property
    def has_sounded(self) -> bool:
        """Whether any of its sound was ever played."""
        return self.last_sound_ns >= 0

    def _has_copies(self) -> bool:
        is_own = int(self._header[rtp.SSRC]) == self.ssrc
        return is_own and int(self._header[rtp.PAYLOAD_TYPE]) == self._redundancy_type

    def _follow_restart(self, now_ns: int) -> None:
        """Begin the time base anew: a new sender's clock has nothing to do with the old one's."""
        self.timebase.reset()
        self.reports.reports.clear()
        self.timebase.receive_packet(int(self._state["unwrapped_media"][0]), now_ns)
