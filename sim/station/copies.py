"""The simulated station's copies for a multicast group, by the code of `loalang-send`.

All nodes hear one stream, so what one reports changes what all get. Nodes run one after the other
through a minute, so here the station acts on a report only `ACTS_AFTER_NS` after it came: later
than a real one, but the same however the time is cut. For losses that last for minutes the
difference is the first one.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from node.rtp import rtcp
from node.units import NS_PER_S
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.repair.repaired_stream import RepairedStream
from sim.station.programme import Sender, Sending

ACTS_AFTER_NS: Final = 70 * NS_PER_S
"""Above the 60 s of a chunk and the 5 s that links run ahead."""

_DECIDES_NS: Final = NS_PER_S


class StationCopies:
    """The group's stream with its copies.

    Parameters
    ----------
    sender : Sender
        The station.
    clock_ns : int
        What its clock shows at true time 0.
    budget : RepairBudget
        What copies may cost.
    """

    def __init__(self, sender: Sender, *, clock_ns: int, budget: RepairBudget) -> None:
        self._stream = RepairedStream(
            sender.ssrc,
            sender.packet_samples,
            sends_again=False,
            sends_copies=True,
            budget=budget,
        )
        self._lows = sender.programme.lows
        self._clock_ns = clock_ns
        self._reports: list[tuple[int, int, tuple[rtcp.Packet, ...]]] = []
        self._next_decision_ns = 0

    @property
    def repair_bytes(self) -> int:
        """What the copies so far added to each node's link."""
        return self._stream.budget.repair_bytes

    def receive_reports(self, packets: tuple[rtcp.Packet, ...], came_ns: int) -> None:
        """Take a compound of a node, at true time."""
        if packets and isinstance(packets[0], rtcp.ReceiverReport):
            self._reports.append((came_ns, packets[0].ssrc, packets))

    def carry(self, sending: Sending) -> Sending:
        """Return what the station sends instead: with copies while it chooses so."""
        self._reports.sort(key=lambda one: one[:2])
        taken = 0
        datagrams = []
        times_ns = sending.send_ns.tolist()
        for number, (now_ns, plain) in enumerate(
            zip(times_ns, sending.datagrams, strict=True), sending.first
        ):
            known_ns = now_ns - ACTS_AFTER_NS
            while taken < len(self._reports) and self._reports[taken][0] <= known_ns:
                came_ns, _, packets = self._reports[taken]
                self._decide(came_ns)
                self._stream.receive_reports(packets, came_ns + self._clock_ns)
                taken += 1
            self._decide(known_ns)
            low = self._lows[number % len(self._lows)]
            datagrams.append(self._stream.next_datagram(plain, low, now_ns + self._clock_ns))
        del self._reports[:taken]
        pairs = zip(datagrams, sending.datagrams, strict=True)
        more_bits = np.array([8 * (len(one) - len(plain)) for one, plain in pairs], np.int64)
        return replace(sending, datagrams=datagrams, more_bits=more_bits)

    def _decide(self, until_ns: int) -> None:
        """Let the choice be made each second of the time for which all reports are there."""
        while self._next_decision_ns <= until_ns:
            self._stream.handle_deadline(self._next_decision_ns + self._clock_ns)
            self._next_decision_ns += _DECIDES_NS
