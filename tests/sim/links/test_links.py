import gzip
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_profiles import Number
from node.config import ConfigError
from node.kernel.record import new
from sim.chance.rng import Purpose, raw_draws, stream
from sim.links import bearer as bearers
from sim.links.channel import Link, Trace, direction_of, jitter_of
from sim.links.kernel import LOST_NS, Passing, span, traverse
from sim.links.sleep import Modem
from sim.links.spells import busy_of, outages_of, stalls_of
from sim.links.traces import read_trace

MS = 1_000_000


def figure(value):
    return Number(value=value, source="test", verified=True)


def link(name, *, node="n", seed=1, **changes):
    bearer = replace(
        bearers.load(name), **{field: figure(value) for field, value in changes.items()}
    )
    return Link(
        bearer,
        seed=seed,
        commune="c",
        node=node,
        packet_bits=800,
        busy=busy_of(bearer, stream(seed, Purpose.BUSY, commune="c")),
        outages=outages_of(bearer, stream(seed, Purpose.OUTAGE, commune="c")),
    )


def send(channel, count, *, chunk=None):
    chunk = chunk or count
    parts = [
        channel.carry(
            20 * MS * np.arange(at, min(at + chunk, count)), np.arange(at, min(at + chunk, count))
        )
        for at in range(0, count, chunk)
    ]
    return np.concatenate(parts)


def test_every_bearer_that_ships_has_a_source_for_each_number():
    for name in bearers.names():
        for field, one in bearers.load(name).figures():
            assert one.source, (name, field)


def test_a_perfect_link_delivers_everything_after_the_same_time():
    arrive = send(link("perfect"), 1000)
    assert len(set((arrive - 20 * MS * np.arange(1000)).tolist())) == 1


def test_no_signal_means_nothing_arrives():
    assert (send(link("no_signal"), 1000) == LOST_NS).all()


@pytest.mark.parametrize(("loss", "burst"), [(0.5, 3), (2, 5), (10, 1), (20, 10)])
def test_loss_has_the_asked_share_and_mean_burst(loss, burst):
    lost = send(link("perfect", loss_pct=loss, loss_burst_packets=burst), 400_000) == LOST_NS
    bursts = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert 100 * lost.mean() == pytest.approx(loss, rel=0.12)
    # With independent losses (burst 1) neighbours still meet by chance.
    assert lost.sum() / bursts == pytest.approx(burst, rel=0.12)


def test_a_loss_that_its_bursts_are_too_short_for_is_refused():
    with pytest.raises(ConfigError, match=r"loss_burst_packets.value = 1: must be 1.5 to 10000"):
        link("perfect", loss_pct=60, loss_burst_packets=1)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(bearers.names()), st.integers(1, 700))
def test_how_the_time_is_cut_into_chunks_changes_nothing(name, chunk):
    np.testing.assert_array_equal(send(link(name), 2000), send(link(name), 2000, chunk=chunk))


def test_a_link_keeps_the_order():
    arrive = send(link("lte_weak"), 20_000)
    assert (np.diff(arrive[arrive != LOST_NS]) >= 0).all()


def test_wifi_stalls_come_about_every_11_s_and_last_150_to_550_ms():
    arrive = send(link("wifi24_outdoor", loss_pct=0, busy_interval_s=0, jitter_scale_ms=0), 180_000)
    wait = arrive - 20 * MS * np.arange(180_000)
    stalls = np.count_nonzero(np.diff((wait > 100 * MS).astype(int)) == 1)
    assert 3600 / stalls == pytest.approx(11.5, rel=0.15)
    assert 450 * MS < wait.max() < 560 * MS


def test_a_link_too_slow_for_the_programme_fills_its_queue_and_then_drops():
    arrive = send(link("perfect", rate_kbit_s=20, queue_ms=500), 3000)
    wait = (arrive - 20 * MS * np.arange(3000))[arrive != LOST_NS]
    assert 450 * MS < wait.max() < 600 * MS
    assert np.mean(arrive == LOST_NS) == pytest.approx(0.5, abs=0.05)


def waits_ms(name, silent_s, count=4000):
    bits = stream(1, Purpose.SLEEP)
    sleep = bearers.load(name).sleep
    return np.array([sleep.wake_ns(round(silent_s * 1e9), bits) for _ in range(count)]) / 1e6


@pytest.mark.parametrize("name", ["lte_good", "lte_weak"])
def test_a_modem_that_was_silent_answers_a_push_as_late_as_it_was_measured(name):
    active_ms = 60
    idle = waits_ms(name, 12) + active_ms
    p50, p90, p99 = np.quantile(idle, [0.5, 0.9, 0.99])
    assert p50 == pytest.approx(970, abs=60) and p90 == pytest.approx(1500, abs=60)
    assert p99 == pytest.approx(1600, abs=40) and idle.max() == pytest.approx(6060)
    asleep = waits_ms(name, 3) + active_ms
    assert asleep.min() >= 60 and asleep.max() <= 400 and np.median(asleep) < 260
    assert not waits_ms(name, 0.5).any()
    share_idle = np.mean(waits_ms(name, 7.5) > 340)
    assert share_idle == pytest.approx(0.46, abs=0.04), "between 5 and 10 s some give it back"


def test_what_follows_a_push_finds_the_modem_awake_and_what_it_sends_keeps_it_so():
    modem = Modem(bearers.load("lte_good").sleep, stream(3, Purpose.SLEEP))
    first_ns = modem.pushed(100 * 10**9)
    assert first_ns > 100.2 * 10**9
    assert modem.pushed(100 * 10**9 + 1) == first_ns, "nothing overtakes"
    assert modem.pushed(first_ns + 10**8) == first_ns + 10**8
    for second in range(1, 60):
        modem.sends(first_ns + second * 10**9)
    at_ns = first_ns + 59 * 10**9 + 10**8
    assert modem.pushed(at_ns) == at_ns


def test_neighbours_share_the_outages_of_their_cell_and_nothing_else():
    changes = {"outage_interval_s": 60, "outage_min_s": 5, "outage_max_s": 5, "loss_pct": 2}
    one, other = (
        send(link("lte_good", node=name, **changes), 30_000) == LOST_NS for name in ("a", "b")
    )
    assert np.count_nonzero(one & other) > 200 * 5
    assert np.count_nonzero(one ^ other) > 500


def test_a_trace_of_delays_wraps_at_its_end(tmp_path):
    path = tmp_path / "delays.dat"
    path.write_text("10\n-1\n30\n")
    assert (send(Trace(read_trace(path)), 4) - 20 * MS * np.arange(4))[[0, 2, 3]].tolist() == [
        10 * MS,
        30 * MS,
        10 * MS,
    ]
    assert send(Trace(read_trace(path)), 4)[1] == LOST_NS


def test_a_trace_in_csv_is_read_packed_or_not_and_starts_at_its_fastest_packet(tmp_path):
    text = "seq,send_ms,arrival_ms\n5,0,103.5\n6,20,\n8,60,160\n"
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    expected = [3_500_000, LOST_NS, LOST_NS, 0]
    assert read_trace(plain).tolist() == read_trace(packed).tolist() == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.dat", b"10\nten\n", "line 2 = 'ten': must be a delay"),
        ("a.dat", b"-7\n", "line 1 = '-7'"),
        ("a.dat", b"", "holds no packet"),
        ("a.csv", b"seq,send_ms,arrival_ms\n0,x,3\n", "line 2"),
        ("a.csv", b"seq,send_ms,arrival_ms\n0,0,\n", "no packet of it arrives"),
        ("a.csv.gz", b"not gzip", "a.csv.gz"),
        ("a.dat", b"\xff\xfe", "not a trace"),
    ],
)
def test_a_wrong_trace_is_named_with_line_and_value(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_trace(path)


def test_a_missing_trace_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.dat"):
        read_trace(tmp_path / "gone.dat")


@pytest.mark.needs_shared
def test_the_shared_traces_are_read(shared):
    for path in sorted((shared / "traces" / "arrivals").glob("*.csv.gz")):
        transit = read_trace(path)
        assert transit.shape == (24_000,)
        assert transit[transit != LOST_NS].min() == 0


@settings(deadline=None)
@given(
    shape=st.sampled_from(["none", "gev", "lognormal", "gamma"]),
    stall_s=st.sampled_from([0, 0.05, 3]),
    rate=st.sampled_from([40, 5000]),
    chunk=st.sampled_from([7, 100, 500]),
    seed=st.integers(0, 99),
)
def test_a_link_draws_what_its_streams_give(shape, stall_s, rate, chunk, seed):
    """Step by step: each packet with its draws, through all stalls that are drawn before."""
    changes = {"loss_pct": 20, "loss_burst_packets": 3, "queue_ms": 400, "rate_kbit_s": rate}
    changes |= {"stall_interval_s": stall_s, "stall_min_ms": 10, "stall_max_ms": 900}
    bearer = replace(
        bearers.load("lte_weak"),
        jitter_shape=shape,
        **{field: figure(value) for field, value in changes.items()},
    )
    at = {"commune": "c", "node": "n"}
    loss, jitter, stall = (
        stream(seed, one, **at) for one in (Purpose.LOSS, Purpose.JITTER, Purpose.STALL)
    )
    cell = [
        make(bearer, stream(seed, of, commune="c")).until(0, 20 * MS * 500 + 401 * MS)
        for make, of in ((busy_of, Purpose.BUSY), (outages_of, Purpose.OUTAGE))
    ]
    direction = direction_of(bearer, 800)
    direction["bad"] = int(raw_draws(loss, 1)[0] >> np.uint64(32)) < 0.2 * (1 << 32)
    packets = new(Passing, 500)
    packets["raw"] = raw_draws(loss, 500)
    packets["jitter_ns"] = jitter_of(bearer, raw_draws(jitter, 500))
    packets["depart_ns"] = 20 * MS * np.arange(500)
    traverse(direction, packets, stalls_of(bearer, stall).until(0, 11_000 * MS), *cell)

    busy, outages = (
        make(bearer, stream(seed, of, commune="c"))
        for make, of in ((busy_of, Purpose.BUSY), (outages_of, Purpose.OUTAGE))
    )
    one = Link(bearer, seed=seed, **at, packet_bits=800, busy=busy, outages=outages)
    np.testing.assert_array_equal(send(one, 500, chunk=chunk), packets["arrive_ns"])


@given(st.lists(st.one_of(st.just(LOST_NS), st.integers(0, 50)), max_size=12))
def test_the_span_of_packets_is_from_the_first_that_left_to_the_last(departs):
    ends_ns = np.zeros(2, np.int64)
    left = [one for one in departs if one != LOST_NS]
    assert span(np.array(departs, np.int64), ends_ns) == bool(left)
    if left:
        assert ends_ns.tolist() == [min(left), max(left)]
