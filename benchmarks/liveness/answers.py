"""The sender of a history that answers when a node asks it for the time, over the same way.

Its clock has nothing to do with the node's. What it reports of its stream is what it sends by:
stamps that were set, that stand still or count at another rate are reported so.
"""

from bisect import bisect_right
from typing import Final

from benchmarks.liveness.histories import History, Story
from node.rtp import rtcp
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.time_answers import SenderReports

_CLOCK_NS: Final = 77 * NS_PER_S
_TURN_NS: Final = NS_PER_MS
_NODE: Final = ("10.0.0.2", 5004)

Datagram = tuple[int, bytes, tuple[str, int]]
"""Arrival, bytes and source."""


class Answers:
    """What comes back when a node asks the sender of a story."""

    def __init__(self, history: History, story: Story) -> None:
        self._clock_hz = history.clock_hz
        self._sent = story.sent
        self._times = [one.sent_ns for one in story.sent]
        self._reports: dict[int, SenderReports] = {}

    def ask(self, data: bytes, now_ns: int) -> list[Datagram]:
        """Return the answers to a request that a node sends at `now_ns`."""
        one = self._sent[max(0, bisect_right(self._times, now_ns) - 1)]
        reports = self._reports.setdefault(one.ssrc, SenderReports(one.ssrc))
        received_ns = now_ns + one.path_ns
        reports.receive_datagram(data, _NODE, received_ns)
        sent_ns = received_ns + _TURN_NS
        last = self._sent[max(0, bisect_right(self._times, sent_ns) - 1)]
        stamp = last.stamp + (sent_ns - last.sent_ns) * self._clock_hz // NS_PER_S
        clock = rtcp.ntp_of_ns(sent_ns + _CLOCK_NS)
        report = rtcp.SenderReport(last.ssrc, clock, stamp & 0xFFFF_FFFF, 0, 0)
        answers = []
        while (answer := reports.next_answer(report, sent_ns)) is not None:
            at_ns = sent_ns + last.path_ns
            answers.append((at_ns, answer[0], (last.host, last.port)))
        return answers
