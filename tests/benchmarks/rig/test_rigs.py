"""The parts of the rigs that need no sound card: the way back from an outage, and the TCP relay."""

import os
import socket
import threading
import time

import av
import numpy as np
import pytest

from benchmarks.rig import sync_measure as measure
from benchmarks.rig.impairment import Impairment
from benchmarks.rig.jack_rig import Host, forget_dead_servers
from benchmarks.rig.live_source import LiveSource, mp2_frames
from benchmarks.rig.real_village import PROGRAMME_S, Recording, programme
from benchmarks.rig.rig_network import KINDS, Setting, network
from benchmarks.rig.tcp_relay import TcpRelay

RATE_HZ = 48_000


def recorded(*, delay_before_ms, delay_after_ms, apart_samples=(), goes_on=False):
    """Return 24 s of two nodes: sent at 1 s, silent from 10 to 13 s, then sent anew."""
    sound = np.zeros((24 * RATE_HZ, 2), np.float32)

    def play(sent_s, delay_ms, from_s, to_s):
        late = int(delay_ms * RATE_HZ / 1000)
        begin, end = int(from_s * RATE_HZ) + late, int(to_s * RATE_HZ) + late
        at = begin - late - int(sent_s * RATE_HZ)
        sound[begin:end] = programme()[at : at + end - begin, None]

    play(1, delay_before_ms, 1, 10)
    play(1 if goes_on else 13, delay_after_ms, 13, 23)
    for at_s, samples in apart_samples:
        part = slice(int(at_s * RATE_HZ), int((at_s + 1) * RATE_HZ))
        sound[part, 1] = np.roll(sound[part, 1], samples)
    clock = np.array([[0.0, sound.shape[0]], [100.0, 124.0]])
    marks = {"sent": 101.0, "killed": 110.0, "again": 113.0}
    return Recording(sound, clock, RATE_HZ, marks, [], Host(real_time=True))


def test_a_node_without_backlog_is_told_with_one_latency_before_and_after():
    told = recorded(delay_before_ms=387, delay_after_ms=387).return_row()
    assert told["delay_before_ms"] == pytest.approx(387, abs=0.2)
    assert told["delay_after_ms"] == pytest.approx(387, abs=0.2)
    assert told["in_step_after_s"] < 0.5


def test_a_backlog_kept_is_told_whether_the_source_began_anew_or_went_on():
    for goes_on, sent in ((False, "again"), (True, "sent")):
        one = recorded(delay_before_ms=400, delay_after_ms=728, goes_on=goes_on)
        told = one.return_row(sent=sent)
        assert told["delay_after_ms"] - told["delay_before_ms"] == pytest.approx(328, abs=0.3)


def test_nodes_that_are_apart_after_the_outage_are_in_step_only_when_they_stay_so():
    one = recorded(delay_before_ms=400, delay_after_ms=400, apart_samples=[(14, 48), (16, 48)])
    assert one.return_row()["in_step_after_s"] == pytest.approx(4, abs=0.5)


def test_a_card_that_stood_still_makes_no_node_early():
    # In samples the delay shrinks by the 30 ms in which none were counted.
    one = recorded(delay_before_ms=400, delay_after_ms=370, goes_on=True)
    at = 11.0 * RATE_HZ
    one.clock = np.array([[0.0, at, at + 1, one.sound.shape[0]], [100.0, 111.0, 111.03, 124.03]])
    told = one.return_row(sent="sent")
    assert told["delay_before_ms"] == pytest.approx(400, abs=0.3)
    assert told["delay_after_ms"] == pytest.approx(400, abs=0.3)


def test_a_system_that_stays_silent_after_the_outage_is_told_so():
    one = recorded(delay_before_ms=400, delay_after_ms=400)
    one.sound[12 * RATE_HZ :] = 0
    told = one.return_row()
    assert told["delay_after_ms"] == told["in_step_after_s"] == float("inf")


def test_the_programme_is_long_enough_for_a_source_that_goes_on():
    assert PROGRAMME_S >= 48


@pytest.fixture
def echo():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            one, _ = listener.accept()
            with one:
                while data := one.recv(4096):
                    one.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_the_tcp_relay_delays_both_ways_and_keeps_every_byte_in_order(echo):
    relay = TcpRelay(echo, Impairment(delay_ms=30, jitter_ms=20, loss_pct=50), seed=1)
    with socket.create_connection(("127.0.0.1", relay.door), timeout=5) as one:
        begin_s = time.monotonic()
        for number in range(100):
            one.sendall(b"%04d" % number)
            time.sleep(0.001)
        back = b""
        while len(back) < 400:
            back += one.recv(4096)
            assert time.monotonic() - begin_s >= 0.02
    relay.close()
    assert back == b"".join(b"%04d" % number for number in range(100))


def test_who_knocks_while_the_server_is_dead_is_sent_away_and_let_in_when_it_is_back():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    relay = TcpRelay(port, Impairment(), seed=1)
    with socket.create_connection(("127.0.0.1", relay.door), timeout=5) as one:
        assert one.recv(10) == b""
    with (
        socket.create_server(("127.0.0.1", port)) as again,
        socket.create_connection(("127.0.0.1", relay.door), timeout=5),
    ):
        again.settimeout(5)
        again.accept()[0].close()
    relay.close()


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_tells_the_nodes_where_to_listen_and_the_sender_where_to_send(kind):
    one = network(Setting(kind=kind), Impairment())
    heard = "".join(one.receive(index) for index in range(2))
    to = one.destinations()
    if kind == "namespaces":
        assert all(f'listen = "{address}"' in heard for address in to)
    elif kind == "multicast":
        assert [f'multicast_group = "{address.split(":")[0]}"' in heard for address in to] == [True]
    else:
        assert len(to) == 2 and not any(address in heard for address in to)  # the relay's ports


@pytest.mark.parametrize("stays", [True, False])
def test_what_a_pipe_holds_while_its_reader_is_dead_is_there_for_the_next_or_is_not(
    tmp_path, stays
):
    source = LiveSource(tmp_path / "pipe", stays=stays, holds_bytes=8192)
    os.mkfifo(source.pipe)
    blocks = [bytes([number]) * 576 for number in range(250)]
    source.start(blocks, 0.004)
    with source.pipe.open("rb", buffering=0) as reader:
        begin_s = source.begun_s()
        time.sleep(0.1)
        assert reader.read(576) == blocks[0]
    time.sleep(0.2)
    if not stays:
        source.stop()
        source.start(blocks[200:], 0.004)
    with source.pipe.open("rb", buffering=0) as reader:
        first = reader.read(576)
        at = round((time.monotonic() - begin_s) / 0.004)
    source.stop()
    if stays:
        assert 1 <= first[0] < at - 10, "what was written when the first reader went away"
    else:
        assert first == blocks[200]


def test_the_sound_of_a_live_source_can_be_taken_up_in_the_middle(tmp_path):
    sound = programme()[: 4 * RATE_HZ]
    frames, frame_s = mp2_frames(sound)
    path = tmp_path / "rest.mp2"
    path.write_bytes(b"".join(frames[50:]))
    with av.open(str(path)) as container:
        parts = [one.to_ndarray()[0] for one in container.decode(audio=0)]
    heard = np.concatenate(parts)
    assert heard.size == pytest.approx(sound.size - 50 * frame_s * RATE_HZ, abs=3 * 1152)
    _, delays_ms = measure.latencies_ms(heard, sound[round(50 * frame_s * RATE_HZ) :], RATE_HZ, 0)
    assert np.ptp(delays_ms) < 0.1


@pytest.mark.parametrize("alive", ["jackd", "sshd"])
def test_servers_that_were_killed_are_forgotten_unless_one_lives(tmp_path, alive):
    memory, process = tmp_path / "shm", tmp_path / "proc" / "17"
    memory.mkdir()
    process.mkdir(parents=True)
    for name in ("jack-shm-registry", "jack_sem.0_gone_system", "pulse-shm-7"):
        (memory / name).touch()
    (process / "comm").write_text(f"{alive}\n")
    forget_dead_servers(memory, tmp_path / "proc")
    left = {one.name for one in memory.iterdir()}
    assert ("jack-shm-registry" in left) == (alive == "jackd")
    assert "pulse-shm-7" in left
