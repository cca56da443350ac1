"""A station and those who join it: `python -m benchmarks joins`.

A hundred nodes, each by a socket of its own, join one `loalang-send --serve` and hear it; told is
the sender's processor time. Then a hundred thousand forged questions come to it, with damaged MACs,
recorded ones from other addresses and words of strangers, while the nodes go on: told is what came
back for them, and whether all nodes still hear.
"""

import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.options import count, parser_of, positive
from benchmarks.rig.rig_network import free_port
from node.peers.joining import Joining, Station
from node.rtp.join_packet import KEEP, KEY_BYTES, JoinPacket, Step, build, is_join, node_of
from node.units import NS_PER_S

_SOUND: Final = Path(__file__).parents[2] / "sim" / "speech" / "announcement_vi.flac"
_KEY: Final = bytes(KEY_BYTES)
_FORGERS: Final = 50
_AT_ONCE: Final = 20
"""Forged questions between two turns of the nodes."""


class Village:
    """Nodes that join and count what they hear."""

    def __init__(self, nodes: int, port: int) -> None:
        now_ns = time.monotonic_ns()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(nodes)]
        self.nodes = [
            Joining(f"pole-{i}", Station("127.0.0.1", port, _KEY), secret=b"%d" % i, now_ns=now_ns)
            for i in range(nodes)
        ]
        self.heard = np.zeros(nodes, np.int64)
        self._of = {one.fileno(): i for i, one in enumerate(self.sockets)}
        self._poll = select.poll()
        for one in self.sockets:
            one.setblocking(False)
            self._poll.register(one, select.POLLIN)

    def turn(self) -> None:
        """Ask what is due, and take what came."""
        now_ns = time.monotonic_ns()
        for node, one in zip(self.nodes, self.sockets, strict=True):
            node.handle_deadline(now_ns)
            while (out := node.next_event()) is not None:
                one.sendto(*out)
        for descriptor, _ in self._poll.poll(5):
            i = self._of[descriptor]
            while True:
                try:
                    data, source = self.sockets[i].recvfrom(2048)
                except OSError:
                    break
                if is_join(data):
                    self.nodes[i].receive_datagram(data, source, now_ns)
                    continue
                sounds = not 192 <= data[1] <= 223
                self.nodes[i].receive_stream(now_ns, sounds=sounds)
                self.heard[i] += sounds

    def run(self, seconds: float) -> None:
        """Do so for a while."""
        end_ns = time.monotonic_ns() + int(seconds * NS_PER_S)
        while time.monotonic_ns() < end_ns:
            self.turn()


def run(arguments: list[str]) -> int:
    """Measure, print, and return 1 where forged questions got more than they brought."""
    parser = parser_of("joins", __doc__)
    parser.add_argument("--nodes", type=count, default=100, help="that join (100)")
    parser.add_argument("--seconds", type=positive, default=20.0, help="of processor time (20)")
    parser.add_argument("--forged", type=count, default=100_000, help="questions (100000)")
    options = parser.parse_args(arguments)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "join.key"
        key.write_bytes(_KEY)
        sender = subprocess.Popen(
            [sys.executable, "-m", "sim.sender.cli", str(_SOUND), "--loop", "--lead", "0",
             "--serve", f"127.0.0.1:{port}", "--join-key", str(key)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return _measure(options.nodes, options.seconds, options.forged, port, sender.pid)
        finally:
            sender.terminate()
            sender.wait(20)


def _measure(nodes: int, seconds: float, forged: int, port: int, pid: int) -> int:
    village = Village(nodes, port)
    end_ns = time.monotonic_ns() + 60 * NS_PER_S
    while not village.heard.all() and time.monotonic_ns() < end_ns:
        village.turn()
    before, heard = _cpu_ns(pid), village.heard.copy()
    begin_ns = time.monotonic_ns()
    village.run(seconds)
    lasted_ns = time.monotonic_ns() - begin_ns
    share = (_cpu_ns(pid) - before) / lasted_ns
    took = village.heard - heard
    print(f"{int((took > 0).sum())} of {nodes} nodes hear, {took.min()} to {took.max()} packets")
    print(f"sender: {100 * share:.1f} % of a core, {seconds:g} s")
    before, begin_ns = _cpu_ns(pid), time.monotonic_ns()
    out_bytes, in_bytes = _flood(forged, port, village)
    lasted_ns = time.monotonic_ns() - begin_ns
    heard = village.heard.copy()
    village.run(3.0)
    print(
        f"{forged} forged questions in {lasted_ns / NS_PER_S:.1f} s: {out_bytes} bytes there, "
        f"{in_bytes} back, amplification {in_bytes / out_bytes:.3f}; sender "
        f"{100 * (_cpu_ns(pid) - before) / lasted_ns:.0f} % of a core"
    )
    still = int((village.heard > heard).sum())
    print(f"{still} of {nodes} nodes hear afterwards")
    return int(in_bytes > out_bytes or still < nodes)


def _flood(forged: int, port: int, village: Village) -> tuple[int, int]:
    """Send forged questions; return the bytes that went and those that came back for them."""
    rng = np.random.default_rng(1)
    recorded = build(JoinPacket(Step.HELLO, 0, node_of("pole-1"), bytes(8)), _KEY)
    forgers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_FORGERS)]
    out_bytes = in_bytes = 0
    for i in range(forged):
        one = forgers[i % _FORGERS]
        data = (recorded[:-16] + rng.bytes(16), recorded, KEEP, recorded[:48] + bytes(16))[i % 4]
        one.sendto(data, ("127.0.0.1", port))
        out_bytes += len(data)
        if i % _AT_ONCE == 0:
            village.turn()
            in_bytes += sum(_drained(one) for one in forgers)
    village.run(1.0)
    in_bytes += sum(_drained(one) for one in forgers)
    for one in forgers:
        one.close()
    return out_bytes, in_bytes


def _drained(one: socket.socket) -> int:
    taken = 0
    while True:
        try:
            taken += len(one.recv(2048, socket.MSG_DONTWAIT))
        except OSError:
            return taken


def _cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
