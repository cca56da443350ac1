"""Nodes that nobody can send to: they go out and join, over real sockets."""

import json
import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from sim.sender import cli as send_cli

from .conftest import SPEECH, free_port, need, process, read_wav


def key_file(tmp_path, name="join.key"):
    path = tmp_path / name
    path.write_bytes(os.urandom(32))
    return path


def serve(port, key, *more):
    return process(
        "sim.sender.cli", str(SPEECH), "--serve", f"127.0.0.1:{port}", "--join-key", str(key), *more
    )


def wait_for(sender, told):
    for line in sender.stderr:
        if told in line:
            return
    raise AssertionError("the sender ended")


def test_a_node_joins_hears_keeps_the_clock_and_is_found_by_a_station_that_begins_anew(
    start_node, tmp_path
):
    port, key = free_port(), key_file(tmp_path)
    node = start_node(receive=f'join = "localhost:{port}"\njoin_key_file = "{key}"')
    sender = serve(port, key, "--lead", "3", "--loop", "--announce")
    wait_for(sender, "first packet")
    time.sleep(4)
    sender.kill()
    sender.communicate()
    sender = serve(port, key, "--lead", "0", "--loop", "--announce")
    wait_for(sender, "first packet")
    time.sleep(5)
    sender.send_signal(signal.SIGTERM)
    _, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    status = node.stop()
    sound = read_wav(node.wav)
    loud = np.abs(sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)).max(axis=1) > 0.01
    assert loud.sum() >= 40, "4 s of two times, in tenths"
    (joined,) = status["joined"]
    assert joined["welcomes"] >= 2 and joined["station"] == f"localhost:{port}"
    (source,) = [one for one in status["sources"] if one["played_ms"]["received"]][-1:]
    assert source["uncertainty_ms"] is not None, "the clock exchange came on the same path"


def test_a_station_without_its_nodes_says_so_and_strangers_get_nothing(tmp_path):
    port, key = free_port(), key_file(tmp_path)
    sender = serve(port, key, "--lead", "0", "--loop", "--announce")
    wait_for(sender, "first packet")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.1)
        got = 0
        for i in range(40):
            one.sendto(bytes([0x80 | i % 4, 204, 0, 15]) + os.urandom(4) + b"LoaJ" + os.urandom(52),
                       ("127.0.0.1", port))  # fmt: skip
            try:
                got += len(one.recv(2000))
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.05)
    sender.send_signal(signal.SIGTERM)
    _, err = sender.communicate(timeout=60)
    assert got == 0
    assert sender.returncode == 1
    assert "nobody joined" in err.splitlines()[-1]


def test_wrong_arguments_of_joining_are_one_line(tmp_path, capsys):
    key, short = key_file(tmp_path), tmp_path / "short"
    short.write_bytes(b"x")
    for arguments, told in (
        (["--serve", "5004"], "give both"),
        (["--serve", "5004", "--join-key", str(short)], "has 32"),
        (["--serve", "5004", "--join-key", str(tmp_path / "none")], "no such file"),
        (["--serve", "x:5004:1", "--join-key", str(key)], "HOST:PORT"),
        (["--serve", "5004", "--join-key", str(key), "--srtp", str(key)], "for one node"),
        ([], "say where the sound goes"),
    ):
        assert send_cli.main([str(SPEECH), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line, line


def test_a_node_with_half_of_the_configuration_says_which_half(tmp_path, capsys):
    from node.shell.cli import main

    config = tmp_path / "node.toml"
    for receive, told in (
        ('join = "203.0.113.1:5004"', "join_key_file given with it"),
        (f'join = "5004"\njoin_key_file = "{key_file(tmp_path)}"', "HOST:PORT"),
        ('join = "203.0.113.1:5004"\njoin_key_file = "/nowhere"', "no such file"),
    ):
        config.write_text(f'name = "p"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n{receive}\n')
        assert main(["run", "--config", str(config), "--sink", "null", "--duration", "0.2"]) == 2
        assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_signed_session_tells_where_to_join(tmp_path):
    from node.shell.cli import main

    key, out = tmp_path / "commune.key", tmp_path / "order"
    arguments = [
        "order", "session", "1a2b", "--key", str(key), "--area", "vn/x", "--out", str(out),
        "--packet-key", str(tmp_path / "packet.key"), "--join", "203.0.113.1:5004",
        "--join-key", str(tmp_path / "join.key"),
    ]  # fmt: skip
    assert main(["key", str(key)]) == 0
    assert main(["key", str(tmp_path / "packet.key")]) == 0
    assert main(arguments) == 0
    assert (tmp_path / "join.key").stat().st_size == 32
    body = out.read_bytes()
    assert b"203.0.113.1:5004" in body
    fields = body[body.index(b'{"ssrc"') :].decode("latin-1")  # a signature may hold a brace too
    assert json.JSONDecoder().raw_decode(fields)[0]["join"] == "203.0.113.1:5004"
    assert main([*arguments[:-4], "--join", "nowhere", *arguments[-2:]]) == 2
    assert main(arguments[:-2]) == 2


@pytest.mark.parametrize("program", ["gst", "ffmpeg"])
def test_a_live_programme_of_another_sender_reaches_a_node_that_joined(
    start_node, tmp_path, speech_wav, program
):
    port, relay, key = free_port(), free_port(), key_file(tmp_path)
    sender = process(
        "sim.sender.cli", "--relay", f"127.0.0.1:{relay}", "--serve", f"127.0.0.1:{port}",
        "--join-key", str(key), "--announce",
    )  # fmt: skip
    node = start_node(receive=f'join = "127.0.0.1:{port}"\njoin_key_file = "{key}"')
    if program == "gst":
        command = [
            need("gst-launch-1.0", "gstreamer1.0-tools gstreamer1.0-plugins-good"), "-q",
            *(f"filesrc location={speech_wav} ! wavparse ! audioconvert ! audioresample ! "
              f"opusenc ! rtpopuspay ! udpsink host=127.0.0.1 port={relay}").split(),
        ]  # fmt: skip
    else:
        command = [
            need("ffmpeg", "ffmpeg"), "-v", "error", "-re", "-i", str(speech_wav),
            "-c:a", "libopus", "-f", "rtp", f"rtp://127.0.0.1:{relay}",
        ]  # fmt: skip
    for _ in range(6):  # the first ones may be over before the relay and the node are there
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    sender.send_signal(signal.SIGTERM)
    _, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    status = node.stop()
    sound = read_wav(node.wav)
    loud = np.abs(sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)).max(axis=1) > 0.01
    assert loud.sum() >= 25, (err, status["counts"])
