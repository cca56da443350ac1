"""A clock that is set ahead and called synchronised, be it for a moment, ends no warning."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.control.control_cap import FLOOD
from node.control.orders import Session
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S
from tests.node.control.test_controller import AREA, PROVINCE, URGENT, Village, signer
from tests.node.control.trust.test_rights import playing

HOUR_S, DAY_S = 3600, 86_400
AHEAD_S = st.sampled_from(
    (0, 2, 60, 3599, HOUR_S, 2 * HOUR_S, DAY_S, 400 * DAY_S, 20 * 365 * DAY_S)
)
STEPS = st.lists(st.tuples(AHEAD_S, st.integers(0, 900)), max_size=8)
"""By how much the clock is ahead, and for how long."""
EARLY_S = 2
"""A clock that is drawn to the right time may end it so much earlier: see `HeldTime`."""
LIVE, HAMLET = 0x1A2B, signer("hamlet")
LONG = PhraseConfig(siren="a" * 64, siren_s=600, text={"vi": "b" * 64}, text_s=600)
"""Three times over it fills more than an hour."""


class Gateway(Village):
    """A node whose clock is called synchronised, whatever it shows."""

    def __init__(self) -> None:
        super().__init__(alert=AlertConfig(phrases={"any": LONG}))
        self.right_ns, self.began_ns = self.offset_ns, self.now_ns

    def set_ahead(self, ahead_s: int) -> None:
        self.offset_ns = self.right_ns + ahead_s * NS_PER_S
        self.read_clock()

    def let_pass(self, seconds: int) -> None:
        end_ns, looks = self.now_ns + seconds * NS_PER_S, 0
        while (at_ns := self.node.next_deadline_ns()) is not None and at_ns <= end_ns:
            looks = looks + 1 if at_ns <= self.now_ns else 0
            assert looks < 3, "it wants to be looked at without an end"
            self.look(max(at_ns, self.now_ns))
        self.look(end_ns)

    def look(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.node.handle_deadline(now_ns)
        self.take()

    @property
    def passed_s(self) -> int:
        return (self.now_ns - self.began_ns) // NS_PER_S

    def warn(self, number: int, lasts_s: int, by: object = PROVINCE) -> str:
        content = encode_short("alert", number, lasts_s=lasts_s)
        return self.order(by, Kind.SHORT_ALERT, content, message_class=URGENT)  # type: ignore[arg-type]

    def sounds(self, number: int = 1) -> bool:
        return f"#{number:016x}" in playing(self)


@settings(max_examples=150)
@given(st.integers(5, HOUR_S), STEPS)
@example(HOUR_S, [(2 * HOUR_S, 0), (0, 60)])
@example(600, [(400 * DAY_S, 300)])
def test_a_warning_sounds_as_long_as_it_was_to_whatever_is_set_ahead_meanwhile(lasts_s, steps):
    gateway = Gateway()
    assert gateway.warn(1, lasts_s) == "waiting"
    for ahead_s, passes_s in steps:
        gateway.set_ahead(ahead_s)
        for seconds in (0, passes_s):
            gateway.let_pass(seconds)
            assert gateway.sounds() or gateway.passed_s >= lasts_s - EARLY_S, "it is cut off"
    gateway.set_ahead(0)
    gateway.let_pass(max(lasts_s - gateway.passed_s, 0))
    assert not gateway.sounds(), "its end has come"
    assert gateway.warn(2, 60) == "waiting" and gateway.sounds(2), "and a new one is heard"


@settings(max_examples=100)
@given(STEPS)
@example([(5 * HOUR_S, 1)])
def test_a_warning_that_waits_for_its_time_is_heard_although_the_clock_was_once_beyond_it(steps):
    """It waits for an hour and holds for another: who sets the clock to then hears it then."""
    text = FLOOD.replace("2025-10-07", "2025-12-07").replace(">Immediate<", ">Expected<")
    text = text.replace("<effective>2025-12-07T02:00:00", "<effective>2025-12-07T03:00:05")
    text = text.replace("<expires>2025-12-07T08:00:00", "<expires>2025-12-07T04:00:05")
    gateway = Gateway()
    assert gateway.order(PROVINCE, Kind.CAP, text.encode(), message_class=URGENT) == "waiting"
    for ahead_s, passes_s in steps:
        gateway.set_ahead(ahead_s)
        gateway.let_pass(min(passes_s, max(HOUR_S - 1 - gateway.passed_s, 0)))
    gateway.set_ahead(0)
    gateway.let_pass(HOUR_S - gateway.passed_s)
    assert playing(gateway), "it is lost"
    gateway.let_pass(HOUR_S)
    assert not playing(gateway)


@settings(max_examples=100)
@given(st.integers(60, HOUR_S), STEPS)
def test_who_may_speak_until_an_hour_may_so_whatever_is_set_ahead_meanwhile(lasts_s, steps):
    """A certificate that ends by a clock that is wrong ends neither its warning nor its stream."""
    gateway = Gateway()
    until_s = (gateway.now_ns + gateway.offset_ns) // NS_PER_S + lasts_s
    claim = Certificate("x", HAMLET.public_key, "hamlet", AREA, URGENT, until_s)
    content = msgspec.json.encode(claim)
    assert gateway.order(PROVINCE, Kind.CERTIFICATE, content, area="vn/lang-son") == "obeyed"
    assert gateway.warn(1, 2 * DAY_S, by=HAMLET) == "waiting"
    live = msgspec.json.encode(Session(LIVE))
    fate = gateway.order(HAMLET, Kind.SESSION, live, message_class=URGENT, ttl_s=2 * DAY_S)
    assert fate == "obeyed"

    def speaks() -> set[bool]:
        return {gateway.sounds(), bool(gateway.node.sessions.names())}

    for ahead_s, passes_s in steps:
        gateway.set_ahead(ahead_s)
        for seconds in (0, passes_s):
            gateway.let_pass(seconds)
            assert speaks() == {True} or gateway.passed_s >= lasts_s - EARLY_S, "it is cut off"
    gateway.set_ahead(0)
    gateway.let_pass(max(lasts_s - gateway.passed_s, 0))
    assert speaks() == {False}, "its certificate has ended"
