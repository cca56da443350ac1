"""Two gateways on one pole with the modems of two operators, one of which asks the other.

Everything that the nodes say is said in datagrams of their own code: `NodeReports` with the
sender's `SenderReports`, and `Neighbour` with `Neighbour` over the pole's Ethernet.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import clock_day
from benchmarks.clock.clock_day import LATE_RATIO, SETTLED_S, Pole, poles
from benchmarks.clock.clock_links import LAN, MOBILE, MOBILE_OTHER, NS_PER_S, Crystal
from node.clock.neighbour_map import SourceMap
from node.config import ClockConfig, NodeConfig
from node.peers.credit import Advance
from node.peers.neighbour import Neighbour
from node.peers.question import Reception
from node.peers.sender import NodeReports
from node.rtp import rtcp
from sim.sender.time_answers import SenderReports

FOLLOWER: Final = "4G d"
LEADER: Final = "4G e"
SILENT_SHARE: Final = 24
"""In the middle of the run the two hear nothing of each other for that part of it."""

_SSRC: Final = 7
_SENDER: Final = ("10.0.0.1", 5004)
_FOLLOWER: Final = ("192.168.1.12", 5004)
_LEADER: Final = ("192.168.1.11", 5004)
_NEVER_NS: Final = 1 << 62


class BesidePole(Pole):
    """A node that talks in datagrams, to the sender and to the gateway beside it."""

    leader: "BesidePole | None" = None
    is_cut = False

    def __post_init__(self) -> None:
        super().__post_init__()
        follows = self.name == FOLLOWER
        clock = (
            ClockConfig(neighbour=f"{_LEADER[0]}:{_LEADER[1]}")
            if follows
            else ClockConfig(answers=(_FOLLOWER[0],))
        )
        name = "pole-b" if follows else "pole-a"
        self.talk = Neighbour(NodeConfig(name=name, clock=clock))
        self.reports = NodeReports(
            1 + follows, _SSRC, name=name.encode(), late_ratio=LATE_RATIO, start_ns=0
        )
        self.reports.credit.trust(Advance())
        self.exchange = self.reports.exchange  # the playout delay's start is read off it
        self.rested = 0
        self._sender = SenderReports(_SSRC)
        self._media = 0

    def receive_neighbour(self, told: SourceMap, link_ns: int, now_ns: int) -> None:
        """Take what the leader told, as `Receiver` does."""
        told = told.near(self._media)
        self.reports.receive_neighbour(told, link_ns, self.timebase, now_ns, is_hushed=False)

    def _ask(self, second: int, load: float) -> None:
        """Run both talks through this second."""
        begin_ns, end_ns = self.clock.local_ns(second), self.clock.local_ns(second + 1)
        while True:
            beside_ns = self.talk.next_deadline_ns() if self.leader is not None else None
            own_ns = self.reports.next_deadline_ns()
            due_ns = min(own_ns, _NEVER_NS if beside_ns is None else beside_ns)
            if due_ns >= end_ns:
                break
            asked_ns = max(due_ns, begin_ns)
            if own_ns <= due_ns:
                self._ask_sender(asked_ns, load)
            else:
                self._ask_leader(asked_ns)
        self.rested += self.reports.neighbour.rests

    def _ask_sender(self, asked_ns: int, load: float) -> None:
        self.reports.handle_deadline(asked_ns)
        question = self.reports.next_compound(Reception(0, 0, 0), self.timebase, asked_ns)
        up, down = (
            float(self.link.delays_ms(self.rng, 1, up=up, load=load)[0]) / 1000
            for up in (True, False)
        )
        if self.rng.random() < self.link.lost_ratio or question is None:
            return
        answered_s = self.clock.true_s(asked_ns) + up
        sender_ns, self._media = round(answered_s * NS_PER_S), round(answered_s * 48_000)
        report = rtcp.SenderReport(_SSRC, rtcp.ntp_of_ns(sender_ns), self._media & 0xFFFFFFFF, 0, 0)
        self._sender.receive_datagram(question, _SENDER, sender_ns)
        answer = self._sender.next_answer(report, sender_ns)
        packets = rtcp.parse(answer[0]) if answer is not None else None
        if packets is not None:
            back_ns = self.clock.local_ns(answered_s + down)
            self.reports.receive(packets, self.timebase, self._media, back_ns)

    def _ask_leader(self, asked_ns: int) -> None:
        """Ask over the pole's Ethernet.

        The leader runs after the follower: what it tells is that of the end of the last second,
        never of the future.
        """
        leader = self.leader
        assert leader is not None, "the caller looked"
        self.talk.handle_deadline(asked_ns, {_SSRC: self})
        event = self.talk.next_event()
        there, back = (float(LAN.delays_ms(self.rng, 1, up=up)[0]) / 1000 for up in (True, False))
        if self.is_cut or self.rng.random() < LAN.lost_ratio or event is None:
            return
        answered_s = self.clock.true_s(asked_ns) + there
        leader_ns = leader.clock.local_ns(answered_s)
        assert leader.talk.receive(event[0], _FOLLOWER, {_SSRC: leader}, leader_ns)
        leader.talk.handle_deadline(leader_ns, {_SSRC: leader})
        answer = leader.talk.next_event()
        if answer is not None:
            back_ns = self.clock.local_ns(answered_s + back)
            assert self.talk.receive(answer[0], _LEADER, {_SSRC: self}, back_ns)


def run_day(hours: float, seed: int = 4) -> dict[str, Any]:
    """Run a day of the village, and of two more poles beside each other; return the measures."""
    follower, leader = _pole_of_two(seed)
    village = [*poles(seed), follower, leader]
    seconds = int(hours * 3600)

    def cut(second: int) -> None:
        follower.is_cut = is_silent(second, seconds)

    day = clock_day.run_day(hours, village, cut)
    apart_ms = day.positions_ms[:, -2] - day.positions_ms[:, -1]
    return day.measures | {"neighbour": _measures(follower, apart_ms, seconds)}


def _pole_of_two(seed: int) -> tuple[BesidePole, BesidePole]:
    """Return follower and leader, in the order in which they must run."""
    rows = [(FOLLOWER, MOBILE_OTHER, -35.0, 15.0), (LEADER, MOBILE, 40.0, -40.0)]
    follower, leader = (
        BesidePole(
            name,
            link,
            Crystal(skew_ppm=skew_ppm, day_ppm=4.0, day_phase=7.0 + i, wander_ppm=1.0),
            card_ppm,
            np.random.default_rng([seed, i]),
        )
        for i, (name, link, skew_ppm, card_ppm) in enumerate(rows)
    )
    follower.leader = leader
    return follower, leader


def is_silent(second: int, seconds: int) -> bool:
    """Return whether the two hear nothing of each other then."""
    return abs(2 * second - seconds) * SILENT_SHARE < seconds


def _measures(
    follower: BesidePole, apart_ms: NDArray[np.float64], seconds: int
) -> dict[str, float]:
    """Return what became of the two, by how far they were apart in each second.

    apart_ms  (seconds,) signed
    """
    silent = np.array([is_silent(second, seconds) for second in range(SETTLED_S, seconds)])
    settled = apart_ms[SETTLED_S:]
    return {
        "rested_ratio": follower.rested / seconds,
        "silent_s": float(np.count_nonzero(silent)),
        "silent_p99_ms": float(np.percentile(np.abs(settled[silent]), 99)),
        "silent_max_ms": float(np.abs(settled[silent]).max()),
        "heard_p99_ms": float(np.percentile(np.abs(settled[~silent]), 99)),
        "heard_max_ms": float(np.abs(settled[~silent]).max()),
        "moved_in_1_s_max_ms": float(np.abs(np.diff(settled)).max()),
        "jumps": float(follower.timebase.jumps),
    }
