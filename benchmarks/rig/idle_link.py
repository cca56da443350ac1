"""What an idle node costs on its mobile link in a month: `python -m benchmarks idle_link`.

A real node at a real broker by TLS, both ends with certificates, through a door that only passes
bytes on. The kernel counts what goes through the door's socket: bytes and segments each way
(TCP_INFO), so headers of IP and TCP, acknowledgements and keep-alives are in the figure; the first
ten seconds, with the handshake, are told apart. Nothing else is on the link of an idle node but
what it joins: with `--join` a station's relay, that had a programme and rests, counted as well from
the fourth minute on. `--kill` tells after how long a node that is gone is missed, by the watch and
by the broker. The processor's time of the same minutes is told too.

Without TCP's time stamps, as the package sets it, in a network of its own: `unshare -n sh -c
'ip link set lo up; sysctl -qw net.ipv4.tcp_timestamps=0; python -m benchmarks idle_link'`
"""

import asyncio
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.options import parser_of, positive
from benchmarks.rig import idle_path
from benchmarks.rig.rig_network import free_port
from node.shell.broker.connection import Login
from node.shell.broker.paho_connection import connect
from node.shell.config import MqttConfig
from node.shell.keys.credentials import tls_context
from node.shell.station import certificates
from node.shell.station.watch import Watch, serve

KEEPALIVE_S: Final = MqttConfig().keepalive_s
CPU_PERCENT: Final = 1.0
MONTH_S: Final = 30 * 86_400
ALLOWED_MB: Final = 60.0
HEADER_BYTES: Final = 40
"""IPv4 20, TCP 20."""
STAMP_BYTES: Final = 12
"""TCP's time stamps, where both ends have them (net.ipv4.tcp_timestamps)."""
_REST_S: Final = 200.0
"""A minute after its last packet a station begins to rest, and does so by steps for two more."""
_BACK_S: Final = 5.0
"""Until a node that was stopped is back, and has said a word."""
_ROOT: Final = "pa/v1/village/node"
_HANDSHAKE_S: Final = 10.0
_START_S: Final = 180.0
_OPTION_STAMPS: Final = 1
_INFO: Final = struct.Struct("8B24I4Q2I")
"""struct tcp_info up to tcpi_segs_in: linux/tcp.h."""
_OPTIONS_AT: Final = 5


@dataclass(frozen=True, slots=True)
class Counted:
    """What went over a connection, both ways, as the kernel counts it."""

    payload_bytes: int
    segments: int
    header_bytes: int = HEADER_BYTES

    @property
    def wire_bytes(self) -> int:
        """With the headers of each segment."""
        return self.payload_bytes + self.segments * self.header_bytes

    def since(self, before: "Counted") -> "Counted":
        """Return what came after `before`."""
        return Counted(
            self.payload_bytes - before.payload_bytes,
            self.segments - before.segments,
            self.header_bytes,
        )


class Door:
    """Where the node knocks: passes one connection after another on to the broker."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self._past = Counted(0, 0)
        self._near: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def counted(self) -> Counted:
        """Return what went through so far."""
        near = self._near
        now = Counted(0, 0) if near is None else _counted(near)
        return Counted(
            self._past.payload_bytes + now.payload_bytes,
            self._past.segments + now.segments,
            now.header_bytes,
        )

    def close(self) -> None:
        """Shut it."""
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with near, socket.create_connection(("127.0.0.1", self._port)) as far:
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._near = near
                self._pass_on(near, far)
                self._past, self._near = self.counted(), None

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select((near, far), [], [], 0.2)
            for one in ready:
                try:
                    data = one.recv(65_536)
                    (far if one is near else near).sendall(data)
                except OSError:
                    return
                if not data:
                    return


def run(arguments: list[str]) -> int:
    """Measure, print the month's figure and return 1 where it is more than allowed."""
    parser = parser_of("idle_link", __doc__)
    parser.add_argument("--minutes", type=positive, default=4.0, help="how long (4)")
    parser.add_argument("--keepalive", type=int, default=KEEPALIVE_S, help="[mqtt] keepalive_s (8)")
    parser.add_argument("--join", action="store_true", help="with a joined station")
    parser.add_argument("--kill", action="store_true", help="at the end: when is it missed?")
    options = parser.parse_args(arguments)
    if shutil.which("mosquitto") is None:
        print("idle_link: mosquitto is missing: apt install mosquitto", file=sys.stderr)
        return 2
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        port = opened.enter_context(_broker(folder))
        path = opened.enter_context(idle_path.station(folder)) if options.join else None
        join = ""
        if path is not None:
            join = f'join = "127.0.0.1:{path[1].port}"\njoin_key_file = "{path[0].key}"\n'
        door = Door(port)
        opened.callback(door.close)
        node = opened.enter_context(_node(folder, door, options.keepalive, join))
        _wait_for(lambda: door.connections > 0, "the node did not come to its broker")
        month_mb = _measure(door, path, node.pid, options.minutes)
        if options.kill:
            watch_s = _missed_s(folder, port, node, is_watched=True)
            print(f"missed by the watch {watch_s:.1f} s after it was stopped")
            time.sleep(_BACK_S)
            broker_s = _missed_s(folder, port, node, is_watched=False)
            print(f"missed by the broker {broker_s:.1f} s after it was stopped")
    print(f"idle month: {month_mb:.1f} MB (allowed {ALLOWED_MB:g})")
    return int(month_mb > ALLOWED_MB)


def _measure(
    door: Door,
    path: tuple[idle_path.Station, idle_path.DatagramDoor] | None,
    pid: int,
    minutes: float,
) -> float:
    """Return the month of a node that is connected now, in MB; tell of what it is made."""
    time.sleep(_HANDSHAKE_S)
    print(f"handshake and first {_HANDSHAKE_S:g} s: {door.counted().wire_bytes} bytes")
    if path is not None:
        path[0].speak()
        time.sleep(_REST_S)
    first, connections = door.counted(), door.connections
    before = (0, 0) if path is None else (path[1].wire_bytes, path[1].datagrams)
    begin_s, cpu_s = time.monotonic(), _cpu_s(pid)
    time.sleep(minutes * 60)
    idle, lasted_s = door.counted().since(first), time.monotonic() - begin_s
    percent = (_cpu_s(pid) - cpu_s) / lasted_s * 100
    print(f"processor: {percent:.2f} % of a core (allowed {CPU_PERCENT:g})")
    print(
        f"then {lasted_s:.0f} s: {idle.payload_bytes} bytes of TLS in {idle.segments} segments, "
        f"{idle.wire_bytes} with headers of {idle.header_bytes}; "
        f"{door.connections - connections} new connections"
    )
    joined_bytes = 0
    if path is not None:
        joined_bytes = path[1].wire_bytes - before[0]
        print(f"joined station: {joined_bytes} bytes in {path[1].datagrams - before[1]} datagrams")
    return (idle.wire_bytes + joined_bytes) / lasted_s * MONTH_S / 1e6


def _cpu_s(pid: int) -> float:
    """Return what the process has used so far, its own time and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _missed_s(
    folder: Path, port: int, node: "subprocess.Popen[bytes]", *, is_watched: bool
) -> float:
    """Stop the node; return after how many seconds the others are told that it is lost."""
    config = MqttConfig(
        host="127.0.0.1",
        port=port,
        ca_file=f"{folder}/ca.pem",
        certificate_file=f"{folder}/office.pem",
        key_file=f"{folder}/office.key",
    )
    return asyncio.run(_missed(config, node, is_watched=is_watched))


async def _missed(
    config: MqttConfig, node: "subprocess.Popen[bytes]", *, is_watched: bool
) -> float:
    host, port, tls = str(config.host), config.port, tls_context(config)
    told: asyncio.Queue[str] = asyncio.Queue()
    ear = await connect(Login(host=host, port=port, identifier="ear", tls=tls))
    await ear.subscribe([f"{_ROOT}/+/state"])
    watch = await connect(Login(host=host, port=port, identifier="watch", tls=tls))
    watching = asyncio.create_task(
        serve(_ROOT, watch, Watch([], time.monotonic()), end_s=None, tell=told.put_nowait)
    )
    if not is_watched:
        watching.cancel()
    await asyncio.sleep(_BACK_S)
    # Its connection stays: what an end of its process would close, a power cut does not.
    node.send_signal(signal.SIGSTOP)
    begin_s = time.monotonic()
    word = b""
    while b"lost" not in word:
        message = await ear.receive()
        ear.acknowledge(message)
        word = b"" if message.retain else message.payload
    lasted_s = time.monotonic() - begin_s
    node.send_signal(signal.SIGCONT)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    for one in (watch, ear):
        await one.close()
    return lasted_s


def _counted(one: socket.socket) -> Counted:
    info = _INFO.unpack(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    acked_bytes, received_bytes, segments_out, segments_in = info[34], info[35], info[36], info[37]
    header_bytes = HEADER_BYTES + (STAMP_BYTES if info[_OPTIONS_AT] & _OPTION_STAMPS else 0)
    return Counted(acked_bytes + received_bytes, segments_out + segments_in, header_bytes)


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """Run mosquitto with TLS; the identities lie in `folder`."""
    ca_key, broker_key, node_key, office_key = (certificates.new_key() for _ in range(4))
    ca = certificates.authority("idle", ca_key)
    (folder / "ca.pem").write_bytes(ca)
    broker = certificates.broker_identity("127.0.0.1", broker_key.public_key(), ca, ca_key)
    node = certificates.identity("pole-1", node_key.public_key(), ca, ca_key, days=365)
    office = certificates.identity("office", office_key.public_key(), ca, ca_key, days=365)
    for name, pem, key in (
        ("broker", broker, broker_key),
        ("pole-1", node, node_key),
        ("office", office, office_key),
    ):
        (folder / f"{name}.pem").write_bytes(pem)
        (folder / f"{name}.key").write_bytes(certificates.key_pem(key))
        (folder / f"{name}.key").chmod(0o644)  # mosquitto gives up root before it reads
    folder.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n"
        f"keyfile {folder}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
    )
    process = subprocess.Popen(
        ["mosquitto", "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(lambda: _answers(port), "mosquitto did not start")
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _node(
    folder: Path, door: Door, keepalive_s: int, join: str
) -> Iterator["subprocess.Popen[bytes]"]:
    config = folder / "node.toml"
    config.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n{join}'
        '[opus]\ndecoder = "libopus"\n[sink]\nkind = "null"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {door.port}\nkeepalive_s = {keepalive_s}\n'
        f'ca_file = "{folder}/ca.pem"\ncertificate_file = "{folder}/pole-1.pem"\n'
        f'key_file = "{folder}/pole-1.key"\n[store]\npath = "{folder}/kept.db"\n'
    )
    command = [sys.executable, "-P", "-m", "node.shell.cli", "run", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition: Callable[[], bool], fault: str) -> None:
    end_s = time.monotonic() + _START_S
    while not condition():
        if time.monotonic() > end_s:
            raise SystemExit(f"idle_link: {fault}")
        time.sleep(0.1)
