"""`loalang-node record`: when the packets of a stream came, as a trace for the simulator; no sound.

It listens in the node's place, or beside it on a port of its own that the sender also sends to.
`bearer = "trace:FILE"` of a scenario plays what it wrote.
"""

import argparse
import select
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.config import ReceiveConfig
from node.shell.clocks import now_ns, utc_ns
from node.shell.config import split_address
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.network.udp import UdpSocket
from node.units import NS_PER_S

if TYPE_CHECKING:  # its import loads the kernels: only `record` needs them
    from node.shell.commands.recorder import Recorder

_TICK_S: Final = 0.5


def record(receive: ReceiveConfig, options: argparse.Namespace) -> int:
    """Write rows until the time is over, somebody interrupts, or the file is full."""
    from node.shell.commands.recorder import Recorder

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


def _run(one: "Recorder", udp: UdpSocket, duration_s: float | None) -> None:
    end_ns = None if duration_s is None else now_ns() + int(duration_s * NS_PER_S)
    while not one.is_full and (end_ns is None or now_ns() < end_ns):
        select.select(udp.filenos(), [], [], _TICK_S)
        offset_ns = utc_ns() - now_ns()
        for data, _, arrival_ns in udp.received():
            one.receive(data, arrival_ns, arrival_ns + offset_ns)
