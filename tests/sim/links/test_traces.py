"""A trace is read to the packet, or refused in a line: whatever numbers are in it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.units import NS_PER_MS
from sim.links.kernel import LOST_NS
from sim.links.traces import read_recording, read_trace
from sim.links.transits import DELAY_MAX_MS, Recording, per_packet


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


def table(sequences, sent_ms, came_ms):
    rows = zip(sequences, sent_ms, came_ms, strict=True)
    said = [f"{q},{at},{'' if came is None else came}" for q, at, came in rows]
    return "\n".join(["seq,send_ms,arrival_ms", *said])


def recorded(folder, text):
    path = folder / "field.csv"
    path.write_text(text)
    return read_recording(path)


@settings(max_examples=25)
@given(st.floats(-250, 250), st.integers(0, 99), st.sampled_from([20_000, 60_000]))
@example(50.0, 1, 60_000)
@example(0.0, 1, 20_000)
def test_two_clocks_that_run_apart_make_no_packet_slow(tmp_path_factory, ppm, seed, count):
    """Twenty minutes at 50 ppm are 60 ms: more than most networks need."""
    sent_ms = np.arange(count) * 20.0
    late_ms = np.random.default_rng(seed).gamma(2.0, 3.0, count)
    came_ms = np.round(7 + sent_ms * (1 + ppm / 1e6) + late_ms, 4)
    text = table(range(count), sent_ms.tolist(), came_ms.tolist())
    found = recorded(tmp_path_factory.mktemp("skew"), text)
    off_ms = found.transit_ns / NS_PER_MS - (late_ms - late_ms.min())
    assert np.abs(off_ms).max() < 3.5
    assert found.skew_ppm == 0 or abs(found.skew_ppm - ppm) < 3
    assert found.interval_ns == 20 * NS_PER_MS


def test_another_way_in_the_middle_of_a_trace_is_no_clock(tmp_path):
    sent_ms = np.arange(20_000) * 20.0
    way_ms = np.where(np.arange(20_000) > 8000, 110.0, 30.0)
    found = recorded(tmp_path, table(range(20_000), sent_ms, sent_ms + way_ms))
    assert found.skew_ppm == 0
    assert (found.transit_ns / NS_PER_MS).tolist() == (way_ms - 30).tolist()


@settings(max_examples=40)
@given(
    st.integers(0, 65_535),
    st.lists(st.sampled_from(["came", "lost", "missing", "late"]), min_size=3, max_size=60),
)
@example(65_534, ["came"] * 4)
def test_numbers_of_16_bits_that_go_round_are_no_loss(tmp_path_factory, first, fates):
    """As `tshark -T fields` writes them: each after its arrival."""
    fates = ["came", *fates, "came"]
    rows = [
        (i + 2.5 * (one == "late"), (first + i) % 65_536, 20 * i, None if one == "lost" else 20 * i)
        for i, one in enumerate(fates)
        if one != "missing"
    ]
    rows.sort()
    found = read(tmp_path_factory.mktemp("round"), table(*list(zip(*rows, strict=True))[1:]))
    assert found.tolist() == [0 if one in ("came", "late") else LOST_NS for one in fates]


def test_of_a_packet_that_came_twice_the_first_counts(tmp_path):
    for rows in ([(1, 0, 5), (2, 20, 25), (2, 20, 90)], [(1, 0, 5), (2, 20, 90), (2, 20, 25)]):
        assert read(tmp_path, table(*zip(*rows, strict=True))).tolist() == [0, 0]


@given(
    st.lists(st.sampled_from([LOST_NS, 0, 7]), min_size=1, max_size=40),
    st.sampled_from([20, 60, 1000]),
    st.sampled_from([10, 20, 60]),
)
@example([0, LOST_NS], 1000, 20)
def test_an_outage_is_as_long_for_packets_of_any_length(transits, every_ms, packet_ms):
    recording = Recording(np.array(transits, np.int64), every_ms * NS_PER_MS)
    found = per_packet(Path("t"), recording, packet_ms * NS_PER_MS)
    assert found.size == max(1, len(transits) * every_ms // packet_ms)
    for i, one in enumerate(found.tolist()):
        assert one == transits[i * packet_ms // every_ms]
    unknown = per_packet(Path("t"), Recording(recording.transit_ns), packet_ms * NS_PER_MS)
    assert unknown.tolist() == transits
