"""Whose answers are believed: those signed with the key of the node that they name."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import SeedSigner
from node.shell.poles.pole_list import Pole
from node.shell.poles.roster import Roster

OFFICER, NODE, THIEF = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
ROOT = "pa/v1/huu-lien/node"


def message(kind, signer, content, counter=9):
    return Message(
        kind=kind,
        key_id=signer.key_id,
        counter=counter,
        issued_s=1_800_000_000,
        ttl_s=600,
        message_class=MessageClass.URGENT,
        area="vn",
        content=content,
    )


ORDER = open_envelope(seal(message(Kind.MUTE, OFFICER, b""), OFFICER))
assert isinstance(ORDER, Message)


def answer(signer, node="coc-1", fate="obeyed", counter=9):
    told = Acknowledgement(node, OFFICER.key_id.hex(), counter, fate, 1_800_000_000)
    return seal(message(Kind.ACKNOWLEDGEMENT, signer, msgspec.json.encode(told)), signer)


def listed(**more):
    return Roster(ORDER, {"coc-1": Pole(NODE.public_key, ("all",)), **more})


def test_an_answer_with_the_key_of_the_list_is_believed_and_no_other():
    roster = listed()
    assert roster.take(f"{ROOT}/coc-1/acknowledgement", answer(THIEF)) is None
    assert roster.forged == {"coc-1"} and roster.answers == {}
    good = roster.take(f"{ROOT}/coc-1/acknowledgement", answer(NODE))
    assert good is not None and good.verified and good.good
    assert roster.forged == set()


def test_a_stolen_node_cannot_answer_for_others():
    roster = listed(**{"coc-2": Pole(THIEF.public_key, ("all",))})
    assert roster.take(f"{ROOT}/coc-2/acknowledgement", answer(THIEF, node="coc-1")) is None
    assert roster.take(f"{ROOT}/coc-1/acknowledgement", answer(THIEF, node="coc-1")) is None
    assert "coc-1" not in roster.answers


def test_an_answer_of_zeros_or_to_another_order_is_none():
    roster = listed()
    zeros = bytearray(answer(NODE))
    zeros[12:76] = bytes(64)
    for payload in (bytes(zeros), answer(NODE, counter=8), b"", bytes(300)):
        assert roster.take(f"{ROOT}/coc-1/acknowledgement", payload) is None
    assert roster.answers == {}


def test_without_a_list_the_key_that_the_node_tells_must_at_least_fit():
    roster = Roster(ORDER, {})
    assert roster.take(f"{ROOT}/coc-1/acknowledgement", answer(NODE)) is None
    about = json.dumps({"zones": ["all"], "public_key": NODE.public_key.hex()}).encode()
    late = roster.take(f"{ROOT}/coc-1/about", about)
    assert late is not None and not late.verified
    assert roster.of_zone("all") == ["coc-1"]


def test_a_refusal_is_no_success_and_its_text_moves_no_cursor():
    one = listed().take(f"{ROOT}/coc-1/acknowledgement", answer(NODE, fate="replayed\x1b[2J"))
    assert one is not None and not one.good and "\x1b" not in one.fate


def test_what_is_known_of_a_silent_node_is_told():
    roster = listed()
    assert "knows nothing" in roster.state_of("coc-1")
    roster.take(f"{ROOT}/coc-1/state", b'{"state": "degraded", "why": ["store: full"]}')
    assert roster.state_of("coc-1") == "its state is degraded (store: full)"


@given(
    st.sampled_from(["state", "about", "acknowledgement", "x"]),
    st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
            ["state", "why", "zones", "public_key"]), inner)).map(
                lambda value: json.dumps(value).encode())),
)  # fmt: skip
def test_whatever_a_broker_says_of_a_node_raises_nothing_and_is_no_answer(what, payload):
    assert listed().take(f"{ROOT}/coc-1/{what}", payload) is None


def test_with_a_list_nobody_is_believed_who_is_not_in_it_and_made_up_names_have_a_bound(
    monkeypatch,
):
    roster = listed()
    about = json.dumps({"zones": ["all"], "public_key": THIEF.public_key.hex()}).encode()
    roster.take(f"{ROOT}/coc-9/about", about)
    assert roster.take(f"{ROOT}/coc-9/acknowledgement", answer(THIEF, node="coc-9")) is None
    assert roster.unlisted == {"coc-9"} and roster.answers == {}
    monkeypatch.setattr("node.shell.poles.roster.NODES_MAX", 4)
    for n in range(9):
        roster.take(f"{ROOT}/coc-1/acknowledgement", answer(THIEF, node=f"y{n}"))
        roster.take(f"{ROOT}/z{n}/acknowledgement", answer(THIEF, node=f"z{n}"))
    assert len(roster.forged) == len(roster.unlisted) == 4
