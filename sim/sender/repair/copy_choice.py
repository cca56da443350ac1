"""When a stream carries copies of its packets, and how far behind: decided from the nodes' reports.

Sending again costs less than copies, so where a node may ask and an answer fits its playout delay,
copies come only for what that leaves. Where it does not fit (multicast, a round trip too long), for
what the network loses. The distance is the largest that still arrives in time: it costs nothing,
and the longer it is, the fewer bursts take both. What copies may cost is `repair_budget`'s.

::

    a report says 1 % ──stands for 2 s──► on ... network loses < 0.3 % ──for 10 s──► off
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from node.units import NS_PER_MS, NS_PER_S

NODES_MAX: Final = 4096
REPORT_AGE_MAX_NS: Final = 10 * NS_PER_S
DISTANCE_MAX: Final = 31
"""Packets: as far back as a node looks for what a copy belongs to."""

_ON_RATIO: Final = 0.01
"""Loss that is worth copies: below, the decoder conceals about one packet in two seconds."""
_OFF_RATIO: Final = 0.003
_ON_AFTER_NS: Final = 2 * NS_PER_S
_OFF_AFTER_NS: Final = 10 * NS_PER_S
_WEIGHT: Final = 0.25
"""Of a new report: one comes each second and speaks of some fifty packets."""
_LEFT_BEHIND_SHARE: Final = 0.02
"""Share of nodes whose losses alone make no copies for all, as with the group's delay."""
_JITTERS: Final = 4
"""Interarrival jitters (RFC 3550, 6.4.1) that what is sent may be late by."""
_DECODED_AHEAD_NS: Final = 60 * NS_PER_MS
"""Sound is decoded so long before it is heard."""
_ANSWER_NS: Final = 40 * NS_PER_MS
"""Beside the round trip, from a loss to the answer: patience, the next look, margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """What one report says of the link to a node."""

    lost_ratio: float
    """Of the packets, before repair (receiver report)."""

    made_up_ratio: float
    """Of the sound, after repair."""

    round_trip_ns: int | None
    jitter_ns: int
    playout_delay_ns: int
    may_ask: bool
    """The node asks, and this sender answers."""


@dataclass(slots=True)
class _Node:
    state: LinkState
    at_ns: int
    lost_ratio: float = 0.0
    made_up_ratio: float = 0.0
    bad_since_ns: int | None = None
    good_since_ns: int | None = None
    wants: bool = False


class RedundancyChoice:
    """Decides for one stream; `distance_packets` is 0 while it carries no copies.

    Parameters
    ----------
    packet_ns : int
        Duration of a packet.
    offset_max_ns : int
        What the copies' header can say (RFC 2198).
    """

    def __init__(self, packet_ns: int, *, offset_max_ns: int) -> None:
        self.distance_packets = 0
        self.changes = 0
        self._packet_ns = packet_ns
        self._distance_max = min(DISTANCE_MAX, offset_max_ns // packet_ns)
        self._nodes: OrderedDict[int, _Node] = OrderedDict()

    def receive_report(self, ssrc: int, state: LinkState, now_ns: int) -> None:
        """Take what the node `ssrc` says of its link."""
        node = self._nodes.pop(ssrc, None) or _Node(state, now_ns)
        self._nodes[ssrc] = node
        if len(self._nodes) > NODES_MAX:
            self._nodes.popitem(last=False)
        node.state = state
        node.at_ns = now_ns
        node.lost_ratio += _WEIGHT * (state.lost_ratio - node.lost_ratio)
        node.made_up_ratio += _WEIGHT * (state.made_up_ratio - node.made_up_ratio)
        wanted_for = node.lost_ratio
        if self._answer_fits(state):
            wanted_for = min(wanted_for, node.made_up_ratio)
        node.bad_since_ns = _since(node.bad_since_ns, wanted_for >= _ON_RATIO, now_ns)
        node.good_since_ns = _since(node.good_since_ns, node.lost_ratio < _OFF_RATIO, now_ns)

    def handle_deadline(self, now_ns: int) -> None:
        """Decide, once a second or so."""
        for ssrc in [s for s, n in self._nodes.items() if now_ns - n.at_ns > REPORT_AGE_MAX_NS]:
            del self._nodes[ssrc]
        for node in self._nodes.values():
            bad, good = node.bad_since_ns, node.good_since_ns
            if bad is not None and now_ns - bad >= _ON_AFTER_NS:
                node.wants = True
            if good is not None and now_ns - good >= _OFF_AFTER_NS:
                node.wants = False
        self._decide()

    def next_deadline_ns(self, now_ns: int) -> int:
        """Return when `handle_deadline` should run next."""
        return now_ns + NS_PER_S

    def _decide(self) -> None:
        distances = [self._distance(n.state) for n in self._nodes.values() if n.wants]
        useful = [one for one in distances if one > 0]
        wanted = 0
        if len(useful) > int(_LEFT_BEHIND_SHARE * len(self._nodes)):
            wanted = min(useful)
        now = self.distance_packets
        if wanted == now or (0 < now < wanted <= now + 1):
            return  # jitter moves what would fit by a packet now and then
        self.distance_packets = wanted
        self.changes += 1

    def _distance(self, state: LinkState) -> int:
        """Return how many packets behind a copy is still in time; 0 when none is."""
        spare_ns = state.playout_delay_ns - _DECODED_AHEAD_NS - _JITTERS * state.jitter_ns
        return max(0, min(spare_ns // self._packet_ns - 1, self._distance_max))

    def _answer_fits(self, state: LinkState) -> bool:
        if not state.may_ask or state.round_trip_ns is None:
            return False
        takes_ns = _ANSWER_NS + state.round_trip_ns + _JITTERS * state.jitter_ns
        return takes_ns + self._packet_ns + _DECODED_AHEAD_NS <= state.playout_delay_ns


def _since(since_ns: int | None, holds: bool, now_ns: int) -> int | None:
    """Return since when something holds, or None when it does not."""
    if not holds:
        return None
    return now_ns if since_ns is None else since_ns
