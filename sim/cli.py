"""The command `loalang-sim`: ask a village a question and read the answer."""

import argparse
import sys
from pathlib import Path

from node.shell.standard_output import with_output
from sim import sweep_arguments
from sim.command_line import FAILED, INTERRUPTED, Parser, complain, duration, milliseconds, seed

_EPILOGUE = """\
exit status: 0 the run is done, whatever its verdict; 3 it is, and a condition of --fail-on holds,
or what is compared is not the same; 2 the scenario, the arguments or the output folder are wrong;
1 anything else, for instance a full disk; 130 interrupted

example: loalang-sim run flood_night --day --fail-on 'unwarned > 0'
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks and return the exit status."""
    return with_output("loalang-sim", lambda: _main(arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        from sim import compare_command, fit_command, run_command, sweep_command
        from sim.swarm.command import swarm
    except ModuleNotFoundError as fault:
        if (fault.name or "").split(".")[0] in ("sim", "node", "hw_profiles", "benchmarks"):
            raise
        return complain([f"{fault.name} is not installed: pip install 'loalang[sim]'"], FAILED)
    commands = {
        "run": run_command.run,
        "list": run_command.show_list,
        "check": run_command.check,
        "encode": run_command.encode,
        "sweep": sweep_command.sweep,
        "compare": compare_command.run,
        "fit": fit_command.run,
        "swarm": swarm,
    }
    try:
        return commands[options.command](options)
    except KeyboardInterrupt:
        return complain(["interrupted; nothing was written"], INTERRUPTED)


def _parser() -> Parser:
    parser = Parser(
        prog="loalang-sim",
        description=__doc__,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a scenario; write report, rows and recordings")
    run.add_argument("scenario", metavar="SCENARIO", help="name of one that ships, or a TOML file")
    run.add_argument("--seed", type=seed, metavar="N", help="instead of the scenario's")
    run.add_argument("--duration", type=duration, metavar="S", help="seconds of programme")
    run.add_argument("--json", action="store_true", help="print one JSON object, and no table")
    run.add_argument("--no-sound", action="store_true", help="count only: faster, no recordings")
    run.add_argument(
        "--tier",
        choices=("auto", "drive", "fleet"),
        default="auto",
        help="drive: node by node; fleet: thousands of nodes, counted without sound (auto)",
    )
    run.add_argument(
        "--replay", action="store_true", help="also replay.html: its worst minutes play back"
    )
    run.add_argument("--day", action="store_true", help="also the whole day of its table [day]")
    run.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="COND",
        help="a figure of the summary, as 'unwarned > 0'; end with status 3 where it holds",
    )
    run.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="where files go (out)"
    )
    sweep = commands.add_parser("sweep", help="many throws of the dice: odds with their interval")
    sweep_arguments.add_arguments(sweep)
    commands.add_parser("list", help="list the scenarios that ship")
    check = commands.add_parser("check", help="read a scenario and name every fault in it")
    check.add_argument("scenario", metavar="SCENARIO")
    encode = commands.add_parser(
        "encode", help="write a scenario's Opus packets beside its sounds, to be kept with them"
    )
    encode.add_argument("scenario", metavar="SCENARIO")
    _add_swarm(commands.add_parser("swarm", help="hold random histories of villages to rules"))
    _add_compare(commands)
    _add_fit(commands.add_parser("fit", help="make a bearer of a recorded trace, and judge it"))
    return parser


def _add_swarm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=seed, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--first", type=seed, default=0, metavar="N", help="the first one (0)")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="one script or a ledger of them, twice"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/swarm"), metavar="DIR", help="for what fails"
    )


def _add_compare(commands: "argparse._SubParsersAction[Parser]") -> None:
    compare = commands.add_parser(
        "compare", help="what changed per hamlet between two runs, or between two source trees"
    )
    what = "folder that `run --out` wrote, one with such folders in it, or a source tree"
    compare.add_argument("a", type=Path, metavar="A", help=what)
    compare.add_argument("b", type=Path, metavar="B", help="the same, to compare with A")
    compare.add_argument("--scenario", metavar="SCENARIO", help="what source trees are asked")
    compare.add_argument(
        "--seeds", type=seed, nargs="+", default=[1, 2, 3], metavar="N", help="... with (1 2 3)"
    )
    compare.add_argument("--duration", type=duration, metavar="S", help="seconds of programme")
    compare.add_argument("--day", action="store_true", help="also its day: who was warned")
    compare.add_argument("--json", action="store_true", help="print one JSON object")


def _add_fit(parser: Parser) -> None:
    add = parser.add_argument
    add("trace", type=Path, metavar="TRACE", help="as a bearer `trace:FILE` takes it")
    add("--name", metavar="NAME", help="of the bearer (the file's)")
    add(
        "--packet-ms",
        type=milliseconds,
        metavar="MS",
        help="from one packet to the next, where the trace does not say it (20)",
    )
    add(
        "--one-way-ms",
        type=milliseconds,
        metavar="MS",
        help="what the fastest packet needs, where the trace's clocks do not know it",
    )
    add("--like", default="lte_good", metavar="BEARER", help="for rate, queue, sleep (lte_good)")
    add("--json", action="store_true", help="print one JSON object, and no table")
    add("--out", type=Path, default=Path("out"), metavar="DIR", help="where files go (out)")


if __name__ == "__main__":
    sys.exit(main())
