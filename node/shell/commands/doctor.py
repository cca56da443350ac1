"""`loalang-node doctor`: everything that can be wrong with an installation, and what helps.

It changes nothing, and works beside the running node and without a network. With `--tone` it plays.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from node.config import ConfigError
from node.control.proof.self_tests import TESTS
from node.shell.config import read_config
from node.shell.doctor.finding import Finding, fault, good
from node.shell.faults import EXIT_FAULT, ShellError


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the subcommand and return its parser."""
    doctor = commands.add_parser("doctor", help="look at the whole installation, with remedies")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.tar.gz",
        help="all of it for who helps, without secrets",
    )
    doctor.add_argument(
        "--tone",
        choices=TESTS,
        help="test the horn by the tone of [loop] as well, where no node runs",
    )
    doctor.add_argument(
        "--sink", metavar="card[:NAME] | null", help="where the tone goes; without it as in [sink]"
    )
    doctor.add_argument("--offline", action="store_true", help="do not ask the broker")
    return doctor


def examine(options: argparse.Namespace) -> int:
    """Print each finding; return 1 when one of them is a fault."""
    findings: list[Finding] = []
    for one in _findings(options):
        findings.append(one)
        if not options.json:
            print(one.line(), flush=True)
    if options.json:
        json.dump([asdict(one) for one in findings], sys.stdout, indent=1)
        print()
    if options.bundle is not None:
        from node.shell.doctor.bundle import write_bundle

        try:
            write_bundle(options.bundle, findings, options.config)
        except ShellError as wrong:
            print(wrong, file=sys.stderr)
            return EXIT_FAULT
    return EXIT_FAULT if any(one.grade == "fault" for one in findings) else 0


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        node, shell = read_config(options.config)
    except ConfigError as wrong:
        for line in str(wrong).splitlines():
            yield fault("configuration", line, "mend the file")
        return
    except ShellError as wrong:
        yield fault("configuration", str(wrong), "--config must be the node's TOML file")
        return
    yield good("configuration", f"{options.config}, node {node.name}")
    from node.shell.doctor.machine_checks import look_at_machine
    from node.shell.doctor.running_node import look_at_running_node
    from node.shell.doctor.trust_checks import look_at_trust

    yield from look_at_running_node()
    yield from look_at_machine(node, shell)
    yield from look_at_trust(node, shell, network=not options.offline)
    if options.tone is not None:
        from node.shell.doctor.tone_trial import try_tone

        yield try_tone(node, shell, silent=options.tone == "silent", sink=options.sink)
