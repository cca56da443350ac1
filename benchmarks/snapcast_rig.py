"""Snapcast on the same programme and impairment: two clients, recorded as our nodes are.

Its clients play through ALSA into JACK (the ALSA plugin of type jack), so that both systems are
recorded by one recorder on the sample clock of one card and judged by the same code. Its transport
is TCP: delay and jitter are put on the byte stream, in order; loss is left out, which favours it.
What differs besides: its buffer is 1000 ms (its default) and not 400, its sound is FLAC, and ALSA's
plugin adds a buffer between the client and the card, alike for both clients.

Debian's libasound2-plugins has the plugin, but once installed its configuration hides JACK from
PortAudio, by which our nodes play. So unpack it beside (`apt-get download libasound2-plugins`,
`dpkg -x`), and name the plugin's file in LOALANG_ALSA_JACK.
"""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import sync_measure as measure
from benchmarks.jack_rig import JackServer, Recorder, RigError, hurry
from benchmarks.real_village import Recording, Row, free_port, programme
from sim.relay import Impairment
from sim.relay import Path as Way

_RATE_HZ: Final = 48_000
_BYTES: Final = 4  # a sample of both channels, 16 bits
_ALSA: Final = "/usr/share/alsa/alsa.conf"
_WARM_S: Final = 10.0
_PLUGIN: Final = Path("/usr/lib/x86_64-linux-gnu/alsa-lib/libasound_module_pcm_jack.so")
_CHUNK_BYTES: Final = 8192


def run(seconds: float, *, delay_ms: float = 0.0, jitter_ms: float = 0.0) -> Row:
    """Run server and two clients for so long; return the figures of the cases of `real_sync`.

    Raises
    ------
    RigError
        If snapserver or snapclient is missing.
    """
    for name in ("snapserver", "snapclient"):
        if shutil.which(name) is None:
            raise RigError(f"{name} is missing: apt install {name}")
    plugin = Path(os.environ.get("LOALANG_ALSA_JACK", _PLUGIN))
    if not plugin.is_file():
        raise RigError("ALSA's plugin for JACK is missing: see benchmarks/snapcast_rig.py")
    impairment = Impairment(delay_ms=delay_ms, jitter_ms=jitter_ms)
    server = JackServer(f"loalang-{free_port()}", rate_hz=_RATE_HZ)
    try:
        with tempfile.TemporaryDirectory() as name:
            recorder = Recorder(server, 2)
            rig = _Rig(Path(name), impairment, server, plugin)
            try:
                rig.play(seconds, recorder)
            finally:
                rig.close()
                sound, clock = recorder.finish()
            recording = Recording(sound, clock, _RATE_HZ, rig.marks, [], recorder.host)
    finally:
        server.close()
    row = recording.row()
    _, delays = measure.latencies_ms(sound[:, 0], programme(), _RATE_HZ, recording.at("sent"))
    row["delay_ms"] = round(float(np.median(delays)), 1) if delays.size else None
    return row | {"bounds": {}}


class _Rig:
    """One server fed from a pipe, a delaying connection to each client, and the card."""

    def __init__(
        self, folder: Path, impairment: Impairment, server: JackServer, plugin: Path
    ) -> None:
        self._ended = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.marks: dict[str, float] = {}
        self._environment = server.environment | {
            "ALSA_CONFIG_PATH": f"{_ALSA}:{folder / 'asound.conf'}"
        }
        (folder / "asound.conf").write_text(
            # Snapcast forbids ALSA to convert by itself, so the conversion is a device of its own;
            # it takes the first name that begins like the one it was given.
            f'pcm_type.jack {{ lib "{plugin}" }}\n'
            "pcm.card { type jack playback_ports { "
            '0 "system:playback_1" 1 "system:playback_1" } }\n'
            'pcm.pole { type lfloat slave { pcm "card" format FLOAT_LE } hint.show on }\n'
        )
        self._pipe = folder / "programme.pipe"
        port, control, rpc = free_port(), free_port(), free_port()
        config = folder / "snapserver.conf"
        config.write_text(
            f"[server]\ndatadir = {folder}\n[http]\nenabled = false\nport = {rpc}\n"
            f"[tcp]\nenabled = true\nbind_to_address = 127.0.0.1\nport = {control}\n"
            f"[stream]\nbind_to_address = 127.0.0.1\nport = {port}\nbuffer = 1000\ncodec = flac\n"
            f"source = pipe://{self._pipe}?name=village&mode=create&sampleformat=48000:16:2\n"
        )
        self._start("snapserver", "-c", str(config))
        self._wait_for(port)
        self._doors = [free_port(), free_port()]
        for index, door in enumerate(self._doors):
            self._thread(self._delay, door, port, impairment, index)
            self._wait_for(door)

    def play(self, seconds: float, recorder: Recorder) -> None:
        """Write the programme into the server's pipe at the pace of a sound card, and record."""
        feeder = threading.Thread(target=self._feed, args=(seconds,), daemon=True)
        feeder.start()
        for index, door in enumerate(self._doors):
            self._start(
                "snapclient", "-h", "127.0.0.1", "-p", str(door), "-i", str(index + 1),
                "--hostID", f"pole-{index}", "--player", "alsa", "-s", "pole", "--logsink", "null",
            )  # fmt: skip
            recorder.connect_new()
        for one in self._processes:
            hurry(one.pid, 50)
        feeder.join()

    def _feed(self, seconds: float) -> None:
        block = _RATE_HZ // 50
        mono = (programme() * 32767).astype("<i2")
        stereo = np.repeat(mono[:, None], 2, axis=1).tobytes()
        silence = bytes(int(_WARM_S * 50) * block * _BYTES)
        data = silence + stereo[: int(seconds * _RATE_HZ) * _BYTES]
        begin_s = time.monotonic()
        self.marks["sent"] = begin_s + _WARM_S
        with self._pipe.open("wb", buffering=0) as pipe:
            for number in range(len(data) // (block * _BYTES)):
                time.sleep(max(0.0, begin_s + number / 50 - time.monotonic()))
                pipe.write(data[number * block * _BYTES : (number + 1) * block * _BYTES])
            time.sleep(1.5)

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        for one in self._processes:
            one.terminate()
        for one in self._processes:
            one.wait(timeout=10)

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        one = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append(one)
        return one

    def _thread(self, target: object, *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _wait_for(self, port: int) -> None:
        end_s = time.monotonic() + 10
        while time.monotonic() < end_s:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RigError("snapserver did not start: run it by hand and read what it says")

    def _delay(self, door: int, port: int, impairment: Impairment, index: int) -> None:
        """Pass connections on, each read of bytes delayed, in order."""
        with socket.create_server(("127.0.0.1", door)) as listener:
            listener.settimeout(0.2)
            while not self._ended.is_set():
                try:
                    near, _ = listener.accept()
                except TimeoutError:
                    continue
                far = socket.create_connection(("127.0.0.1", port))
                self._thread(self._pump, near, far, impairment, index)

    def _pump(
        self, near: socket.socket, far: socket.socket, impairment: Impairment, index: int
    ) -> None:
        seeds = np.random.SeedSequence([1, index]).spawn(2)
        ways = [Way(impairment, np.random.default_rng(seed)) for seed in seeds]
        waiting: list[list[tuple[int, bytes]]] = [[], []]
        ends = (near, far)
        for one in ends:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._ended.is_set():
            now = time.monotonic_ns()
            due = min((line[0][0] for line in waiting if line), default=now + 100_000_000)
            ready, _, _ = select.select(ends, [], [], max(0, due - now) / 1e9)
            try:
                for one in ready:
                    side = ends.index(one)
                    data = one.recv(_CHUNK_BYTES)
                    if not data:
                        near.close()
                        far.close()
                        return
                    at_ns = ways[side].arrival_ns(time.monotonic_ns())
                    waiting[side].append((at_ns or time.monotonic_ns(), data))
                for side, line in enumerate(waiting):
                    while line and line[0][0] <= time.monotonic_ns():
                        ends[1 - side].sendall(line.pop(0)[1])
            except OSError:
                return
