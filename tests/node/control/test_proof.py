"""The record of what played can be checked, and not be changed unseen."""

from hypothesis import given
from hypothesis import strategies as st

from node.control.play_state import Record
from node.control.proof import ENTRIES_MAX, GENESIS, ProofChain, verify_chain


def record(serial: int, writer: str = "programme") -> Record:
    return Record(serial=serial, name="news", day="2026-11-22", outcome="played", writer=writer)


def chain(count: int) -> tuple[ProofChain, dict[str, bytes]]:
    proof = ProofChain({})
    stored: dict[str, bytes] = {}
    for serial in range(1, count + 1):
        stored.update(proof.add(record(serial)))
    return proof, stored


@given(st.integers(1, 12), st.data())
def test_any_edit_deletion_or_reorder_is_found(count, data):
    _, stored = chain(count)
    lines = list(stored.values())
    assert verify_chain(lines) is None
    at = data.draw(st.integers(0, count - 1))
    what = data.draw(st.sampled_from(["edit", "delete", "swap"]))
    if what == "edit":
        lines[at] = lines[at].replace(b"news", b"fake")
        lines.append(b"{}")
    elif what == "delete" and at < count - 1:
        del lines[at]
    elif what == "swap" and at < count - 1:
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    else:
        return
    assert verify_chain(lines) is not None


def test_an_edited_last_entry_shows_against_the_published_head():
    proof, stored = chain(3)
    lines = list(stored.values())
    assert verify_chain(lines[2:], previous=GENESIS, number=2) is not None
    forged = [*lines[:2], lines[2].replace(b"played", b"missed")]
    assert verify_chain(forged) is None
    assert ProofChain(dict(zip(stored, forged, strict=True))).head != proof.head


def test_the_chain_goes_on_after_a_power_cut_and_takes_no_record_twice():
    proof, stored = chain(5)
    again = ProofChain(stored)
    assert (again.number, again.head) == (proof.number, proof.head)
    assert again.add(record(5)) == []
    stored.update(again.add(record(6)))
    stored.update(again.add(record(1, writer="alerts")))
    assert verify_chain(stored.values()) is None


def test_old_entries_go_and_the_chain_holds():
    proof, stored = chain(3)
    proof.number = ENTRIES_MAX
    kept = proof.add(record(99))
    assert len(kept) == 2 and kept[1][1] == b"" and kept[1][0] in stored


def test_damaged_lines_are_counted():
    _, stored = chain(3)
    stored["proof/000000002"] = b"\xff"
    assert ProofChain(stored).damaged == 1
