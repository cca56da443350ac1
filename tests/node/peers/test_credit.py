"""A forged address is sent no more than came from it, by a node and by a sender alike."""

from collections import Counter
from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.exchange.pace import BEGIN_QUESTIONS
from node.config import NodeConfig
from node.events import SendDatagram
from node.peers.credit import ADVANCE_BYTES, ADVANCE_BYTES_PER_S, HEADERS_BYTES
from node.rtp import packet, rtcp
from node.rtp.delay_report import DelayNeed, need_packet
from node.rtp.rtcp_packet import ExtendedReport, Nack, ReceiverReport, SenderReport
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.group_delay import GroupDelay
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports
from tests.node.peers.test_announced import told

ADDRESSES = [(f"192.0.2.{n}", 5004 + port) for n in range(1, 4) for port in (0, 1)]
OWN_SSRC = crc32(b"a-pole-with-a-long-name")


_FORGED = st.one_of(
    st.tuples(st.just("report"), st.integers(7, 9), st.integers(0, 1)),
    st.tuples(st.just("junk"), st.integers(0, 255), st.integers(0, 60)),
    # Two in a row make a source.
    st.tuples(st.just("sound"), st.integers(7, 12), st.integers(1, 40)),
)


class Reflector:
    """A node that strangers send to, and what went where."""

    def __init__(self, **options: object) -> None:
        config = NodeConfig(name="a-pole-with-a-long-name")
        self.node = SpeakerNode(config, decoder_factory=None, **options)
        self.came: Counter[tuple[str, int]] = Counter()
        self.went: Counter[tuple[str, int]] = Counter()
        self.questions: list[SendDatagram] = []
        self.now_ns = NS_PER_S
        self._out = np.zeros((480, 2), np.float32)
        self._packets = 0

    def sound(self, ssrc: int, payload_bytes: int) -> bytes:
        """The next packet of whoever speaks."""
        self._packets += 1
        return packet.build(
            b"\x78" + bytes(payload_bytes - 1),
            sequence=self._packets & 0xFFFF,
            timestamp=self._packets * 960 & 0xFFFFFFFF,
            ssrc=ssrc,
            payload_type=96,
            marker=False,
        )

    def take(self, data: bytes, source: tuple[str, int], *, is_authentic: bool = False) -> None:
        self.came[source] += len(data)
        self.node.receive_datagram(data, source, self.now_ns, is_authentic=is_authentic)
        self._send()

    def wait(self, ms: int) -> None:
        """Let time pass, each deadline in its turn."""
        end_ns = self.now_ns + ms * NS_PER_MS
        while self.now_ns < end_ns:
            self.now_ns += 10 * NS_PER_MS
            self.node.render(self._out, self.now_ns)
            self._send()

    def _send(self) -> None:
        self.node.handle_deadline(self.now_ns)
        while (event := self.node.next_event()) is not None:
            if isinstance(event, SendDatagram):
                self.went[event.destination] += len(event.data) + HEADERS_BYTES
                self.questions.append(event)
        assert all(self.went[one] <= self.came[one] for one in self.went) or self.is_trusting

    is_trusting = False


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(_FORGED, st.integers(0, len(ADDRESSES) - 1), st.integers(1, 2000)), max_size=60
    )
)
@example([(("sound", 7, 18), 0, 1), (("sound", 7, 18), 0, 2000)])
def test_what_is_forged_is_asked_back_with_no_more_than_came(forged):
    reflector = Reflector()
    for (what, ssrc, size), who, wait_ms in forged:
        if what == "sound":
            for _ in range(2):
                reflector.take(reflector.sound(ssrc, size), ADDRESSES[who])
        elif what == "report":
            data = told(ssrc, packets=size, at_ns=reflector.now_ns)
            reflector.take(data, ADDRESSES[who])
        else:
            reflector.take(bytes([0x80, ssrc]) + bytes(size), ADDRESSES[who])
        reflector.wait(wait_ms)


def test_a_flood_of_forged_streams_is_no_lever():
    """A hundred thousand packets of 30 bytes, in 1,000 names, from 97 addresses."""
    reflector = Reflector()
    for n in range(100_000):
        source = (f"198.51.100.{n // 100 % 97}", 5004)
        reflector.take(reflector.sound(1000 + n // 100, 18), source)
        if n % 100 == 99:
            reflector.wait(20)
    assert 0 < sum(reflector.went.values()) <= sum(reflector.came.values())


def test_who_speaks_from_another_address_begins_anew():
    """Whoever answered from his own address names a victim's next, and answers in his name."""
    reflector = Reflector()
    mine, victim = ("192.0.2.1", 5004), ("192.0.2.66", 5004)
    for _ in range(40):
        reflector.take(reflector.sound(7, 200), mine)
        reflector.wait(20)
    answers = [answer_to(one, reflector.now_ns) for one in reflector.questions]
    reflector.is_trusting = True
    for answer in answers[:20]:
        reflector.take(answer, mine)
    assert reflector.node.status()["sources"][0]["uncertainty_ms"] is not None
    reflector.wait(2000)
    reflector.came.clear()
    reflector.went.clear()
    for _ in range(2):
        reflector.take(reflector.sound(7, 20), victim)
    for answer in answers[20:]:
        reflector.take(answer, victim)
    reflector.wait(3000)
    assert reflector.went[victim] <= reflector.came[victim]


@settings(max_examples=20)
@given(st.binary(min_size=16, max_size=16))
def test_nobody_answers_in_the_dark(secret):
    """Who knows the node's clock to the tick, but has not read what it asked, is not believed."""
    reflector = Reflector(secret=secret)
    victim = ("192.0.2.66", 5004)
    for _ in range(30):
        reflector.take(reflector.sound(7, 200), victim)
        reflector.wait(20)
        guesses = [reflector.now_ns - ago * 10 * NS_PER_MS for ago in range(30)]
        reflector.take(told_times(guesses, reflector.now_ns), victim)
    assert reflector.questions
    assert reflector.node.status()["sources"][0]["uncertainty_ms"] is None


def test_an_authenticated_sender_is_asked_at_once_and_no_more_than_a_node_has_to_spare():
    reflector = Reflector()
    reflector.is_trusting = True
    first = ("192.0.2.1", 5004)
    for _ in range(2):
        reflector.take(reflector.sound(7, 20), first, is_authentic=True)
    for _ in range(60):
        reflector.wait(10)
    assert len(reflector.questions) >= BEGIN_QUESTIONS
    for n in range(400):  # overheard, and sent once more from somewhere else each
        source = (f"198.51.100.{n % 97}", 5004)
        for _ in range(2):
            reflector.take(reflector.sound(100 + n, 20), source, is_authentic=True)
        reflector.wait(100)
    seconds = 41
    most = ADVANCE_BYTES + seconds * ADVANCE_BYTES_PER_S + sum(reflector.came.values())
    assert sum(reflector.went.values()) <= most


def told_times(request_ns: Sequence[int], now_ns: int) -> bytes:
    """An answer to questions of those times, as who made them up would send it."""
    replies = [
        rtcp.ReplyTime(OWN_SSRC, rtcp.middle_of_ntp(rtcp.ntp_of_ns(int(one))), 0)
        for one in request_ns
    ]
    report = SenderReport(7, rtcp.ntp_of_ns(now_ns), 1000, 10, 0)
    return rtcp.build([report, ExtendedReport(7, replies=tuple(replies))])


def answer_to(question: SendDatagram, now_ns: int) -> bytes:
    """What a sender answers who read it."""
    packets = rtcp.parse(question.data) or ()
    times = next(one for one in packets if isinstance(one, ExtendedReport))
    reply = rtcp.ReplyTime(times.ssrc, rtcp.middle_of_ntp(times.ntp or 0), 0)
    report = SenderReport(7, rtcp.ntp_of_ns(now_ns), 1000, 10, 0)
    return rtcp.build([report, ExtendedReport(7, replies=(reply,))])


@pytest.mark.parametrize("what", ["time", "time cut short", "nack", "need"])
def test_a_sender_answers_a_stranger_with_no_more_than_was_asked(what):
    sender = LiveSender(ssrc=7, payload_type=96, packet_samples=960)
    sender.begin(0, 0)
    reports = SenderReports(7, group=GroupDelay(400 * NS_PER_MS))
    asks = {
        "time": ExtendedReport(3, ntp=rtcp.ntp_of_ns(5)),
        "time cut short": ExtendedReport(3, ntp=rtcp.ntp_of_ns(5)),
        "nack": Nack(3, 7, (1, 2, 3)),
        "need": need_packet(3, DelayNeed(2 * NS_PER_S, 0, None, 0.0)),
    }
    head = [] if what == "time cut short" else [ReceiverReport(3), *[told_again()] * 3]
    question = rtcp.build([*head, asks[what]] if head else [ReceiverReport(3), asks[what]])
    came = went = 0
    for n in range(500):
        now_ns = n * NS_PER_MS
        came += len(question)
        reports.receive_datagram(question, ("192.0.2.66", n), now_ns, is_node=False)
        while (answer := reports.next_answer(sender.report(now_ns), now_ns)) is not None:
            went += len(answer[0])
    assert went <= came


def told_again() -> ExtendedReport:
    return ExtendedReport(3)


def test_strangers_do_not_move_the_delay_of_a_group_nor_does_one_node_with_many_numbers():
    group = GroupDelay(400 * NS_PER_MS)
    reports = SenderReports(7, group=group)
    nodes = [(f"10.0.0.{n}", 5004) for n in range(60)]
    for second in range(200):
        now_ns = second * NS_PER_S
        for number, node in enumerate(nodes):
            need = need_packet(number, DelayNeed(300 * NS_PER_MS, 0, None, 0.0))
            reports.receive_datagram(rtcp.build([ReceiverReport(number), need]), node, now_ns)
        for ssrc in range(1000, 1100):
            lie = rtcp.build(
                [ReceiverReport(ssrc), need_packet(ssrc, DelayNeed(2 * NS_PER_S, 0, None, 0.0))]
            )
            reports.receive_datagram(lie, ("10.6.6.6", ssrc), now_ns, is_node=False)
            reports.receive_datagram(lie, ("10.6.6.7", 5004), now_ns)
        reports.announcements(now_ns)
    assert group.current.delay_ns <= 400 * NS_PER_MS
