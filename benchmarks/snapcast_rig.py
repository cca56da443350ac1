"""Snapcast on the same programme and impairment: two clients, measured like our nodes.

Its clients write to a pipe by their own clock (`--player file`); what they wrote is dated by the
earliest bytes of each half second, both on the machine's one clock. Its transport is TCP, so the
delay and jitter are put on the byte stream, in order; loss is left out, which favours it.
"""

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
from numpy.typing import NDArray

from benchmarks import sync_measure as measure
from benchmarks.jack_rig import RigError, hurry
from benchmarks.real_village import Row, free_port, programme
from sim.relay import Impairment
from sim.relay import Path as Way

_RATE_HZ: Final = 48_000
_BYTES: Final = 4  # a sample of both channels, 16 bits
_WARM_S: Final = 6.0
_DATE_S: Final = 0.5
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
    impairment = Impairment(delay_ms=delay_ms, jitter_ms=jitter_ms)
    with tempfile.TemporaryDirectory() as name:
        rig = _Rig(Path(name), impairment)
        try:
            rig.play(seconds)
        finally:
            rig.close()
        sound = rig.recording()
    begins, errors = measure.sync_errors_ms(sound, _RATE_HZ)
    if begins.size == 0:
        raise RigError("Snapcast's clients played nothing that both share")
    early = np.abs(errors[begins >= begins[0] + 2.0])
    return {
        "windows": int(begins.size),
        "p50_ms": round(float(np.median(early)), 4),
        "p95_ms": round(float(np.quantile(early, 0.95)), 4),
        "max_ms": round(float(early.max()), 4),
        "first_click_ms": round(measure.first_click_ms(sound, _RATE_HZ), 3),
        "bounds": {},
    }


class _Rig:
    """One server fed from a pipe, a delaying connection to each client, and what these wrote."""

    def __init__(self, folder: Path, impairment: Impairment) -> None:
        self._ended = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._written: list[list[tuple[float, bytes]]] = [[], []]
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
        for index in range(2):
            door = free_port()
            self._thread(self._delay, door, port, impairment, index)
            self._wait_for(door)
            one = self._start(
                "snapclient", "-h", "127.0.0.1", "-p", str(door), "-i", str(index + 1),
                "--hostID", f"pole-{index}", "--player", "file:filename=stdout",
                "--logsink", "null",
            )  # fmt: skip
            self._thread(self._read, one, self._written[index])

    def play(self, seconds: float) -> None:
        """Write the programme into the server's pipe at the pace of a sound card."""
        for one in self._processes:
            hurry(one.pid, 50)
        block = _RATE_HZ // 50
        mono = (programme() * 32767).astype("<i2")
        stereo = np.repeat(mono[:, None], 2, axis=1).tobytes()
        silence = bytes(int(_WARM_S * 50) * block * _BYTES)
        data = silence + stereo[: int(seconds * _RATE_HZ) * _BYTES]
        begin_s = time.monotonic()
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

    def recording(self) -> NDArray[np.float32]:
        """Return what both clients wrote, (samples, 2), laid out by when it was written."""
        tracks = [_lay_out(one) for one in self._written]
        begin_s = min(begin for begin, _ in tracks)
        size = max(round((begin - begin_s) * _RATE_HZ) + track.size for begin, track in tracks)
        sound = np.zeros((size, 2), np.float32)
        for column, (begin, track) in enumerate(tracks):
            first = round((begin - begin_s) * _RATE_HZ)
            sound[first : first + track.size, column] = track
        return sound

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        one = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
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

    def _read(self, one: "subprocess.Popen[bytes]", written: list[tuple[float, bytes]]) -> None:
        assert one.stdout is not None
        while data := one.stdout.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
            written.append((time.monotonic(), data))

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


def _lay_out(written: list[tuple[float, bytes]]) -> tuple[float, NDArray[np.float32]]:
    """Return when the first sample was due, in s, and the left channel by the clock.

    A byte is written no earlier than it is due, so that the earliest of each half second, by its
    place in the stream, dates all of that half second.
    """
    if not written:
        raise RigError("a client of Snapcast wrote nothing")
    at_s = np.array([when for when, _ in written])
    sizes = np.array([len(data) for _, data in written])
    places_s = (np.cumsum(sizes) - sizes) / (_BYTES * _RATE_HZ)
    sound = np.frombuffer(b"".join(data for _, data in written), "<i2")
    left = sound[: sound.size // 2 * 2].reshape(-1, 2)[:, 0].astype(np.float32) / 32768
    offsets_s = at_s - places_s
    begin_s = float(at_s[0])
    track = np.zeros(int((at_s[-1] - begin_s + 3.0) * _RATE_HZ), np.float32)
    for group in range(int(places_s[-1] / _DATE_S) + 1):
        inside = (places_s >= group * _DATE_S) & (places_s < (group + 1) * _DATE_S)
        if not inside.any():
            continue
        first = int(group * _DATE_S * _RATE_HZ)
        part = left[first : first + int(_DATE_S * _RATE_HZ)]
        at = round((group * _DATE_S + float(offsets_s[inside].min()) - begin_s) * _RATE_HZ)
        at = max(0, at)
        part = part[: max(0, track.size - at)]
        track[at : at + part.size] = part
    return begin_s, track
