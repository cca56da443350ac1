"""`loalang-node record`: when the packets of a stream came, as a trace for the simulator; no sound.

It listens in the node's place, or beside it on a port of its own that the sender also sends to.
`bearer = "trace:FILE"` of a scenario plays what it wrote.
"""

import argparse
import csv
import select
import struct
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO

from node.config import ReceiveConfig
from node.shell.clocks import now_ns, utc_ns
from node.shell.config import split_address
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.network.udp import UdpSocket
from node.units import NS_PER_MS, NS_PER_S, SAMPLES_PER_MS

COLUMNS: Final = ("seq", "send_ms", "arrival_ms", "bytes", "utc_ms")
BYTES_MAX: Final = 1 << 30
"""Of a file: some 300 days of one stream."""
_TICK_S: Final = 0.5
_HEADER: Final = struct.Struct("!BBHII")
_RTCP_TYPES: Final = range(192, 224)  # RFC 5761, section 4


class Recorder:
    """The packets of the stream that is heard first, one row each."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._writer: Any = csv.writer(target, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._last: tuple[int, int] | None = None
        self._begin_ns = 0
        self._ssrc = -1
        self.packets = 0
        self.others = 0
        """Datagrams of other streams, or no packets at all."""

    def receive(self, data: bytes, arrival_ns: int, utc_ns: int) -> None:
        """Take a datagram; times are of the machine's monotonic and civil clock."""
        if len(data) < _HEADER.size or data[0] >> 6 != 2 or data[1] in _RTCP_TYPES:
            self.others += 1
            return
        _, _, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if self._last is None:
            self._last, self._ssrc, self._begin_ns = (sequence, timestamp), ssrc, arrival_ns
        if ssrc != self._ssrc:
            self.others += 1
            return
        before = self._last
        self._last = (_near(before[0], sequence, 16), _near(before[1], timestamp, 32))
        came_ms = (arrival_ns - self._begin_ns) / NS_PER_MS
        sent_ms = self._last[1] / SAMPLES_PER_MS
        row = (self._last[0], f"{sent_ms:.3f}", f"{came_ms:.3f}", len(data), utc_ns // NS_PER_MS)
        self._writer.writerow(row)
        self.packets += 1

    @property
    def stream(self) -> str:
        """Return the stream that is recorded, as people write it."""
        return "no stream" if self._last is None else f"stream {self._ssrc:08x}"

    @property
    def is_full(self) -> bool:
        """Whether the file is as long as one may be."""
        return self._target.tell() >= BYTES_MAX


def record(receive: ReceiveConfig, options: argparse.Namespace) -> int:
    """Write rows until the time is over, somebody interrupts, or the file is full."""
    if options.listen is not None:
        split_address(options.listen, what="--listen")
        receive = replace(receive, listen=options.listen)
    if options.duration is not None and not 0 < options.duration < 1e9:
        raise ShellError(
            f"--duration {options.duration}: must be above 0 s", exit_status=EXIT_INPUT
        )
    path: Path = options.out
    try:
        with closing(UdpSocket(receive)) as udp, path.open("w", encoding="ascii") as target:
            one = Recorder(target)
            with suppress(KeyboardInterrupt):
                _run(one, udp, options.duration)
    except OSError as fault:
        raise file_fault(path, fault) from fault
    print(f"{path}: {one.packets} packets of {one.stream}", file=sys.stderr)
    if one.others:
        print(f"{one.others} datagrams of others, or no packets, left out", file=sys.stderr)
    return 0 if one.packets else 1


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> Any:
    """Add `record` to the command line."""
    parser = commands.add_parser(
        "record", help="write when packets come, as a trace for the simulator; no sound is kept"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--listen", metavar="HOST:PORT", help="instead of [receive] listen")
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    return parser


def _run(one: Recorder, udp: UdpSocket, duration_s: float | None) -> None:
    end_ns = None if duration_s is None else now_ns() + int(duration_s * NS_PER_S)
    while not one.is_full and (end_ns is None or now_ns() < end_ns):
        select.select(udp.filenos(), [], [], _TICK_S)
        offset_ns = utc_ns() - now_ns()
        for data, _, arrival_ns in udp.received():
            one.receive(data, arrival_ns, arrival_ns + offset_ns)


def _near(before: int, value: int, bits: int) -> int:
    """Return the number with these low `bits` that is nearest to `before`."""
    half = 1 << (bits - 1)
    return before + ((value - before + half) & ((1 << bits) - 1)) - half
