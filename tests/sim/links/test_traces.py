"""A trace is read to the packet, or refused in a line: whatever numbers are in it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.units import NS_PER_MS
from sim.links.kernel import LOST_NS
from sim.links.traces import read_trace
from sim.links.transits import DELAY_MAX_MS


def read(folder, text, name="field.csv"):
    """Return the trace, or what is wrong with it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    try:
        return read_trace(path)
    except ConfigError as fault:
        return str(fault)


@settings(max_examples=60)
@given(st.lists(st.integers(-3, 10**22), min_size=1, max_size=20), st.booleans())
@example([DELAY_MAX_MS, -1], True)
@example([5, DELAY_MAX_MS + 1], False)
def test_delays_of_any_size_are_read_or_refused_in_one_line(tmp_path_factory, delays, marked):
    text = "\ufeff" * marked + "\n".join(str(one) for one in delays) + "\n"
    found = read(tmp_path_factory.mktemp("trace"), text)
    wrong = [i for i, one in enumerate(delays, 1) if not -1 <= one <= DELAY_MAX_MS]
    if wrong:
        assert f"line {wrong[0]} = " in found and "\n" not in found
    else:
        ns = [LOST_NS if one == -1 else one * NS_PER_MS for one in delays]
        assert found.tolist() == ns


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.floats(), st.one_of(st.none(), st.floats())),
        min_size=1,
        max_size=12,
    )
)
@example([(0, 0.0, 1e300), (1, 0.0, 5.0)])
def test_a_table_of_any_numbers_is_read_or_refused_in_one_line(tmp_path_factory, rows):
    lines = [f"{seq},{sent!r},{'' if came is None else repr(came)}" for seq, sent, came in rows]
    found = read(tmp_path_factory.mktemp("trace"), "\n".join(["seq,send_ms,arrival_ms", *lines]))
    if isinstance(found, str):
        assert "field.csv" in found and "\n" not in found
    else:
        assert found[found != LOST_NS].min() == 0
        assert found.max() <= DELAY_MAX_MS * NS_PER_MS


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_makes_no_other_table(tmp_path, mark):
    found = read(tmp_path, mark + "seq,send_ms,arrival_ms\n7,0,3\n8,20,\n9,40,45\n")
    assert found.tolist() == [0, LOST_NS, 2 * NS_PER_MS]
    assert found.dtype == np.int64
