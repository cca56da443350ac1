"""Real processes on loopback: a node, a sender, and a tap between them that keeps the packets."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.rig.rig_network import free_port
from node.opus.libopus import LibopusDecoder
from node.rtp import packet as rtp

SPEECH = Path(__file__).parents[2] / "sim" / "speech" / "announcement_vi.flac"
PLAYOUT_DELAY_MS = 200


def read_wav(path: Path) -> NDArray[np.float64]:
    """Return the samples of a 16-bit file of one channel, full scale 1.0."""
    with wave.open(str(path)) as one:
        assert one.getframerate() == 48_000
        assert one.getnchannels() == 1
        return np.frombuffer(one.readframes(one.getnframes()), "<i2") / 32768.0


def process(*arguments: str, **options: object) -> "subprocess.Popen[str]":
    """Start a command of this project with this interpreter."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


@dataclass
class RunningNode:
    """A `loalang-node run` that writes what it plays to a file."""

    port: int
    wav: Path
    process: "subprocess.Popen[str]"

    def stop(self, number: int = signal.SIGTERM) -> dict[str, object]:
        """End the node and return its last status."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        status: dict[str, object] = json.loads(out.splitlines()[-1])
        return status


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    started: list[RunningNode] = []

    def start(*, delay_ms: int = PLAYOUT_DELAY_MS, receive: str = "") -> RunningNode:
        """Start a node; `receive` holds further lines of its table."""
        port = free_port()
        config = tmp_path / f"node-{port}.toml"
        config.write_text(
            f'name = "pole-{port}"\n[receive]\nlisten = "127.0.0.1:{port}"\n'
            f"{receive}\n[jitter]\nplayout_delay_ms = {delay_ms}\n"
        )
        wav = tmp_path / f"played-{port}.wav"
        one = process(
            "node.shell.cli", "run", "--config", str(config), "--sink", f"wav:{wav}",
            "--status", "1000",
        )  # fmt: skip
        node = RunningNode(port, wav, one)
        started.append(node)
        assert one.stderr is not None
        for line in one.stderr:
            if "ready" in line:
                return node
        raise AssertionError("the node ended before it was ready")

    yield start
    for node in started:
        if node.process.poll() is None:
            node.process.kill()
            node.process.communicate()


class Tap:
    """Forward datagrams to a node, and keep them to be decoded by the library."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.datagrams: list[bytes] = []
        self._sender: tuple[str, int] | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ended:
            if select.select([self._socket], [], [], 0.05)[0]:
                self._pass_on(*self._socket.recvfrom(4096))

    def _pass_on(self, data: bytes, source: tuple[str, int]) -> None:
        if source == self._to:  # the node's reports go back to the sender
            if self._sender is not None:
                self._socket.sendto(data, self._sender)
            return
        self._sender = source
        self._socket.sendto(data, self._to)
        self.datagrams.append(data)

    def wait_for_silence(self, limit_s: float = 8.0) -> None:
        """Return when 0.4 s passed without a datagram, after there were some."""
        end = time.monotonic() + limit_s
        count, since = 0, time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.05)
            if len(self.datagrams) != count:
                count, since = len(self.datagrams), time.monotonic()
            elif count and time.monotonic() - since > 0.4:
                return
        raise AssertionError(f"the sender did not end: {count} datagrams")

    def decoded(self) -> NDArray[np.float64]:
        """Return what libopus makes of the packets, in the order of sending."""
        decoder = LibopusDecoder(48_000, 1)
        header = np.zeros(rtp.HEADER_FIELDS, np.int64)
        parts = []
        out = np.zeros((5760, 1), np.float32)
        for data in self.datagrams:
            array = np.frombuffer(data, np.uint8).copy()
            if rtp.parse(array, header) != rtp.RTP:
                continue
            begin = int(header[rtp.PAYLOAD_OFFSET])
            samples = decoder.decode(array[begin : begin + int(header[rtp.PAYLOAD_BYTES])], out)
            assert samples > 0
            parts.append(out[:samples, 0].astype(np.float64))
        return np.concatenate(parts)


@pytest.fixture
def tap() -> Iterator[Callable[[int], Tap]]:
    made: list[Tap] = []

    def make(port: int) -> Tap:
        made.append(Tap(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def speech_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half seconds of the bundled announcement as a plain WAV."""
    import av

    with av.open(str(SPEECH)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        frames = [f for d in container.decode(audio=0) for f in resampler.resample(d)]
    sound = np.concatenate([frame.to_ndarray().ravel() for frame in frames])[:120_000]
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    with wave.open(str(path), "wb") as one:
        one.setnchannels(1)
        one.setsampwidth(2)
        one.setframerate(48_000)
        one.writeframes(sound.astype("<i2").tobytes())
    return path


def need(program: str, package: str) -> str:
    """Return the path of a Debian program; without it skip, or fail in CI."""
    found = shutil.which(program)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{program} is missing: apt install {package}")
    if found is None:
        pytest.skip(f"{program} is missing: apt install {package}")
    return found


@pytest.fixture
def commune(tmp_path, capsys, in_ci):
    """A new commune with a real broker."""
    from tests.acceptance.commune import Commune

    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        assert not in_ci, "mosquitto is missing: apt install mosquitto"
        pytest.skip("mosquitto is missing: apt install mosquitto")
    one = Commune(tmp_path, capsys)
    yield one
    one.broker.terminate()
    one.broker.wait(timeout=30)
    shutil.rmtree(one.broker_folder)
