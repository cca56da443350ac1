"""`loalang-node`: run a speaker node, or check that it could run."""

import argparse
import asyncio
import logging
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.config import ConfigError, NodeConfig
from node.control.precedence import CLASSES
from node.control.trust.signature import SeedSigner
from node.events import FetchFile
from node.shell.broker.home_assistant import discovery
from node.shell.broker.mqtt import MqttLink
from node.shell.card.chosen_sink import chosen_sink
from node.shell.clocks import now_ns, utc_ns
from node.shell.commands.check import check, decoder_factory
from node.shell.commands.describe import describe
from node.shell.commands.doctor import add_parser as add_doctor
from node.shell.commands.doctor import examine
from node.shell.commands.keep import add_parser as add_keep
from node.shell.commands.keep import keep_sounds
from node.shell.commands.log_lines import begin_log
from node.shell.commands.order import add_parsers, make_key, sign_order
from node.shell.commands.publish import add_parser as add_publish
from node.shell.commands.publish import publish_order
from node.shell.commands.record import add_parser as add_record
from node.shell.commands.record import record
from node.shell.commands.show import show_matrix, show_proof
from node.shell.config import ShellConfig, read_config, split_address
from node.shell.enrol.command import add_parser as add_enrol
from node.shell.enrol.command import enrol_node
from node.shell.enrol.refresh import WAITING, refresh_node, take_waiting
from node.shell.enrol.refresh import add_parser as add_refresh
from node.shell.faults import EXIT_INPUT, ShellError, leave
from node.shell.keys.identity import own_seed
from node.shell.keys.key_file import read_key
from node.shell.network.udp import UdpSocket
from node.shell.profile import require_closed
from node.shell.rule_files import LANGUAGES, explain
from node.shell.service import Service
from node.shell.standard_output import with_output
from node.shell.steady import keep_steady
from node.shell.store.held import Held
from node.shell.store.store import Store
from node.shell.systemd import starting, status_after
from node.units import NS_PER_S

if TYPE_CHECKING:  # its import loads the kernels: only `run` needs them
    from node.governed import GovernedSpeaker
    from node.joined import Speaker
    from node.shell.hearing.listening import Listening
    from node.stack import SpeakerNode

LOG: Final = logging.getLogger("loalang")
CONFIGS: Final = (Path("/etc/loalang/node.toml"), Path("/var/lib/loalang/node.toml"))
_CONFIG_HELP: Final = f"without it {CONFIGS[0]}, or {CONFIGS[1]} where that is not there"
_SESSION_KEY: Final = "shell/session"
_WITHOUT_NODE: Final = {
    "key": make_key,
    "order": sign_order,
    "publish": publish_order,
    "keep": keep_sounds,
    "describe": describe,
    "enrol": enrol_node,
}
"""Commands that need no configuration of a node."""

_EPILOG: Final = """
exit status: 0 ended by duration, SIGTERM or SIGINT; 1 the machine is at fault (port in use, no
sound card, disk full); 2 an argument or the configuration is wrong
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return with_output("loalang-node", lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    begin_log(logging.DEBUG if options.verbose else logging.INFO)
    try:
        if options.command in _WITHOUT_NODE:
            return _WITHOUT_NODE[options.command](options)
        options.config = options.config or found_config()
        if options.command == "doctor":
            return examine(options)
        if options.command == "run":
            take_waiting(options.config)
        node, shell = read_config(options.config)
        if options.command == "record":
            return record(node.receive, options)
        if options.command == "refresh":
            return refresh_node(node, shell, options)
        if options.command == "check":
            return check(node, shell, options.config)
        if options.command in _SHOWN:
            return _SHOWN[options.command](shell, options)
        return _run(node, shell, options)
    except ConfigError as fault:
        print(fault, file=sys.stderr)
        return EXIT_INPUT
    except ShellError as fault:
        print(f"loalang-node: {fault}", file=sys.stderr)
        if fault.hangs:
            leave(fault.exit_status)
        return status_after(fault) if options.command == "run" else fault.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loalang-node", description=__doc__, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"loalang {_version()}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="receive and play until it is ended")
    check = commands.add_parser(
        "check", help="validate the configuration, compile the kernels, look for the sound card"
    )
    why = commands.add_parser("explain", help="say which rule makes the volume what it is")
    why.add_argument("--at", required=True, metavar="YYYY-MM-DDTHH:MM", help="wall clock there")
    why.add_argument("--class", dest="message_class", choices=CLASSES, default="normal")
    why.add_argument("--language", choices=LANGUAGES, default="en")
    table = commands.add_parser("matrix", help="print who takes the horn from whom")
    proof = commands.add_parser("proof", help="print what played and why not, and check the chain")
    add_parsers(commands)
    add_publish(commands)
    add_keep(commands)
    add_enrol(commands)
    commands.add_parser("describe", help="print every table and setting, with its default")
    doctor = add_doctor(commands)
    refresh = add_refresh(commands)
    recorder = add_record(commands)
    for command in (run, check, why, table, proof, doctor, refresh, recorder):
        command.add_argument("--config", type=Path, metavar="NODE.TOML", help=_CONFIG_HELP)
    run.add_argument(
        "--sink",
        metavar="card[:NAME] | wav:FILE | null",
        help="where the sound goes; without it as [sink] of the configuration says",
    )
    run.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    run.add_argument(
        "--status",
        type=float,
        metavar="S",
        help="print the node's status as one line of JSON every S seconds, and at the end",
    )
    return parser


def found_config() -> Path:
    """Return the configuration of this machine: a person's file, or what `enrol` wrote."""
    return next((one for one in CONFIGS if one.exists()), CONFIGS[0])


def _explain(shell: ShellConfig, options: argparse.Namespace) -> int:
    if shell.control is None:
        raise ShellError(f"{options.config}: has no table [control]", exit_status=EXIT_INPUT)
    print(explain(shell.control, options.at, options.message_class, options.language))
    return 0


_SHOWN: Final = {"explain": _explain, "matrix": show_matrix, "proof": show_proof}


def _version() -> str:
    try:
        return version("loalang")
    except PackageNotFoundError:
        return "(not installed)"


def _run(node: NodeConfig, shell: ShellConfig, options: argparse.Namespace) -> int:
    """Run one service after another: each takes the configuration that its SIGHUP has read."""
    duration_ns = _ns("--duration", options.duration)
    status_every_ns = _ns("--status", options.status)
    end_ns = None if duration_ns is None else now_ns() + duration_ns
    before: _Read | None = None
    read, refused = _Read(node, shell), ""
    with closing(Held()) as held:
        while True:
            left_ns = None if end_ns is None else max(end_ns - now_ns(), 1)
            old = _Read(read.node, read.shell)
            try:
                if not _serve(read, options, held, (left_ns, status_every_ns), refused):
                    return 0
                before, refused = old, ""
                read.is_running = False
            except (ConfigError, ShellError) as fault:
                if read.is_running or before is None:
                    raise
                LOG.error("the configuration is not taken, the old one holds: %s", fault)
                read, before, refused = before, None, str(fault)


@dataclass(slots=True)
class _Read:
    """A configuration that was read."""

    node: NodeConfig
    shell: ShellConfig
    is_running: bool = False
    """All parts were built of it."""


_Times = tuple[int | None, int | None]
"""After what it ends, and how often it prints its status, in ns."""


def _serve(
    read: _Read, options: argparse.Namespace, held: Held, times_ns: _Times, refused: str
) -> bool:
    """Build all parts, cheapest first, so that a fault shows before the kernels are loaded; serve.

    Return whether a new configuration is to be taken, which is in `read` then.
    """
    node, shell = read.node, read.shell
    require_closed(node, shell)
    with ExitStack() as opened:
        udp = opened.enter_context(closing(UdpSocket(node.receive)))
        store = held.store(shell.store.path)
        link = None if shell.mqtt.host is None else _link(node, shell, store)
        with starting():
            speaker = _speaker(node, shell)
            governed = None
            if shell.control is not None:
                sink = (options.sink or shell.sink.kind).partition(":")[0]
                governed = _governed(node, shell, speaker, store, sink)
        if link is not None and governed is not None:
            link.known_time = governed.known_time
        standing = {} if governed is None else governed.standing
        listening = None if governed is None else governed.listening
        if listening is not None:
            opened.enter_context(closing(listening)).start()
        service = Service(
            _joined(node, speaker if governed is None else governed.speaker, link is not None),
            udp=udp,
            sink=chosen_sink(node, shell.sink, options.sink),
            store=store,
            mqtt=link,
            status_every_ns=times_ns[1],
            tell_time=None if governed is None else governed.tell_time,
            fetch=None if governed is None else governed.fetch,
            governed=None if governed is None else governed.core,
            switch=node.amplifier.switch,
            listening=listening,
            standing=standing | ({"configuration": refused} if refused else {}),
            renewed=None if store.path is None else (store.path.parent / WAITING).exists,
            page=None if shell.page.port is None else (shell.page.address, shell.page.port),
            reread=lambda: _read_again(read, options.config),
        )
        keep_steady()
        held.close(but=store)
        read.is_running = True
        asyncio.run(service.run(times_ns[0]))
    return service.begins_anew


def _read_again(into: _Read, path: Path) -> None:
    """Read the configuration into `into`, whole or not at all."""
    node, shell = read_config(path)
    require_closed(node, shell)
    into.node, into.shell = node, shell


def _link(node: NodeConfig, shell: ShellConfig, store: Store) -> MqttLink:
    session = _next_session(store)
    public = SeedSigner(own_seed(store)).public_key.hex()
    prefix, announced = shell.mqtt.home_assistant, {}
    if prefix is not None:
        root = f"pa/v1/{shell.mqtt.village}/node/{node.name}"
        announced = discovery(prefix, root, node.name, _version())
    return MqttLink(
        node.name,
        shell.mqtt,
        session=session,
        stored=store.kept(),
        public_key=public,
        announced=announced,
    )


@dataclass(frozen=True, slots=True)
class _Governed:
    speaker: "Speaker"
    tell_time: Callable[[int, int], None]
    known_time: Callable[[], tuple[int, bool]]
    fetch: Callable[[FetchFile], None]
    core: "GovernedSpeaker"
    standing: dict[str, str]
    """Faults that are there from the start, by name."""
    listening: "Listening | None"


def _joined(node: NodeConfig, speaker: "Speaker", has_broker: bool) -> "Speaker":
    """Return the speaker with what it joins, by the configuration or by signed sessions."""
    from node.joined import JoinedSpeaker
    from node.peers.joining import Station
    from node.rtp.join_packet import KEY_BYTES

    config, stations = node.receive, []
    if config.join is not None and config.join_key_file is not None:
        key = read_key(Path(config.join_key_file), KEY_BYTES)
        stations.append(Station(*split_address(config.join, what="receive.join"), key))
    secret = secrets.token_bytes(32)
    return JoinedSpeaker(
        speaker, node.name, secret=secret, stations=stations, has_broker=has_broker
    )


def _governed(
    node: NodeConfig, shell: ShellConfig, speaker: "SpeakerNode", store: Store, sink: str
) -> "_Governed":
    """Return the speaker under signed orders, with what the service needs for it."""
    from node.shell.govern import govern, missing_sounds, stored_sounds, tell_time
    from node.shell.sounds.fetch import Fetcher

    control = shell.control
    assert control is not None, "the caller looked"
    sounds = stored_sounds(control)
    missing = missing_sounds(control, sounds.by_name, sounds)
    for line in missing:
        LOG.warning("%s", line)
    standing = {}
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        standing["sounds"] = missing[0] + more
    library = sounds.by_name
    governed, listening = govern(node, control, speaker, store, library, sink=sink, loop=shell.loop)
    return _Governed(
        governed,
        lambda utc, now: tell_time(governed, control, utc, now),
        lambda: governed.known_time(now_ns()),
        Fetcher(shell.fetch, library).request,
        governed,
        standing,
        listening,
    )


def _speaker(node: NodeConfig, shell: ShellConfig) -> "SpeakerNode":
    try:
        from node.kernel.shipped import misfit  # finds out what is here: a library, or numba

        if misfit():
            LOG.info(
                "loading the kernels (after an update this takes minutes: `loalang-node check`)"
            )
        from node.stack import SpeakerNode
    except ImportError as fault:
        raise ShellError(str(fault)) from fault

    priority = None if shell.control is None else shell.control.priority
    return SpeakerNode(
        node,
        decoder_factory=decoder_factory(node),
        priority=priority,
        secret=secrets.token_bytes(16),
    )


def _next_session(store: Store) -> int:
    """Return a number greater than in all earlier starts that the store knows."""
    before = store.kept().get(_SESSION_KEY, b"")
    session = max(int(before) if before.isdigit() else 0, utc_ns() // NS_PER_S) + 1
    store.keep_soon({_SESSION_KEY: str(session).encode()})
    return session


def _ns(option: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not 0.0 < seconds < 1e9:
        raise ShellError(f"{option} {seconds}: must be above 0 s", exit_status=EXIT_INPUT)
    return int(seconds * NS_PER_S)


if __name__ == "__main__":
    sys.exit(main())
