"""T2 and T3 count the same: every row of the journal and every count, on villages by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.drive.roll_up import node_row
from sim.drive.rounds import Rounds
from sim.fleet.rounds import FleetRounds
from sim.station import payloads
from sim.village import scenario
from sim.village.places import build_village
from sim.village.scenario import sound_file
from tests.sim.villages import village

PROFILES = ["pi_4b_i2s", "pi_zero_2w_i2s", "pi_4b_usb", "pi_5_i2s", "pi_3b_plus_usb"]

BEARER = """
[bearers.rough]
title = "by chance"
one_way_ms = {{ value = {one_way}, source = "test", verified = false }}
jitter_shape = "{shape}"
jitter_scale_ms = {{ value = {jitter}, source = "test", verified = false }}
loss_pct = {{ value = {loss}, source = "test", verified = false }}
loss_burst_packets = {{ value = {burst}, source = "test", verified = false }}
rate_kbit_s = {{ value = {rate}, source = "test", verified = false }}
queue_ms = {{ value = {queue}, source = "test", verified = false }}
stall_interval_s = {{ value = {stall}, source = "test", verified = false }}
stall_min_ms = {{ value = 50, source = "test", verified = false }}
stall_max_ms = {{ value = 4000, source = "test", verified = false }}
busy_interval_s = {{ value = 20, source = "test", verified = false }}
busy_min_s = {{ value = 1, source = "test", verified = false }}
busy_max_s = {{ value = 6, source = "test", verified = false }}
busy_delay_ms = {{ value = 90, source = "test", verified = false }}
outage_interval_s = {{ value = {outage}, source = "test", verified = false }}
outage_min_s = {{ value = 1, source = "test", verified = false }}
outage_max_s = {{ value = {outage_max}, source = "test", verified = false }}
"""

FAULTS = """
[[faults]]
kind = "{kind}"
from_s = {start}
until_s = {end}
commune = "Yên Sơn"
"""


TALKS = [
    "reports = false",
    "",
    "",
    "retransmission = false",
    'delivery = "multicast"\ncopies = "off"',
    "data_budget_kbit_s = 40",
    "packet_ms = 60",
]
"""What the station says beside its sound, and of how many packets."""

MODES = ["synchronised", "synchronised", "adaptive"]
KINDS = ["power_cut", "link_down", "card_gone"]


@st.composite
def villages(draw):
    loss = draw(st.sampled_from([0, 1, 15, 60, 92]))
    rough = BEARER.format(
        one_way=draw(st.integers(1, 300)),
        shape=draw(st.sampled_from(["none", "gev", "lognormal", "gamma"])),
        jitter=draw(st.integers(1, 60)),
        loss=loss,
        burst=draw(st.sampled_from([12, 40, 300])),
        rate=draw(st.sampled_from([40, 120, 5000])),
        queue=draw(st.sampled_from([100, 3000])),
        stall=draw(st.sampled_from([0, 8])),
        outage=draw(st.sampled_from([0, 15, 40])),
        outage_max=draw(st.sampled_from([2, 14, 45])),
    )
    more = f"[sender]\n{draw(st.sampled_from(TALKS))}\n" + rough
    for kind in draw(st.lists(st.sampled_from(KINDS), max_size=2)):
        start = draw(st.integers(0, 60))
        more += FAULTS.format(kind=kind, start=start, end=start + draw(st.integers(1, 30)))
    count = draw(st.integers(1, 3))
    clusters = [
        (
            f"c-{i}",
            draw(st.sampled_from(PROFILES)),
            draw(st.sampled_from(["rough", "rough", "lte_weak", "wifi24_outdoor", "ftth"])),
            0,
            0,
        )
        for i in range(count)
    ]
    text = village(
        {("Thôn", 0, 0): clusters},
        duration_s=draw(st.sampled_from([9, 61, 66, 110, 190])),
        more=more,
        seed=draw(st.integers(0, 1 << 40)),
        playout_delay_ms=draw(st.sampled_from([100, 400, 1500])),
    )
    if draw(st.booleans()):
        # Copies, repair and chatter share it.
        text = text.replace(
            "\n[[communes.hamlets]]", '\nbackhaul = "rough"\n[[communes.hamlets]]', 1
        )
    return text.replace("[jitter]", f'[jitter]\nmode = "{draw(st.sampled_from(MODES))}"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("villages")


def count_alike(text, path):
    path.write_text(text)
    asked = scenario.load(path)
    built = build_village(asked)
    programme = payloads.load(sound_file(asked), asked.sender)
    fleet = FleetRounds(asked, built, programme)
    drive = Rounds(asked, built, programme, decoder=None)
    for _ in fleet.advance():
        pass
    for _ in drive.advance():
        pass
    if fleet.is_beyond:
        return  # `fleet.run` has T2 play it
    for number in range(len(fleet.places)):
        np.testing.assert_array_equal(fleet.counts(number), drive.counts(number))
        assert fleet.skew_ppm(number) == drive.skew_ppm(number)
        assert node_row(fleet, number) == node_row(drive, number)
        raster = fleet.tallies[number].coverage.raster
        np.testing.assert_array_equal(raster, drive.tallies[number].coverage.raster)
    assert fleet.trace_hash() == drive.trace_hash()


@settings(deadline=None, max_examples=40)
@given(text=villages())
def test_both_tiers_count_the_same(folder, text):
    count_alike(text, folder / "one.toml")


@pytest.mark.parametrize("packet_ms", [10, 60])
def test_both_tiers_count_the_same_of_other_packets_and_more_minutes(folder, packet_ms):
    clusters = [("c-0", "pi_zero_2w_i2s", "lte_weak", 0, 0), ("c-1", "pi_4b_usb", "ftth", 9, 0)]
    more = f"[sender]\nreports = false\npacket_ms = {packet_ms}\n"
    cut = FAULTS.format(kind="power_cut", start=500, end=560)
    text = village({("Thôn", 0, 0): clusters}, duration_s=790, more=more + cut)
    count_alike(text, folder / "long.toml")


@pytest.mark.parametrize(("start", "end"), [(20, 130), (120, 150), (180, 190)])
def test_a_cut_where_a_chunk_of_either_tier_ends_counts_the_same(folder, start, end):
    # A packet behind the last period of a chunk was heard by a node whose power ended with it, and
    # by none that booted then (30 s after the cut): a packet more or less, by where a chunk ended.
    clusters = [("c-0", "pi_zero_2w_i2s", "ftth", 0, 0), ("c-1", "pi_4b_usb", "ftth", 9, 0)]
    cut = FAULTS.format(kind="power_cut", start=start, end=end)
    more = "[sender]\nreports = false\npacket_ms = 10\n" + cut
    text = village({("Thôn", 0, 0): clusters}, duration_s=240, more=more)
    count_alike(text, folder / "cut.toml")


def test_a_packet_after_a_silence_brings_the_next_question_nearer(folder):
    # T2 looked at the node only where the packet left a hole, and asked 40 ms later.
    rough = BEARER.format(
        one_way=243, shape="none", jitter=1, loss=60, burst=12, rate=120, queue=100, stall=0,
        outage=15, outage_max=45,
    )  # fmt: skip
    clusters = [(f"c-{i}", "pi_4b_i2s", "rough", 0, 0) for i in range(3)]
    text = village(
        {("Thôn", 0, 0): clusters},
        duration_s=110,
        more="[sender]\npacket_ms = 60\n" + rough,
        seed=120,
        playout_delay_ms=1500,
    )
    count_alike(text, folder / "silence.toml")
