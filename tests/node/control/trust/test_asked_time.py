"""A node that knows no time asks for it: a fresh answer is believed at once, nothing else is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.control.trust.asked_time import ASK_S, LIVES_NS, encode_answer
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.events import Publish
from node.units import NS_PER_S
from tests.node.control.test_controller import (
    AREA,
    COMMUNE,
    PRIORITY,
    PROVINCE,
    ROOT,
    THIEF,
    URGENT,
    Village,
)
from tests.node.control.trust.test_rights import playing, warn

NONCE = bytes(range(16))


def dark() -> Village:
    village = Village()
    village.boot(trusted=False)
    village.events.clear()
    return village


def ask(village: Village, nonce: bytes = NONCE) -> bool:
    village.events.clear()
    village.node.receive_nonce(nonce, village.now_ns)
    village.take()
    return [e.payload for e in village.events if isinstance(e, Publish)] == [nonce]


def answer(
    village: Village, by: SeedSigner = PROVINCE, nonce: bytes = NONCE, *, ahead_s: int = 0
) -> str:
    utc_ns = village.now_ns + village.offset_ns + ahead_s * NS_PER_S
    area = "" if by is ROOT else AREA
    return village.order(by, Kind.BEACON, encode_answer(nonce, utc_ns), area=area)


def knows(village: Village) -> bool:
    return bool(village.node.status(village.now_ns)["clock_trusted"])


def test_an_answer_to_its_question_is_believed_at_once_and_the_calendar_plays():
    village = dark()
    assert ask(village) and not knows(village)
    village.now_ns += NS_PER_S
    assert answer(village) == "obeyed"
    assert knows(village)
    told_s = int(str(village.node.status(village.now_ns)["utc_s"]))
    assert abs(told_s - (village.now_ns + village.offset_ns) // NS_PER_S) <= 1
    assert not ask(village, bytes(16)), "it is not asked for again while it is known"


def test_a_warning_waits_for_no_answer():
    village = dark()
    assert ask(village)
    assert warn(village) == "waiting"
    assert len(playing(village)) == 1


@given(
    st.sampled_from(
        ("", "none", "another", "twice", "late", "no right", "stranger", "below floor")
    ),
    st.booleans(),
)
@example("late", True)
def test_what_answers_no_open_question_makes_no_clock_right(wrong, asked_before):
    village = dark()
    if asked_before:
        ask(village, bytes(16))
        village.now_ns += ASK_S[0] * NS_PER_S
    if wrong != "none":
        assert ask(village)
    if wrong == "late":
        village.now_ns += LIVES_NS + 1
    if wrong == "another":
        answer(village, nonce=bytes(16))
    elif wrong == "no right":
        answer(village, COMMUNE)  # of class priority: its beacons are not believed
    elif wrong == "stranger":
        answer(village, THIEF)
    elif wrong == "below floor":
        answer(village, ahead_s=-30 * 86_400)
    else:
        answer(village)
    assert knows(village) == (wrong in ("", "twice"))
    if wrong == "twice":
        village.boot(trusted=False)
        answer(village)
        assert not knows(village), "an answer from before is none"


def test_one_question_is_open_and_it_is_asked_more_and_more_seldom():
    village = dark()
    asked = []
    for second in range(3600):
        village.now_ns += NS_PER_S
        if ask(village, second.to_bytes(16, "big")):
            asked.append(second)
    assert len(asked) <= 12
    assert answer(village, nonce=asked[-2].to_bytes(16, "big")) == "obeyed"
    assert not knows(village), "the last one alone is open"


@pytest.mark.parametrize("ahead_s", [0, 40 * 365 * 86_400])
def test_an_answer_of_one_below_ends_nothing_of_one_above(ahead_s):
    village = Village()
    claim = Certificate("c", COMMUNE.public_key, "commune", AREA, PRIORITY, 1 << 39, True)
    import msgspec

    assert (
        village.order(PROVINCE, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn/lang-son")
        == "obeyed"
    )
    village.boot(trusted=False)
    assert warn(village) == "waiting"
    assert village.order(PROVINCE, Kind.MUTE, message_class=URGENT) == "obeyed"
    village.boot(trusted=False)
    assert ask(village)
    assert answer(village, COMMUNE, ahead_s=ahead_s) == "obeyed"
    assert knows(village)
    assert len(playing(village)) == 1
    assert village.node.status(village.now_ns)["muted_by"] == "x"
    village.now_ns += 3700 * NS_PER_S
    village.node.handle_deadline(village.now_ns)
    village.take()
    assert playing(village) == [], "it lasts as long as it was to last"


def test_the_machines_own_clock_goes_before_an_answer():
    village = dark()
    assert ask(village) and answer(village, ahead_s=500) == "obeyed"
    village.read_clock(trusted=True)
    told_s = int(str(village.node.status(village.now_ns)["utc_s"]))
    assert told_s == (village.now_ns + village.offset_ns) // NS_PER_S
