"""A joined path, counted: `loalang-send --relay --serve` behind a door that passes datagrams on.

The station has had a programme, and rests: that is how a village's path is all day.
"""

import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.rig.rig_network import free_port
from node.rtp import packet as rtp
from node.rtp.join_packet import KEY_BYTES

DATAGRAM_HEADER_BYTES: Final = 28
"""IPv4 20, UDP 8."""
_PACKETS: Final = 100
_OPUS: Final = b"\xf8\xff\xfe"
"""20 ms of silence."""


class DatagramDoor:
    """Where the node knocks: passes datagrams on to the station and back, and counts them."""

    def __init__(self, port: int) -> None:
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", 0))
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far.connect(("127.0.0.1", port))
        self.port = int(self._near.getsockname()[1])
        self.datagrams = 0
        self.wire_bytes = 0
        """Both ways, with headers."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Shut it."""
        self._ended.set()
        self._thread.join()
        self._near.close()
        self._far.close()

    def _run(self) -> None:
        node: tuple[str, int] | None = None
        while not self._ended.is_set():
            ready, _, _ = select.select((self._near, self._far), [], [], 0.2)
            for one in ready:
                try:
                    data, source = one.recvfrom(4096)
                    if one is self._near:
                        node = source
                        self._far.send(data)
                    elif node is not None:
                        self._near.sendto(data, node)
                except OSError:  # nobody there yet
                    continue
                self.datagrams += 1
                self.wire_bytes += len(data) + DATAGRAM_HEADER_BYTES


class Station:
    """The relay, and what a live sender would give it."""

    def __init__(self, folder: Path) -> None:
        self.key = folder / "join.key"
        self.key.write_bytes(bytes(KEY_BYTES))
        self.key.chmod(0o600)
        self.port = free_port()
        self._input = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sim.sender.cli", "--relay", f"127.0.0.1:{self._input}",
             "--serve", f"127.0.0.1:{self.port}", "--join-key", str(self.key)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def speak(self) -> None:
        """Give it two seconds of a programme."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            for i in range(_PACKETS):
                data = rtp.build(
                    _OPUS, sequence=i, timestamp=960 * i, ssrc=7, payload_type=111, marker=i == 0
                )
                one.sendto(data, ("127.0.0.1", self._input))
                threading.Event().wait(0.02)


@contextmanager
def station(folder: Path) -> Iterator[tuple[Station, DatagramDoor]]:
    """Run a station, with its door."""
    one = Station(folder)
    door = DatagramDoor(one.port)
    try:
        yield one, door
    finally:
        door.close()
        one.process.terminate()
        one.process.wait(20)
