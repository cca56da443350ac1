"""Who played an order is told by records that the pole's key vouches for, and by no others."""

import msgspec
import pytest

from node.control.calendar.play_state import Record
from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.proof.answers import Answers
from node.control.proof.proof import ProofChain
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short, identifier_of
from node.shell.poles.outcomes import Outcomes
from node.shell.poles.pole_list import Pole
from tests.node.control.test_controller import block, document

OFFICE, NODE, THIEF = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
POLES = {"coc-1": Pole(NODE.public_key, ())}
TOPIC = "pa/v1/v/node/coc-1/"
NUMBER = 0xABC
STORM = block("storm", urgency="Immediate", code="SVR", begin="02:00", end="12:00")
CAP = document("vn-ls-0007", STORM)


def order(kind=Kind.SHORT_ALERT, content=None):
    if content is None:
        content = encode_short("alert", NUMBER, event_code="FFW", lasts_s=60)
    message = Message(
        kind=kind, key_id=OFFICE.key_id, counter=1, issued_s=1000, ttl_s=60,
        message_class=MessageClass.URGENT, area="vn", content=content,
    )  # fmt: skip
    opened = open_envelope(seal(message, OFFICE))
    assert isinstance(opened, Message)
    return opened


def record(**more):
    known = {
        "serial": 1, "name": identifier_of(NUMBER), "day": "", "outcome": "played",
        "ended_s": 1020, "sounded_s": 18, "signed_by": OFFICE.key_id.hex(),
        "heard_by": "microphone, heard at 9 of 9 looks, margin 9 dB at least",
    }  # fmt: skip
    return Record(**(known | more))


def told(outcomes, one, *, by=NODE):
    """What is told of a record when it and the signed head have come."""
    chain = ProofChain({})
    _, _, line = chain.add(one)
    lines = outcomes.take(TOPIC + "proof", line)
    head = Answers("coc-1", "vn", by).tell_head(chain, 1020)
    return lines + outcomes.take(TOPIC + "proof-head", head.payload)


def test_a_record_of_the_order_is_told_with_what_verified_it():
    outcomes = Outcomes(order(), POLES)
    by = "microphone, heard at 9 of 9 looks, margin 9 dB at least"
    assert told(outcomes, record()) == [f"coc-1: played, 18 s ({by})"]
    assert outcomes.not_played == []


def test_what_did_not_play_is_told_with_the_reason():
    outcomes = Outcomes(order(), POLES)
    one = record(outcome="missed", reason="the microphone heard nothing of it", heard_by="card; x")
    [line] = told(outcomes, one)
    assert line == "coc-1: missed, 18 s, the microphone heard nothing of it (card; x)"
    assert outcomes.not_played == ["coc-1"]


@pytest.mark.parametrize(
    "more",
    [{"signed_by": THIEF.key_id.hex()}, {"name": identifier_of(NUMBER + 1)}, {"ended_s": 999}],
)
def test_records_of_other_orders_are_not_of_this_one(more):
    outcomes = Outcomes(order(), POLES)
    assert told(outcomes, record(**more)) == []
    assert outcomes.records == {}


def test_a_record_that_the_poles_key_does_not_vouch_for_is_not_believed():
    outcomes = Outcomes(order(), POLES)
    assert told(outcomes, record(), by=THIEF) == []
    assert Outcomes(order(), {}).take(TOPIC + "proof", b"{") == []


@pytest.mark.parametrize(
    ("kind", "content", "name"),
    [
        (Kind.SELF_TEST, b"silent", "self-test"),
        (Kind.SESSION, msgspec.json.encode(Session(0xBEEF)), "live 0000beef"),
        (Kind.CAP, CAP, "vn-ls-0007"),
        (Kind.CAP, CAP, "vn-ls-0007/2"),
    ],
)
def test_each_kind_of_order_knows_its_record(kind, content, name):
    outcomes = Outcomes(order(kind, content), POLES)
    assert len(told(outcomes, record(name=name))) == 1


@pytest.mark.parametrize("kind", [Kind.CAP, Kind.MUTE, Kind.CALENDAR])
def test_what_the_same_key_ordered_before_is_not_taken_for_this_one(kind):
    """A siren of before that ends after this order was signed is no proof of it."""
    outcomes = Outcomes(order(kind, CAP if kind is Kind.CAP else b""), POLES)
    assert told(outcomes, record(name="another warning")) == []
