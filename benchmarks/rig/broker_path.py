"""Sound over the MQTT session while TCP stalls: `python -m benchmarks broker_path`.

`loalang-send --serve --broker`, mosquitto, and the link and the joining of a node, behind a door
that stands still now and then, both ways, as a radio link does whose segment is sent again: 0.2 s,
0.6 s or 1.4 s (one, two or three timeouts). No datagram comes through. Told: how late packets come
after the fastest, how many would be late at a playout delay, and whether any came out of order.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.options import parser_of, positive
from benchmarks.rig.rig_network import free_port
from node.events import Publish
from node.peers.joining import BROKER, Joining, Station
from node.rtp import packet as rtp
from node.rtp.join_packet import KEY_BYTES, is_join
from node.shell.broker.mqtt import MqttLink
from node.shell.config import MqttConfig
from node.units import NS_PER_MS, NS_PER_S

DELAYS_MS: Final = (400, 800, 1500, 2000)
_STALLS_S: Final = (0.2, 0.6, 1.4)
_SHARES: Final = (0.6, 0.3, 0.1)
_SOUND: Final = Path(__file__).parents[2] / "sim" / "speech" / "announcement_vi.flac"
_KEY: Final = bytes(KEY_BYTES)


class StallingDoor:
    """Passes one connection on to `port`, and stands still now and then."""

    def __init__(self, port: int, every_s: float, seed: int) -> None:
        self._port = port
        self._every_s = every_s
        self._rng = np.random.default_rng(seed)
        self._open = threading.Event()
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.stalls = 0
        for run in (self._accept, self._stall):
            threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        """Shut it."""
        self._ended.set()
        self._open.set()
        self._listener.close()

    def _stall(self) -> None:
        while not self._ended.is_set():
            self._open.set()
            self._ended.wait(float(self._rng.exponential(self._every_s)))
            self._open.clear()
            self.stalls += 1
            self._ended.wait(float(self._rng.choice(_STALLS_S, p=_SHARES)))
        self._open.set()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, to in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, to), daemon=True).start()

    def _pump(self, source: socket.socket, to: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                data = source.recv(65_536)
                self._open.wait()
                if data:
                    to.sendall(data)
                    continue
                to.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return


class Pole:
    """What of a node joins and listens; it plays nothing, and notes when which packet came."""

    def __init__(self, door: int) -> None:
        config = MqttConfig(host="127.0.0.1", port=door)
        self.link = MqttLink("pole-1", config, session=1)
        self.link.take_datagram = self._take
        station = Station("192.0.2.1", 5004, _KEY)  # a test network: nothing comes through
        self._joining = Joining(
            "pole-1", station, secret=b"s", now_ns=time.monotonic_ns(), has_broker=True
        )
        self._header = np.zeros(rtp.HEADER_FIELDS, np.int64)
        self.came: list[tuple[int, int, int]] = []
        """Arrival in ns, sequence number and RTP timestamp of each packet."""

    async def run(self, seconds: float) -> None:
        """Listen for so long."""
        running = asyncio.create_task(self.link.run(lambda topic, payload: None))
        end_ns = time.monotonic_ns() + int(seconds * NS_PER_S)
        while time.monotonic_ns() < end_ns:
            self._joining.handle_deadline(time.monotonic_ns())
            self._send()
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def _send(self) -> None:
        while (out := self._joining.next_event()) is not None:
            if out[1] == BROKER:
                self.link.tell(Publish("path", out[0]))

    def _take(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if is_join(data):
            self._joining.receive_datagram(data, BROKER, now_ns)
            self._send()
            return
        array = np.frombuffer(bytearray(data), np.uint8)
        is_sound = rtp.parse(array, self._header) == rtp.RTP
        self._joining.receive_stream(now_ns, sounds=is_sound)
        if is_sound:
            row = now_ns, int(self._header[rtp.SEQUENCE]), int(self._header[rtp.TIMESTAMP])
            self.came.append(row)


def run(arguments: list[str]) -> int:
    """Measure, and print a line for each figure."""
    parser = parser_of("broker_path", __doc__)
    parser.add_argument("--seconds", type=positive, default=120.0, help="how long (120)")
    parser.add_argument("--every", type=positive, default=10.0, help="s between stalls (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the stalls (1)")
    options = parser.parse_args(arguments)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        key, conf = Path(folder) / "join.key", Path(folder) / "mosquitto.conf"
        key.write_bytes(_KEY)
        conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        broker = subprocess.Popen(["mosquitto", "-c", str(conf)], stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        sender = subprocess.Popen(
            [sys.executable, "-m", "sim.sender.cli", str(_SOUND), "--loop", "--lead", "0",
             "--serve", f"127.0.0.1:{free_port()}", "--join-key", str(key),
             "--broker", f"127.0.0.1:{port}"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        door = StallingDoor(port, options.every, options.seed)
        pole = Pole(door.port)
        asyncio.run(pole.run(options.seconds))
        for process in (sender, broker):
            process.terminate()
            process.wait(20)
        door.close()
    return _tell(pole, door.stalls)


def _tell(pole: Pole, stalls: int) -> int:
    if len(pole.came) < 100:
        print(f"broker_path: only {len(pole.came)} packets came", file=sys.stderr)
        return 1
    came = np.array(pole.came, np.int64)
    numbers = np.diff(came[:, 1]) & 0xFFFF
    stamps = np.concatenate(([0], np.cumsum((np.diff(came[:, 2]) + (1 << 31)) % (1 << 32))))
    stamps = stamps - (1 << 31) * np.arange(len(stamps))
    transit_ms = (came[:, 0] - stamps * NS_PER_S // 48_000) / NS_PER_MS
    late_ms = transit_ms - transit_ms.min()
    print(
        f"{len(came)} packets, {stalls} stalls, {pole.link.reconnects} reconnections; "
        f"out of order {np.count_nonzero(numbers > 1 << 15)}, "
        f"missing {int((numbers[numbers < 1 << 15] - 1).sum())}"
    )
    marks = ", ".join(f"p{q} {np.percentile(late_ms, q):.0f}" for q in (50, 95, 99))
    print(f"later than the fastest by ms: {marks}, max {late_ms.max():.0f}")
    for delay_ms in DELAYS_MS:
        print(f"late at {delay_ms} ms: {100 * np.mean(late_ms > delay_ms):.2f} %")
    return 0
