"""A multicast stream takes room of what it passes, waits there and is lost like any other."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.drive.run import run
from sim.fleet.run import run as run_fleet
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.village import scenario
from tests.sim.thin import THIN
from tests.sim.villages import village

STREAM_KBIT_S = 36
"""About what one stream asks."""
WIDE = 9_000


def thin(folder, *, poles, delivery, more="", duration_s=8, **rates):
    """Return a loaded village; `rates` are of its uplink, its backhaul and its cell, kbit/s."""
    sender = f'[sender]\ndelivery = "{delivery}"\nretransmission = false\ncopies = "off"\n{more}'
    lines = ""
    for name in ("uplink", "backhaul", "cell"):
        rate = rates.get(name, WIDE)
        own = {"rate": WIDE, "cell": rate} if name == "cell" else {"rate": rate, "cell": WIDE}
        lines += THIN.format(loss=0, **own).replace("bearers.thin", f"bearers.{name}")
    clusters = [(f"c-{i}", "pi_4b_i2s", "cell", 0, 0) for i in range(poles)]
    text = village({("Thôn", 0, 0): clusters}, duration_s=duration_s, more=sender + lines)
    at = "\n[[communes.hamlets]]"
    text = text.replace(at, f'\nbackhaul = "backhaul"{at}', 1)
    path = folder / "for_all.toml"
    path.write_text('uplink = "uplink"\n' + text)
    return scenario.load(path)


rooms = st.sampled_from([0.5, 0.9, 1.2, 8.0]).map(lambda share: round(share * STREAM_KBIT_S))
ways = st.fixed_dictionaries({"uplink": rooms, "backhaul": rooms, "cell": rooms})


@settings(max_examples=12, derandomize=True)
@given(poles=st.integers(1, 5), rates=ways)
@example(poles=3, rates={"uplink": 32})
@example(poles=3, rates={"cell": 32})
def test_a_stream_for_all_is_lost_where_it_is_said_not_to_fit(tmp_path_factory, poles, rates):
    """It lost nothing on an uplink, or in a cell, that was said to be too thin for it."""
    folder = tmp_path_factory.mktemp("for_all")
    result = run(thin(folder, poles=poles, delivery="multicast", **rates), decode=False)
    over = {one.kind for one in result.capacity if one.over}
    assert {name for name, rate in rates.items() if rate < STREAM_KBIT_S} <= over
    lost = [one.packets_lost for one in result.nodes]
    assert max(lost) == min(lost), "one stream for all"
    if over:
        assert lost[0] > 0
        assert sum(one.dropped_packets for one in result.capacity) > 0


@settings(max_examples=6, derandomize=True)
@given(rates=ways)
def test_a_stream_for_all_of_one_pole_fares_as_a_stream_of_its_own(tmp_path_factory, rates):
    folder = tmp_path_factory.mktemp("for_all")
    one, other = (
        run(thin(folder, poles=1, delivery=delivery, **rates), decode=False)
        for delivery in ("unicast", "multicast")
    )
    assert [asdict(row) for row in one.nodes] == [asdict(row) for row in other.nodes]
    assert one.capacity == other.capacity


def test_a_stream_for_all_waits_for_what_nodes_say_beside_it(tmp_path):
    """It waited for nothing beside it."""
    quiet, loud = (
        run(
            thin(tmp_path, poles=8, delivery="multicast", more=f"reports = {said}\n", backhaul=90),
            decode=False,
        )
        for said in ("false", "true")
    )
    late_ms = [max(one.uplink_ms for one in result.nodes) for result in (quiet, loud)]
    assert late_ms[1] > late_ms[0] + 5
    assert sum(one.packets_lost for one in quiet.nodes) == 0


@pytest.mark.parametrize("where", ["uplink", "backhaul", "cell"])
def test_tiers_count_the_same_of_a_stream_for_all_that_finds_no_room(tmp_path, where):
    asked = thin(tmp_path, poles=4, delivery="multicast", duration_s=20, **{where: 60})
    one, other = run(asked, decode=False), run_fleet(asked)
    assert one.trace_hash == other.trace_hash
    assert one.nodes == other.nodes
    assert one.capacity == other.capacity
    assert sum(row.dropped_packets for row in one.capacity) > 0


def test_copies_in_a_stream_for_all_take_room_once(tmp_path):
    """What eleven nodes get with it was counted eleven times."""
    lossy = thin(tmp_path, poles=6, delivery="multicast", duration_s=150)
    bearers = {
        name: replace(one, loss_pct=replace(one.loss_pct, value=4 if name == "cell" else 0))
        for name, one in lossy.bearers.items()
    }
    lossy = replace(lossy, bearers=bearers, sender=replace(lossy.sender, copies="auto"))
    result = run(lossy, decode=False)
    bits = 8 * result.nodes[0].repair_bytes
    assert bits > 0
    for one in result.capacity:
        assert one.repair_kbit_s == pytest.approx(bits / 1000 / 150, abs=0.1)


@given(st.lists(st.integers(0, 4_000), min_size=1, max_size=30), st.integers(8, 200))
def test_a_larger_packet_takes_longer_on_an_uplink(more_bits, rate_kbit_s):
    send_ns = np.arange(len(more_bits), dtype=np.int64) * 20_000_000
    columns = np.zeros(1, np.int64)
    plain, larger = (SharedQueue(rate_kbit_s, 10_000, 960) for _ in range(2))
    plain_ns = plain.wait_alike_ns(send_ns, 1, columns)
    more = np.array(more_bits, np.int64)
    larger_ns = larger.wait_alike_ns(send_ns, 1, columns, more_bits=more)
    assert (plain_ns != LOST_NS).all() and (larger_ns >= plain_ns).all()
    own_ns = round(960 * 1_000_000 / rate_kbit_s)
    assert larger_ns[0, 0] == own_ns + own_ns * more[0] // 960
