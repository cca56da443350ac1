"""A bearer that is made of a trace does what the trace shows, or it is said that it does not."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw_profiles import Number
from node.config import ConfigError
from sim.cli import main
from sim.links import bearer as bearers
from sim.links.channel import Link
from sim.links.fit import PACKETS_MIN, figures, fit
from sim.links.kernel import LOST_NS
from sim.links.spells import Spells
from sim.village import scenario
from sim.village.places import build_village
from tests.sim.villages import DOAI, village

MS = 1_000_000
APART_NS = 20 * MS
LIKE = bearers.load("lte_good")


def through(bearer, count, seed):
    """Return the transits of an even stream through a bearer whose cell is never busy or out."""
    never = Spells(np.random.PCG64(0), interval_ns=0, shortest_ns=0, longest_ns=0)
    link = Link(
        bearer, seed=seed, commune="c", node="n", packet_bits=960, busy=never, outages=never
    )
    sent_ns = np.arange(count) * APART_NS
    came_ns = link.carry(sent_ns, np.arange(count))
    return np.where(came_ns == LOST_NS, LOST_NS, came_ns - sent_ns)


def number(value):
    return Number(value=value, source="drawn", verified=False)


@st.composite
def links(draw):
    """Return a bearer with jitter and losses, and stalls far above its jitter."""
    return replace(
        LIKE,
        one_way_ms=number(draw(st.floats(5, 80))),
        jitter_shape=draw(st.sampled_from(["gev", "lognormal", "gamma"])),
        jitter_scale_ms=number(draw(st.floats(0.5, 3))),
        loss_pct=number(draw(st.floats(0, 10))),
        loss_burst_packets=number(draw(st.floats(1, 3))),
        stall_interval_s=number(draw(st.sampled_from([0, 5, 30]))),
        stall_min_ms=number(300),
        stall_max_ms=number(900),
    )


@settings(max_examples=12)
@given(links(), st.integers(0, 99))
def test_what_a_known_link_shows_is_found_again(link, seed):
    found = fit(through(link, 30_000, seed), interval_ns=APART_NS, like=LIKE, source="drawn")
    assert not found.misfits and found.distance < 0.05
    assert found.bearer.one_way_ms.value == pytest.approx(link.one_way_ms.value, rel=0.1, abs=2)
    assert found.bearer.loss_pct.value == pytest.approx(found.trace.loss_pct, rel=0.001)
    stalls = found.bearer.stall_interval_s.value
    assert (stalls > 0) == (link.stall_interval_s.value > 0)
    if stalls:
        assert 0.4 < stalls / link.stall_interval_s.value < 2.5, "20 of them at the least"
        # Of one whose first packets are lost less is seen.
        assert found.bearer.stall_min_ms.value > 90 and found.bearer.stall_max_ms.value < 950


def test_what_no_bearer_can_do_does_not_fit():
    """Half a minute at once, and half a minute a tenth of a second later, in turn, for ever."""
    trace = np.where(np.arange(30_000) // 1500 % 2, 130 * MS, 30 * MS)
    odd = (np.random.default_rng(1).gamma(2.0, 5.0, 30_000) * MS).astype(np.int64)
    assert fit(trace + odd, interval_ns=APART_NS, like=LIKE, source="two ways").misfits
    assert not fit(odd, interval_ns=APART_NS, like=LIKE, source="one way").misfits


@settings(max_examples=15)
@given(st.floats(0.02, 0.1), st.floats(0.05, 0.3), st.integers(0, 99))
@example(0.05, 0.1, 1)
def test_losses_that_all_come_at_one_time_are_no_even_losses(loss, part, seed):
    """One packet in two for a minute is heard, one in twenty for ten minutes is not."""
    rng = np.random.default_rng(seed)
    delays = 30 * MS + (rng.gamma(2.0, 3.0, 30_000) * MS).astype(np.int64)
    even = np.where(rng.random(30_000) < loss, LOST_NS, delays)
    assert not fit(even, interval_ns=APART_NS, like=LIKE, source="even").misfits
    then = (np.arange(30_000) < part * 30_000) & (rng.random(30_000) < 0.5)
    at_once = fit(np.where(then, LOST_NS, delays), interval_ns=APART_NS, like=LIKE, source="once")
    assert any("thicker" in one for one in at_once.misfits)


def test_an_outage_is_no_loss_and_a_short_trace_says_nothing():
    trace = np.full(PACKETS_MIN * 10, 30 * MS)
    trace[2000:2200] = LOST_NS
    trace[500:502] = LOST_NS
    found = fit(trace, interval_ns=APART_NS, like=LIKE, source="one").bearer
    assert found.outage_min_s.value == found.outage_max_s.value == 4.0
    assert found.loss_pct.value == pytest.approx(100 * 2 / 9800, rel=0.01)
    assert found.loss_burst_packets.value == 2.0
    assert not found.outage_interval_s.verified, "one of them says little of the next"
    with pytest.raises(ConfigError, match=f"must be {PACKETS_MIN} or more"):
        fit(trace[: PACKETS_MIN - 1], interval_ns=APART_NS, like=LIKE, source="few")
    with pytest.raises(ConfigError, match="0 packets came"):
        fit(np.full(5000, LOST_NS), interval_ns=APART_NS, like=LIKE, source="none")


def test_real_networks_fit_or_it_is_said_that_they_do_not(shared, tmp_path, capsys):
    """Wi-Fi measured at a Raspberry Pi; a telephone in a moving car, whose network changes."""
    folder, out = shared / "traces" / "arrivals", ["--out", str(tmp_path), "--json"]
    assert main(["fit", str(folder / "roc_wifi5_rpi.csv.gz"), *out]) == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms"):
        assert told["drawn"][name] == pytest.approx(told["trace"][name], rel=0.15), name
    assert main(["fit", str(folder / "mm_TMobile-LTE-driving.csv.gz"), *out]) == 3
    assert json.loads(capsys.readouterr().out)["misfits"]


def test_a_scenario_takes_the_bearer_that_was_written(tmp_path, capsys):
    trace = tmp_path / "way up.csv"
    delays = (20 + np.random.default_rng(1).gamma(2.0, 5.0, 5000)).astype(int)
    trace.write_text("\n".join(map(str, delays)))
    assert main(["fit", str(trace), "--name", "hill", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-3] == "fits"
    assert (tmp_path / "hill.svg").read_text().startswith("<svg xmlns=")
    text = (tmp_path / "hill.toml").read_text()
    path = tmp_path / "doai.toml"
    here = [(name, profile, "hill", x, y) for name, profile, _, x, y in DOAI]
    path.write_text(village({("Thôn Đoài", 0, 0): here}, duration_s=2.0, more=text))
    places = build_village(scenario.load(path)).places
    wanted = tomllib.loads(text)["bearers"]["hill"]
    assert {one.bearer.one_way_ms.value for one in places} == {wanted["one_way_ms"]["value"]}
    assert figures(np.repeat(delays, 1) * MS).p50_ms == np.median(delays)


@pytest.mark.parametrize("name", ["a\x7fb.csv", "\udcff.csv", 'a"b\\.csv', "a\nb.csv"])
def test_a_bearer_is_toml_whatever_the_trace_is_called(tmp_path, capsys, name):
    """... and an outage is as long as the trace says: two seconds of packets of 60 ms."""
    path = tmp_path / name
    rows = "\n".join(f"{i},{60 * i},{'' if 500 <= i < 534 else 60 * i}" for i in range(2000))
    path.write_text(f"seq,send_ms,arrival_ms\n{rows}")
    main(["fit", str(path), "--name", "hill", "--out", str(tmp_path)])
    bearer = tomllib.loads((tmp_path / "hill.toml").read_text())["bearers"]["hill"]
    assert bearer["outage_max_s"]["value"] == pytest.approx(34 * 0.06)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "no such file"),
        (["few.csv"], "must be 1000 or more"),
        (["few.csv", "--name", "a b"], "--name 'a b': must be 1 to 40 letters"),
        (["few.csv", "--like", "5g"], "'5g' is unknown; known are"),
        (["few.csv", "--out", "few.csv"], "is a file"),
        (["sixty.csv", "--packet-ms", "20"], "are 60 ms apart: leave it out"),
        (["few.csv", "--packet-ms", "0"], "must be ms above 0, to 60000"),
        (["few.csv", "--one-way-ms", "nan"], "must be ms above 0, to 60000"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.csv").write_text("20\n" * 10)
    rows = "\n".join(f"{i},{60 * i},{60 * i}" for i in range(1200))
    (tmp_path / "sixty.csv").write_text(f"seq,send_ms,arrival_ms\n{rows}")
    try:
        status = main(["fit", *arguments])
    except SystemExit as left:
        status = left.code
    told = capsys.readouterr().err
    assert status == 2 and said in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()
