"""Of what comes in the name of the poles only that is believed which their keys vouch for."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.calendar.play_state import Record
from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.proof.answers import ProofHead
from node.control.proof.proof import ProofChain
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.shell.poles.ledger import LINE_BYTES_MAX, NAMES_MAX, WAITING_MAX, Ledger
from node.shell.poles.pole_list import Pole

ONE, TWO, THIEF = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
POLES = {"coc-1": Pole(ONE.public_key), "coc-2": Pole(TWO.public_key)}
ROOT = "pa/v1/huu-lien/node"


def signed(signer, kind, content):
    message = Message(
        kind=kind, key_id=signer.key_id, counter=1, issued_s=1_800_000_000, ttl_s=600,
        message_class=MessageClass.NORMAL, area="vn", content=msgspec.json.encode(content),
    )  # fmt: skip
    return seal(message, signer)


def history(signer, name, count, what="played"):
    """The records of a pole, and its signed head after each."""
    chain = ProofChain({})
    lines, heads = [], []
    for n in range(1, count + 1):
        added = chain.add(Record(serial=n, name=f"item {n}", day="2026-01-01", outcome=what))
        assert added is not None
        lines.append(added[2])
        told = ProofHead(name, chain.number, chain.head, 0)
        heads.append(signed(signer, Kind.PROOF_HEAD, told))
    return lines, heads


LINES, HEADS = history(ONE, "coc-1", 6)
FALSE_LINES, FALSE_HEADS = history(THIEF, "coc-1", 6, "missed")
OTHERS_LINES, OTHERS_HEADS = history(TWO, "coc-2", 6, "missed")
STOLEN_LINES, STOLEN_HEADS = history(TWO, "coc-1", 6, "missed")
"""By the key of another pole of the list."""


def heard(ledger, name, *payloads, what="proof"):
    found = []
    for one in payloads:
        found += ledger.take(f"{ROOT}/{name}/{what}", one)
    return [one.line for one in found]


FORGERIES = (
    *((what, line) for what in ("proof",) for line in (*FALSE_LINES, *OTHERS_LINES)),
    *(("proof-head", one) for one in (*FALSE_HEADS, *OTHERS_HEADS, *STOLEN_HEADS)),
    ("proof-head", b""), ("proof", b"{}"), ("proof", LINES[0].replace(b"played", b"missed")),
)  # fmt: skip
GENUINE = (*(("proof", one) for one in LINES), *(("proof-head", one) for one in HEADS))


@settings(max_examples=300)
@given(
    st.permutations(GENUINE), st.lists(st.tuples(st.integers(0, 40), st.sampled_from(FORGERIES)))
)
@example(GENUINE, [(0, ("proof-head", FALSE_HEADS[5])), (0, ("proof", FALSE_LINES[5]))])
def test_in_any_order_and_among_any_forgeries_all_that_is_genuine_is_believed_and_no_more(
    genuine, forged
):
    messages = list(genuine)
    for place, one in forged:
        messages.insert(place % (len(messages) + 1), one)
    ledger = Ledger(POLES)
    found = [line for what, data in messages for line in heard(ledger, "coc-1", data, what=what)]
    assert sorted(found) == sorted(LINES), "each once"
    one = ledger.proven["coc-1"]
    assert (one.number, one.believed, one.wanted, one.contradicts) == (6, 6, {}, False)
    assert not ledger.proven["coc-2"].number
    assert bool(ledger.forged) == any(w == "proof-head" and data for _, (w, data) in forged)


def test_a_forged_an_unknown_and_a_wrongly_named_one_are_counted_and_named_and_not_believed():
    ledger = Ledger(POLES)
    assert heard(ledger, "coc-1", *FALSE_LINES) == []
    assert heard(ledger, "coc-1", *FALSE_HEADS, what="proof-head") == []
    assert ledger.forged == {"coc-1": 6}
    assert heard(ledger, "coc-2", *STOLEN_HEADS, what="proof-head") == []
    assert ledger.forged == {"coc-1": 12}, "who signs may not speak of another"
    assert heard(ledger, "coc-3", LINES[0]) == []
    assert heard(ledger, "coc-3", HEADS[0], what="proof-head") == []
    assert ledger.strangers == {"coc-3": 2}
    told = Acknowledgement("coc-1", "ab" * 8, 7, "obeyed\x1b[2J", 0)
    for signer, count in ((THIEF, 0), (ONE, 1)):
        answer = signed(signer, Kind.ACKNOWLEDGEMENT, told)
        believed = ledger.take(f"{ROOT}/coc-1/acknowledgement", answer)
        assert len(believed) == count and not any("\x1b" in one.text for one in believed)
    assert ledger.forged == {"coc-1": 13}


def test_a_record_without_a_signed_head_is_not_believed_and_with_it_the_gap_is_told():
    ledger = Ledger(POLES)
    assert heard(ledger, "coc-1", LINES[0], LINES[1], LINES[3], LINES[4]) == []
    found = heard(ledger, "coc-1", HEADS[4], what="proof-head")
    assert found == [LINES[3], LINES[4]]
    assert list(ledger.proven["coc-1"].wanted.values()) == [3]
    assert heard(ledger, "coc-1", LINES[2]) == [LINES[0], LINES[1], LINES[2]]
    assert not ledger.proven["coc-1"].wanted


def test_a_chain_that_was_cut_and_grew_again_is_told_as_two_histories():
    again, heads = history(ONE, "coc-1", 9, "missed")
    for change in (again[:3], again):
        ledger = Ledger(POLES)
        heard(ledger, "coc-1", *LINES)
        heard(ledger, "coc-1", HEADS[5], what="proof-head")
        assert not ledger.proven["coc-1"].contradicts
        heard(ledger, "coc-1", *change)
        heard(ledger, "coc-1", heads[len(change) - 1], what="proof-head")
        assert ledger.proven["coc-1"].contradicts
    assert not heard(ledger, "coc-1", HEADS[2], what="proof-head"), "an old head tells nothing new"


def test_what_strangers_fill_has_bounds():
    ledger = Ledger(POLES)
    for n in range(NAMES_MAX + 5):
        heard(ledger, f"x{n}", b"")
    assert len(ledger.strangers) == NAMES_MAX
    chain = ProofChain({})
    for n in range(1, WAITING_MAX + 50):
        added = chain.add(Record(serial=n, name="x", day="", outcome="played"))
        assert added is not None and not heard(ledger, "coc-1", added[2])
    assert len(ledger.proven["coc-1"].waiting) == WAITING_MAX
    heard(ledger, "coc-1", b"{" * (LINE_BYTES_MAX + 1), b"[" * 9000)
    assert ledger.unreadable == 2


@given(st.sampled_from(["proof", "proof-head", "acknowledgement", "x"]), st.binary(max_size=300))
def test_whatever_comes_raises_nothing_and_is_not_believed(what, payload):
    ledger = Ledger(POLES)
    assert ledger.take(f"{ROOT}/coc-1/{what}", payload) == []
    assert ledger.take(payload.decode(errors="replace"), payload) == []
