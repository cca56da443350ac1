"""One source: packets in, sound out, at the instant that its time base names."""

from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from node.audio import resampler
from node.audio.levelling import Leveller
from node.clock import servo
from node.clock.line import position_q16
from node.clock.neighbour_map import SourceMap
from node.clock.timebase import Timebase
from node.config import NodeConfig
from node.counters import Count, Origin
from node.jitter import state as js
from node.jitter.buffer import COUNTED, JitterBuffer
from node.opus.protocol import Decoder
from node.peers.sender import NodeReports, Reception, new_reports
from node.rtp import packet as rtp
from node.rtp.retransmission import is_announced
from node.rtp.rtcp_packet import Goodbye, Packet
from node.source import playback, playback_adaptive
from node.source import state as ss
from node.source.batch import PACKET, Batch, replay
from node.source.chunk_sound import ChunkSound
from node.source.repairs import Repairs
from node.units import NS_PER_MS, NS_PER_S, PACKET_SAMPLES_MAX, RATE_HZ, SAMPLES_PER_MS

SPELL_NS: Final = 450 * NS_PER_MS
"""A sender that says nothing for longer has stopped: one with DTX says something every 400 ms."""

FORGET_NS: Final = 10 * NS_PER_S
"""A source silent for so long gives its place to others."""

_JITTERS: Final = 4
"""Interarrival jitters (RFC 3550, 6.4.1) that a round trip may be longer than the fastest one."""


class Receiver:
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

    def __init__(
        self,
        config: NodeConfig,
        ssrc: int,
        address: tuple[str, int],
        decoder: Decoder | None,
        now_ns: int,
        reports: NodeReports | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.address = address
        self.last_arrival_ns = now_ns
        self.resumed_ns = now_ns  # the first packet since it was silent for `SPELL_NS`
        self.reports = reports or new_reports(config, ssrc, now_ns)
        self.timebase = Timebase(
            config.jitter.playout_delay_ms * NS_PER_MS,
            own_delay_ns=config.jitter.delay_ms * NS_PER_MS,
        )
        self._payload_types = np.zeros(128, np.int64)
        self._payload_types[list(config.receive.payload_types)] = 1
        self.buffer = JitterBuffer(config.jitter)
        self._state = self.buffer.state
        self._repairs = Repairs(crc32(config.name.encode()), ssrc, self.buffer)
        self._may_ask = config.receive.asks_for_lost
        self._asks = False
        self._answers_type = config.receive.retransmission_payload_type
        self._redundancy_type = config.receive.redundancy_payload_type
        self._conceal_max_samples = int(self._state[js.CONCEAL_MAX])
        self._slots = self.buffer.slots
        self._payloads = self.buffer.payloads
        self._floats = self.timebase.floats
        self._ints = self.timebase.ints
        self._points = self.timebase.points
        self._estimate = self.timebase.scratch
        self._own = np.zeros(ss.RECEIVER_STATE, np.int64)
        self._own[ss.COUNT_ONLY] = decoder is None
        self._own[ss.LAST_SOUND_NS] = -1
        self._is_adaptive = config.jitter.mode == "adaptive"
        self._steer = np.zeros(playback_adaptive.STEER_STATE, np.int64)
        playback_adaptive.reset_steering(self._own, self._steer)
        self._fifo = np.zeros((ss.FIFO_SAMPLES, config.audio.channels), np.float32)
        self._resampler = resampler.new_state()
        self._servo = servo.new_state()
        self._journal = np.zeros((ss.JOURNAL_ROWS, ss.JOURNAL_FIELDS), np.int64)
        self._journal_taken = 0
        self._scratch = np.zeros((PACKET_SAMPLES_MAX, config.audio.channels), np.float32)
        self._sound = ChunkSound(decoder, self.buffer, self._own, self._fifo) if decoder else None
        self.ended = False
        self.place = 0
        target_lufs = config.audio.target_lufs
        self._leveller = (
            Leveller(config.audio.channels, target_lufs=target_lufs)
            if target_lufs is not None and decoder is not None
            else None
        )

    def receive(self, data: NDArray[np.uint8], header: NDArray[np.int64], now_ns: int) -> int:
        """Take a datagram; see `playback.receive` for the result."""
        if now_ns - self.last_arrival_ns > SPELL_NS:
            self.resumed_ns = now_ns
        result = playback.receive(
            data, header, self.ssrc, self._payload_types,
            self._state, self._slots, self._payloads,
            self._ints, self._floats, self._points, self._estimate, now_ns,
        )  # fmt: skip
        if result == ss.OTHER_PAYLOAD and self._has_copies(header):
            result = self._repairs.receive_redundant(data, header, now_ns)
            if result >= 0 or result in (js.LATE, js.EARLY):
                media = self._repairs.own_media_samples
                self.timebase.receive_packet(media, now_ns, is_late=result == js.LATE)
        if self.ended and (result >= 0 or result == js.RESTARTED):
            self.ended = False
            self._state[js.CONCEAL_MAX] = self._conceal_max_samples
        if self._asks and result >= 0:
            self._repairs.watch(now_ns)
        if result == js.RESTARTED:
            self._follow_restart(now_ns)
        return result

    def replay(
        self,
        batch: Batch,
        header: NDArray[np.int64],
        until_ns: int,
        latency_ns: int,
        refresh_ns: int,
    ) -> int:
        """Run a batch as far as it is plain, counting only; return how many datagrams it took."""
        # The loop of a batch plays by the group's time.
        if self._is_adaptive or self.ended or self.address != batch.source:
            return 0
        first = int(batch.progress[PACKET])
        result = replay(
            batch.data, batch.offsets, batch.now_ns, batch.before, batch.presentation_ns,
            batch.progress, latency_ns, until_ns, refresh_ns,
            header, self.ssrc, self._payload_types,
            self._own, self._state, self._slots, self._payloads, self._fifo, self._resampler,
            resampler.TABLE, self._ints, self._floats, self._points, self._estimate, self._servo,
            self._journal, self._scratch[: batch.period_samples],
            batch.lead_ns, int(self._asks), *self._repairs.arrays,
        )  # fmt: skip
        last = int(batch.progress[PACKET])
        if last > first:
            self.last_arrival_ns = int(batch.now_ns[last - 1])
        if result == js.RESTARTED:
            self._follow_restart(self.last_arrival_ns)
        return last - first

    def receive_reports(self, packets: tuple[Packet, ...], now_ns: int) -> None:
        """Take a compound of the sender's: its clock, its answers, its goodbye."""
        if any(isinstance(one, Goodbye) and self.ssrc in one.ssrcs for one in packets):
            self._end()
        if self._may_ask and not self._asks:
            self._asks = is_announced(packets, self.ssrc, self._answers_type)
        newest = int(self._state[js.HIGHEST_MEDIA])
        self.reports.receive(
            packets, self.timebase, newest, now_ns,
            is_hushed=self._is_hushed, stamps_behind_samples=self.buffer.stamps_behind_samples,
        )  # fmt: skip
        self.buffer.hold(self.timebase.longest_delay_ms)
        if not self._own[ss.RUNNING]:
            self.timebase.finish_slews(now_ns)

    def receive_neighbour(self, told: SourceMap, link_ns: int, now_ns: int) -> None:
        """Take a neighbour's map, in own time, of which 32 bits of the media time are known."""
        behind = self.buffer.stamps_behind_samples
        told = told.near(int(self._state[js.HIGHEST_MEDIA]) - behind, then_samples=behind)
        hushed = self._is_hushed
        self.reports.receive_neighbour(told, link_ns, self.timebase, now_ns, is_hushed=hushed)
        if not self._own[ss.RUNNING]:
            self.timebase.finish_slews(now_ns)

    def begin_sound(self, now_ns: int) -> None:
        """Make use of what was known of the sender before its first packet."""
        self.reports.begin_sound(self.timebase, now_ns)
        self.buffer.hold(self.timebase.longest_delay_ms)

    def request_report(self, now_ns: int) -> bytes | None:
        """Return the report to send to the source now, or None."""
        self.reports.handle_deadline(now_ns)
        reception = Reception(
            extended_sequence=max(0, int(self._state[js.HIGHEST_SEQUENCE])),
            packets_lost=int(self._state[js.C_LOST]),
            jitter_samples=int(self._state[js.JITTER_Q4]) >> 4,
            origin_samples=tuple(self.origin_samples.tolist()),
        )
        return self.reports.next_compound(reception, self.timebase, now_ns)

    def receive_again(
        self,
        data: NDArray[np.uint8],
        header: NDArray[np.int64],
        source: tuple[str, int],
        now_ns: int,
    ) -> bool:
        """Take an RFC 4588 packet, its header parsed; return whether it is of this source."""
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
        estimate = self.reports.exchange.estimate(now_ns) if self._asks else None
        if estimate is None:
            self._repairs.wait(now_ns)
            return None
        if self._is_adaptive:
            ahead = int(self._own[ss.FILLED] - self._steer[playback_adaptive.BEGIN])
            position = int(self._state[js.NEXT_MEDIA]) - ahead
        else:
            position = position_q16(self._ints, self._floats, now_ns) >> 16
        # The exchange knows the fastest round trip; an answer may meet the jitter of both ways.
        jitter_ns = (int(self._state[js.JITTER_Q4]) >> 4) * NS_PER_S // RATE_HZ
        round_trip_ns = 2 * int(estimate.uncertainty_ns) + _JITTERS * jitter_ns
        return self._repairs.request(now_ns, position, round_trip_ns)

    @property
    def is_missing(self) -> bool:
        """Whether packets are missing that may be asked for: `next_deadline_ns` may be near."""
        return self._repairs.is_missing

    def next_deadline_ns(self, *, replayed: bool = False) -> int:
        """Return when a report or a question is due next, or the source is to be forgotten.

        Questions are left out when they are `replayed`: `replay` watches for those itself.
        """
        due = min(self.last_arrival_ns + FORGET_NS, self.reports.next_deadline_ns())
        if not self._asks or replayed:
            return due
        question = self._repairs.next_deadline_ns()
        return due if question is None else min(due, question)

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, n <= PERIOD_SAMPLES_MAX, from this source."""
        while True:
            action = self._advance(out, presentation_ns)
            if action == ss.DONE:
                if not self.buffer.is_proven:
                    out[:] = 0.0
                elif self._leveller is not None:
                    self._leveller.process(out)
                return
            assert self._sound is not None, "count-only receivers decode nothing"
            self._sound.decode(action)
            if self._is_adaptive:
                playback_adaptive.finish(self._own, self._steer, self._state, self._fifo, action)

    def begin_programme(self) -> None:
        """Measure loudness anew from here on: what comes has nothing to do with what was."""
        if self._leveller is not None:
            self._leveller.begin()

    def is_due(self, presentation_ns: int, samples: int) -> bool:
        """Return whether sound of this source, not playing now, begins in this period.

        Packets whose time has passed are thrown away, so that a source that waits for the horn
        is always at its live edge.
        """
        if self._is_adaptive:
            return bool(
                playback_adaptive.is_due(
                    self._steer, self._state, self._slots, presentation_ns, samples
                )
            )
        return bool(
            playback.is_due(
                self._state, self._slots, self._ints, self._floats, presentation_ns, samples
            )
        )

    def stop(self) -> None:
        """Lose the horn: the next `render` begins anew at the live edge."""
        # What was made up after the newest packet was no loss: the source had ended, or paused.
        self.buffer.settle(ended=True)
        self._own[ss.RUNNING] = 0
        self._own[ss.PLANNED] = 0

    @property
    def _is_hushed(self) -> bool:
        return bool(not self._own[ss.RUNNING] or self._state[js.CONCEALED_RUN] > 0)

    @property
    def last_sound_ns(self) -> int:
        """Presentation time at which the last received sound ends; -1 before any."""
        return int(self._own[ss.LAST_SOUND_NS])

    @property
    def has_sounded(self) -> bool:
        """Whether any of its sound was ever played."""
        return self.last_sound_ns >= 0

    @property
    def hard_resyncs(self) -> int:
        """Jumps of the playout position so far."""
        return int(self._own[ss.HARD_RESYNCS])

    @property
    def origin_samples(self) -> NDArray[np.int64]:
        """Output samples by `counters.Origin`: (ORIGINS,) int64, live."""
        return self._state[js.O_FIRST : js.O_FIRST + 8]

    def add_counts(self, counts: NDArray[np.int64]) -> None:
        """Add what this source counted to `counts`, indexed by `Count`."""
        for count, place in COUNTED.items():
            counts[count] += self._state[place]
        counts[Count.HARD_RESYNCS] += self._own[ss.HARD_RESYNCS]
        counts[Count.DECODER_ERRORS] += self._sound.decoder_errors if self._sound else 0

    def take_journal(self, rows: NDArray[np.int64]) -> int:
        """Move chunks played since the last call into `rows`; see `playback.copy_journal`."""
        written = int(self._own[ss.JOURNAL_WRITTEN])
        self._journal_taken, count = playback.copy_journal(
            self._journal, self._journal_taken, written, rows
        )
        return count

    def status(self) -> dict[str, object]:
        """Return what a person wants to know of this source, JSON-able."""
        return {
            "ssrc": self.ssrc,
            "address": f"{self.address[0]}:{self.address[1]}",
            "level_ms": self.buffer.level_samples * 1000 / RATE_HZ,
            "playout_delay_ms": self._playout_delay_ms(),
            "asks_for_lost": self._asks,
            "played_ms": {
                origin.name.lower(): int(samples) // SAMPLES_PER_MS
                for origin, samples in zip(Origin, self.origin_samples, strict=True)
            },
            "stretched_ms": int(self._state[js.C_STRETCHED]) // SAMPLES_PER_MS,
            "skew_ppm": round(self.timebase.skew_ppm, 3),
            "card_ppm": round(float(self._servo[servo.CORRECTION_PPM]), 3),
            "jitter_ms": round(int(self._state[js.JITTER_Q4]) / 16 * 1000 / RATE_HZ, 3),
            "sync_error_ms": round(int(self._own[ss.ERROR_Q16]) / 65.536 / RATE_HZ, 4),
            "mapped": self.timebase.mapped,
            "needed_delay_ms": self.reports.needed_delay_ns(self.timebase) / NS_PER_MS,
            **self.reports.status(self.last_arrival_ns),
            "hard_resyncs": self.hard_resyncs,
            "late_packets": int(self._state[js.C_LATE]),
            "lost_packets": int(self._state[js.C_LOST]),
        }

    def _playout_delay_ms(self) -> float:
        """Return the delay that is steered to, counted from the fastest packet."""
        if not self._is_adaptive:
            return self.timebase.playout_delay_ns / NS_PER_MS
        return int(self._state[js.A_TARGET] - self._state[js.A_BASE]) / SAMPLES_PER_MS

    def _advance(self, out: NDArray[np.float32], presentation_ns: int) -> int:
        """Go on with a period: DONE, or the action whose sound is needed next."""
        if self._is_adaptive:
            return playback_adaptive.advance(
                self._own, self._steer, self._state, self._slots, self._fifo, self._journal,
                out, self.ssrc, presentation_ns,
            )  # fmt: skip
        return playback.advance(
            self._own, self._state, self._slots, self._fifo, self._resampler,
            resampler.TABLE, self._ints, self._floats, self._servo, self._journal,
            out, self.ssrc, presentation_ns,
        )  # fmt: skip

    def _has_copies(self, header: NDArray[np.int64]) -> bool:
        is_own = int(header[rtp.SSRC]) == self.ssrc
        return is_own and int(header[rtp.PAYLOAD_TYPE]) == self._redundancy_type

    def _end(self) -> None:
        """Note that the sender has ended: after the last packet nothing is missing, so fade."""
        self.ended = True
        self._state[js.CONCEAL_MAX] = 0

    def _follow_restart(self, now_ns: int) -> None:
        """Begin the time base anew: a new sender's clock has nothing to do with the old one's."""
        self.timebase.reset()
        self.reports.reports.clear()
        self.timebase.receive_packet(int(self._state[js.UNWRAPPED_MEDIA]), now_ns)
