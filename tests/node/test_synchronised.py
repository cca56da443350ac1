"""Nodes that hear the same sender over different links play the same thing at the same time."""

import heapq

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.events import SendDatagram
from node.kernel.record import new
from node.rtp import packet, rtcp
from node.rtp.rtcp_packet import ExtendedReport, ReplyTime, SenderReport
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import ns_to_samples, samples_to_ns

MS = 1_000_000
S = 1000 * MS
PERIOD = 480
SENDER = ("10.0.0.1", 5004)
PAYLOAD = b"\x08" + bytes(40)
SENDER_OFFSET_NS = 77 * S


class Pole:
    """A node whose clock has an offset and a skew, behind a link with its own delay."""

    def __init__(
        self,
        delay_ns: int,
        offset_ns: int,
        skew_ppm: int,
        rng: np.random.Generator,
        *,
        playout_delay_ms: int = 300,
        is_authentic: bool = True,
    ) -> None:
        config = NodeConfig(name="n", jitter=JitterConfig(playout_delay_ms=playout_delay_ms))
        self.node = SpeakerNode(config, decoder_factory=None)
        self.is_authentic = is_authentic
        """The sender's session has a key."""
        self.delay_ns = delay_ns
        self.offset_ns = offset_ns
        self.skew_ppm = skew_ppm
        self.rng = rng
        self.rows = new(Played, 4096)
        self.presented: dict[int, int] = {}

    def local(self, true_ns: int) -> int:
        return true_ns + self.offset_ns + true_ns * self.skew_ppm // 1_000_000

    def true(self, local_ns: int) -> int:
        return (local_ns - self.offset_ns) * 1_000_000 // (1_000_000 + self.skew_ppm)

    def one_way(self, sent_ns: int, *, up: bool) -> int:
        """What is sent then is under way for so long, up to the sender or down from it."""
        return self.delay_ns + int(self.rng.integers(0, 2 * MS))

    def loses(self, asked_ns: int) -> bool:
        """Whether what is asked then is lost."""
        return False

    def announced(self, sent_ns: int) -> tuple[rtcp.Packet, ...]:
        """What the sender says beside an answer of that time."""
        return ()

    def note_journal(self) -> None:
        count = self.node.take_journal(self.rows)
        for row in self.rows[:count]:
            if row["origin"] == Origin.RECEIVED:
                self.presented[int(row["media"])] = self.true(int(row["presentation_ns"]))


def answer(
    request: bytes, received_ns: int, sent_ns: int, media: int, more: tuple[rtcp.Packet, ...]
) -> bytes:
    """What a sender makes of a node's report: its own clock, and when the request came."""
    packets = rtcp.parse(request)
    assert packets is not None
    asked = next(p for p in packets if isinstance(p, ExtendedReport))
    held = (sent_ns - received_ns) * 65_536 // S
    reply = ReplyTime(asked.ssrc, rtcp.middle_of_ntp(asked.ntp), held)
    clock = rtcp.ntp_of_ns(sent_ns + SENDER_OFFSET_NS)
    report = SenderReport(7, clock, media & 0xFFFFFFFF, 0, 0)
    return rtcp.build([report, ExtendedReport(7, None, (reply,)), *more])


def run(poles: list[Pole], duration_ns: int, *, join_ns: tuple[int, ...] = (0, 0)) -> None:
    """Send 20 ms packets whose media time 0 is captured at 1 s; answer requests; play."""
    events: list[tuple[int, int, int, str, object]] = []
    order = 0

    def at(when_ns: int, who: int, what: str, data: object = None) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (when_ns, order, who, what, data))

    for i in range((duration_ns - S) // (20 * MS)):
        for who, pole in enumerate(poles):
            sent_ns = S + i * 20 * MS
            if sent_ns >= join_ns[who]:
                data = packet.build(
                    PAYLOAD, sequence=i, timestamp=960 * i, ssrc=7, payload_type=96, marker=False
                )
                at(sent_ns + pole.one_way(sent_ns, up=False), who, "datagram", data)
    for who in range(len(poles)):
        for k in range(duration_ns // (10 * MS)):
            at(k * 10 * MS, who, "period")
    out = np.zeros((PERIOD, 1), np.float32)
    while events:
        now_ns, _, who, what, data = heapq.heappop(events)
        pole = poles[who]
        local_ns = pole.local(now_ns)
        if what == "datagram":
            pole.node.receive_datagram(data, SENDER, local_ns, is_authentic=pole.is_authentic)
        elif what == "request":
            sent_ns = now_ns + MS
            media = ns_to_samples(sent_ns - S)
            arrival_ns = sent_ns + pole.one_way(sent_ns, up=False)
            reply = answer(data, now_ns, sent_ns, media, pole.announced(sent_ns))
            at(arrival_ns, who, "datagram", reply)
        else:
            deadline_ns = pole.node.next_deadline_ns()
            if deadline_ns is not None and deadline_ns <= local_ns:
                pole.node.handle_deadline(local_ns)
            while (event := pole.node.next_event()) is not None:
                if isinstance(event, SendDatagram) and not pole.loses(now_ns):
                    arrival_ns = now_ns + pole.one_way(now_ns, up=True)
                    at(arrival_ns, who, "request", event.data)
            pole.node.render(out, local_ns)
            pole.note_journal()


def skew_ms(poles: list[Pole], from_media: int) -> np.ndarray:
    one, other = (pole.presented for pole in poles)
    common = sorted(m for m in one.keys() & other.keys() if m >= from_media)
    assert len(common) > 100
    return np.array([one[m] - other[m] for m in common]) / MS


@pytest.mark.parametrize("skews", [(0, 0), (40, -40)])
def test_two_nodes_on_different_links_play_within_a_millisecond(skews):
    rng = np.random.default_rng(5)
    poles = [Pole(5 * MS, 123 * S, skews[0], rng), Pole(70 * MS, 9 * S, skews[1], rng)]
    run(poles, 30 * S)

    difference = np.abs(skew_ms(poles, 3 * 48_000))
    assert np.percentile(difference, 99) <= 1.0
    for pole in poles:
        origins = pole.node.origin_samples()
        assert origins[[1, 2, 3, 4, 5, 6]].sum() == 0
        late_ms = [
            (t - S - samples_to_ns(m)) / MS for m, t in pole.presented.items() if m > 144_000
        ]
        assert abs(np.median(late_ms) - 300) < 2


def test_who_joins_late_is_in_step_within_two_seconds():
    rng = np.random.default_rng(6)
    poles = [Pole(5 * MS, 0, 0, rng), Pole(40 * MS, 50 * S, 30, rng)]
    run(poles, 14 * S, join_ns=(0, 6 * S))

    joined = ns_to_samples(6 * S - S)
    assert np.abs(skew_ms(poles, joined + 2 * 48_000)).max() <= 1.0
