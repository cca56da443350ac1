"""What `loalang-node record` writes is what the simulator reads as a trace, packet by packet."""

import io
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.rig.rig_network import free_port
from node.rtp import packet as rtp
from node.shell.cli import main
from node.shell.commands import recorder
from node.shell.commands.recorder import Recorder
from sim.links.kernel import LOST_NS
from sim.links.traces import read_trace

MS = 1_000_000


def packet(number, *, ssrc=7):
    """Both counters wrap at the seventh packet."""
    timestamp = (number * 960 - 6 * 960) & 0xFFFF_FFFF
    sequence = (number - 6) & 0xFFFF
    return rtp.build(
        bytes(80), sequence=sequence, timestamp=timestamp, ssrc=ssrc, payload_type=96, marker=False
    )


@given(st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=2, max_size=60))
def test_each_delay_and_each_loss_comes_back_from_the_trace_also_over_a_wrap(tmp_path_factory, ms):
    ms = [5, *ms, 5]
    target = io.StringIO()
    one = Recorder(target)
    came = sorted((n * 20 + delay, n) for n, delay in enumerate(ms) if delay is not None)
    for at_ms, number in came:
        one.receive(packet(number), 10**12 + at_ms * MS, 0)
        one.receive(packet(number, ssrc=8), 10**12 + at_ms * MS, 0)
        one.receive(b"\x80\xc8" + bytes(26), 10**12 + at_ms * MS, 0)
    path = tmp_path_factory.mktemp("trace") / "trace.csv"
    path.write_text(target.getvalue())
    transit_ns = read_trace(path)
    fastest = min(delay for delay in ms if delay is not None)
    wanted = [LOST_NS if one is None else (one - fastest) * MS for one in ms]
    assert np.abs(transit_ns - np.array(wanted)).max() <= 1000
    assert one.packets == len(came) and one.others == 2 * len(came)


@given(st.binary(max_size=40))
@example(b"\xa0\x60" + bytes(30))  # padding of no byte
@example(b"\x8f\x60" + bytes(30))  # more contributing sources than bytes
def test_a_row_is_written_for_what_a_node_takes_for_a_packet_and_for_nothing_else(data):
    one = Recorder(io.StringIO())
    one.receive(data, 0, 0)
    header = np.zeros(rtp.HEADER_FIELDS, np.int64)
    is_packet = rtp.parse(np.frombuffer(bytearray(data), np.uint8), header) == rtp.RTP
    assert (one.packets, one.others) == (int(is_packet), int(not is_packet))


def test_a_file_has_an_end(monkeypatch):
    monkeypatch.setattr(recorder, "BYTES_MAX", 200)
    one = Recorder(io.StringIO())
    for number in range(20):
        one.receive(packet(number), number * 20 * MS, 0)
    assert one.is_full


def test_the_command_listens_and_writes(tmp_path, capsys):
    port, out = free_port(), tmp_path / "trace.csv"
    config = tmp_path / "node.toml"
    config.write_text('name = "pole-7"\n')

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            for number in range(40):
                one.sendto(packet(number), ("127.0.0.1", port))
                time.sleep(0.02)

    thread = threading.Thread(target=send)
    thread.start()
    arguments = ["record", "--config", str(config), "--listen", f"127.0.0.1:{port}"]
    status = main([*arguments, "--out", str(out), "--duration", "1.5"])
    thread.join()
    assert status == 0 and "stream 00000007" in capsys.readouterr().err
    assert 20 <= len(read_trace(out)) <= 40


@pytest.mark.parametrize("more", [["--listen", "5004"], ["--duration", "0"]])
def test_a_wrong_argument_is_named(tmp_path, capsys, more):
    config = tmp_path / "node.toml"
    config.write_text('name = "pole-7"\n')
    assert main(["record", "--config", str(config), "--out", str(tmp_path / "t"), *more]) == 2
    assert more[0].lstrip("-") in capsys.readouterr().err
