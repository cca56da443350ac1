"""Whatever arrives, nothing is raised, everything is counted, and the programme sounds the same."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import (
    CANDIDATES,
    PROGRAMME_SSRC,
    fuzz,
    programme_packet,
    speech_payloads,
)
from node.config import NodeConfig
from node.counters import Count
from node.opus.libopus import LibopusDecoder
from node.stack import SpeakerNode

MS = 1_000_000
STATION = ("192.0.2.1", 5004)
STRANGER = ("198.51.100.1", 9)
PAYLOADS = speech_payloads()


def test_fifty_thousand_pieces_of_garbage_are_counted_and_not_heard():
    row = fuzz(50_000, seed=2)
    assert row["periods_different"] == 0
    assert row["programme_peak"] > 0.05
    assert row["uncounted"] <= CANDIDATES
    assert {"dropped_too_short", "dropped_malformed", "dropped_opus_framing"} <= row[
        "counts"
    ].keys()


def test_a_million_would_be_another_garbage_with_another_seed():
    assert fuzz(5000, seed=3)["counts"] != fuzz(5000, seed=4)["counts"]


def played(garbage: list[bytes], source: tuple[str, int]) -> tuple[np.ndarray, SpeakerNode]:
    """Return 0.6 s of a programme into which `garbage` falls after its fifth packet."""
    node = SpeakerNode(NodeConfig(name="n"), decoder_factory=LibopusDecoder)
    out = np.zeros((480, 1), np.float32)
    parts = []
    for period in range(60):
        now_ns = 10**9 + period * 10 * MS
        if period % 2 == 0:
            node.receive_datagram(programme_packet(PAYLOADS, period // 2), STATION, now_ns)
        if period == 10:
            for data in garbage:
                node.receive_datagram(data, source, now_ns + MS)
        node.render(out, now_ns + 20 * MS)
        parts.append(out.copy())
    return np.concatenate(parts), node


UNDISTURBED, _ = played([], STRANGER)

header = st.builds(
    lambda first, second, rest: bytes([first, second]) + rest,
    st.integers(0, 255), st.integers(0, 255), st.binary(min_size=10, max_size=60),
)  # fmt: skip
of_the_programme = st.builds(
    lambda number, at, value: _changed(programme_packet(PAYLOADS, number), at, value),
    st.integers(0, 100), st.integers(0, 1000), st.integers(0, 255),
)  # fmt: skip


def _changed(data: bytes, at: int, value: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([value]) + data[at + 1 :]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=1600), header, of_the_programme), max_size=30))
def test_a_stranger_cannot_disturb_a_running_programme(garbage):
    sound, node = played(garbage, STRANGER)
    assert np.array_equal(sound, UNDISTURBED)
    assert node.counts[Count.DATAGRAMS_RECEIVED] == 30 + len(garbage)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=1600), header, of_the_programme), max_size=30))
def test_nothing_that_the_station_itself_sends_raises(garbage):
    sound, node = played(garbage, STATION)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0
    assert node.counts[Count.DATAGRAMS_RECEIVED] == 30 + len(garbage)


def test_the_programme_of_these_tests_sounds():
    assert np.abs(UNDISTURBED).max() > 0.01
    assert PROGRAMME_SSRC
