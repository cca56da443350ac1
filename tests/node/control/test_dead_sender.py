"""A sender that dies in mid-sentence is named, and the record says what was heard of it."""

import msgspec
import pytest

from node.control.orders import Session
from node.control.sessions import says_goodbye
from node.control.trust.message import Kind
from node.control.trust.packet_guard import sign_packet
from node.events import Publish
from node.rtp import rtcp
from node.rtp.rtcp_packet import Goodbye, SenderReport
from node.shell.health import Health
from node.shell.vitals import Vitals
from tests.node.control.trust.test_packet_guard import SOURCE, VOICE, announced, packets
from tests.node.test_governed import COMMUNE


class Speech:
    """One signed stream to a pole; a packet every 20 ms and a report every second."""

    def __init__(self, seconds: float) -> None:
        self.pole = announced(public_key=VOICE.public_key)
        self.counter = 0
        self.records: list[dict[str, object]] = []
        self.packets = packets(seconds=seconds)

    def send(self, packet: bytes) -> None:
        signed = sign_packet(packet, self.counter, VOICE)
        self.counter += 1
        self.pole.node.receive_datagram(signed, SOURCE, self.pole.now_ns)

    def report(self, *more: rtcp.Packet) -> None:
        self.send(rtcp.build([SenderReport(8, rtcp.ntp_of_ns(self.pole.now_ns), 0, 1, 1), *more]))

    def speak(self, seconds: float) -> None:
        for n in range(round(seconds * 50)):
            if n % 50 == 0:
                self.report()
            self.send(self.packets.pop(0))
            self.pole.run(0.02)

    def wait(self, seconds: float) -> None:
        """Let time pass; the shell tells the time each second."""
        self.pole.run(seconds)
        self.pole.node.handle_deadline(self.pole.now_ns)

    def dead(self) -> list[str]:
        control = self.pole.node.status()["control"]
        return list(control["dead_senders"])  # type: ignore[index]  # JSON-able

    def end(self) -> dict[str, object]:
        """End the session; return its record."""
        self.pole.events.clear()
        self.pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(8)))
        self.pole.run(0.1)
        told = [one for one in self.pole.events if isinstance(one, Publish)]
        (line,) = [one.payload for one in told if one.topic == "proof"]
        record: dict[str, object] = msgspec.json.decode(line)["record"]
        return record


def test_a_sender_that_dies_in_mid_sentence_is_named_within_10_s_and_counted_as_it_was_heard():
    speech = Speech(6)
    speech.speak(5.1)
    health, died_ns = Health(), speech.pole.now_ns
    vitals = Vitals(health, session=1, begin_ns=died_ns)
    told_after_s = None
    for second in range(1, 13):
        speech.wait(1.0)
        if vitals.looks(speech.pole.now_ns):
            vitals.look(speech.pole.node.status() | {"shell": {}}, speech.pole.now_ns)
        if told_after_s is None and any("sender" in one for one in health.why()):
            told_after_s = second
    assert told_after_s is not None and told_after_s <= 10
    record = speech.end()
    assert (record["outcome"], record["sounded_s"]) == ("interrupted", 5)
    assert "fell silent in mid-sentence" in str(record["reason"])


@pytest.mark.parametrize("muted_s", [0.5, 2.0, 4.0])
def test_a_horn_held_for_who_has_died_is_no_sound_after_a_silence_in_the_middle_either(muted_s):
    speech = Speech(12)
    speech.speak(4.0)
    speech.pole.order(COMMUNE, Kind.MUTE, b"")
    speech.speak(muted_s)
    speech.pole.order(COMMUNE, Kind.UNMUTE, b"")
    speech.speak(6.0 - muted_s)
    speech.wait(1.0)
    speech.wait(4.0)
    assert abs(float(str(speech.end()["sounded_s"])) - (10 - muted_s)) <= 0.5


@pytest.mark.parametrize("says", ["goodbye", "reports"])
def test_who_says_goodbye_or_goes_on_reporting_has_not_died(says):
    speech = Speech(3)
    speech.speak(2.0)
    if says == "goodbye":
        speech.report(Goodbye((8,)))
    for _ in range(8):
        if says == "reports":
            speech.report()
        speech.wait(1.0)
        assert speech.dead() == []
    assert speech.end()["outcome"] == "played"


def test_who_comes_back_is_dead_no_more():
    speech = Speech(3)
    speech.speak(1.0)
    speech.wait(6.0)
    assert speech.dead() == ["00000008 of commune"]
    speech.speak(1.0)
    assert speech.dead() == []


def test_a_goodbye_is_found_in_any_compound_and_no_bytes_raise():
    report = SenderReport(8, 0, 0, 1, 1)
    assert says_goodbye(rtcp.build([report, Goodbye((8,))]))
    whole = rtcp.build([report, report])
    assert not says_goodbye(whole)
    assert not any(says_goodbye(whole[:n]) for n in range(len(whole)))
