"""`loalang-send` as people call it: what is sent, what is said, and the exit status."""

import http.server
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
import wave

import av
import numpy as np
import pytest

from node.opus.libopus import LibopusDecoder
from node.rtp import packet as rtp
from sim.sender import cli as send_cli

RATE = 48_000


class Tap:
    """A node's place that keeps what comes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self.to = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.datagrams: list[bytes] = []
        self._ended = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            if select.select([self._socket], [], [], 0.05)[0]:
                self.datagrams.append(self._socket.recv(4096))

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()

    def decoded(self):
        """Return what libopus makes of the packets, (n,) float64."""
        time.sleep(0.1)
        decoder, out = LibopusDecoder(RATE, 1), np.zeros((5760, 1), np.float32)
        header, parts = np.zeros(rtp.HEADER_FIELDS, np.int64), [np.zeros(0)]
        for data in self.datagrams:
            array = np.frombuffer(bytearray(data), np.uint8)
            if rtp.parse(array, header) == rtp.RTP:
                begin = int(header[rtp.PAYLOAD_OFFSET])
                payload = array[begin : begin + int(header[rtp.PAYLOAD_BYTES])]
                parts.append(out[: decoder.decode(payload, out), 0].astype(np.float64))
        return np.concatenate(parts)


@pytest.fixture
def tap():
    one = Tap()
    yield one
    one.close()


@pytest.fixture
def send(monkeypatch, capsys):
    """Run the command here; return the exit status and the lines on standard error."""
    monkeypatch.setattr(send_cli, "keep_steady", lambda: None)
    monkeypatch.setattr(send_cli.signal, "signal", lambda *_: None)

    def run(*arguments, lead="0"):
        status = send_cli.main([*map(str, arguments), "--lead", lead])
        return status, capsys.readouterr().err.splitlines()

    return run


def write_wav(path, seconds=0.5, channels=1):
    sound = 0.3 * np.sin(2 * np.pi * 480 * np.arange(round(seconds * RATE)) / RATE)
    with wave.open(str(path), "wb") as one:
        one.setnchannels(channels)
        one.setsampwidth(2)
        one.setframerate(RATE)
        one.writeframes(np.repeat(sound * 32767, channels).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("name", ["06:30 ban tin.wav", "-x.wav", "--loop.wav", "50%d.wav"])
def test_a_file_is_sent_by_its_name(tmp_path, monkeypatch, send, tap, name):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / name)
    status, lines = send(name, "--to", tap.to)
    assert status == 0, lines
    assert len(tap.decoded()) >= RATE // 2


def test_who_comes_within_eleven_minutes_can_still_open_srtp(tmp_path, monkeypatch, send, tap):
    monkeypatch.setattr(send_cli.secrets, "randbits", lambda bits: (1 << bits) - 1)
    send(write_wav(tmp_path / "a.wav"), "--to", tap.to)
    header = np.zeros(rtp.HEADER_FIELDS, np.int64)
    heard = [np.frombuffer(bytearray(one), np.uint8) for one in tap.datagrams]
    numbers = [header[rtp.SEQUENCE] for one in heard if rtp.parse(one, header) == rtp.RTP]
    assert numbers and min(numbers) + 32_768 < 65_536, "RFC 3711, 3.3.1: before the numbers wrap"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("text.wav", b"la la la", "not a sound"),
        ("empty.mp3", b"", "not a sound"),
        ("none.wav", None, "no such file"),
        (".", None, "is a folder"),
        ("http://127.0.0.1:1/none", None, "Connection refused: nobody listens there"),
        ("rtsp://127.0.0.1:1/none", None, "Connection refused: nobody listens there"),
        ("http://no.such.name.invalid/x", None, "is the name right"),
        ("http://[::1", None, "it looks like http://"),
        ("nowhere://x", None, "Protocol not found: FFmpeg's libraries know none of that name"),
        ("file:///tmp/none/x.wav", None, "no such file; check the path"),
        ("a.pls", b"[playlist]\nFile1=a.wav\n", "a playlist: give the files in it"),
        ("a.txt", b"\xef\xbb\xbf#EXTM3U\r\na.wav\r\n", "a playlist: give the files in it"),
        ("a.m3u", b"a.wav\n", "a playlist: give the files in it"),
        ("a.m3u", "a.wav\n".encode("utf-16"), "a playlist: give the files in it"),
        ("a.xspf", b'<?xml version="1.0"?>\n<playlist/>', "a playlist: give the files in it"),
        ("a.cue", b'REM x\nFILE "a.wav" WAVE\n', "a playlist: give the files in it"),
        ("a.asx", b"<ASX version='3'>", "a playlist: give the files in it"),
        ("a", b"ffconcat version 1.0\nfile a.wav\n", "a playlist: give the files in it"),
    ],
)
def test_what_is_no_sound_is_one_line_with_the_name(
    tmp_path, monkeypatch, send, name, content, told
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    status, lines = send(name, "--to", "127.0.0.1:9")
    assert status == 2
    (line,) = lines
    assert line.startswith(f"loalang-send: {name}: ")
    assert told in line


@pytest.mark.parametrize("name", ["a.wav", "a b.m3u"])
def test_a_file_by_its_url_and_one_only_called_like_a_list_is_sent(tmp_path, send, tap, name):
    url = write_wav(tmp_path / name).as_uri()
    status, lines = send(url, "--to", tap.to)
    assert status == 0, lines
    assert len(tap.decoded()) >= RATE // 2


@pytest.mark.parametrize("begin", [b"[playlist]\n", b"#EXTM3U\nhttp://x/y\n"])
def test_a_list_that_a_station_gives_is_named_as_one(send, begin):
    class Station(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(begin)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Station) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, lines = send(f"http://127.0.0.1:{server.server_port}/x", "--to", "127.0.0.1:9")
        server.shutdown()
    assert status == 2
    assert "a playlist: give the URLs in it" in lines[-1]


def test_a_name_that_is_empty_is_told_as_that(send):
    """Scripts give it when a variable is not set."""
    status, lines = send("", "--to", "127.0.0.1:9")
    assert status == 2
    (line,) = lines
    assert "FILE is empty" in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "0.0.0.0:5004"], "where one listens"),
        (["--to", "0:5004"], "where one listens"),
        (["--to", "[::]:5004"], "where one listens"),
        (["--to", "[::ffff:0.0.0.0]:5004"], "where one listens"),
        (["--to", "10.1.1.1"], "HOST:PORT"),
        (["--to", "::1:5004"], "[IPv6]:PORT"),
        (["--to", "10.1.1.1:99999"], "1 to 65535"),
        (["--to", "no.such.name.invalid:5004"], "check the name"),
        (["--to", f"{'a' * 70}.vn:5004"], "check the name"),
        (["--to", "[ff05::7:1]:5004", "--interface", "eth77"], "no interface 'eth77'"),
        (["--to", "239.192.7.1:5004", "--interface", "eth77"], "no interface 'eth77'"),
        (["--to", "127.0.0.1:5004", "--interface", "lo"], "is for groups"),
        (["--to", "127.0.0.1:5004", "--to", "[::1]:5004"], "do not mix"),
        (["--to", "127.0.0.1:5004", "--bitrate", "256000", "--packet-ms", "60"], "at most"),
        (["--to", "127.0.0.1:5004", "--loop", "--live"], "only a file can begin again"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(tmp_path, send, arguments, told):
    status, lines = send(write_wav(tmp_path / "a.wav"), *arguments)
    assert status == 2
    (line,) = lines
    assert told in line
    assert line.startswith("loalang-send: --")


def test_the_largest_packets_that_are_allowed_are_taken_by_a_node(tmp_path, send, tap):
    path = tmp_path / "noise.wav"
    write_wav(path, channels=2)
    noise = np.random.default_rng(1).normal(0, 8000, (RATE // 2, 2)).clip(-32768, 32767)
    with wave.open(str(path), "wb") as one:
        one.setnchannels(2)
        one.setsampwidth(2)
        one.setframerate(RATE)
        one.writeframes(noise.astype("<i2").tobytes())
    status, _ = send(path, "--to", tap.to, "--channels", 2, "--bitrate", 173_333, "--packet-ms", 60)
    assert status == 0
    assert len(tap.datagrams) >= 9
    assert max(map(len, tap.datagrams)) <= rtp.PACKET_BYTES_MAX


def test_nobody_at_the_destination_is_no_success_and_is_said_at_once(tmp_path, send, tap):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{one.getsockname()[1]}"
    status, lines = send(write_wav(tmp_path / "a.wav"), "--to", tap.to, "--to", gone)
    assert status == 1
    assert gone in lines[0] and "is the node started" in lines[0]
    assert gone in lines[-1]
    assert not any(tap.to in line for line in lines), "that one got it"
    assert len(tap.decoded()) >= RATE // 2


@pytest.mark.parametrize("to", ["10.1.1.1:5004", "127.255.255.255:5004", "[fd99::1]:5004"])
def test_a_network_that_refuses_ends_in_a_failure_with_the_reason_before_the_sound(tmp_path, to):
    path = write_wav(tmp_path / "a.wav", 20)
    begin = time.monotonic()
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", f"ip link set lo up; exec {sys.executable} -m sim.sender.cli "
         f"{path} --to {to} --lead 2"], capture_output=True, text=True,
    )  # fmt: skip
    if "unshare" in done.stderr:
        pytest.skip(f"needs root and network namespaces: {done.stderr}")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"loalang-send: {to}: ") and "refused by the network" in line
    assert time.monotonic() - begin < 20


def test_a_damaged_file_is_sent_to_its_end_and_said(tmp_path, send, tap):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libmp3lame", rate=RATE, layout="mono")
        for i in range(40):
            sound = np.sin(np.arange(1152) * 0.06 + i).astype(np.float32)[None] * 0.3
            frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
            frame.sample_rate = RATE
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    data = path.read_bytes()
    junk = random.Random(1).randbytes(200)
    path.write_bytes(data[: len(data) // 2] + junk + data[len(data) // 2 + 200 :])
    status, lines = send(path, "--to", tap.to)
    assert status == 0
    assert any("damaged" in line for line in lines)
    assert len(tap.decoded()) >= 0.8 * 40 * 1152


def test_a_file_of_which_a_part_cannot_be_played_is_no_success(tmp_path, send, tap):
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes() + random.Random(1).randbytes(70_000))
    status, lines = send(path, "--to", tap.to)
    assert status == 1
    assert "70000 bytes behind the sound" in lines[-1]
    assert len(tap.decoded()) >= RATE // 2


def test_live_ogg_in_pages_of_a_second_sounds(tmp_path, send, tap, monkeypatch):
    """ffmpeg's and opusenc's default; here written by hand, one page a second."""
    import io

    out = io.BytesIO()
    with av.open(out, "w", format="ogg", options={"page_duration": "1000000"}) as target:
        stream = target.add_stream("libopus", rate=RATE, layout="mono")
        tone = 0.3 * np.sin(2 * np.pi * 480 * np.arange(RATE * 6) / RATE)
        for i in range(300):
            part = np.ascontiguousarray(tone[i * 960 : (i + 1) * 960], np.float32)[None]
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout="mono")
            frame.sample_rate = RATE
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    pages = out.getvalue().split(b"OggS")[1:]
    assert 6 <= len(pages) <= 10
    read, write = os.pipe()

    def speak():
        for number, page in enumerate(pages):
            os.write(write, b"OggS" + page)
            time.sleep(0 if number < 2 else 1)
        os.close(write)

    speaker = threading.Thread(target=speak)
    speaker.start()
    with os.fdopen(read, "rb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        status, lines = send("-", "--to", tap.to, "--live")
    speaker.join()
    assert status == 0, lines
    assert len(tap.decoded()) >= 3.5 * RATE
