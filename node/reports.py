"""What node and sender tell each other about one source: RTCP, and the clocks behind it.

```
node   RR + XR (reference time) ──────────────►  sender        asked by ClockExchange
       SR + XR (delay since that) ◄────────────                four time stamps: clock against clock
       SR each second ◄────────────────────────                ReportMap: media time against clock
       └──► "this media time was captured at this local time" ──► Timebase.receive_map
```

A sender that answers nothing (GStreamer, ffmpeg) is asked ever more seldom; the time base then
lives on the arrivals alone.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange import ClockEstimate, ClockExchange
from node.clock.report_map import ReportMap
from node.clock.timebase import Timebase
from node.jitter import state as js
from node.rtp import rtcp
from node.rtp.rtcp_packet import (
    ExtendedReport,
    Packet,
    ReceiverReport,
    ReplyTime,
    ReportBlock,
    SenderReport,
)
from node.units import NS_PER_S

_LOST_MAX: Final = (1 << 23) - 1
_FRACTIONS_PER_S: Final = 1 << 16


class Reports:
    """The node's half of the conversation about one source.

    Parameters
    ----------
    ssrc : int
        Of the source.
    own_ssrc : int
        Of the node, under which it reports.
    start_ns : int
        When the first request is due.
    """

    def __init__(self, ssrc: int, own_ssrc: int, start_ns: int) -> None:
        self._ssrc = ssrc
        self._own_ssrc = own_ssrc
        self._exchange = ClockExchange(start_ns)
        self._map = ReportMap()
        self._last_sr = 0
        self._last_sr_ns = 0
        self._expected = 0
        self._lost = 0

    def handle_deadline(self, now_ns: int, state: NDArray[np.int64]) -> bytes | None:
        """Return the compound to send now, or None.

        state  of the source's jitter buffer: what is reported
        """
        self._exchange.handle_deadline(now_ns)
        request = self._exchange.next_event()
        if request is None:
            return None
        block = self._block(state, now_ns)
        reference = ExtendedReport(self._own_ssrc, rtcp.ntp_of_ns(request.at_ns))
        return rtcp.build([ReceiverReport(self._own_ssrc, (block,)), reference])

    def next_deadline_ns(self) -> int:
        """Return when the next request is due."""
        return self._exchange.next_deadline_ns()

    def restart(self) -> None:
        """Forget the sender's media clock: it started anew."""
        self._map = ReportMap()

    def receive_compound(
        self, packets: tuple[Packet, ...], timebase: Timebase, highest_media: int, now_ns: int
    ) -> None:
        """Take the reports of one compound, and tell the time base what follows from them.

        highest_media  newest media time of the source, by which RTP timestamps are unwrapped
        """
        report = next(
            (p for p in packets if isinstance(p, SenderReport) and p.ssrc == self._ssrc), None
        )
        if report is None:
            return
        sender_ns = rtcp.ns_of_ntp(report.ntp)
        ahead = (report.rtp_timestamp - highest_media + (1 << 31)) & 0xFFFFFFFF
        self._map.receive_report(sender_ns, highest_media + ahead - (1 << 31))
        self._last_sr = rtcp.middle_of_ntp(report.ntp)
        self._last_sr_ns = now_ns
        for one in packets:
            for reply in one.replies if isinstance(one, ExtendedReport) else ():
                if reply.ssrc == self._own_ssrc:
                    self._receive_reply(reply, sender_ns, now_ns)
        estimate = self._exchange.estimate(now_ns)
        if estimate is not None and self._map.ready:
            timebase.receive_map(
                self._map.media_time_samples,
                self._exchange.local_ns(self._map.sender_ns),
                self._map.skew_ppm + estimate.skew_ppm,
                estimate.uncertainty_ns,
            )

    def estimate(self, now_ns: int) -> ClockEstimate | None:
        """Return the sender's clock as it is known, or None without an exchange."""
        return self._exchange.estimate(now_ns)

    @property
    def clock_steps(self) -> int:
        """Return how often the sender's clock was set, or another sender answered."""
        return self._exchange.steps

    def _receive_reply(self, reply: ReplyTime, answered_ns: int, now_ns: int) -> None:
        """Find the time that the middle 32 bits of the request stand for, and pass it on."""
        now_ntp = rtcp.ntp_of_ns(now_ns)
        request_ntp = (now_ntp >> 48 << 48) | (reply.last_rr << 16)
        if request_ntp > now_ntp:
            request_ntp -= 1 << 48
        if request_ntp < 0:
            return
        held_ns = reply.since_last_rr * NS_PER_S // _FRACTIONS_PER_S
        self._exchange.receive_reply(rtcp.ns_of_ntp(request_ntp), held_ns, answered_ns, now_ns)

    def _block(self, state: NDArray[np.int64], now_ns: int) -> ReportBlock:
        """Return what RFC 3550, 6.4.1 says of the source; losses as the playout saw them."""
        highest = max(0, int(state[js.HIGHEST_SEQUENCE]))
        lost = int(state[js.C_LOST])
        expected = lost + int(state[js.C_ACCEPTED]) + int(state[js.C_LATE])
        share = 256 * max(0, lost - self._lost) // max(1, expected - self._expected)
        self._expected, self._lost = expected, lost
        since_ns = now_ns - self._last_sr_ns
        return ReportBlock(
            ssrc=self._ssrc,
            lost_per_256=min(255, share),
            packets_lost=min(_LOST_MAX, lost),
            extended_sequence=highest & 0xFFFFFFFF,
            jitter_samples=(int(state[js.JITTER_Q4]) >> 4) & 0xFFFFFFFF,
            last_sr=self._last_sr,
            since_last_sr=(
                min(0xFFFFFFFF, since_ns * _FRACTIONS_PER_S // NS_PER_S) if self._last_sr else 0
            ),
        )
