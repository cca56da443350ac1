"""A live programme in the world: heard as in the drive, interrupted by a warning, and back."""

from dataclasses import asdict, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.counters import Count, Origin
from node.units import NS_PER_S
from sim.drive.run import run
from sim.village import scenario
from sim.village.places import build_village
from sim.world.stretch import Stretch
from tests.sim.thin import THIN

BEGIN_S = 7_200
LEAD_S = 60
TAIL_S = 15
WRAPS_AFTER_11_MINUTES = 92
"""A seed that begins to number packets as high as a sender does."""

VILLAGE = """
title = "Some poles"
question = "Do both tell the same?"
seed = {seed}
duration_s = {duration_s}

[sender]
delivery = "{delivery}"
retransmission = {again}

[jitter]
playout_delay_ms = {delay_ms}

[day]
date = "2026-11-23"
live_at = "02:01"

[day.volume]
volume = 75
emergency_floor = 90

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

{more}

[[communes]]
name = "A"
x_m = 0
y_m = 0
backhaul = "{backhaul}"

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
{clusters}
]
"""
CLUSTER = '{{ name = "a-{i}", profile = "{profile}", bearer = "{bearer}", x_m = {i}, y_m = 0 }},'

BEARERS = ["perfect", "lte_weak", "wifi24_outdoor", "ftth"]
PROFILES = ["pi_4b_usb", "pi_zero_2w_i2s"]


def village(
    *,
    seed=1,
    duration_s=12,
    delivery="unicast",
    again=True,
    delay_ms=400,
    more="",
    backhaul="backhaul_fibre",
    poles=(("pi_4b_usb", "lte_weak"), ("pi_zero_2w_i2s", "wifi24_outdoor")),
):
    clusters = "\n".join(
        CLUSTER.format(i=i, profile=profile, bearer=bearer)
        for i, (profile, bearer) in enumerate(poles)
    )
    return VILLAGE.format(
        seed=seed,
        duration_s=duration_s,
        delivery=delivery,
        again=str(again).lower(),
        delay_ms=delay_ms,
        more=more,
        backhaul=backhaul,
        clusters=clusters,
    )


@st.composite
def villages(draw):
    more = ""
    if draw(st.booleans()):
        start = draw(st.integers(0, 8))
        more = f'[[faults]]\nkind = "link_down"\nfrom_s = {start}\nuntil_s = {start + 3}\n'
    pole = st.tuples(st.sampled_from(PROFILES), st.sampled_from(BEARERS))
    return village(
        seed=draw(st.integers(0, 10_000)),
        delivery=draw(st.sampled_from(["unicast", "multicast"])),
        again=draw(st.booleans()),
        delay_ms=draw(st.sampled_from([200, 400, 800])),
        more=more,
        backhaul=draw(st.sampled_from(["backhaul_fibre", "lte_weak"])),
        poles=draw(st.lists(pole, min_size=1, max_size=3)),
    )


def loaded(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("live") / "live.toml"
    path.write_text(text)
    return scenario.load(path)


def unmuted(profile):
    """Return a profile whose amplifier is never mute: the drive's nodes do not wait for one."""
    at_once = replace(profile.amplifier.mute_release_s, value=0.0)
    return replace(profile, amplifier=replace(profile.amplifier, mute_release_s=at_once))


def lived(asked):
    """Return a stretch of the world with the live programme, lived through."""
    end_s = BEGIN_S + LEAD_S + round(asked.duration_s) + TAIL_S
    built = build_village(asked)
    places = tuple(replace(one, profile=unmuted(one.profile)) for one in built.places)
    built = replace(built, places=places)
    stretch = Stretch(asked, built, begin_s=BEGIN_S, end_s=end_s, live=True)
    try:
        for _ in stretch.advance():
            pass
    finally:
        stretch.world.close()
    return stretch


@settings(max_examples=5, derandomize=True)
@given(villages())
@example(village(seed=3, duration_s=70, delay_ms=800))
@example(village(seed=5, duration_s=100, delivery="multicast"))
@example(
    village(
        seed=6,
        duration_s=15,
        delivery="multicast",
        backhaul="thin",
        more=THIN.format(rate=60, loss=0, cell=5000),
        poles=[(one, "wifi24_outdoor") for one in PROFILES * 2],
    )
)
@example(
    village(
        seed=4,
        duration_s=40,
        delay_ms=800,
        backhaul="thin",
        more=THIN.format(rate=235, loss=0, cell=5000),
        poles=[(one, "wifi24_outdoor") for one in PROFILES * 3],
    )
)
@example(
    village(
        duration_s=12,
        again=False,
        backhaul="lte_weak",
        poles=[("pi_4b_usb", "wifi24_outdoor")] * 15,
    )
)
def test_drive_and_world_count_the_same_of_a_live_programme(tmp_path_factory, text):
    asked = loaded(tmp_path_factory, text)
    driven = run(asked, decode=False).nodes
    rows = lived(asked).world.live.rows()
    assert [asdict(one) for one in rows] == [asdict(one) for one in driven]


def test_lost_packets_are_asked_for_and_come_again_in_the_world_too(tmp_path_factory):
    text = village(seed=3, duration_s=70, delay_ms=800)
    rows = lived(loaded(tmp_path_factory, text)).world.live.rows()
    assert any(one.retransmitted_ms > 0 for one in rows)
    assert all(one.received_ms > 50_000 for one in rows)


def test_a_warning_takes_the_horn_from_a_live_programme_and_gives_it_back(tmp_path_factory):
    order = '[[day.orders]]\nat = "02:02"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    poles = [(profile, "perfect") for profile in PROFILES]
    asked = loaded(tmp_path_factory, village(duration_s=100, more=order, poles=poles))
    stretch = lived(asked)
    alerts = [one for one in stretch.fates() if one.kind == "alert"]
    assert [one.fate for one in alerts] == ["heard", "heard"]
    driven = run(asked, decode=False).nodes
    live = stretch.world.live
    for alone, row, tally in zip(driven, live.rows(), live.tallies, strict=True):
        assert (row.packets_sent, row.packets_lost) == (alone.packets_sent, alone.packets_lost)
        assert row.first_sound_ms == alone.first_sound_ms
        # The siren has 4 s; nothing else is taken away.
        assert 3_900 < alone.received_ms - row.received_ms < 4_500
        unheard = [i for i, one in enumerate(tally.coverage.raster) if one >= Origin.CONCEALED]
        assert set(unheard) & {60, 61, 62} and set(unheard) <= set(range(59, 66))


def test_a_warning_finds_the_modem_awake_that_a_live_programme_keeps(tmp_path_factory):
    order = '[[day.orders]]\nat = "02:02"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    poles = [("pi_4b_usb", "lte_weak")] * 6
    asked = loaded(tmp_path_factory, village(duration_s=62, more=order, poles=poles))
    took_s = [one.arrived_s - one.sent_s for one in lived(asked).fates() if one.kind == "alert"]
    assert len(took_s) == 6
    assert sorted(took_s)[3] < 0.4  # who sleeps takes 1 s at the median


@given(asked=st.integers(3, 6), room=st.sampled_from([0.8, 1.0, 1.1]))
@example(asked=4, room=0.8)
@settings(max_examples=4)
def test_an_order_has_of_a_cell_and_a_backhaul_what_streams_leave(asked, room, tmp_path_factory):
    """It was as early beside streams that fill the cell of its pole as beside none."""
    order = '[[day.orders]]\nat = "02:01"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    took_s = {}
    for cell in (10_000, round(asked * 36 * room)):
        lines = THIN.format(loss=0, rate=1_000, cell=cell)
        told = village(duration_s=3, more=order + lines, poles=[("pi_4b_usb", "thin")] * asked)
        fates = lived(loaded(tmp_path_factory, told)).fates()
        took_s[cell] = [one.arrived_s - one.sent_s for one in fates if one.kind == "alert"]
        assert len(took_s[cell]) == asked
    wide, full = took_s.values()
    assert min(full) > 2 * max(wide)


def test_an_order_finds_a_cell_full_of_what_is_asked_for_again(tmp_path_factory):
    """It was there in 71 ms beside streams of which the cell lost many."""
    order = '[[day.orders]]\nat = "02:01"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    lines = THIN.format(loss=0, rate=1_000, cell=226)  # streams and chatter ask 185 of it
    told = village(duration_s=4, more=order + lines, poles=[("pi_4b_usb", "thin")] * 4)
    stretch = lived(loaded(tmp_path_factory, told))
    rows = stretch.world.live.rows()
    assert sum(one.packets_lost for one in rows) > 0.05 * sum(one.packets_sent for one in rows)
    took_s = [one.arrived_s - one.sent_s for one in stretch.fates() if one.kind == "alert"]
    assert min(took_s) > 0.3  # all of a queue


def test_an_order_waits_for_a_full_uplink_as_long_as_that_has_a_queue(tmp_path_factory):
    """It waited as long as the backhaul behind it has one."""
    order = '[[day.orders]]\nat = "02:01"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    lines = THIN.format(loss=0, rate=140, cell=9_000).replace("300", "3000")
    told = village(duration_s=4, more=order + lines, poles=[("pi_4b_usb", "perfect")] * 4)
    told = told.replace("seed =", 'uplink = "thin"\nseed =', 1)
    stretch = lived(loaded(tmp_path_factory, told))
    took_s = [one.arrived_s - one.sent_s for one in stretch.fates() if one.kind == "alert"]
    assert min(took_s) > 3


def by_traces(tmp_path_factory, told):
    """Return a village with a trace of 5 ms, like the thin line, for every other pole of it."""
    trace = tmp_path_factory.mktemp("trace") / "even.csv"
    trace.write_text("5\n" * 7)
    head, *rest = told.split('bearer = "thin"')
    own = ('bearer = "thin"', f'bearer = "trace:{trace}", like = "thin"')
    return head + "".join(own[i % 2] + one for i, one in enumerate(rest))


@pytest.mark.parametrize(("cell", "rate"), [(140, 1_000), (9_000, 33)])
def test_an_order_over_a_trace_finds_its_cell_and_its_link_full(tmp_path_factory, cell, rate):
    """It came in some ms through a cell, and a link, that lost half of its streams."""
    order = '[[day.orders]]\nat = "02:01"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    lines = THIN.format(loss=0, rate=rate, cell=cell)
    poles = [("pi_4b_usb", "thin")] * 4
    told = by_traces(tmp_path_factory, village(duration_s=4, more=order + lines, poles=poles))
    stretch = lived(loaded(tmp_path_factory, told))
    took_s = {
        one.node: one.arrived_s - one.sent_s for one in stretch.fates() if one.kind == "alert"
    }
    assert len(took_s) == 4
    assert min(took_s.values()) > 0.3, "all of a queue"


def test_drive_and_world_count_the_same_of_traces_in_a_full_cell(tmp_path_factory):
    lines = THIN.format(loss=0, rate=1_000, cell=150)
    told = village(duration_s=8, delay_ms=800, more=lines, poles=[("pi_4b_usb", "thin")] * 4)
    asked = loaded(tmp_path_factory, by_traces(tmp_path_factory, told))
    driven = run(asked, decode=False).nodes
    assert sum(one.packets_lost for one in driven) > 100
    rows = lived(asked).world.live.rows()
    assert [asdict(one) for one in rows] == [asdict(one) for one in driven]


def test_little_left_of_one_link_leaves_its_cell_as_it_was(tmp_path_factory):
    """The order found a cell full that had room for all."""
    more = '[[day.orders]]\nat = "02:01"\nkind = "alert"\nttl_s = 600\nlasts_s = 20\n'
    more += THIN.format(loss=0, rate=1_000, cell=1_000)
    more += '[[faults]]\nkind = "congestion"\nfrom_s = 0\nuntil_s = 3\n'
    more += 'share = 0.15\ncluster = "a-1"\n'
    told = village(duration_s=3, more=more, poles=[("pi_4b_usb", "thin")] * 4)
    fates = lived(loaded(tmp_path_factory, told)).fates()
    took_s = [one.arrived_s - one.sent_s for one in fates if one.kind == "alert"]
    assert max(took_s) < 0.3


def test_what_no_desk_announced_is_not_heard(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("sim.day.station.Station.live_orders", lambda *_, **__: [])
    live = lived(loaded(tmp_path_factory, village())).world.live
    assert [one.first_sound_ms for one in live.rows()] == [None, None]
    assert all(live.counts(i)[Count.PACKETS_RECEIVED] == 0 for i in range(2))


def test_a_live_programme_is_the_same_twice(tmp_path_factory):
    asked = loaded(tmp_path_factory, village(seed=9))
    first, again = lived(asked), lived(asked)
    assert first.world.live.rows() == again.world.live.rows()
    assert first.world.loop.steps == again.world.loop.steps


def test_a_node_that_restarts_after_the_numbers_of_a_programme_have_wrapped_hears_the_rest(
    tmp_path_factory,
):
    """Between 11 and 22 minutes of it: what opens its packets was never told how often."""
    cut_s = 670
    cut = f'kind = "power_cut"\ncluster = "a-0"\nfrom_s = {cut_s}\nuntil_s = {cut_s + 1}\n'
    text = village(
        seed=WRAPS_AFTER_11_MINUTES,
        duration_s=cut_s + 130,
        poles=[("pi_4b_usb", "ftth")] * 2,
        more=f"[[faults]]\n{cut}",
    )
    asked = loaded(tmp_path_factory, text)
    live = lived(asked).world.live
    wraps_s = (0x10000 - live.sender.sequence) * live.sender.packet_ns / NS_PER_S
    assert cut_s - 15 < wraps_s < cut_s
    cut, other = live.rows()
    assert other.silent_ms < 100
    assert cut.silent_ms < 100_000, "it boots for 31 s, and is told of the stream once a minute"
