"""A sender's repair of one stream to one destination: copies ahead, and answers to who asks.

Joins the account, the choice, the copies and the memory of `node.rtp`; used by whatever sends.
"""

from collections.abc import Iterable, Sequence

from node.config import ReceiveConfig
from node.rtp import rtcp
from node.rtp.delay_report import playing_delay_of
from node.rtp.loss_report import LossReport, loss_of
from node.rtp.redundancy import OFFSET_SAMPLES_MAX
from node.rtp.retransmission import announcement
from node.units import NS_PER_S, samples_to_ns
from sim.sender.repair.copy_choice import LinkState, RedundancyChoice
from sim.sender.repair.copy_writer import CopyWriter
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.repair.retransmitter import Retransmitter

_ROUND_TRIP_MAX_NS = 10 * NS_PER_S


class RepairedStream:
    """One stream to one destination.

    Parameters
    ----------
    ssrc : int
        Of the stream.
    packet_samples : int
        Media time from one packet to the next.
    sends_again : bool
        Answers requests for lost packets.
    sends_copies : bool
        Lets packets carry copies while the nodes' reports ask for it.
    budget : RepairBudget
        What both may cost.
    """

    def __init__(
        self,
        ssrc: int,
        packet_samples: int,
        *,
        sends_again: bool,
        sends_copies: bool,
        budget: RepairBudget | None = None,
    ) -> None:
        self.budget = budget or RepairBudget()
        self.choice = RedundancyChoice(
            samples_to_ns(packet_samples), offset_max_ns=samples_to_ns(OFFSET_SAMPLES_MAX)
        )
        self.copies = CopyWriter(packet_samples, self.budget)
        self.announcement: rtcp.Application | None = None
        """What tells the nodes that they may ask; None where they may not."""
        self._ssrc = ssrc
        self._sends_copies = sends_copies
        config = ReceiveConfig()
        self._redundancy_type = config.redundancy_payload_type
        self._memory: Retransmitter | None = None
        if sends_again:
            again_type = config.retransmission_payload_type
            self._memory = Retransmitter(
                ssrc=(ssrc + 1) & 0xFFFFFFFF, payload_type=again_type, budget=self.budget
            )
            self.announcement = announcement(ssrc, again_type)

    def next_datagram(self, datagram: bytes, low: bytes, now_ns: int) -> bytes:
        """Return what to send now in place of a plain packet; `low` as in `CopyWriter`."""
        if self._memory is not None:
            self._memory.remember(datagram)
        self.budget.earn(len(datagram), now_ns)
        return self.copies.next_datagram(
            datagram,
            low,
            distance_packets=self.choice.distance_packets,
            payload_type=self._redundancy_type,
        )

    def receive_nack(self, sequences: Iterable[int], now_ns: int) -> list[bytes]:
        """Return the datagrams to send for a request of these sequence numbers."""
        return [] if self._memory is None else self._memory.receive_nack(sequences, now_ns)

    def receive_reports(self, packets: Sequence[rtcp.Packet], now_ns: int) -> None:
        """Take a node's compound; what it says of losses moves the choice.

        `now_ns` is the sender's monotonic clock, which its reports carry.
        """
        if not self._sends_copies:
            return
        found = _report_of(packets, self._ssrc)
        if found is None or found[2].payload_type != self._redundancy_type:
            return
        block, delay_ns, loss = found
        state = LinkState(
            lost_ratio=block.lost_per_256 / 256,
            made_up_ratio=loss.made_up_ratio,
            round_trip_ns=_round_trip_ns(block, now_ns),
            jitter_ns=samples_to_ns(block.jitter_samples),
            playout_delay_ns=delay_ns,
            may_ask=loss.asks and self._memory is not None,
        )
        first = packets[0]
        assert isinstance(first, rtcp.ReceiverReport)
        self.choice.receive_report(first.ssrc, state, now_ns)

    def handle_deadline(self, now_ns: int) -> None:
        """Decide, once a second or so."""
        if self._sends_copies:
            self.choice.handle_deadline(now_ns)


def _report_of(
    packets: Sequence[rtcp.Packet], ssrc: int
) -> tuple[rtcp.ReportBlock, int, LossReport] | None:
    """Return what a node's compound says of `ssrc`: its block, playout delay, losses; or None."""
    if not packets or not isinstance(packets[0], rtcp.ReceiverReport):
        return None
    block = next((one for one in packets[0].blocks if one.ssrc == ssrc), None)
    delay_ns: int | None = None
    loss: LossReport | None = None
    for packet in packets:
        if isinstance(packet, rtcp.Application):
            delay_ns = playing_delay_of(packet) or delay_ns
            loss = loss_of(packet) or loss
    if block is None or delay_ns is None or loss is None:
        return None
    return block, delay_ns, loss


def _round_trip_ns(block: rtcp.ReportBlock, now_ns: int) -> int | None:
    """Return the round trip that a report block tells (RFC 3550, 6.4.1), or None."""
    if block.last_sr == 0:
        return None
    middle = rtcp.middle_of_ntp(rtcp.ntp_of_ns(now_ns))
    units = (middle - block.last_sr - block.since_last_sr) & 0xFFFFFFFF
    round_trip_ns = units * NS_PER_S >> 16
    return round_trip_ns if round_trip_ns < _ROUND_TRIP_MAX_NS else None
