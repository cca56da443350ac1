"""Live programmes by their URL, as radio stations give them: they are heard, and go on."""

import functools
import http.server
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

from .conftest import free_port, need, process

TONE = ["-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=480:sample_rate=48000"]
STREAMS = {
    "mp3": ("audio/mpeg", ["-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3", "-"]),
    "ogg in pages of 1 s": (
        "audio/ogg",
        ["-c:a", "libopus", "-b:a", "32k", "-page_duration", "1000000", "-f", "ogg", "-"],
    ),
}


class Radio(http.server.BaseHTTPRequestHandler):
    """Gives who asks the programme from now on, without an end, as an Icecast server does."""

    kind, programme = "", []  # of the station

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.end_headers()
        with subprocess.Popen(self.programme, stdout=subprocess.PIPE) as source:
            try:
                while data := source.stdout.read1(4096):
                    self.wfile.write(data)
            except OSError:
                pass  # who listened has gone
            source.kill()

    def log_message(self, *_):
        pass


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def radio(tmp_path):
    """Start a station of a kind; return its URL."""
    ffmpeg, ended = need("ffmpeg", "ffmpeg"), []

    def start(kind):
        if kind == "hls":
            command = [ffmpeg, *TONE, "-c:a", "aac", "-f", "hls", "-hls_time", "2",
                       "-hls_list_size", "4", "-hls_flags", "delete_segments",
                       str(tmp_path / "live.m3u8")]  # fmt: skip
            source = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            ended.append(source.kill)
            ended.append(source.wait)
            handler, name = functools.partial(Files, directory=str(tmp_path)), "live.m3u8"
            end = time.monotonic() + 30
            while not (tmp_path / name).exists():
                assert time.monotonic() < end
                time.sleep(0.1)
        else:
            told, options = STREAMS[kind]
            command = [ffmpeg, *TONE, *options]
            handler = type("Station", (Radio,), {"kind": told, "programme": command})
            name = "live"
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended.append(server.shutdown)
        ended.append(server.server_close)
        return f"http://127.0.0.1:{server.server_address[1]}/{name}"

    yield start
    for end in ended:
        end()


@pytest.mark.parametrize("kind", [*STREAMS, "hls"])
def test_a_live_programme_by_its_url_is_heard_and_goes_on(radio, tap, kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(("127.0.0.1", 0))
        heard = tap(node.getsockname()[1])
        sender = process("sim.sender.cli", radio(kind), "--live", "--to", f"127.0.0.1:{heard.port}")
        end = time.monotonic() + 40
        while len(heard.datagrams) < 400 and time.monotonic() < end:
            time.sleep(0.2)
        sender.send_signal(signal.SIGTERM)
        _, err = sender.communicate(timeout=60)
    sound = heard.decoded()
    assert len(sound) >= 6 * 48_000, err
    loud = np.abs(sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)).max(axis=1) > 0.05
    assert loud.mean() >= 0.9, err


ICECAST = """
<icecast>
  <limits><sources>2</sources><source-timeout>5</source-timeout></limits>
  <authentication><source-password>studio</source-password>
    <admin-user>admin</admin-user><admin-password>studio</admin-password></authentication>
  <hostname>127.0.0.1</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><logdir>/tmp</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><accesslog>-</accesslog><errorlog>-</errorlog></logging>
  <security><chroot>0</chroot>
    <changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""
SENT = {
    "mp3": ("audio/mpeg", ["-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"]),
    "ogg": ("audio/ogg", ["-c:a", "libopus", "-b:a", "32k", "-f", "ogg"]),
}


@pytest.fixture
def studio(tmp_path):
    """Start a real Icecast; return its URL and how an encoder of a kind is connected to it."""
    icecast, ffmpeg = need("icecast2", "icecast2"), need("ffmpeg", "ffmpeg")
    port, running = free_port(), []
    conf = tmp_path / "icecast.xml"
    conf.write_text(ICECAST.format(port=port))
    running.append(
        subprocess.Popen(
            [icecast, "-c", conf], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    )
    until(lambda: listens(port), "no Icecast")

    def encoder(kind):
        told, options = SENT[kind]
        to = f"icecast://source:studio@127.0.0.1:{port}/live"
        command = [ffmpeg, *TONE, *options, "-content_type", told, to]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return running[-1]

    yield f"http://127.0.0.1:{port}/live", encoder
    for one in reversed(running):
        one.kill()
        one.wait()


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(holds, otherwise, wait_s=40):
    end = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


@pytest.mark.parametrize("kind", SENT)
def test_a_real_icecast_is_heard_and_heard_again_after_its_encoder_came_anew(studio, tap, kind):
    url, encoder = studio
    first = encoder(kind)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(("127.0.0.1", 0))
        heard = tap(node.getsockname()[1])
        time.sleep(2)
        sender = process("sim.sender.cli", url, "--live", "--to", f"127.0.0.1:{heard.port}")
        until(lambda: len(heard.datagrams) >= 200, "nothing came")
        first.kill()
        time.sleep(3)
        before = len(heard.datagrams)
        encoder(kind)
        until(lambda: len(heard.datagrams) >= before + 200, "nothing came any more")
        sender.send_signal(signal.SIGTERM)
        _, err = sender.communicate(timeout=60)
    sound = heard.decoded()
    assert len(sound) >= 7 * 48_000, err
    last = sound[-3 * 48_000 : len(sound) // 4800 * 4800]
    last = last[: len(last) // 4800 * 4800]
    assert (np.abs(last.reshape(-1, 4800)).max(axis=1) > 0.05).mean() >= 0.9, err
