"""Rates that several nodes share: what does not fit is said, with the place, and is not heard."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import cli, command_line
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue

MS = 10**6
COMMUNE = """
title = "Thin"
question = "Does it fit?"
seed = 3
duration_s = 20
[sender]
bitrate_kbit_s = 24
packet_ms = 20
delivery = "{delivery}"
reports = {reports}
[jitter]
playout_delay_ms = 400
[bearers.thin]
title = "Thin line"
one_way_ms = {{ value = 5, source = "test", verified = true }}
jitter_shape = "none"
jitter_scale_ms = {{ value = 0, source = "test", verified = true }}
loss_pct = {{ value = 0, source = "test", verified = true }}
loss_burst_packets = {{ value = 1, source = "test", verified = true }}
rate_kbit_s = {{ value = {rate}, source = "test", verified = true }}
queue_ms = {{ value = 200, source = "test", verified = true }}
stall_interval_s = {{ value = 0, source = "test", verified = true }}
stall_min_ms = {{ value = 0, source = "test", verified = true }}
stall_max_ms = {{ value = 0, source = "test", verified = true }}
busy_interval_s = {{ value = 0, source = "test", verified = true }}
busy_min_s = {{ value = 0, source = "test", verified = true }}
busy_max_s = {{ value = 0, source = "test", verified = true }}
busy_delay_ms = {{ value = 0, source = "test", verified = true }}
outage_interval_s = {{ value = 0, source = "test", verified = true }}
outage_min_s = {{ value = 0, source = "test", verified = true }}
outage_max_s = {{ value = 0, source = "test", verified = true }}
{cell}
[[communes]]
name = "Đèo Gia"
x_m = 0
y_m = 0
backhaul = "{backhaul}"
[[communes.hamlets]]
name = "Hạ"
x_m = 0
y_m = 0
clusters = [
{clusters}
]
"""


def ask(tmp_path, capsys, *arguments, count, bearer, backhaul="backhaul_fibre", **more):
    lines = "".join(
        f'{{ name = "d-{i}", profile = "pi_4b_i2s", bearer = "{bearer}", x_m = 0, y_m = 0 }},\n'
        for i in range(count)
    )
    values = {"delivery": "unicast", "rate": 1000, "cell": "", "reports": True} | more
    values["reports"] = str(values["reports"]).lower()
    path = tmp_path / "thin.toml"
    path.write_text(COMMUNE.format(clusters=lines, backhaul=backhaul, **values))
    status = cli.main(
        ["run", str(path), "--no-sound", "--json", "--out", str(tmp_path / "o"), *arguments]
    )
    return status, json.loads(capsys.readouterr().out)


def test_eleven_streams_through_a_backhaul_that_carries_one_do_not_fit(tmp_path, capsys):
    status, told = ask(
        tmp_path, capsys, "--fail-on", "over_capacity > 0",
        count=11, bearer="perfect", backhaul="thin", rate=40,
    )  # fmt: skip
    assert status == command_line.CONDITION
    assert told["verdict"].startswith("Does NOT fit: 11 streams ask ")
    assert "of the 40 kbit/s of the backhaul of Đèo Gia" in told["verdict"]
    assert told["totals"]["nodes_good"] <= 1, "the first in the queue, if anybody"
    assert sum(row["packets_lost"] for row in told["nodes"]) > 0.8 * 11 * 1000
    row = told["capacity"][0]
    assert not row["fits"] and row["dropped_packets"] > 0
    report = (tmp_path / "o" / "report.html").read_text()
    assert "DOES NOT FIT" in report
    assert "backhaul of Đèo Gia" in (tmp_path / "o" / "junit.xml").read_text()


def test_one_station_for_two_communes_has_one_line_for_both(tmp_path, capsys):
    _, apart = ask(tmp_path, capsys, count=2, bearer="perfect", rate=60)
    path = tmp_path / "thin.toml"
    text = path.read_text().replace("duration_s = 20", 'duration_s = 20\nuplink = "thin"')
    second = text[text.index("[[communes]]") :].replace("Đèo Gia", "Xa Lý").replace("d-", "x-")
    path.write_text(text + second)
    arguments = ["run", str(path), "--no-sound", "--json", "--out", str(tmp_path / "o")]
    assert cli.main([*arguments, "--fail-on", "over_capacity > 0"]) == command_line.CONDITION
    told = json.loads(capsys.readouterr().out)
    assert [row["fits"] for row in apart["capacity"]] == [True]
    assert told["verdict"].startswith("Does NOT fit: 4 streams ask ")
    assert "of the 60 kbit/s of the uplink of the station" in told["verdict"]
    lost = {row["node"]: row["packets_lost"] for row in told["nodes"]}
    assert sum(lost.values()) > 0.4 * 4 * 1000 and len(told["capacity"]) == 3


def test_what_is_sent_again_counts_where_the_stream_alone_would_fit(tmp_path, capsys):
    rate = ask(tmp_path, capsys, count=11, bearer="wifi24_outdoor")[1]["capacity"][0]
    bare = rate["asked_kbit_s"] - rate["repair_kbit_s"]
    assert rate["repair_kbit_s"] > 1
    _, told = ask(
        tmp_path, capsys, count=11, bearer="wifi24_outdoor", backhaul="thin", rate=round(bare + 0.5)
    )
    assert told["verdict"].startswith("Does NOT fit: 11 streams ask ")


def test_one_stream_for_all_fits_where_eleven_did_not(tmp_path, capsys):
    status, told = ask(
        tmp_path, capsys, "--fail-on", "over_capacity > 0",
        count=11, bearer="perfect", backhaul="thin", rate=40, delivery="multicast", reports=False,
    )  # fmt: skip
    assert status == command_line.OK
    assert told["totals"]["nodes_good"] == 11


def test_questions_for_the_time_fill_a_backhaul_on_the_way_to_one_stream_for_all(tmp_path, capsys):
    """Eleven nodes ask it as the stream begins, and more where their answers wait."""
    more = {"count": 11, "bearer": "perfect", "backhaul": "thin", "delivery": "multicast"}
    _, told = ask(tmp_path, capsys, rate=160, **more)
    assert told["verdict"].startswith("Does NOT fit: 1 stream asks ")
    assert min(row["packets_lost"] for row in told["nodes"]) > 0


def test_forty_nodes_on_a_cell_of_100_kbit_s_do_not_fit(tmp_path, capsys):
    cell = 'cell_kbit_s = { value = 100, source = "test", verified = true }'
    status, told = ask(
        tmp_path, capsys, "--fail-on", "over_capacity > 0", count=40, bearer="thin", cell=cell
    )
    assert status == command_line.CONDITION
    assert "of the 100 kbit/s of the cell of Đèo Gia (thin)" in told["verdict"]
    assert told["totals"]["nodes_good"] <= 2


def test_what_fits_is_heard_and_said_to_fit(tmp_path, capsys):
    status, told = ask(
        tmp_path, capsys, "--fail-on", "over_capacity > 0",
        count=11, bearer="perfect", backhaul="thin", rate=2000,
    )  # fmt: skip
    assert status == command_line.OK
    assert told["totals"]["nodes_good"] == 11
    assert told["capacity"][0]["fits"]
    later = [row["uplink_ms"] for row in told["nodes"]]
    assert later == sorted(later) and later[-1] > later[0] + 3, "copies leave one after another"


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(8, 2000),
)
def test_a_shared_rate_never_gives_more_than_it_has(gaps_ms, columns, rate_kbit_s):
    come_ns = np.repeat(np.cumsum(gaps_ms)[:, np.newaxis] * MS, columns, axis=1).astype(np.int64)
    queue = SharedQueue(rate_kbit_s, 200, 1000)
    wait_ns = queue.wait_ns(come_ns)
    passed = wait_ns != LOST_NS
    leave_ns = np.sort((come_ns + wait_ns)[passed])
    transmit_ns = round(1000 * MS / rate_kbit_s)
    assert passed[0, 0]
    assert (np.diff(leave_ns) >= transmit_ns).all()
    assert (wait_ns[passed] <= 200 * MS + transmit_ns).all()
    assert queue.dropped == np.count_nonzero(~passed)


@pytest.mark.parametrize("value", [0, 7, -1])
def test_a_cell_without_a_rate_is_refused(tmp_path, capsys, value):
    cell = f'cell_kbit_s = {{ value = {value}, source = "test", verified = true }}'
    path = tmp_path / "thin.toml"
    path.write_text(
        COMMUNE.format(
            clusters='{ name = "d", profile = "pi_4b_i2s", bearer = "thin", x_m = 0, y_m = 0 }',
            backhaul="backhaul_fibre",
            delivery="unicast",
            reports="true",
            rate=100,
            cell=cell,
        )
    )
    assert cli.main(["check", str(path)]) == command_line.USER
    assert "cell_kbit_s.value" in capsys.readouterr().err


@given(
    rate=st.integers(8, 2000),
    queue_ms=st.integers(0, 300),
    gaps=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    copies=st.integers(1, 30),
    data=st.data(),
)
def test_some_of_the_copies_fare_as_among_all(rate, queue_ms, gaps, copies, data):
    chosen = data.draw(st.lists(st.integers(0, copies - 1), unique=True, max_size=5))
    columns = np.array(chosen, np.int64)
    send_ns = np.cumsum(np.array(gaps, np.int64)) * MS
    whole, part = (SharedQueue(rate, queue_ms, 960) for _ in range(2))
    all_ns = whole.wait_ns(np.repeat(send_ns[:, np.newaxis], copies, axis=1))
    some_ns = part.wait_alike_ns(send_ns, copies, columns)
    np.testing.assert_array_equal(some_ns, all_ns[:, columns])
    assert whole.dropped == part.dropped
