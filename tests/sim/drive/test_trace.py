"""The trace of a journal says whether two nodes did the same."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.kernel.record import Records, new
from node.source.state import Played
from sim.drive.trace import Trace


def journal(rows: int, seed: int) -> Records[Played]:
    """Return a journal by chance, of which some rows have no arrival."""
    rng = np.random.default_rng(seed)
    found = new(Played, rows)
    for name in Played.dtype.names or ():
        found[name] = rng.integers(0, 2**31, rows)
    found["arrival_ns"][rng.random(rows) < 0.2] = -1
    return found


def digest(*parts: Records[Played]) -> bytes:
    """Return the digest of a journal that comes in parts."""
    trace = Trace()
    for part in parts:
        trace.add(part)
    return trace.digest()


@given(st.integers(0, 50), st.lists(st.integers(0, 50), max_size=4), st.integers(0, 2**32))
def test_a_journal_has_one_trace_however_it_comes_in_pieces(
    rows: int, cuts: list[int], seed: int
) -> None:
    whole = journal(rows, seed)
    edges = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    pieces = [whole[begin:end] for begin, end in pairwise(edges)]

    assert digest(*pieces) == digest(whole)


@pytest.mark.parametrize("name", Played.dtype.names or ())
@given(st.integers(1, 30), st.data(), st.integers(0, 2**32))
def test_one_bit_of_one_row_is_another_trace(
    name: str, rows: int, data: st.DataObject, seed: int
) -> None:
    one, other = journal(rows, seed), journal(rows, seed)
    other[name][data.draw(st.integers(0, rows - 1))] ^= 1 << data.draw(st.integers(0, 8))

    assert digest(one) != digest(other)


def test_two_rows_the_other_way_round_or_one_less_are_another_trace() -> None:
    rows = journal(3, 1)

    assert len({digest(rows), digest(rows[1:]), digest(rows[:2]), digest(rows[1:], rows[:1])}) == 4
