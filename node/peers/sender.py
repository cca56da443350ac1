"""RTCP of a node about one source: asks for the time, reports, and hands maps to the time base.

What goes out is one compound per request of the exchange: receiver report with a block about the
source, canonical name, reference time (RRTR), and what the group's delay is decided from. What
comes in are sender reports with answers (DLRR), and the announced playout delay.

Addresses and sockets are the caller's; it also decides whom to believe.
"""

import hashlib
import struct
from typing import Final
from zlib import crc32

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from node.clock.exchange.asking import READY_REPLIES, ClockEstimate, ClockExchange
from node.clock.media_map import ReportMap, StampRate
from node.clock.neighbour_map import NeighbourMap, SourceMap
from node.clock.timebase import Timebase
from node.config import NodeConfig, ReceiveConfig
from node.peers.credit import Credit
from node.peers.question import Heard, Questions, Reception
from node.rtp import rtcp
from node.rtp.delay_report import DELAY_NAME, announced_delay
from node.rtp.exchange_packets import QuestionLayout
from node.units import NS_PER_MS, NS_PER_S

DELAY_MIN_NS: Final = 20 * NS_PER_MS
DELAY_MAX_NS: Final = 5 * NS_PER_S

QUESTION_BYTES: Final = 32 + (10 + 4) + 20 + 28 + 20
"""Of a compound without the name: report, name, time, delay, losses."""

SETTLE_NS: Final = 5 * NS_PER_S  # after a step of the sender's clock, until all of it has arrived


class NodeReports:
    """Exchange and reports of one node with one source.

    Parameters
    ----------
    ssrc, source_ssrc : int
        Of the node, and of the source.
    name : bytes
        Canonical name of the node, at most 255 bytes.
    late_ratio : float
        Share of packets that may be late, for the delay that the node says it needs.
    start_ns : int
        Now.
    redundancy_type : int
        Payload type of packets with copies.
    asks : bool
        The node asks for lost packets where somebody answers.
    secret : bytes
        Random: what a question says of the time is shifted by it, so that nobody who has not
        read it can answer. Empty: by nothing.
    """

    def __init__(
        self,
        ssrc: int,
        source_ssrc: int,
        *,
        name: bytes,
        late_ratio: float,
        start_ns: int,
        redundancy_type: int = ReceiveConfig().redundancy_payload_type,
        asks: bool = True,
        secret: bytes = b"",
    ) -> None:
        self.exchange = ClockExchange(start_ns)
        self.credit = Credit(self.exchange)
        """Of the address that the source speaks from."""
        self.reports = ReportMap()
        self.neighbour = NeighbourMap()
        self.delays_announced = 0
        self.stamps_behind_samples = 0
        self._ssrc = ssrc
        self._source_ssrc = source_ssrc
        self._name = name
        self._description = rtcp.written(rtcp.SourceDescription(ssrc, name))
        layout = QuestionLayout(ssrc, self._description, redundancy_type=redundancy_type, asks=asks)
        self._questions = Questions(source_ssrc, layout, late_ratio=late_ratio)
        self._late_ratio = late_ratio
        self._last_sr = 0
        self.heard_ns = 0
        """When its last report came."""
        self._secret = secret
        self._shift_ns = self._draw_shift_ns(start_ns)
        self._delay_start = -1
        self._delay_payload = b""
        self._stamp_rate = StampRate()
        self._unsettled_until_ns = 0
        self._steps_seen = self._restarts_seen = 0

    def receive(
        self,
        packets: tuple[rtcp.Packet, ...],
        timebase: Timebase | None,
        newest_media_samples: int,
        now_ns: int,
        *,
        is_hushed: bool = False,
        stamps_behind_samples: int = 0,
        stamps_wrong: bool = False,
    ) -> None:
        """Take a compound from the source's sender.

        Parameters
        ----------
        packets : tuple
            What `rtcp.parse` returned.
        timebase : Timebase or None
            Of the source; gets the map and the announced playout delay. None before its sound.
        newest_media_samples : int
            Unwrapped RTP timestamp near which the reported one is.
        now_ns : int
            Arrival.
        is_hushed : bool
            Nothing received sounds now: the first reply may already move what is played.
        stamps_behind_samples : int
            Media time less RTP timestamp, where those of the source cannot be right.
        stamps_wrong : bool
            They count at another rate than 48 kHz.
        """
        self.stamps_behind_samples = stamps_behind_samples
        newest_stamp = newest_media_samples - stamps_behind_samples
        self._stamp_rate.receive_packet(newest_media_samples, newest_stamp, is_wrong=stamps_wrong)
        report: rtcp.SenderReport | None = None
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport) and packet.ssrc == self._source_ssrc:
                report = packet
                # Before its first packet a sender knows its own clock, but no media time.
                if timebase is not None or packet.packets > 0:
                    self._receive_report(packet, newest_stamp)
                self._last_sr = rtcp.middle_of_ntp(packet.ntp)
                self.heard_ns = now_ns
            elif isinstance(packet, rtcp.ExtendedReport) and report is not None:
                self._receive_replies(packet, report, timebase, now_ns)
            elif isinstance(packet, rtcp.Application) and packet.name == DELAY_NAME:
                self._delay_payload = packet.payload
                if timebase is not None:
                    self._receive_delay(packet.payload, timebase, now_ns)
        if report is not None and timebase is not None:
            self.exchange.ask_by(now_ns + self.reports.settled_in_ns)
            self._give_map(timebase, now_ns, is_hushed=is_hushed)

    def begin_sound(self, timebase: Timebase, now_ns: int) -> None:
        """Hand on what was learned before the first packet, now in `timebase`."""
        self.exchange.begin_sound(now_ns)
        self._receive_delay(self._delay_payload, timebase, now_ns)
        self._give_map(timebase, now_ns, is_hushed=True)

    def end_sound(self) -> None:
        """Keep of the source no more than its clock."""
        self.reports.clear()
        self.neighbour.end_sound()
        self._questions.begin_anew()
        self._delay_start = -1

    def tell_neighbour(self, now_ns: int) -> SourceMap | None:
        """Return the own exchange's map for a neighbour that asks, if there is a fresh one.

        Its media time is the sender's RTP timestamp, which both know.
        """
        own = self.neighbour.tell(now_ns) if self.reports.ready else None
        if own is None:
            return None
        stamp = own.media_time_samples - self.stamps_behind_samples
        return replace(own, media_time_samples=stamp)

    def receive_neighbour(
        self, told: SourceMap, link_ns: int, timebase: Timebase, now_ns: int, *, is_hushed: bool
    ) -> None:
        """Take a neighbour's map; see `NeighbourMap.receive`."""
        self.neighbour.receive(told, link_ns, now_ns)
        self._give_map(timebase, now_ns, is_hushed=is_hushed)

    def move(self, now_ns: int) -> None:
        """Note that the source speaks from another address: nothing that was asked is believed."""
        self.credit.move()
        self.exchange.forget_questions()
        self._shift_ns = self._draw_shift_ns(now_ns)

    def may_ask(self, now_ns: int) -> bool:
        """Return whether a question may be sent; if not, its time is put off."""
        return self.credit.covers(QUESTION_BYTES + len(self._name), now_ns)

    def handle_deadline(self, now_ns: int) -> None:
        """Run the exchange."""
        self.exchange.handle_deadline(now_ns)

    def next_deadline_ns(self) -> int:
        """Return when `handle_deadline` must run next."""
        due, not_before_ns = self.exchange.next_deadline_ns(), self.credit.not_before_ns
        return due if due > not_before_ns else not_before_ns

    def next_compound(
        self, reception: Reception, timebase: Timebase | None, now_ns: int
    ) -> bytes | None:
        """Return the compound to send now to where the source's packets come from, or None.

        Without a time base nothing was heard of the source, and no delay is asked for. What its
        credit does not cover is not sent.
        """
        request = self.exchange.next_event()
        if request is None:
            return None
        question = self._questions.next(
            reception, timebase, Heard(self._last_sr, self.heard_ns), now_ns,
            asked_ns=request.at_ns + self._shift_ns,
        )  # fmt: skip
        return question if self.credit.pay(question, now_ns) else None

    def goodbye(self) -> bytes:
        """Return the last compound to the source's sender: this node goes (RFC 3550, 6.6)."""
        report = rtcp.ReceiverReport(self._ssrc, ())
        return rtcp.build([report, self._description, rtcp.Goodbye((self._ssrc,))])

    def estimate(self, now_ns: int) -> ClockEstimate | None:
        """Return the sender's clock as known, or None without an exchange."""
        return self.exchange.estimate(now_ns)

    def needed_delay_ns(self, timebase: Timebase) -> int:
        """Return the playout delay that this node would need for its late ratio."""
        return timebase.needed_delay_ns(self._late_ratio)

    def status(self, now_ns: int) -> dict[str, object]:
        """Return what is known of the sender's clock, JSON-able; None where nothing is."""
        estimate = self.exchange.estimate(now_ns)
        return {
            "offset_ns": estimate and estimate.offset_ns,
            "sender_ppm": estimate and round(estimate.skew_ppm, 3),
            "uncertainty_ms": estimate and estimate.uncertainty_ns / NS_PER_MS,
            "exchange_age_ms": estimate and estimate.age_ns // NS_PER_MS,
            "clock_steps": self.exchange.steps,
            "playout_delay_changes": self.delays_announced,
            "neighbour": self.neighbour.status(now_ns),
        }

    def _draw_shift_ns(self, now_ns: int) -> int:
        """Return what the time in questions is shifted by from now on, below 2**16 s."""
        if not self._secret:
            return 0
        told = struct.pack("!Iq", self._source_ssrc, now_ns)
        drawn = hashlib.blake2b(told, digest_size=8, key=self._secret).digest()
        return int.from_bytes(drawn, "big") % (NS_PER_S << 16)

    def _receive_report(self, report: rtcp.SenderReport, newest: int) -> None:
        away = (report.rtp_timestamp - newest + (1 << 31)) % (1 << 32) - (1 << 31)
        media = newest + self.stamps_behind_samples + self._stamp_rate.samples(away)
        self.reports.receive_report(rtcp.ns_of_ntp(report.ntp), media)

    def _receive_replies(
        self,
        answer: rtcp.ExtendedReport,
        report: rtcp.SenderReport,
        timebase: Timebase | None,
        now_ns: int,
    ) -> None:
        for reply in answer.replies:
            if reply.ssrc == self._ssrc:
                sound_ns = self._sound_ns(timebase, now_ns)
                request_ns = rtcp.ns_of_middle(reply.last_rr, now_ns + self._shift_ns)
                request_ns -= self._shift_ns
                held_ns = (reply.since_last_rr * NS_PER_S + (1 << 15)) >> 16
                answered_ns = rtcp.ns_of_ntp(report.ntp)
                self.exchange.receive_reply(
                    request_ns, held_ns, answered_ns, now_ns, sound_ns=sound_ns
                )

    def _sound_ns(self, timebase: Timebase | None, now_ns: int) -> NDArray[np.int64] | None:
        """Return arrival and transit of the sound's fastest and slowest packets, (4, n) int64."""
        if timebase is None or not (self.reports.ready and timebase.ready):
            return None
        if not self.exchange.wants_sound(now_ns):
            return None
        return self.reports.transits_of(timebase.line)

    def _receive_delay(self, payload: bytes, timebase: Timebase, now_ns: int) -> None:
        announced = announced_delay(payload)
        if announced is None or announced[1] == self._delay_start:
            return
        delay_ns, start_ntp = announced
        delay_ns = min(max(delay_ns, DELAY_MIN_NS), DELAY_MAX_NS)
        start_ns = now_ns
        if self.exchange.estimate(now_ns) is not None:
            start_ns = self.exchange.local_ns(rtcp.ns_of_ntp(start_ntp))
        self._delay_start = start_ntp
        self.delays_announced += 1
        timebase.set_playout_delay(delay_ns, min(start_ns, now_ns + DELAY_MAX_NS))

    def _give_map(self, timebase: Timebase, now_ns: int, *, is_hushed: bool) -> None:
        """Hand the map on, unless the sender's clock was just set."""
        replies_min = 1 if is_hushed else READY_REPLIES
        estimate = self.exchange.estimate(now_ns, replies_min=replies_min)
        steps, restarts = self.exchange.steps, self.reports.restarts
        is_moved = restarts != self._restarts_seen
        if steps != self._steps_seen or (is_moved and self.exchange.is_doubted):
            self._unsettled_until_ns = now_ns + SETTLE_NS
            self.reports.clear()
            self.neighbour.clear()
        elif is_moved:  # by a clock that agrees: the sound was
            self.neighbour.end_sound()
        self._steps_seen, self._restarts_seen = steps, restarts
        if self.reports.is_unsteady:
            timebase.leave_map()
            return
        if estimate is None or not self.reports.ready or now_ns < self._unsettled_until_ns:
            return
        if estimate.is_congested:
            return  # the arrivals know better
        own = SourceMap(
            self.reports.media_time_samples,
            self.exchange.local_ns(self.reports.sender_ns),
            estimate.skew_ppm + self.reports.skew_ppm,
            estimate.uncertainty_ns,
        )
        best = self.neighbour.choose(own, now_ns)
        timebase.receive_map(
            best.media_time_samples, best.local_ns, best.skew_ppm, best.uncertainty_ns
        )


def new_reports(config: NodeConfig, ssrc: int, now_ns: int, *, secret: bytes = b"") -> NodeReports:
    """Return exchange and reports of this node with a source."""
    return NodeReports(
        crc32(config.name.encode()),
        ssrc,
        name=config.name.encode(),
        late_ratio=config.jitter.late_ratio,
        start_ns=now_ns,
        redundancy_type=config.receive.redundancy_payload_type,
        asks=config.receive.asks_for_lost,
        secret=secret,
    )
