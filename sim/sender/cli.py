"""`loalang-send`: play any sound into the network as Opus over RTP, at its real pace."""

import argparse
import io
import queue
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av

from node.shell.steady import keep_steady
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.copy_encoder import CopyEncoder
from sim.sender.group_delay import GroupDelay
from sim.sender.loop import Address, Encoded, SendLoop
from sim.sender.repair_budget import RepairBudget
from sim.sender.seal import Seal, signing_seal, srtp_seal
from sim.sender.stream import PACKET_MS, EncoderSettings, LiveSender, encode_twice

_QUEUE_PACKETS: Final = 16
"""Encoded ahead of their time: enough for a busy moment of the machine."""

_DELAY_FIRST_NS: Final = 400 * NS_PER_MS
"""Playout delay of the group before its nodes have said what they need."""

_BUDGET_HELP: Final = (
    "what stream and repair may have per destination, headers included: 48k (bit/s), or 1200MB/2h "
    "(a month, with so many hours a day); default: repair gets 15 %% of the stream"
)

_LEAD_S: Final = 8
"""Behind 40 +- 20 ms of jitter nine of ten pairs of nodes then hold 0.3 ms, with 5 s eight
(`python -m benchmarks first_seconds`)."""
_LEAD_HELP: Final = (
    "tell the nodes so many seconds ahead, so that they know this clock before the first sound "
    f"(default {_LEAD_S}; 0 with --live, which tells them at once and sends when sound comes)"
)
_LEADS: Final = "the nodes learn this clock; sound follows in {} s (--lead 0: at once)"
_NOT_LIVE: Final = "never came at its own pace, so nothing was sent; --live is not for files"

_EPILOG: Final = """
example: loalang-send tests.wav --to 239.192.7.1:5004 --ttl 4
exit status: 0 all sent, or ended by SIGTERM or SIGINT; 1 the sound broke off, or the network
refused; 2 an argument or the file is wrong
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    settings = EncoderSettings(
        bitrate=options.bitrate,
        packet_ms=options.packet_ms,
        fec=options.fec,
        loss_expected_pct=options.loss_expected,
        channels=options.channels,
    )
    try:
        destinations = [_address(text) for text in options.to]
        copies = CopyEncoder() if options.copies == "auto" else None
        source = _Source(options.file, settings, copies, repeat=options.loop)
        seal = _seal(options)
        one = _socket(options)
    except (ValueError, OSError) as fault:
        print(f"loalang-send: {_input_fault(fault, options.file)}", file=sys.stderr)
        return 2
    sender = LiveSender(
        ssrc=secrets.randbits(32) if options.ssrc is None else options.ssrc,
        payload_type=options.payload_type,
        packet_samples=settings.packet_samples,
        sequence=secrets.randbits(16),
        timestamp=secrets.randbits(32),
        live=options.live,
    )
    group = GroupDelay(_DELAY_FIRST_NS) if options.group_delay else None
    loop = SendLoop(
        sender,
        one,
        destinations,
        announce=options.announce,
        group=group,
        seal=seal,
        sends_copies=copies is not None,
        new_budget=lambda: RepairBudget(rate_bit_s=options.data_budget),
        lead_ns=_lead_ns(options),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.end())
    keep_steady()
    if not (options.announce or options.live) and loop.lead_ns is not None:
        print(_LEADS.format(loop.lead_ns // NS_PER_S), file=sys.stderr)
    source.start(loop.wake)
    loop.run(source.packets)
    print(loop.summary(), file=sys.stderr)
    if source.fault is not None:
        print(f"loalang-send: {options.file}: {_one_line(source.fault)}", file=sys.stderr)
        return 1
    if sender.left and not sender.packets:
        print(f"loalang-send: {options.file}: {_NOT_LIVE}", file=sys.stderr)
        return 2
    return 1 if sender.packets and loop.refused == sender.packets * len(destinations) else 0


class _Source:
    """Encode on a thread of its own: a pipe may block, the answers to the nodes must not.

    Raises OSError or ValueError when the sound cannot be opened.
    """

    def __init__(
        self, file: str, settings: EncoderSettings, copies: CopyEncoder | None, *, repeat: bool
    ) -> None:
        self._file = file
        self._copies = copies
        self._settings = settings
        self._repeat = repeat and file != "-"
        self._container = self._open()
        if not self._container.streams.audio:
            raise ValueError(f"{file}: there is no sound in it")
        self.packets: queue.Queue[Encoded | None] = queue.Queue(_QUEUE_PACKETS)
        """The encoded packets; None is the end."""
        self.fault: Exception | None = None

    def start(self, wake: Any) -> None:
        """Begin to encode; call `wake` after each packet."""

        def run() -> None:
            try:
                for packet in self._all():
                    self.packets.put(packet)
                    wake()
            except (OSError, ValueError) as fault:  # av's own errors are both
                self.fault = fault
            finally:
                self.packets.put(None)
                wake()

        threading.Thread(target=run, name="encoder", daemon=True).start()

    def _all(self) -> Iterator[Encoded]:
        yield from encode_twice(self._container, self._settings, self._copies)
        while self._repeat:
            self._container.close()
            self._container = self._open()
            yield from encode_twice(self._container, self._settings, self._copies)

    def _open(self) -> Any:
        if self._file == "-":
            # Hardly any probing, so that live sound leaves at once.
            live = {"probesize": "4096", "analyzeduration": "0"}
            return av.open(io.FileIO(sys.stdin.fileno(), closefd=False), options=live)
        return av.open(self._file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loalang-send", description=__doc__, epilog=_EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="any sound that FFmpeg's libraries read; - is standard input")
    add("--to", action="append", required=True, metavar="HOST:PORT", help="may be repeated")
    add("--ttl", type=_number(0, 255), default=1, help="multicast hops, 0 to 255 (default 1)")
    add("--interface", metavar="ADDRESS", help="own address to send multicast from")
    add("--bitrate", type=_number(6000, 510_000), default=24_000, help="bit/s (default 24000)")
    add("--packet-ms", type=int, choices=PACKET_MS, default=20, help="default 20")
    add("--channels", type=int, choices=(1, 2), default=1, help="default 1")
    add("--fec", action="store_true", help="in-band FEC; give --loss-expected too")
    add("--loss-expected", type=_number(0, 100), default=0, metavar="PCT", help="default 0")
    add("--ssrc", type=_number(0, 0xFFFFFFFF), help="32 bits (default random)")
    add("--payload-type", type=_number(0, 127), default=111, help="default 111")
    add("--loop", action="store_true", help="begin again at the end of the file")
    add("--announce", action="store_true", help="print the monotonic ns of the first packet")
    add("--group-delay", action="store_true", help="decide the nodes' delay from their reports")
    add("--sign", type=Path, metavar="KEY", help="sign each packet: the session's key")
    add("--srtp", type=Path, metavar="KEY", help="SRTP, for one node: the session's master key")
    add("--copies", choices=("auto", "off"), default="auto", help="RFC 2198, as reports ask for it")
    add("--data-budget", type=data_budget, metavar="BUDGET", help=_BUDGET_HELP)
    add("--live", action="store_true", help="the sound comes at its own pace: send it at once")
    add("--lead", type=_number(0, 3600), metavar="S", help=_LEAD_HELP)
    return parser


def data_budget(text: str) -> int:
    """Return bit/s of `48k`, or of `1200MB/2h`: a month of 30 days, so many hours a day."""
    rate = re.fullmatch(r"(\d+)k", text)
    month = re.fullmatch(r"(\d+)MB/(\d+(?:\.\d+)?)h", text)
    value = 0
    if rate is not None:
        value = int(rate[1]) * 1000
    elif month is not None and 0 < float(month[2]) <= 24:
        value = round(int(month[1]) * 8e6 / (30 * 3600 * float(month[2])))
    if not 8000 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text}: must be like 48k or 1200MB/2h, 8k to 10000k")
    return value


def _lead_ns(options: argparse.Namespace) -> int | None:
    """Return how long before its sound the sender is told of; None where that is not wanted."""
    if options.live:
        return (options.lead or 0) * NS_PER_S
    lead = _LEAD_S if options.lead is None else options.lead
    return lead * NS_PER_S if lead else None


def _seal(options: argparse.Namespace) -> Seal | None:
    if options.sign is not None:
        return signing_seal(options.sign)
    return None if options.srtp is None else srtp_seal(options.srtp)


def _number(low: int, high: int) -> Any:
    def parse(text: str) -> int:
        value = int(text, 0)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value}: must be {low} to {high}")
        return value

    return parse


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise ValueError(f"--to {text}: must be HOST:PORT with a port from 1 to 65535")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except socket.gaierror as fault:
        raise ValueError(f"--to {text}: {fault.strerror}; check the name") from fault
    return (str(found[0][4][0]), int(port))


def _socket(options: argparse.Namespace) -> socket.socket:
    hosts = [_address(text)[0] for text in options.to]
    if len({":" in host for host in hosts}) > 1:
        raise ValueError("--to: IPv4 and IPv6 do not mix in one call; start two")
    six = ":" in hosts[0]
    one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    if six:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, options.ttl)
    else:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, options.ttl)
    if options.interface is not None and not six:
        try:
            address = socket.inet_aton(options.interface)
        except OSError as fault:
            raise ValueError(f"--interface {options.interface}: must be an own address") from fault
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
    return one


def _input_fault(fault: Exception, file: str) -> str:
    if isinstance(fault, av.error.InvalidDataError):
        return f"{file}: not a sound that FFmpeg's libraries know; is it text, or cut off?"
    if isinstance(fault, FileNotFoundError):
        return f"{file}: no such file; check the path"
    if isinstance(fault, PermissionError):
        return f"{file}: no permission; chmod it, or choose another"
    return _one_line(fault)


def _one_line(fault: Exception) -> str:
    return str(fault).splitlines()[0] if str(fault) else type(fault).__name__


if __name__ == "__main__":
    sys.exit(main())
