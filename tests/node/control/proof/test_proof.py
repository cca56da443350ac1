"""The record of what played can be checked, and not be changed unseen."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from node.control.calendar.play_state import Record
from node.control.proof.proof import (
    BLOCK_ENTRIES,
    BLOCKS,
    GENESIS,
    ProofChain,
    lines_of,
    verify_chain,
)


def record(serial: int, writer: str = "programme") -> Record:
    return Record(serial=serial, name="news", day="2026-11-22", outcome="played", writer=writer)


def keep(stored: dict[str, bytes], proof: ProofChain, one: Record) -> None:
    added = proof.add(one)
    assert added is not None
    stored[added[0]] = added[1]


def chain(count: int) -> tuple[ProofChain, dict[str, bytes]]:
    proof = ProofChain({})
    stored: dict[str, bytes] = {}
    for serial in range(1, count + 1):
        keep(stored, proof, record(serial))
    return proof, stored


@given(st.integers(1, 40), st.data())
def test_any_edit_deletion_or_reorder_is_found(count, data):
    _, stored = chain(count)
    lines = lines_of(stored)
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
    lines = lines_of(stored)
    assert verify_chain(lines[2:], previous=GENESIS, number=2) is not None
    forged = [*lines[:2], lines[2].replace(b"played", b"missed")]
    assert verify_chain(forged) is None
    assert ProofChain({"proof/000": b"\n".join(forged)}).head != proof.head


def test_the_chain_goes_on_after_a_power_cut_and_takes_no_record_twice():
    proof, stored = chain(BLOCK_ENTRIES + 5)
    again = ProofChain(stored)
    assert (again.number, again.head) == (proof.number, proof.head)
    assert again.add(record(BLOCK_ENTRIES + 5)) is None
    keep(stored, again, record(BLOCK_ENTRIES + 6))
    keep(stored, again, record(1, writer="alerts"))
    assert verify_chain(lines_of(stored)) is None and len(stored) == 2


def test_old_entries_give_way_and_the_rest_of_the_chain_holds():
    entries = BLOCKS * BLOCK_ENTRIES + 3
    _, stored = chain(entries)
    lines = lines_of(stored)
    assert len(stored) == BLOCKS and entries - BLOCK_ENTRIES <= len(lines) + 3 <= entries
    first = msgspec.json.decode(lines[0])
    assert verify_chain(lines, previous=first["previous"], number=first["number"] - 1) is None
    assert ProofChain(stored).number == entries


def test_damaged_lines_are_counted():
    _, stored = chain(3)
    stored["proof/001"] = b"\xff"
    again = ProofChain(stored)
    assert again.damaged == 1 and again.number == 3
