"""RTCP between two gateways of one pole, or of one LAN: one asks the other what it plays by.

```
follower  RR, SDES, XR (RRTR: t1), APP "LoaM" 0 naming its sources ──►  leader
          ◄── RR, XR (RRTR: t3, DLRR: t1 and t3 - t2), APP "LoaM" 1: a map of each source   leader
```
The four time stamps are of both monotonic clocks, which nothing ever sets; so this exchange needs
minutes of nothing and knows the local link before the first sound. What changes, the leader's map
of the sender, comes whole with each answer: the follower plays by it at once, and both are wrong
alike even while the leader still learns.

Who may ask, and who is believed: a node answers the hosts in `[clock] answers` and nobody else, at
most 44 times a second each, never with more bytes than it was asked with; it asks and believes the
address in `[clock] neighbour`, for questions that it has sent. Neither is signed: who can forge
both in a LAN can shift the sound by `neighbour.AWAY_MAX_NS`, and no further. A node that follows
answers nobody, and what is told is the own exchange's map: there is no circle to go round.
"""

import struct
from collections.abc import Mapping
from typing import Final, Protocol
from zlib import crc32

from node.clock.exchange.answering import AnswerTime, ExchangeResponder
from node.clock.exchange.asking import ClockExchange
from node.clock.neighbour_map import SourceMap
from node.config import NodeConfig
from node.peers.sender import NodeReports
from node.rtp import rtcp
from node.units import NS_PER_MS, NS_PER_S

MAP_NAME: Final = b"LoaM"
"""APP packet of a follower (subtype 0: SSRCs, and room for the answer), and of a leader (1)."""

ASKS: Final = 0
TELLS: Final = 1
NEWS: Final = (
    (NS_PER_S // 2, 10 * NS_PER_MS),
    (5 * NS_PER_S, 25 * NS_PER_MS),
    (60 * NS_PER_S, 250 * NS_PER_MS),
)
"""Since a source began, up to when to ask how often: a leader's first map behind jitter moves by a
millisecond with a few answers, and the sound begins by what is known of it then; a minute later it
moves no more. It is all within what `ExchangeResponder` allows."""

QUESTIONS_MAX: Final = 64
"""Those that wait; more push the oldest out."""
_ROOM: Final = bytes(8)  # by which a question with the shortest name is as long as its answer
_ASKED: Final = struct.Struct("!I20x")
_TOLD: Final = struct.Struct("!IIQiI")
"""SSRC, RTP time, when captured by the leader's clock (NTP), skew (ppb), uncertainty (us)."""
_SKEW_MAX_PPB: Final = 1_000_000


class Heard(Protocol):
    """A source of a node, as far as neighbours talk about it."""

    reports: NodeReports

    def receive_neighbour(self, told: SourceMap, link_ns: int, now_ns: int) -> None:
        """Take a map of a neighbour's in own time, its media time within 32 bits."""


class Neighbour:
    """What a node has to do with its neighbours; nothing without a table `[clock]`."""

    def __init__(self, config: NodeConfig) -> None:
        self.refused = 0
        """Questions above the allowance, answers that nobody asked for, and what is neither."""
        self.answered = 0
        self._ssrc = crc32(config.name.encode())
        self._name = config.name.encode()
        self._leader = config.clock.neighbour_address
        self._followers = config.clock.answer_hosts
        self._exchange: ClockExchange | None = None
        self._now_ns = 0
        self._news_ns = 0
        self._responder = ExchangeResponder()
        self._waiting: list[tuple[AnswerTime, tuple[int, ...]]] = []
        self._out: list[tuple[bytes, tuple[str, int]]] = []

    def receive(
        self, data: bytes, source: tuple[str, int], sources: Mapping[int, Heard], now_ns: int
    ) -> bool:
        """Take a datagram of a neighbour's; return whether it is one."""
        may_talk = source[0] in self._followers or source == self._leader
        if not may_talk or MAP_NAME not in data:
            return False
        packets = rtcp.parse(data)
        app = next((p for p in packets or () if _is_map(p)), None)
        times = next((p for p in packets or () if isinstance(p, rtcp.ExtendedReport)), None)
        if not isinstance(app, rtcp.Application):
            return False
        if times is None or times.ntp is None:
            self.refused += 1
        elif app.subtype == ASKS and source[0] in self._followers:
            self._receive_question(times, app.payload, source, len(data), now_ns)
        elif app.subtype == TELLS and source == self._leader:
            self._receive_answer(times, app.payload, sources, now_ns)
        else:
            self.refused += 1
        return True

    def hurry(self, now_ns: int) -> None:
        """Ask more often for a while: a source has begun."""
        self._news_ns = now_ns
        if self._exchange is not None:
            self._exchange.ask_by(now_ns)

    def handle_deadline(self, now_ns: int, sources: Mapping[int, Heard]) -> None:
        """Ask, and answer what was asked."""
        self._now_ns = now_ns
        self.answered += len(self._waiting)
        while self._waiting:
            answer, asked = self._waiting.pop(0)
            self._say(self._answer(answer, asked, sources, now_ns), answer.source)
        if self._leader is None:
            return
        if self._exchange is None:
            self._exchange = ClockExchange(now_ns)
        self._exchange.handle_deadline(now_ns)
        since_ns = now_ns - self._news_ns
        for until_ns, interval_ns in NEWS if sources else ():
            if since_ns < until_ns:
                self._exchange.ask_by(now_ns + interval_ns)
        while (request := self._exchange.next_event()) is not None:
            self._say(self._question(request.at_ns, sources), self._leader)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None."""
        if self._waiting:
            return self._waiting[0][0].received_ns
        if self._leader is None:
            return None
        return 0 if self._exchange is None else self._exchange.next_deadline_ns()

    def next_event(self) -> tuple[bytes, tuple[str, int]] | None:
        """Return a datagram to send now, and where to, or None."""
        return self._out.pop(0) if self._out else None

    def status(self) -> dict[str, object] | None:
        """Return what is known of the neighbours, JSON-able; None without a table `[clock]`."""
        if self._leader is None:
            told: dict[str, object] = {"answered": self.answered, "refused": self.refused}
            return told if self._followers else None
        estimate = self._exchange.estimate(self._now_ns) if self._exchange is not None else None
        return {
            "address": f"{self._leader[0]}:{self._leader[1]}",
            "offset_ns": estimate and estimate.offset_ns,
            "clock_ppm": estimate and round(estimate.skew_ppm, 3),
            "uncertainty_ms": estimate and estimate.uncertainty_ns / NS_PER_MS,
            "age_ms": estimate and estimate.age_ns // NS_PER_MS,
            "clock_steps": self._exchange.steps if self._exchange is not None else 0,
            "refused": self.refused,
        }

    def _question(self, at_ns: int, sources: Mapping[int, Heard]) -> bytes:
        payload = _ROOM + b"".join(_ASKED.pack(ssrc) for ssrc in sources)
        return rtcp.build(
            [
                rtcp.ReceiverReport(self._ssrc),
                rtcp.SourceDescription(self._ssrc, self._name),
                rtcp.ExtendedReport(self._ssrc, ntp=rtcp.ntp_of_ns(at_ns)),
                rtcp.Application(self._ssrc, ASKS, MAP_NAME, payload),
            ]
        )

    def _receive_question(
        self,
        times: rtcp.ExtendedReport,
        payload: bytes,
        source: tuple[str, int],
        size_bytes: int,
        now_ns: int,
    ) -> None:
        asked = payload[len(_ROOM) :]
        if len(payload) < len(_ROOM) or len(asked) % _ASKED.size or times.ntp is None:
            self.refused += 1
            return
        ssrcs = tuple(ssrc for (ssrc,) in _ASKED.iter_unpack(asked))
        refused = self._responder.refused
        self._responder.receive_request(
            source,
            ssrc=times.ssrc,
            request=rtcp.middle_of_ntp(times.ntp),
            spare_bytes=size_bytes - _answer_bytes(len(ssrcs)),
            now_ns=now_ns,
        )
        self.refused += self._responder.refused - refused
        if (answer := self._responder.next_event()) is not None:
            del self._waiting[: 1 - QUESTIONS_MAX]
            self._waiting.append((answer, ssrcs))

    def _say(self, data: bytes, to: tuple[str, int]) -> None:
        del self._out[: 1 - QUESTIONS_MAX]
        self._out.append((data, to))

    def _answer(
        self, answer: AnswerTime, asked: tuple[int, ...], sources: Mapping[int, Heard], now_ns: int
    ) -> bytes:
        told = b""
        for ssrc in asked:
            one = sources[ssrc].reports.tell_neighbour(now_ns) if ssrc in sources else None
            if one is not None:
                told += _TOLD.pack(
                    ssrc,
                    one.media_time_samples & 0xFFFFFFFF,
                    rtcp.ntp_of_ns(one.local_ns),
                    round(min(max(one.skew_ppm * 1000, -_SKEW_MAX_PPB), _SKEW_MAX_PPB)),
                    min(one.uncertainty_ns // 1000, 0xFFFFFFFF),
                )
        held = (((now_ns - answer.received_ns) << 16) + NS_PER_S // 2) // NS_PER_S
        reply = rtcp.ReplyTime(answer.ssrc, answer.request, held)
        return rtcp.build(
            [
                rtcp.ReceiverReport(self._ssrc),
                rtcp.ExtendedReport(self._ssrc, rtcp.ntp_of_ns(now_ns), (reply,)),
                rtcp.Application(self._ssrc, TELLS, MAP_NAME, told),
            ]
        )

    def _receive_answer(
        self,
        times: rtcp.ExtendedReport,
        payload: bytes,
        sources: Mapping[int, Heard],
        now_ns: int,
    ) -> None:
        exchange = self._exchange
        if len(payload) % _TOLD.size or not self._receive_times(times, now_ns):
            self.refused += 1
            return
        link = exchange.estimate(now_ns) if exchange is not None else None
        if exchange is None or link is None:
            return
        for ssrc, media, captured, skew_ppb, uncertainty_us in _TOLD.iter_unpack(payload):
            if ssrc in sources:
                local_ns = exchange.local_ns(rtcp.ns_of_ntp(captured))
                skew_ppm = skew_ppb / 1000 + link.skew_ppm
                told = SourceMap(media, local_ns, skew_ppm, uncertainty_us * 1000)
                sources[ssrc].receive_neighbour(told, link.uncertainty_ns, now_ns)

    def _receive_times(self, times: rtcp.ExtendedReport, now_ns: int) -> bool:
        """Take the time stamps of an answer; return False when nobody asked."""
        reply = next((one for one in times.replies if one.ssrc == self._ssrc), None)
        if self._exchange is None or reply is None or times.ntp is None:
            return False
        request_ns = rtcp.ns_of_middle(reply.last_rr, now_ns)
        held_ns = (reply.since_last_rr * NS_PER_S + (1 << 15)) >> 16
        answered_ns = rtcp.ns_of_ntp(times.ntp)
        return self._exchange.receive_reply(request_ns, held_ns, answered_ns, now_ns)


def _is_map(packet: rtcp.Packet) -> bool:
    return isinstance(packet, rtcp.Application) and packet.name == MAP_NAME


def _answer_bytes(sources: int) -> int:
    """Return the length of the answer to a question about so many sources."""
    return 8 + 36 + 12 + _TOLD.size * sources
