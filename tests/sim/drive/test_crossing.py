"""What passes beside streams takes room of what they share: it delays them, and some are lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.kernel.record import new
from node.units import NS_PER_MS
from sim.drive import rounds
from sim.drive.askers import AWAY_NS, Asker, Crowd
from sim.drive.crossing import Rate, cross
from sim.drive.rounds import Rounds
from sim.drive.run import run
from sim.fleet.rounds import FleetRounds
from sim.fleet.run import run as run_fleet
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.station import payloads
from sim.village import scenario
from sim.village.places import build_village
from sim.village.scenario import sound_file
from tests.sim.thin import THIN
from tests.sim.villages import village

BITS = 960
NONE = np.zeros((0, 3), np.int64)


def rates(rates_kbit_s, queue_ms):
    made = new(Rate, len(rates_kbit_s))
    made["queue_ns"] = queue_ms * NS_PER_MS
    copy_ns = [round(BITS * NS_PER_MS / one) for one in rates_kbit_s]
    steps = np.array([[[LOST_NS, one]] for one in copy_ns], np.int64)
    return made, steps


def crowd():
    made = new(Crowd)
    made["backhaul"], made["packet_bits"], made["packet_ns"] = 1, BITS, 20 * NS_PER_MS
    return made


def members(cells):
    made = new(Asker, len(cells))
    made["rate"], made["highest"], made["period_ns"] = cells, -1, NS_PER_MS
    return made


def times(send_ns, depart_ns, more_bits=0):
    return np.stack([send_ns, depart_ns, np.full_like(send_ns, more_bits)], axis=1)


def pass_all(send_ns, depart_ns, cells, rates_kbit_s, queue_ms, beside=NONE):
    """Return when each copy reaches its last link: (n, k) int64, ns; LOST_NS."""
    own_ns = np.zeros((send_ns.size, len(cells)), np.int64)
    made, steps = rates(rates_kbit_s, queue_ms)
    times_ns = times(send_ns, depart_ns)
    last_ns = np.zeros((0, 0), np.int64)
    cross(made, steps, crowd(), members(cells), beside, times_ns, last_ns, own_ns)
    assert made["dropped"].sum() <= np.count_nonzero(own_ns == LOST_NS)
    return own_ns


@st.composite
def streams(draw):
    gaps_ms = draw(st.lists(st.integers(0, 40), min_size=1, max_size=30))
    send_ns = np.cumsum(np.array(gaps_ms, np.int64)) * NS_PER_MS
    more_ms = draw(st.lists(st.integers(0, 30), min_size=send_ns.size, max_size=send_ns.size))
    depart_ns = np.maximum.accumulate(send_ns + np.array(more_ms, np.int64) * NS_PER_MS)
    cells = draw(st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=5))
    rate = st.integers(8, 120) | st.integers(8, 2000)
    return send_ns, depart_ns, cells, [draw(rate), draw(rate)]


@st.composite
def words(draw, most):
    rows = st.tuples(
        st.integers(0, 600), st.integers(0, most - 1), st.integers(1, 9) | st.integers(1, BITS)
    )
    found = np.array(draw(st.lists(rows, max_size=30)), np.int64).reshape(-1, 3)
    found[:, 0] *= NS_PER_MS
    return found[np.argsort(found[:, 0], kind="stable")]


@given(streams(), st.integers(0, 300))
def test_who_says_nothing_beside_his_stream_waits_as_in_queues_of_streams_alone(given, queue_ms):
    send_ns, depart_ns, cells, rates_kbit_s = given
    own_ns = pass_all(send_ns, depart_ns, cells, rates_kbit_s, queue_ms)
    backhaul, cell = (SharedQueue(one, queue_ms, BITS) for one in rates_kbit_s)
    wait_ns = backhaul.wait_ns(np.repeat(send_ns[:, np.newaxis], len(cells), axis=1))
    lost = wait_ns == LOST_NS
    come_ns = np.maximum.accumulate(np.where(lost, 0, depart_ns[:, np.newaxis] + wait_ns), axis=0)
    come_ns[lost] = LOST_NS
    here = [i for i, one in enumerate(cells) if one == 1]
    more_ns = cell.wait_ns(come_ns[:, here])
    come_ns[:, here] = np.where(more_ns == LOST_NS, LOST_NS, come_ns[:, here] + more_ns)
    np.testing.assert_array_equal(own_ns, come_ns)


@given(streams(), st.data())
def test_more_chatter_never_makes_a_stream_arrive_earlier(given, data):
    send_ns, depart_ns, cells, rates_kbit_s = given
    some = data.draw(words(len(cells)))
    more = np.concatenate([some, data.draw(words(len(cells)))])
    more = more[np.argsort(more[:, 0], kind="stable")]
    few_ns, many_ns = (
        pass_all(send_ns, depart_ns, cells, rates_kbit_s, 1_000_000, beside)
        for beside in (some, more)
    )
    assert (many_ns >= few_ns).all()


@given(streams(), st.integers(0, 300), st.data())
def test_where_queues_are_full_chatter_lets_nobody_through_who_was_not(given, queue_ms, data):
    # Who is dropped leaves his room to the next one: by a copy earlier, one copy more, no further.
    send_ns, _, cells, rates_kbit_s = given
    here = (send_ns, send_ns, [-1] * len(cells), rates_kbit_s[:1])
    beside = data.draw(words(len(cells)))
    alone_ns, beside_ns = (pass_all(*here, queue_ms, one) for one in (NONE, beside))
    copy_ns = round(BITS * NS_PER_MS / rates_kbit_s[0])
    both = (alone_ns != LOST_NS) & (beside_ns != LOST_NS)
    assert (beside_ns[both] > alone_ns[both] - copy_ns).all()
    assert np.count_nonzero(beside_ns != LOST_NS) <= np.count_nonzero(alone_ns != LOST_NS) + 1


@pytest.mark.parametrize(("hears", "asked"), [(True, 78), (False, 0)])
def test_who_hears_the_stream_asks_for_the_time_and_nobody_else(hears, asked):
    # A burst that ends with 16 answers, then four a second: on a link without jitter.
    send_ns = np.arange(1, 751, dtype=np.int64) * 20 * NS_PER_MS
    own_ns = np.zeros((750, 1), np.int64)
    made, steps = rates([10_000], 1000)
    all_, one = crowd(), members([-1])
    all_["reports"], one["question_bits"], one["way_ns"] = 1, 2000, 2 * NS_PER_MS
    last_ns = np.full((750, 1), 2 * NS_PER_MS if hears else AWAY_NS)
    cross(made, steps, all_, one, NONE, times(send_ns, send_ns), last_ns, own_ns)
    assert one["said_bits"][0] // 2000 == pytest.approx(asked, abs=2)


def asking(last_ns, *, left_bytes=3000.0, delay_ms=800):
    """Return how often something was sent again to the one node of a way with room."""
    own_ns = np.zeros((len(last_ns), 1), np.int64)
    made, steps = rates([10_000], 1000)
    send_ns = np.arange(1, len(last_ns) + 1, dtype=np.int64) * 20 * NS_PER_MS
    one, all_ = members([-1]), crowd()
    one["question_bits"] = 1  # what is looked at is repair
    one["way_ns"], one["delay_ns"], one["left_bytes"] = (
        5 * NS_PER_MS, delay_ms * NS_PER_MS, left_bytes,
    )  # fmt: skip
    all_["reports"] = 1
    all_["asks"], all_["answer_bits"], all_["request_bits"], all_["earned_ns"] = 1, 976, 352, -1
    times_ns = times(send_ns, send_ns)
    last_ns = np.array(last_ns, np.int64)[:, np.newaxis]
    cross(made, steps, all_, one, NONE, times_ns, last_ns, own_ns)
    return int(one["again"][0])


def test_each_loss_is_asked_for_once_where_the_answer_comes():
    ways = [5 * NS_PER_MS] * 100
    assert asking(ways) == 0
    assert asking([LOST_NS if i in (30, 50, 51) else one for i, one in enumerate(ways)]) == 3


def test_what_comes_late_is_asked_for_as_what_never_comes():
    # A stall of 300 ms: all that was sent in it comes at once at its end.
    ways = [5 * NS_PER_MS] * 100
    for i in range(15):
        ways[40 + i] = (305 - 20 * i) * NS_PER_MS
    assert asking(ways) > 10


def test_who_is_away_or_too_late_or_has_no_budget_is_sent_nothing_again():
    ways = [5 * NS_PER_MS] * 100
    lost = [LOST_NS if 30 <= i < 40 else one for i, one in enumerate(ways)]
    assert asking(lost) > 5
    assert asking([AWAY_NS if 30 <= i < 40 else one for i, one in enumerate(ways)]) == 0
    assert asking(lost, delay_ms=30) == 0
    assert asking(lost, left_bytes=-1e4) == 0


def crowded(folder, *, bearer, rate=5000, cell=5000, loss=0, count=6, duration_s=30, more=""):
    """Return a loaded village behind a backhaul of so many kbit/s, its bearers' cells likewise."""
    profiles = ["pi_4b_i2s", "pi_zero_2w_i2s"]
    clusters = [(f"c-{i}", profiles[i % 2], bearer, 0, 0) for i in range(count)]
    more = more + THIN.format(rate=rate, cell=cell, loss=loss)
    text = village(
        {("Thôn", 0, 0): clusters}, duration_s=duration_s, more=more, playout_delay_ms=800
    )
    at = "\n[[communes.hamlets]]"
    path = folder / "crowded.toml"
    path.write_text(text.replace(at, f'\nbackhaul = "thin"{at}', 1))
    return scenario.load(path)


def test_streams_that_just_fit_do_not_with_the_chatter_beside_them(tmp_path):
    quiet = crowded(tmp_path, bearer="perfect", rate=235, more="[sender]\nreports = false\n")
    alone = run(quiet, decode=False)
    assert alone.totals["over_capacity"] == 0
    assert sum(one.packets_lost for one in alone.nodes) == 0
    beside = run(crowded(tmp_path, bearer="perfect", rate=235), decode=False)
    row = beside.capacity[0]
    assert row.over and row.chatter_kbit_s > 10 and row.dropped_packets > 0
    assert beside.verdict.startswith("Does NOT fit: 6 streams ask ")
    assert "of it reports and MQTT" in beside.verdict
    assert sum(one.packets_lost for one in beside.nodes) > 0


@pytest.mark.parametrize("where", ["backhaul", "cell"])
def test_a_storm_of_repair_takes_the_room_of_the_streams(tmp_path, where):
    lossy = THIN.format(rate=5000, cell=9000, loss=8).replace("thin]", "lossy]")
    here = {
        "backhaul": {"bearer": "lossy", "rate": 260, "more": lossy},
        "cell": {"bearer": "thin", "cell": 260, "loss": 8},
    }[where]
    dropped, asked = {}, {}
    for again in ("false", "true"):
        sender = f"[sender]\nretransmission = {again}\n"
        result = run(
            crowded(tmp_path, **here | {"more": sender + here.get("more", "")}), decode=False
        )
        row = next(one for one in result.capacity if one.kind == where)
        dropped[again], asked[again] = row.dropped_packets, row.repair_kbit_s
    assert asked["false"] == 0 < asked["true"]
    assert dropped["true"] > dropped["false"] + 50


def counted(asked):
    """Return how many packets were sent again in a drive, and how many that was taken to be."""
    built = build_village(asked)
    driven = Rounds(asked, built, payloads.load(sound_file(asked), asked.sender), decoder=None)
    for _ in driven.advance():
        pass
    real = sum(one.conversation.memory.counts.answered for one in driven.poles)
    return real, sum(driven.capacity.again().values())


@pytest.mark.parametrize(
    ("bearer", "share"), [("wifi24_outdoor", 0.1), ("lte_weak", 0.15), ("lte_good", 0.2)]
)
def test_as_much_is_taken_to_be_sent_again_as_is(tmp_path, bearer, share):
    asked = crowded(tmp_path, bearer=bearer, rate=2500, count=8, duration_s=60)
    real, modelled = counted(asked)
    assert real > 100
    assert abs(modelled - real) < share * real


@pytest.mark.parametrize("bearer", ["thin", "wifi24_outdoor"])
@pytest.mark.parametrize("room", [{"rate": 235}, {"cell": 235}, {"rate": 300, "cell": 240}])
def test_tiers_count_the_same_where_chatter_and_repair_take_room(tmp_path, bearer, room):
    cut = '[[faults]]\nkind = "power_cut"\nfrom_s = 8\nuntil_s = 12\ncluster = "c-1"\n'
    asked = crowded(tmp_path, bearer=bearer, loss=4, more=cut, **room)
    one, other = run(asked, decode=False), run_fleet(asked)
    assert one.trace_hash == other.trace_hash
    assert one.nodes == other.nodes
    assert one.capacity == other.capacity
    assert sum(row.dropped_packets for row in one.capacity) > 0 or bearer != "thin"


def test_where_a_chunk_ends_changes_nothing_in_a_full_cell(tmp_path, monkeypatch):
    asked = crowded(tmp_path, bearer="thin", loss=6, cell=240, rate=260)
    whole = run(asked, decode=False)
    monkeypatch.setattr(rounds, "CHUNK_NS", 1_700 * NS_PER_MS)
    cut = run(asked, decode=False)
    assert cut.trace_hash == whole.trace_hash and cut.nodes == whole.nodes


def test_some_places_alone_fare_as_among_all_in_a_full_cell(tmp_path):
    asked = crowded(tmp_path, bearer="thin", loss=6, cell=240, rate=260)
    built = build_village(asked)
    programme = payloads.load(sound_file(asked), asked.sender)
    every = FleetRounds(asked, built, programme)
    alone = FleetRounds(asked, built, programme, places=built.places[3:4])
    for one in (every, alone):
        for _ in one.advance():
            pass
    np.testing.assert_array_equal(every.counts(3), alone.counts(0))
