"""`loalang-send`: play any sound into the network as Opus over RTP, at its real pace."""

import argparse
import secrets
import signal
import socket
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from node.rtp.join_packet import KEY_BYTES
from node.shell.faults import ShellError
from node.shell.keys.key_file import read_key
from node.shell.network.multicast import is_multicast, leave_by
from node.shell.standard_output import with_output
from node.shell.steady import keep_steady
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.addresses import InputError, address_of, destination_of, serve_text
from sim.sender.broker_path import BrokerPath, add_options, path_of
from sim.sender.group_delay import GroupDelay
from sim.sender.joined import Joined
from sim.sender.loop import SendLoop
from sim.sender.option_types import data_budget, number
from sim.sender.outlet import Address
from sim.sender.relay_input import RelayInput
from sim.sender.relayed import RelayedSender
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.seal import Seal, signing_seal, srtp_seal
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.sender.sound.encoded_source import EncodedSource
from sim.sender.sound.packet_encoder import PACKET_MS, EncoderSettings, PacketEncoder
from sim.sender.sound.sound_faults import one_line
from sim.sender.sound.sound_source import SoundSource, is_url
from sim.sender.stream import SEQUENCE_BITS, LiveSender

_SEND_BUFFER_BYTES: Final = 1 << 21
"""A packet to each of a thousand nodes at once."""

_PAYLOAD_BYTES_MAX: Final = 1300
"""With header, signature and a copy of another packet still within a datagram."""

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

_FILE_HELP: Final = "any sound that FFmpeg's libraries read, or its URL; - is standard input"

_EPILOG: Final = """
example: loalang-send tests.wav --to 239.192.7.1:5004 --ttl 4
exit status: 0 all of the sound was delivered, as far as the network says, also when ended by
SIGTERM or SIGINT; 1 it broke off, a part of it cannot be played (but for damage), or a destination
did not get it; 2 an argument or the file is wrong
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return with_output("loalang-send", lambda: _main(arguments))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the arguments name and open: wrong ones show here, before anything is sent."""

    destinations: list[Address]
    seal: Seal | None
    join_key: bytes
    broker: BrokerPath | None
    socket: socket.socket
    source: EncodedSource | RelayInput


def _main(arguments: list[str] | None) -> int:
    options = _parser().parse_args(
        _names_as_files(sys.argv[1:] if arguments is None else arguments)
    )
    settings = EncoderSettings(
        bitrate=options.bitrate,
        packet_ms=options.packet_ms,
        fec=options.fec,
        loss_expected_pct=options.loss_expected,
        channels=options.channels,
    )
    with ExitStack() as opened:
        try:
            _check(options, settings)
            if options.file is None:
                options.file = f"--relay {options.relay}"
            parts = _parts(options, settings, opened)
        except (ValueError, OSError, LookupError, av.FFmpegError, ShellError) as fault:
            named = "" if isinstance(fault, InputError) else f"{options.file}: "
            _say(f"{named}{one_line(fault)}")
            return 2
        sender, source = _sender(options, settings), parts.source
        loop = _loop(options, sender, parts)
        opened.enter_context(closing(loop))
        if parts.broker is not None:
            opened.enter_context(closing(parts.broker)).start(loop.wake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.end())
        keep_steady()
        if not (options.announce or sender.live) and loop.lead_ns is not None:
            print(_LEADS.format(loop.lead_ns // NS_PER_S), file=sys.stderr)
        source.start(loop.wake)
        loop.run(source.packets)
        print(loop.summary(), file=sys.stderr)
        for line in source.summary():
            _say(f"{options.file}: {line}")
        return _status(options, source, sender, loop)


def _parts(options: argparse.Namespace, settings: EncoderSettings, opened: ExitStack) -> _Parts:
    """Return what the arguments name, in the order in which their faults are told."""
    destinations = list(dict.fromkeys(destination_of(text) for text in options.to))
    serve = None
    if options.serve is not None:
        serve = address_of(serve_text(options.serve), option="--serve")
    return _Parts(
        destinations=destinations,
        seal=_seal(options),
        join_key=b"" if options.join_key is None else _join_key(options.join_key),
        broker=path_of(options),
        socket=opened.enter_context(_socket(destinations, serve, options)),
        source=_source(options, settings, opened),
    )


def _loop(options: argparse.Namespace, sender: LiveSender, parts: _Parts) -> SendLoop:
    joined = None
    if options.serve is not None:
        joined = Joined(sender.ssrc, parts.join_key, secret=secrets.token_bytes(32))
    return SendLoop(
        sender,
        parts.socket,
        parts.destinations,
        announce=options.announce,
        group=GroupDelay(_DELAY_FIRST_NS) if options.group_delay else None,
        seal=parts.seal,
        sends_copies=options.copies == "auto" and options.relay is None,
        new_budget=lambda: RepairBudget(rate_bit_s=options.data_budget),
        joined=joined,
        broker=parts.broker,
        lead_ns=_lead_ns(options),
        far=is_url(options.file),
    )


def _source(
    options: argparse.Namespace, settings: EncoderSettings, opened: ExitStack
) -> EncodedSource | RelayInput:
    """Return where the packets come from, whose parts `opened` closes."""
    if options.relay is not None:
        return RelayInput(opened.enter_context(_relay_socket(options)))
    sound = opened.enter_context(closing(_sound(options)))
    copies = CopyEncoder() if options.copies == "auto" else None
    return EncodedSource(sound, PacketEncoder(settings, copies), live=options.live)


def _sound(options: argparse.Namespace) -> SoundSource:
    return SoundSource(
        options.file,
        channels=options.channels,
        live=options.live,
        repeat=options.loop,
        tell=lambda line: _say(f"{options.file}: {line}"),
    )


def _sender(options: argparse.Namespace, settings: EncoderSettings) -> LiveSender:
    ssrc = secrets.randbits(32) if options.ssrc is None else options.ssrc
    if options.relay is not None:
        return RelayedSender(
            ssrc=ssrc,
            payload_type=options.payload_type,
            sequence=secrets.randbits(SEQUENCE_BITS),
            timestamp=secrets.randbits(32),
        )
    return LiveSender(
        ssrc=ssrc,
        payload_type=options.payload_type,
        packet_samples=settings.packet_samples,
        sequence=secrets.randbits(SEQUENCE_BITS),
        timestamp=secrets.randbits(32),
        live=options.live,
    )


def _status(
    options: argparse.Namespace,
    source: EncodedSource | RelayInput,
    sender: LiveSender,
    loop: SendLoop,
) -> int:
    """Say what went wrong, a line each; return the exit status."""
    if source.fault is not None:
        _say(f"{options.file}: {one_line(source.fault)}")
        return 1 if sender.packets else 2
    if sender.left and not sender.packets:
        _say(f"{options.file}: {_NOT_LIVE}")
        return 2
    if options.relay is not None and not sender.packets:
        _say(f"{options.file}: no Opus in RTP came; is the other sender's address this one?")
        return 1
    faults = loop.faults()
    for line in faults:
        _say(line)
    return 1 if faults or not source.is_whole else 0


def _say(line: str) -> None:
    """Tell a person; names may hold bytes that are no text, and line breaks."""
    whole = f"loalang-send: {' '.join(line.splitlines())}"
    print(whole.encode("utf-8", "backslashreplace").decode(), file=sys.stderr, flush=True)


def _names_as_files(arguments: list[str]) -> list[str]:
    """Let a file that is called like an option, and is none, be a file."""
    known = {one for action in _parser()._actions for one in action.option_strings}
    return [
        f"./{one}"
        if one.startswith("-") and one.partition("=")[0] not in known and Path(one).is_file()
        else one
        for one in arguments
    ]


def _check(options: argparse.Namespace, settings: EncoderSettings) -> None:
    """Refuse what cannot work."""
    if settings.payload_bytes > _PAYLOAD_BYTES_MAX:
        raise InputError(
            f"--bitrate {options.bitrate} in packets of {options.packet_ms} ms: "
            f"{settings.payload_bytes} bytes each, and {_PAYLOAD_BYTES_MAX} fit into a packet; "
            f"at most --bitrate {_PAYLOAD_BYTES_MAX * 8000 // options.packet_ms}"
        )
    if (options.file is None) == (options.relay is None):
        raise InputError("FILE, or --relay PORT for the RTP of another sender: give one of them")
    if options.file == "":
        raise InputError("FILE is empty: give a file, a URL, or - (a variable that is not set?)")
    if options.relay is not None and (options.loop or options.live or options.lead is not None):
        raise InputError("--relay: what comes is sent on as it comes; no --loop, --live or --lead")
    if not options.to and options.serve is None:
        raise InputError("--to HOST:PORT, or --serve PORT: say where the sound goes")
    if options.broker is not None and options.serve is None:
        raise InputError("--broker: is for nodes that join; give --serve and --join-key")
    if (options.serve is None) != (options.join_key is None):
        raise InputError("--serve and --join-key: give both, nodes are known by the key")
    if options.srtp is not None and (options.serve is not None or len(options.to) > 1):
        raise InputError("--srtp: is for one node, whose key it is; --sign is for many")
    if options.loop and (options.file == "-" or options.live):
        raise InputError("--loop: only a file can begin again, not live sound or standard input")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loalang-send", description=__doc__, epilog=_EPILOG, allow_abbrev=False
    )
    add = parser.add_argument
    add("file", metavar="FILE", nargs="?", help=_FILE_HELP)
    add("--relay", metavar="[HOST:]PORT", help="instead of FILE: send on the RTP that comes here")
    add("--to", action="append", default=[], metavar="HOST:PORT", help="may be repeated")
    add("--serve", metavar="[HOST:]PORT", help="nodes come here and join; with --join-key")
    add("--join-key", type=Path, metavar="KEY", help="32 bytes that the nodes have too")
    add("--ttl", type=number(0, 255), default=1, help="multicast hops, 0 to 255 (default 1)")
    add("--interface", metavar="NAME", help="interface, or own address, that groups leave by")
    add("--bitrate", type=number(6000, 510_000), default=24_000, help="bit/s (default 24000)")
    add("--packet-ms", type=int, choices=PACKET_MS, default=20, help="default 20")
    add("--channels", type=int, choices=(1, 2), default=1, help="default 1")
    add("--fec", action="store_true", help="in-band FEC; give --loss-expected too")
    add("--loss-expected", type=number(0, 100), default=0, metavar="PCT", help="default 0")
    add("--ssrc", type=number(0, 0xFFFFFFFF), help="32 bits (default random)")
    add("--payload-type", type=number(0, 127), default=111, help="default 111")
    add("--loop", action="store_true", help="begin again at the end of the file")
    add("--announce", action="store_true", help="print the monotonic ns of the first packet")
    add("--group-delay", action="store_true", help="decide the nodes' delay from their reports")
    add("--sign", type=Path, metavar="KEY", help="sign each packet: the session's key")
    add("--srtp", type=Path, metavar="KEY", help="SRTP, for one node: the session's master key")
    add("--copies", choices=("auto", "off"), default="auto", help="RFC 2198, as reports ask for it")
    add("--data-budget", type=data_budget, metavar="BUDGET", help=_BUDGET_HELP)
    add("--live", action="store_true", help="the sound comes at its own pace: send it at once")
    add("--lead", type=number(0, 3600), metavar="S", help=_LEAD_HELP)
    add_options(parser)
    return parser


def _lead_ns(options: argparse.Namespace) -> int | None:
    """Return how long before its sound the sender is told of; None where that is not wanted."""
    if options.relay is not None:
        return None
    if options.live:
        return (options.lead or 0) * NS_PER_S
    lead = _LEAD_S if options.lead is None else options.lead
    return lead * NS_PER_S if lead else None


def _seal(options: argparse.Namespace) -> Seal | None:
    option, path, make = "--sign", options.sign, signing_seal
    if path is None:
        option, path, make = "--srtp", options.srtp, srtp_seal
    try:
        return None if path is None else make(path)
    except (OSError, ValueError) as fault:
        raise InputError(f"{option} {one_line(fault)}") from fault


def _relay_socket(options: argparse.Namespace) -> socket.socket:
    host, port = address_of(serve_text(options.relay), option="--relay")
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SEND_BUFFER_BYTES)
        one.bind((host, port))
    except OSError as fault:
        one.close()
        raise InputError(f"--relay {options.relay}: {fault.strerror}; `ss -ulnp`") from fault
    return one


def _join_key(path: Path) -> bytes:
    try:
        return read_key(path, KEY_BYTES)
    except ShellError as fault:
        raise InputError(f"--join-key {fault}") from fault


def _socket(
    destinations: list[Address], serve: Address | None, options: argparse.Namespace
) -> socket.socket:
    hosts = [host for host, _ in destinations]
    if serve is not None:
        hosts.append(serve[0])
    if len({":" in host for host in hosts}) > 1:
        raise InputError("--to: IPv4 and IPv6 do not mix in one call; start two")
    six = ":" in hosts[0]
    one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    try:
        _set_multicast(one, hosts, options)
        if serve is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            one.bind(serve)
    except InputError:
        one.close()
        raise
    except OSError as fault:
        one.close()
        raise InputError(f"--serve {options.serve}: {fault.strerror}; `ss -ulnp`") from fault
    return one


def _set_multicast(one: socket.socket, hosts: list[str], options: argparse.Namespace) -> None:
    """Set how far, and by which interface, groups are reached."""
    if ":" in hosts[0]:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, options.ttl)
    else:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, options.ttl)
    zones = {host.partition("%")[2] for host in hosts if is_multicast(host)}
    interface = options.interface or max(zones, default="")
    if options.interface is not None and not zones:
        raise InputError(
            f"--interface {options.interface}: is for groups; where {hosts[0]} is reached, the "
            "routes say (`ip route get`)"
        )
    if interface:
        try:
            leave_by(one, interface)
        except OSError as fault:
            raise InputError(f"--interface {interface}: {fault.strerror}") from fault


if __name__ == "__main__":
    sys.exit(main())
