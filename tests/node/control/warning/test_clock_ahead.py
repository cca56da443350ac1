"""A clock that is set ahead for up to ten minutes, and believed, ends nothing that was taken."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.control.control_cap import FLOOD
from node.control.civil_time import GRACE_NS
from node.control.orders import Session
from node.control.trust.asked_time import encode_answer
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S
from tests.node.control.test_controller import AREA, PROVINCE, URGENT, Village, signer
from tests.node.control.trust.test_rights import playing
from tests.node.control.warning.test_alert_book import without_second_language

HOUR_S, DAY_S = 3600, 86_400
GRACE_S = GRACE_NS // NS_PER_S
AHEAD_S = st.sampled_from((2, 60, 3599, HOUR_S, 2 * HOUR_S, DAY_S, 400 * DAY_S, 20 * 365 * DAY_S))
STEPS = st.lists(
    st.tuples(AHEAD_S, st.integers(0, GRACE_S - 1), st.integers(0, 900)), min_size=1, max_size=5
)
"""By how much the clock is ahead, for how long, and for how long it is right then."""
LIVE, HAMLET = 0x1A2B, signer("hamlet")
LONG = PhraseConfig(siren="a" * 64, siren_s=600, text={"vi": "b" * 64}, text_s=600)
"""Three times over it fills more than an hour."""
SIREN = f"""
[[items]]
name = "siren"
start = "02:01"
message_class = "urgent"
level = "hamlet"
parts = [{{ kind = "file", duration_s = 7200, media = {{ vi = "{"c" * 64}" }} }}]
"""


class Gateway(Village):
    """A node whose clock is called synchronised, whatever it shows."""

    def __init__(self, wall: str = "2025-12-07T02:00:05") -> None:
        super().__init__(wall, alert=AlertConfig(phrases={"any": LONG}))
        self.right_ns, self.began_ns = self.offset_ns, self.now_ns

    def set_ahead(self, ahead_s: int) -> None:
        self.offset_ns = self.right_ns + ahead_s * NS_PER_S
        self.read_clock()

    def let_pass(self, seconds: int) -> None:
        """Let the node do what is due, when it asks for it and at no other time."""
        end_ns, looks = self.now_ns + seconds * NS_PER_S, 0
        while (at_ns := self.node.next_deadline_ns()) is not None and at_ns <= end_ns:
            looks = looks + 1 if at_ns <= self.now_ns else 0
            assert looks < 3, "it wants to be looked at without an end"
            self.now_ns = max(at_ns, self.now_ns)
            self.node.handle_deadline(self.now_ns)
            self.take()
        self.now_ns = end_ns

    @property
    def passed_s(self) -> int:
        return (self.now_ns - self.began_ns) // NS_PER_S

    def warn(self, number: int, lasts_s: int, by: object = PROVINCE) -> str:
        content = encode_short("alert", number, lasts_s=lasts_s)
        return self.order(by, Kind.SHORT_ALERT, content, message_class=URGENT)  # type: ignore[arg-type]

    def let_speak(self, lasts_s: int) -> None:
        """Let a key of the hamlet, which ends so soon, plan a siren, warn and announce a stream."""
        until_s = (self.now_ns + self.right_ns) // NS_PER_S + lasts_s
        claim = msgspec.json.encode(
            Certificate("x", HAMLET.public_key, "hamlet", AREA, URGENT, until_s)
        )
        live = msgspec.json.encode(Session(LIVE))
        fates = [
            self.order(PROVINCE, Kind.CERTIFICATE, claim, area="vn/lang-son"),
            self.order(HAMLET, Kind.CALENDAR, SIREN.encode(), message_class=URGENT),
            self.order(HAMLET, Kind.SESSION, live, message_class=URGENT, ttl_s=2 * DAY_S),
            self.warn(1, 2 * HOUR_S, by=HAMLET),
        ]
        assert fates == ["obeyed", "obeyed", "obeyed", "waiting"]

    def speaking(self) -> set[str]:
        return {*playing(self), *self.node.sessions.names()}


@settings(max_examples=100)
@given(st.integers(5, HOUR_S), STEPS)
@example(HOUR_S, [(2 * HOUR_S, 0, 60)])
@example(600, [(400 * DAY_S, 300, 0)])
@example(HOUR_S, [(2 * HOUR_S, 599, 0), (2 * HOUR_S, 599, 0)])
def test_a_warning_sounds_as_long_as_it_was_to_though_the_clock_is_wrong_for_a_while(
    lasts_s, steps
):
    gateway = Gateway()
    assert gateway.warn(1, lasts_s) == "waiting"
    for ahead_s, wrong_s, right_s in steps:
        for clock_s, passes_s in ((ahead_s, wrong_s), (0, right_s)):
            gateway.set_ahead(clock_s)
            gateway.let_pass(passes_s)
            assert playing(gateway) or gateway.passed_s >= lasts_s, "it is cut off"
    gateway.let_pass(max(lasts_s - gateway.passed_s, 0))
    assert not playing(gateway), "its end has come"
    assert gateway.warn(2, 60) == "waiting" and playing(gateway), "and a new one is heard"


BEHIND_S = (-2 * HOUR_S, -90, -3)
WRONG = st.lists(
    st.tuples(st.one_of(AHEAD_S, st.sampled_from(BEHIND_S)), st.integers(0, 100)), max_size=5
)
"""By how much the clock is wrong one after the other, each for so long: all within ten minutes."""


@settings(max_examples=100)
@given(st.integers(5, HOUR_S), st.sampled_from((0, *BEHIND_S)), st.booleans(), WRONG)
@example(60, -90, True, [(2 * HOUR_S, 30)])
@example(60, 0, True, [(-90, 1), (2 * HOUR_S, 30)])
def test_so_it_is_where_the_clock_was_behind_all_that_is_known_in_between(
    lasts_s, first_s, knows_floor, steps
):
    gateway = Gateway()
    if knows_floor:
        assert gateway.warn(1, 1) == "waiting"
        gateway.let_pass(2)
    gateway.set_ahead(first_s)
    gateway.offset_ns = gateway.right_ns  # as the station sees it; the node has read its own
    assert gateway.warn(2, lasts_s) == "waiting"
    since_s = gateway.passed_s
    for wrong_s, passes_s in steps:
        gateway.set_ahead(wrong_s)
        gateway.let_pass(passes_s)
        assert playing(gateway) or gateway.passed_s - since_s >= lasts_s, "it is cut off"
    gateway.set_ahead(0)
    gateway.let_pass(lasts_s + GRACE_S)
    assert not playing(gateway), "its end has come"


def later(begin: str, end: str) -> bytes:
    """Return a flood that is expected and waits: one block, from a wall clock to another."""
    text = without_second_language(FLOOD.replace(">Immediate<", ">Expected<"))
    text = text.replace("<effective>2025-10-07T02:00:00", f"<effective>2025-10-07T{begin}")
    text = text.replace("<expires>2025-10-07T08:00:00", f"<expires>2025-10-07T{end}")
    return text.replace("2025-10-07", "2025-12-07").encode()


@settings(max_examples=75)
@given(STEPS)
@example([(5 * HOUR_S, 1, 0)])
def test_a_warning_that_waits_is_heard_although_the_clock_was_beyond_its_end_for_a_while(steps):
    """It waits for an hour and holds for another: who sets the clock to then hears it then."""
    gateway = Gateway()
    data = later("03:00:05", "04:00:05")
    assert gateway.order(PROVINCE, Kind.CAP, data, message_class=URGENT) == "waiting"
    assert not playing(gateway)
    heard = False
    for ahead_s, wrong_s, right_s in steps:
        for clock_s, passes_s in ((ahead_s, wrong_s), (0, right_s)):
            gateway.set_ahead(clock_s)
            gateway.let_pass(min(passes_s, max(HOUR_S - 1 - gateway.passed_s, 0)))
            heard = heard or bool(playing(gateway))
    gateway.set_ahead(0)
    gateway.let_pass(HOUR_S - gateway.passed_s)
    assert playing(gateway) or heard, "it is lost"
    gateway.let_pass(HOUR_S)
    assert not playing(gateway)


@settings(max_examples=75)
@given(st.integers(120, HOUR_S), STEPS)
@example(HOUR_S, [(400 * DAY_S, 1, 0)])
def test_who_may_speak_until_an_hour_may_so_though_the_clock_is_wrong_for_a_while(lasts_s, steps):
    """Neither warning nor stream nor urgent item ends with a certificate that has not ended."""
    gateway = Gateway()
    gateway.let_speak(lasts_s)
    gateway.let_pass(60)
    assert len(gateway.speaking()) == 3
    for ahead_s, wrong_s, right_s in steps:
        for clock_s, passes_s in ((ahead_s, wrong_s), (0, right_s)):
            gateway.set_ahead(clock_s)
            gateway.let_pass(passes_s)
            assert len(gateway.speaking()) == 3 or gateway.passed_s >= lasts_s - 1, "it is cut off"
    gateway.let_pass(max(lasts_s - gateway.passed_s, 0) + 1)
    assert gateway.speaking() == set(), "the certificate has ended"


@settings(max_examples=20)
@given(st.sampled_from((HOUR_S + 700, 3 * HOUR_S, 5 * DAY_S)), st.integers(60, 900))
@example(5 * DAY_S, 60)
def test_a_clock_that_was_behind_and_is_put_right_ends_in_ten_minutes_what_is_over(
    behind_s, before_s
):
    gateway = Gateway()
    gateway.let_speak(behind_s + 300)
    data = later("03:00:05", "03:04:05")
    assert gateway.order(PROVINCE, Kind.CAP, data, message_class=URGENT) == "waiting"
    gateway.let_pass(before_s)
    spoke = gateway.speaking()
    gateway.set_ahead(behind_s)  # which is right, and beyond the end of all of that
    for _ in range(GRACE_S):
        assert gateway.speaking() <= spoke, "what is over begins"
        gateway.let_pass(1)
    assert gateway.speaking() == set()
    gateway.let_pass(6 * DAY_S)
    assert gateway.speaking() == set(), "nothing of it comes back"


@given(STEPS)
def test_so_it_is_where_the_time_was_known_by_a_signed_answer_before(steps):
    gateway = Gateway()
    gateway.boot(trusted=False)
    gateway.node.receive_nonce(b"n" * 16, gateway.now_ns)
    gateway.take()
    told = encode_answer(b"n" * 16, gateway.now_ns + gateway.right_ns)
    gateway.order(PROVINCE, Kind.BEACON, told, area="vn/lang-son", message_class=URGENT)
    gateway.let_speak(HOUR_S)
    gateway.let_pass(60)
    assert len(gateway.speaking()) == 3
    ahead_s, wrong_s, _ = steps[0]
    gateway.set_ahead(ahead_s)
    gateway.let_pass(wrong_s)
    assert len(gateway.speaking()) == 3, "it is cut off"
