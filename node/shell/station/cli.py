"""`loalang-station`: the commune's keys, its broker's identities, and who is a node of it."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

from node.config import ConfigError
from node.control.names import composed
from node.control.precedence import CLASSES
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.standard_output import with_output
from node.shell.station.accept import accept_node
from node.shell.station.assistant.enable import disable, enable
from node.shell.station.assistant.serve import run_bridge
from node.shell.station.init import make_station
from node.shell.station.proofs import hear_proofs
from node.shell.station.replace import replace_node
from node.shell.station.root import root_command
from node.shell.station.send import revoke_keys, send_all
from node.shell.station.time import answer_nodes
from node.shell.station.watch import watch_nodes

FOLDER: Final = Path("station")
_WAIT_MAX_S: Final = 86_400.0
_ASSISTANT: Final = {"enable": enable, "run": run_bridge, "disable": disable}


def _home_assistant_command(options: argparse.Namespace) -> int:
    return _ASSISTANT[options.what](options)


_COMMANDS: Final = {
    "init": make_station,
    "accept": accept_node,
    "replace": replace_node,
    "send": send_all,
    "revoke": revoke_keys,
    "proofs": hear_proofs,
    "root": root_command,
    "time": answer_nodes,
    "watch": watch_nodes,
    "home-assistant": _home_assistant_command,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return with_output("loalang-station", lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _COMMANDS[options.command](options)
    except ConfigError as fault:
        print(fault, file=sys.stderr)
        return EXIT_INPUT
    except ShellError as fault:
        print(f"loalang-station: {fault}", file=sys.stderr)
        return fault.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loalang-station", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make root, authorities, broker files and the bundle")
    init.add_argument("--area", type=composed, required=True, help="such as vn/lang-son/huu-lien")
    init.add_argument("--broker", required=True, metavar="HOST[:PORT]", help="as nodes reach it")
    init.add_argument(
        "--village",
        type=composed,
        default="",
        help="in the topics; without it the area's last part",
    )
    init.add_argument("--broker-folder", type=Path, help="for mosquitto's files (FOLDER/broker)")
    init.add_argument(
        "--reload",
        default="systemctl kill --signal HUP mosquitto",
        help="lets it read them (%(default)s)",
    )
    init.add_argument("--siren", type=Path, metavar="FILE.opus", help="before words of warnings")
    init.add_argument(
        "--words", action="append", default=[], metavar="LANGUAGE=FILE.opus", help="of warnings"
    )
    accept = commands.add_parser("accept", help="let the node that shows this code in")
    accept.add_argument("code", metavar="CODE", help="12 letters")
    accept.add_argument("--name", default="", help="in place of the one that it asks for")
    accept.add_argument(
        "--area", type=composed, default="", help="without it the commune's and the name"
    )
    accept.add_argument(
        "--zone", type=composed, action="append", help="whose orders it also obeys; repeatable"
    )
    replace = commands.add_parser("replace", help="take a stolen or broken node's identity back")
    replace.add_argument("name", metavar="NAME")
    send = commands.add_parser("send", help="give every node what the folder holds now")
    send.add_argument("--stick", type=Path, metavar="FOLDER", help="for nodes without a network")
    revoke = commands.add_parser("revoke", help="take authority back from keys of hamlets")
    revoke.add_argument("public_key", nargs="+", metavar="PUBLIC-KEY", help="64 digits")
    for one in (init, accept, replace, send, revoke, _proofs(commands), *_keep_right(commands)):
        one.add_argument("--folder", type=Path, default=FOLDER, help="of the station (%(default)s)")
    return parser


def _proofs(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    proofs = commands.add_parser("proofs", help="hear and keep what the poles prove by their keys")
    proofs.add_argument("--wait", type=seconds, metavar="S", help="for so long; without it, always")
    proofs.add_argument(
        "--records", action="append", default=[], metavar="NAME=FILE",
        help="printed by `loalang-node proof` on a pole",
    )  # fmt: skip
    return proofs


def _keep_right(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> tuple[argparse.ArgumentParser, ...]:
    root = commands.add_parser("root", help="promise the root that is to follow; let it follow")
    root.add_argument("what", choices=("next", "rotate"))
    root.add_argument(
        "--overlap",
        type=int,
        default=90,
        metavar="DAYS",
        help="both hold for so long (%(default)s)",
    )
    clock = commands.add_parser("time", help="answer nodes that ask for the time")
    clock.add_argument(
        "--trust-clock", action="store_true", help="though the kernel says it is not synchronised"
    )
    watch = commands.add_parser("watch", help="tell within 10 s that a node is gone")
    watch.add_argument("--wait", type=seconds, metavar="S", help="for so long; without it, always")
    return root, clock, watch, _home_assistant(commands)


def _home_assistant(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    assistant = commands.add_parser(
        "home-assistant", help="let it sound sirens and set volumes; sign its wishes; take it back"
    )
    assistant.add_argument("what", choices=tuple(_ASSISTANT))
    assistant.add_argument(
        "--class", dest="message_class", choices=CLASSES, default="priority",
        help="of enable: the highest that it may order (%(default)s)",
    )  # fmt: skip
    assistant.add_argument(
        "--area", type=composed, default="", help="of enable: whose nodes; else the commune's"
    )
    assistant.add_argument(
        "--nodes", type=Path, metavar="FOLDER",
        help="of run: where the files of the nodes are, if not in the station's `nodes`",
    )  # fmt: skip
    return assistant


def seconds(text: str) -> float:
    """Return a time to wait; argparse tells what else was given."""
    value = float(text)
    if not 0 <= value <= _WAIT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text} must be 0 to {_WAIT_MAX_S:.0f} s")
    return value


if __name__ == "__main__":
    sys.exit(main())
