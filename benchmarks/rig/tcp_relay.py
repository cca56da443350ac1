"""A TCP relay on loopback that delays the bytes of each direction, in order, and loses none."""

import select
import socket
import threading
import time
from typing import Final

import numpy as np

from benchmarks.rig.impairment import Impairment, Path

_CHUNK_BYTES: Final = 8192
_IDLE_NS: Final = 100_000_000


class TcpRelay:
    """Pass connections to `door` on to `port`, each read of bytes delayed.

    Parameters
    ----------
    port : int
        On 127.0.0.1, of the server; where nobody listens, who knocked is sent away.
    impairment : Impairment
        Of each direction; its loss is left out, for TCP would hide it.
    seed : int
        Of all draws.
    """

    def __init__(self, port: int, impairment: Impairment, *, seed: int) -> None:
        self._port = port
        self._impairment = impairment
        self._seed = seed
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.door = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self._ended.set()

    def _accept(self) -> None:
        with self._listener:
            while not self._ended.is_set():
                try:
                    near, _ = self._listener.accept()
                except TimeoutError:
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    near.close()
                    continue
                threading.Thread(target=self._pump, args=(near, far), daemon=True).start()

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        seeds = np.random.SeedSequence([1, self._seed]).spawn(2)
        ways = [Path(self._impairment, np.random.default_rng(seed)) for seed in seeds]
        waiting: list[list[tuple[int, bytes]]] = [[], []]
        ends = (near, far)
        for one in ends:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with near, far:
            while not self._ended.is_set():
                now = time.monotonic_ns()
                due = min((line[0][0] for line in waiting if line), default=now + _IDLE_NS)
                ready, _, _ = select.select(ends, [], [], max(0, due - now) / 1e9)
                try:
                    for one in ready:
                        side = ends.index(one)
                        data = one.recv(_CHUNK_BYTES)
                        if not data:
                            return
                        at_ns = ways[side].arrival_ns(time.monotonic_ns())
                        waiting[side].append((at_ns or time.monotonic_ns(), data))
                    for side, line in enumerate(waiting):
                        while line and line[0][0] <= time.monotonic_ns():
                            ends[1 - side].sendall(line.pop(0)[1])
                except OSError:
                    return
