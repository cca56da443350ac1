"""The simulated station sends again what was lost: what a listener gains, and what it costs."""

from dataclasses import replace

import pytest

from node.rtp import rtcp
from sim.drive import run as drive
from sim.drive.rounds import Rounds
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.conversation import Conversation
from sim.station.programme import encode
from sim.village import scenario
from sim.village.places import build_village
from tests.sim.villages import village as village_text

VILLAGE = village_text(
    {
        ("A1", 0, 0): [
            ("a-1", "pi_zero_2w_i2s", "lte_weak", 0, 0),
            ("a-2", "pi_4b_usb", "lte_good", 9, 0),
        ]
    },
    duration_s=60,
    playout_delay_ms=700,
)


@pytest.fixture(scope="module")
def village(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenario") / "village.toml"
    path.write_text(VILLAGE)
    return scenario.load(path)


def told(village, **sender):
    return replace(village, sender=replace(village.sender, **sender))


@pytest.fixture(scope="module")
def mended(village):
    return drive.run(village, decode=False)


@pytest.fixture(scope="module")
def plain(village):
    return drive.run(told(village, retransmission=False), decode=False)


def test_what_the_links_lose_is_sent_again_unless_the_scenario_says_no(mended, plain):
    for again, never in zip(mended.nodes, plain.nodes, strict=True):
        assert again.packets_lost == never.packets_lost > 0
        assert never.retransmitted_ms == 0 and never.repair_bytes == 0
        assert again.retransmitted_ms > 0
        # What is left on the weak link is its stalls: two seconds are not spared.
        assert again.dropout_ms < never.dropout_ms
    assert mended.nodes[1].dropout_ms == 0 < plain.nodes[1].dropout_ms
    assert "lost and repaired" in mended.verdict


def test_the_bytes_of_repair_are_counted_and_stay_within_their_share(mended):
    for row in mended.nodes:
        assert row.stream_bytes > 60 * 50 * (12 + 28)
        # An answer: headers, 2 bytes, and about 60 of sound; a question at least 44.
        assert row.repair_bytes > row.retransmitted_ms / 20 * 60
        assert row.repair_bytes < 0.15 * row.stream_bytes


@pytest.mark.parametrize("sender", [{"delivery": "multicast"}, {"reports": False}])
def test_who_hears_a_multicast_or_a_station_without_reports_asks_for_nothing(village, sender):
    result = drive.run(told(village, **sender), decode=False)
    assert result.totals["retransmitted_ms"] == result.totals["repair_bytes"] == 0


def test_a_node_that_asks_for_everything_gets_no_more_than_a_share(village):
    programme = encode(scenario.sound_file(village), village.sender)
    built = build_village(village)
    rounds = Rounds(village, built, programme, decoder=None)
    asker = Conversation(
        built.places[1], rounds.sender, backhaul_ns=0, seed=1, budget=RepairBudget()
    )
    sending = rounds.sender.send_until(60 * 10**9)
    asker.note_chunk(sending, sending.send_ns + 10**7)
    first = int.from_bytes(sending.datagrams[0][2:4], "big")
    answered = 0
    for n in range(100, 2900):
        wanted = tuple((first + n - back) & 0xFFFF for back in range(1, 100))
        request = rtcp.build([rtcp.Nack(9, rounds.sender.ssrc, wanted)])
        for arrival_ns, data in asker.answers(request, int(sending.send_ns[n])):
            assert arrival_ns > sending.send_ns[n]
            answered += len(data)
    assert 0 < answered <= 0.15 * sum(map(len, sending.datagrams)) + 6000


LOSSY = """
[bearers.lossy]
title = "4 % in bursts"
one_way_ms = { value = 40, source = "test", verified = true }
jitter_shape = "none"
jitter_scale_ms = { value = 0, source = "test", verified = true }
loss_pct = { value = 4, source = "test", verified = true }
loss_burst_packets = { value = 2, source = "test", verified = true }
rate_kbit_s = { value = 1000, source = "test", verified = true }
queue_ms = { value = 1000, source = "test", verified = true }
stall_interval_s = { value = 0, source = "test", verified = true }
stall_min_ms = { value = 0, source = "test", verified = true }
stall_max_ms = { value = 0, source = "test", verified = true }
busy_interval_s = { value = 0, source = "test", verified = true }
busy_min_s = { value = 0, source = "test", verified = true }
busy_max_s = { value = 0, source = "test", verified = true }
busy_delay_ms = { value = 0, source = "test", verified = true }
outage_interval_s = { value = 0, source = "test", verified = true }
outage_min_s = { value = 0, source = "test", verified = true }
outage_max_s = { value = 0, source = "test", verified = true }
"""


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A multicast group of two poles that lose 4 %, for four minutes."""
    path = tmp_path_factory.mktemp("scenario") / "group.toml"
    text = VILLAGE.replace("lte_weak", "lossy").replace("lte_good", "lossy")
    text = text.replace("duration_s = 60", "duration_s = 240")
    text = text.replace("[jitter]", '[sender]\ndelivery = "multicast"\nfec = false\n\n[jitter]')
    path.write_text(text + LOSSY)
    return scenario.load(path)


def test_a_group_that_loses_gets_copies_for_what_its_data_may_cost(group):
    with_copies = drive.run(group, decode=False)
    without = drive.run(told(group, copies="off"), decode=False)
    rich = drive.run(told(group, data_budget_kbit_s=200), decode=False)
    poor = drive.run(told(group, data_budget_kbit_s=30), decode=False)
    for row, plain in zip(with_copies.nodes, without.nodes, strict=True):
        assert row.packets_lost == plain.packets_lost > 300
        assert plain.redundant_ms == 0 and plain.concealed_ms > 5000
        # On after 80 s of 240.
        assert row.redundant_ms > 0.3 * plain.concealed_ms
        assert row.concealed_ms < 0.7 * plain.concealed_ms
        assert 0 < row.repair_bytes <= 0.15 * row.stream_bytes + 6000
    assert rich.nodes[0].redundant_ms >= with_copies.nodes[0].redundant_ms
    assert poor.totals["redundant_ms"] == poor.totals["repair_bytes"] == 0


def test_how_the_time_is_cut_changes_no_copy(group, monkeypatch):
    whole = drive.run(group, decode=False)
    monkeypatch.setattr("sim.drive.rounds.CHUNK_NS", 13_000_000_000)
    assert drive.run(group, decode=False).trace_hash == whole.trace_hash
