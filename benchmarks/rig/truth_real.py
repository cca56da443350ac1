"""A case of `truth` for real: daemon, mosquitto, sender, and a relay with what was drawn."""

import hashlib
import io
import json
import select
import socket
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import IO, Any, Final

import av
import msgspec
import numpy as np
import paho.mqtt.client as paho
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.rig.impairment import Impairment, Underway
from benchmarks.rig.order_cost import broker
from benchmarks.rig.rig_network import free_port
from benchmarks.rig.tcp_relay import TcpRelay
from benchmarks.rig.truth_case import (
    DELAY_MS,
    PERIOD_MS,
    SIREN_S,
    Figures,
    Simulated,
    figures_of,
    siren,
)
from node.config import ReceiveConfig
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.rtp import rtcp
from node.shell.network.udp import receive_stamped, stamp_arrivals
from node.shell.store.store import Store
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, SAMPLES_PER_MS
from sim.links.kernel import LOST_NS

_AREA: Final = "vn/a/a1"
_ROOT, _COMMUNE = (SeedSigner(hashlib.sha256(one).digest()) for one in (b"root", b"commune"))
_SSRC: Final = 0x10A1A27
_RTCP: Final = range(192, 224)
_START_S: Final = 180.0
_IDLE_NS: Final = 50 * NS_PER_MS
_FLUSHES: Final = 25
_SETTLE_S: Final = 5
_POLL_S: Final = 0.0003
_HEADER_BYTES: Final = 44
_PERIOD_NS: Final = PERIOD_MS * NS_PER_MS
_PERIOD_BYTES: Final = 2 * PERIOD_MS * SAMPLES_PER_MS


class DrawnRelay:
    """Between sender and node: each packet of the stream comes when the simulator said, or never.

    What else the sender tells travels as the packet that leaves next; what the node asks goes up
    by the simulator's way of requests, with draws of the same streams.
    """

    def __init__(self, simulated: Simulated, node: tuple[str, int]) -> None:
        self._drawn = simulated
        self._node = node
        self._sender: tuple[str, int] | None = None
        self._first: tuple[int, int] | None = None
        """Number of the first packet, and which time here is the simulator's 0."""
        self._newest_ns = 0
        self._underway: Underway[tuple[tuple[str, int], bytes]] = Underway()
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(("127.0.0.1", 0))
        stamp_arrivals(self._socket)
        self.port = int(self._socket.getsockname()[1])
        self.latest_ns = 0
        """Worst delay beyond what was drawn: what this machine adds."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            now_ns = time.monotonic_ns()
            next_ns = self._underway.next_ns(now_ns + _IDLE_NS)
            select.select([self._socket], [], [], max(0, next_ns - now_ns) / NS_PER_S)
            self._take()
            while True:
                due_ns = self._underway.next_ns(1 << 62)
                due = self._underway.take(time.monotonic_ns())
                if due is None:
                    break
                self.latest_ns = max(self.latest_ns, time.monotonic_ns() - due_ns)
                self._socket.sendto(due[1], due[0])

    def _take(self) -> None:
        while True:
            try:
                data, source, came_ns = receive_stamped(self._socket, 4096)
            except BlockingIOError:
                return
            if source == self._node:
                self._up(data, came_ns)
            else:
                self._sender = source
                self._underway.put(self._down_ns(data, came_ns), (self._node, data))

    def _up(self, data: bytes, came_ns: int) -> None:
        way = self._drawn.repairs if rtcp.is_feedback(data) else self._drawn.requests
        at_ns = way.arrival_ns(came_ns)
        if self._sender is not None and not (way is self._drawn.repairs and way.loses()):
            self._underway.put(at_ns, (self._sender, data))

    def _down_ns(self, data: bytes, came_ns: int) -> int | None:
        """Return when a datagram of the sender reaches the node; None: never."""
        is_repair = data[1] & 0x7F == ReceiveConfig().retransmission_payload_type
        if data[1] not in _RTCP and not is_repair:
            number = int.from_bytes(data[2:4], "big")
            self._first = self._first or (number, came_ns - int(self._drawn.send_ns[0]))
            index = (number - self._first[0]) & 0xFFFF
            return None if index >= len(self._drawn.arrive_ns) else self._at(index)
        if self._first is None:
            return came_ns
        index = int(np.searchsorted(self._drawn.send_ns, came_ns - self._first[1]))
        if index >= len(self._drawn.arrive_ns) or self._drawn.arrive_ns[index] == LOST_NS:
            return None
        drawn = self._drawn
        at_ns = came_ns + int(drawn.arrive_ns[index] - drawn.send_ns[index])
        return max(at_ns, self._newest_ns) if is_repair else at_ns

    def _at(self, index: int) -> int | None:
        arrive_ns = int(self._drawn.arrive_ns[index])
        assert self._first is not None, "it has come"
        if arrive_ns == LOST_NS:
            return None
        self._newest_ns = self._first[1] + arrive_ns
        return self._newest_ns


class RealNode:
    """A daemon in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        tone = _opus(siren())
        digest = hashlib.sha256(tone).hexdigest()
        (folder / f"{digest}.opus").write_bytes(tone)
        self.address = ("127.0.0.1", free_port())
        (folder / "node.toml").write_text(_CONFIG.format(
            port=port, listen=self.address[1], folder=folder, delay_ms=DELAY_MS,
            period_ms=PERIOD_MS, root=_ROOT.public_key.hex(), area=_AREA, digest=digest,
            siren_s=SIREN_S,
        ))  # fmt: skip
        self._status = (folder / "status").open("w")
        command = [sys.executable, "-P", "-m", "node.shell.cli", "run", "--status=0.5"]
        command += ["--config", f"{folder}/node.toml", "--sink", f"wav:{folder}/out.wav"]
        self._process = subprocess.Popen(
            command, stdout=self._status, stderr=subprocess.PIPE, text=True
        )
        self._first_ask_ns = 0
        self._told = threading.Event()
        self._lines: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self) -> None:
        """Return when it is at its broker."""
        if not self._told.wait(_START_S):
            raise SystemExit(f"truth: the node did not start: {''.join(self._lines)[-500:]}")

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        self._status.close()

    def source(self) -> dict[str, Any]:
        """Return what it told last of the stream."""
        found = [
            source
            for one in self._statuses()
            for source in one["sources"]
            if source["ssrc"] == _SSRC
        ]
        return found[-1] if found else {}

    def settle(self) -> None:
        """Let it run for `_SETTLE_S`, and see when its card asked for the first period."""
        self._first_ask_ns = first_ask_ns(Path(f"{self._folder}/out.wav.partial"))

    def heard(self) -> tuple[NDArray[np.float32], int]:
        """Return what it played, (n,) float32, and when the first sample left, monotonic ns."""
        if self._statuses()[-1]["shell"]["slept"]:
            raise SystemExit("truth: this machine stood still; the case tells nothing")
        with wave.open(f"{self._folder}/out.wav") as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
        # What is asked for leaves a period later.
        return sound.astype(np.float32), self._first_ask_ns + _PERIOD_NS

    def _statuses(self) -> list[dict[str, Any]]:
        lines = (self._folder / "status").read_text().splitlines()
        return [json.loads(one) for one in lines if one.endswith("}")]

    def _listen(self) -> None:
        assert self._process.stderr is not None, "a pipe was asked for"
        with self._process.stderr as told:
            for line in told:
                self._lines.append(line)
                if ": connected" in line:
                    self._told.set()


def first_ask_ns(grows: Path) -> int:
    """Return when the sink that writes this file asked for its first period, monotonic ns.

    The node's own count of periods will not do: it is told at ticks, always as long after one was
    asked for. The file grows as soon as the last period that goes into it was rendered, which was
    asked for as many periods after the first as lie before it in the file.
    """
    until_ns = time.monotonic_ns() + _SETTLE_S * NS_PER_S
    known = grows.stat().st_size
    found: list[int] = []
    while time.monotonic_ns() < until_ns:
        size, now_ns = grows.stat().st_size, time.monotonic_ns()
        if size != known:
            known = size
            periods = (size - _HEADER_BYTES) // _PERIOD_BYTES
            found.append(now_ns - (periods - 1) * _PERIOD_NS)
        time.sleep(_POLL_S)
    return min(found)


def flush_ns(folder: Path) -> int:
    """Return what a flushed write to the node's store takes on this disk now, the median."""
    store = Store(folder / "measured.db")
    kept = threading.Event()
    store.on_durable = kept.set
    took_ns = []
    for number in range(_FLUSHES):
        begin_ns = time.monotonic_ns()
        mine = store.keep_soon({"measured": number.to_bytes(8, "big")})
        while store.durable < mine and kept.wait(1):
            kept.clear()
        took_ns.append(time.monotonic_ns() - begin_ns)
    store.close()
    return int(np.median(took_ns))


def live_through(simulated: Simulated, folder: Path) -> tuple[Figures, float]:
    """Run a case for real; return its figures, and by how many ms the relay was late at worst.

    folder  with the files of the case; all that the node keeps goes there too
    """
    with broker(folder) as port:
        slow = Impairment(delay_ms=simulated.order_delay_ns / NS_PER_MS)
        door = TcpRelay(port, slow, seed=1)
        node = RealNode(folder, door.door)
        relay = DrawnRelay(simulated, node.address)
        office = paho.Client(CallbackAPIVersion.VERSION2)
        try:
            node.wait()
            office.connect("127.0.0.1", port)
            office.loop_start()
            claim = Certificate(
                "c", _COMMUNE.public_key, "commune", _AREA, MessageClass.URGENT, 1 << 39
            )
            give_order(office, _ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
            node.settle()
            begin_ns, sender = _send(folder, relay.port)
            _sleep_until(begin_ns + simulated.warned_s * NS_PER_S)
            warned_ns = give_order(office, _COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1))
            sender.wait(simulated.programme_s)
            time.sleep(1.5)
        finally:
            office.loop_stop()
            node.stop()
            relay.close()
            door.close()
    sound, first_ns = node.heard()
    begin_s, warned_s = ((at - first_ns) / NS_PER_S for at in (begin_ns, warned_ns))
    figures = figures_of(node.source(), len(simulated.arrive_ns), sound, begin_s, warned_s)
    return figures, relay.latest_ns / NS_PER_MS


def _send(folder: Path, port: int) -> "tuple[int, subprocess.Popen[str]]":
    """Start `loalang-send`; return when its first packet left."""
    command = [sys.executable, "-P", "-m", "sim.sender.cli", f"--ssrc={_SSRC}", "--announce"]
    command += [f"--to=127.0.0.1:{port}", "--fec", "--loss-expected=10", "--copies=off"]
    command += ["--lead=0", f"{folder}/programme.wav"]
    one = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert one.stderr is not None
    for line in one.stderr:
        if line.startswith("first packet at"):
            threading.Thread(target=_read_out, args=(one.stderr,), daemon=True).start()
            return int(line.split()[-1]), one
    raise SystemExit("truth: the sender ended before its first packet")


def _read_out(told: IO[str]) -> None:
    with told:
        told.read()


def give_order(office: paho.Client, by: SeedSigner, kind: Kind, content: bytes) -> int:
    """Let the office order; return when it left, monotonic ns."""
    message = Message(
        kind=kind, key_id=by.key_id, counter=time.time_ns() // 1000, issued_s=int(time.time()),
        ttl_s=600, message_class=MessageClass.URGENT, area=_AREA, content=content,
    )  # fmt: skip
    sealed = seal(message, by)
    now_ns = time.monotonic_ns()
    office.publish("pa/v1/truth/node/a-1/cmd", sealed, qos=1)
    return now_ns


def _sleep_until(at_ns: int) -> None:
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / NS_PER_S)


def _opus(sound: NDArray[np.float32]) -> bytes:
    """Return (n,) float32 as Ogg Opus in packets of 20 ms."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, options={"frame_duration": "20"})
        stream.layout = "mono"
        pcm = (sound * 32767).astype(np.int16)[None, :]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


_CONFIG: Final = """
name = "a-1"
[opus]
decoder = "libopus"
[receive]
listen = "127.0.0.1:{listen}"
[jitter]
playout_delay_ms = {delay_ms}
[sink]
period_ms = {period_ms}
[mqtt]
host = "127.0.0.1"
port = {port}
village = "truth"
[store]
path = "{folder}/kept.db"
[control]
root_public_key = "{root}"
area = "{area}/a-1"
rules = []
clock = "trusted"
unknown_streams = "play"
media_folder = "{folder}"
[control.alert]
interval_s = 20
[control.alert.phrases.any]
siren = "{digest}"
siren_s = {siren_s}
"""
