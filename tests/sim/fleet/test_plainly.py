"""A plain period leaves what the node's own kernels leave, to every field of every record."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.kernel.record import new
from node.source.state import Played
from node.units import NS_PER_MS, NS_PER_S
from sim.fleet import listening
from sim.fleet.desk import Desk, Seat
from sim.fleet.newcomer import Newcomer
from sim.fleet.sheet import packet_sheet
from sim.station import payloads
from sim.station.programme import Sender
from sim.village import scenario
from sim.village.places import build_village, node_config
from sim.village.scenario import sound_file
from tests.sim.villages import village

LEAD_NS = 80 * NS_PER_MS
BOOTED_NS = 1000 * NS_PER_S
PARTS = ("jitter", "line", "playout", "resampler", "servo", "repair", "slots")
"""Of a source: what is left is fixed, or room."""


@dataclass(frozen=True)
class Way:
    """What packets meet on their way, by chance."""

    seed: int = 1
    packets: int = 600
    jitter_ms: int = 5
    """Mean of what comes on top; half of them as much as the one before, where they keep order."""
    lost: float = 0.0
    overtaken: float = 0.0
    doubled: float = 0.0
    stall_ms: int = 0
    """For so long nothing comes, at three places."""
    moved_ms: int = 0
    """By so much longer the way is from the middle on."""
    skew_ppm: int = 0
    """Of the card, and half of it of the node's clock."""
    torn_ms: int = 0
    """The card stands still for so long, in the middle."""
    gone: int = 0
    """So many packets in the middle never come."""


ODD = {
    "jitter_ms": [0, 1, 20, 90],
    "lost": [0.003, 0.05, 0.4],
    "overtaken": [0.01, 0.2],
    "doubled": [0.01, 0.2],
    "stall_ms": [150, 700, 4000],
    "moved_ms": [-40, 30, 150, 400],
    "skew_ppm": [-120, 80, 3000],
    "torn_ms": [1, 3, 60],
    "gone": [5, 60, 700],
}


@st.composite
def ways(draw):
    names = draw(st.lists(st.sampled_from(sorted(ODD)), max_size=4, unique=True))
    odd = {name: draw(st.sampled_from(ODD[name])) for name in names}
    return Way(seed=draw(st.integers(0, 1 << 30)), packets=draw(st.integers(40, 1500)), **odd)


@pytest.fixture(scope="module", params=[(20, 100), (20, 400), (60, 1500)])
def station(request, tmp_path_factory):
    """Return the sheet of its packets, and what nodes begin as."""
    packet_ms, delay_ms = request.param
    path = tmp_path_factory.mktemp("plain") / "one.toml"
    path.write_text(
        village(
            {("Thôn", 0, 0): [("c-0", "pi_4b_i2s", "ftth", 0, 0)]},
            duration_s=60,
            more=f"[sender]\nreports = false\npacket_ms = {packet_ms}\n",
            playout_delay_ms=delay_ms,
        )
    )
    asked = scenario.load(path)
    programme = payloads.load(sound_file(asked), asked.sender)
    sender = Sender(programme, seed=1, duration_ns=60 * NS_PER_S, pacing_max_us=0)
    place = build_village(asked).places[0]
    newcomer = Newcomer(node_config(place, asked), sender, speaks=False, again=False)
    return packet_ms, packet_sheet(programme), newcomer


def come(way, packet_ms):
    """Return what arrives, (2, n) int64, ns and counts, and when the card asks, (m,) int64, ns."""
    rng = np.random.default_rng(way.seed)
    numbers = np.arange(way.packets)
    middle = way.packets // 2
    sent_ns = numbers * packet_ms * NS_PER_MS
    on_top_ns = (rng.exponential(max(way.jitter_ms, 0.01), way.packets) * NS_PER_MS).astype(int)
    at_ns = sent_ns + 50 * NS_PER_MS + on_top_ns
    at_ns[middle:] += way.moved_ms * NS_PER_MS
    for begin_ns in sent_ns[[way.packets // 4, middle, 3 * way.packets // 4]]:
        stalled = (at_ns >= begin_ns) & (at_ns < begin_ns + way.stall_ms * NS_PER_MS)
        at_ns[stalled] = begin_ns + way.stall_ms * NS_PER_MS
    in_order = np.maximum.accumulate(at_ns)
    late = rng.random(way.packets) < way.overtaken
    at_ns = np.where(late, at_ns + 3 * packet_ms * NS_PER_MS, in_order)
    kept = rng.random(way.packets) >= way.lost
    kept[middle : middle + way.gone] = False
    twice = kept & (rng.random(way.packets) < way.doubled)
    at_ns = np.concatenate([at_ns[kept], at_ns[twice] + 2 * NS_PER_MS])
    numbers = np.concatenate([numbers[kept], numbers[twice]])
    at_ns = BOOTED_NS + at_ns + at_ns * way.skew_ppm // 2_000_000
    order = np.argsort(at_ns, kind="stable")
    asks_ns = np.arange(sent_ns[-1] // (20 * NS_PER_MS) + 200) * 20 * NS_PER_MS
    asks_ns = BOOTED_NS + LEAD_NS + asks_ns + asks_ns * way.skew_ppm // 1_000_000
    asks_ns[asks_ns.size // 2 :] += way.torn_ms * NS_PER_MS
    return np.ascontiguousarray([at_ns[order], numbers[order]]), asks_ns


def listened(station, way, *, closely):
    """Return the records of a node that listened, and its journal."""
    packet_ms, sheet, newcomer = station
    arrivals, asks_ns = come(way, packet_ms)
    periods = np.zeros((6, asks_ns.size), np.int64)
    periods[4] = np.searchsorted(arrivals[0], asks_ns - LEAD_NS)
    periods[5] = asks_ns
    seat, desk, rows = Seat(), Desk(), []
    hearing, listener = seat.hearing, seat.listener
    newcomer.begin(seat, 960, LEAD_NS, 0)
    listener["setup"]["closely"] = closely
    for name, value in (
        ("come", arrivals.shape[1]), ("until", asks_ns.size), ("periods", asks_ns.size),
    ):  # fmt: skip
        listener[name] = value
    journal = new(Played, 4096)
    ways = np.zeros((3, 0), np.int64)
    went = listening.FULL
    while went not in (listening.WHOLE, listening.BEYOND):
        went = listening.listen(hearing, ways, sheet, desk.room, arrivals, periods, journal)
        rows += journal[: listener["rows"][0]].tolist()
        listener["rows"] = 0
        if went == listening.ADMITS:
            newcomer.hear(seat)
            listener["phase"], listener["fresh"] = listening.SOURCE, 1
    return hearing, went, rows


@settings(deadline=None, max_examples=60)
@given(way=ways())
@example(Way(jitter_ms=0))
@example(Way(packets=1500, lost=0.003))
@example(Way(packets=1200, stall_ms=700))
@example(Way(packets=1200, moved_ms=150))
@example(Way(packets=1500, moved_ms=250, jitter_ms=90))
def test_a_plain_period_leaves_what_the_long_way_leaves(station, way):
    one, other = (listened(station, way, closely=closely) for closely in (0, 1))
    assert one[1:] == other[1:]
    for name in PARTS:
        source = one[0]["source"][name], other[0]["source"][name]
        assert source[0].tobytes() == source[1].tobytes(), name
    other[0]["listener"]["setup"]["closely"] = 0
    assert one[0]["listener"].tobytes() == other[0]["listener"].tobytes()


def test_nearly_all_periods_are_plain(station):
    # Rows that go straight into the journal of the chunk are in no journal of the source.
    hearing, went, rows = listened(station, Way(packets=1200, lost=0.003), closely=0)
    assert went == listening.WHOLE
    longer = hearing["source"]["journal"]["presentation_ns"].reshape(-1)
    assert len(rows) > 1000
    assert np.isin(longer[longer > 0], [row[-1] for row in rows]).sum() < 200
