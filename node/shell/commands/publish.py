"""`loalang-node publish`: give a signed order to the broker, and say which nodes answered what.

The broker's acknowledgement is not delivery: what counts is the signed answer of each node that
was named. Who does not answer, who refuses and why is said, and the exit status is then 1.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.control.names import composed
from node.control.trust.message import Message, open_envelope
from node.shell.broker import guest
from node.shell.broker.connection import Connection, LinkLostError
from node.shell.broker.paho_connection import connect
from node.shell.config import MqttConfig
from node.shell.faults import EXIT_FAULT, EXIT_INPUT, ShellError
from node.shell.files import TEXT_BYTES_MAX, read_regular
from node.shell.poles.outcomes import RECORDED, Outcomes
from node.shell.poles.pole_list import read_poles
from node.shell.poles.roster import Answer, Roster

WAIT_MAX_S: Final = 86_400
_GIVEN_S: Final = 10.0
"""The broker must take the order within so long."""
_LOOK_S: Final = 0.3
"""What the broker has retained of the nodes comes within so long of the subscription."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    publish = commands.add_parser("publish", help="give a signed order to the broker")
    publish.add_argument("order", type=Path, metavar="ORDER.bin", help="made by `order`")
    guest.add_options(publish, required=True)
    to = publish.add_mutually_exclusive_group(required=True)
    to.add_argument("--node", action="append", help="one node by its name; may be repeated")
    to.add_argument("--zone", type=composed, help="all nodes of a zone")
    publish.add_argument("--wait", type=float, default=5.0, metavar="S", help="for answers")
    publish.add_argument(
        "--answers", type=int, metavar="N", help="so many are enough; without it all that are named"
    )
    publish.add_argument(
        "--proof", type=float, default=0.0, metavar="S",
        help="wait so long besides for who played it, and by what that is known; needs --poles",
    )  # fmt: skip
    publish.add_argument(
        "--poles", type=Path, metavar="POLES.TOML", help="names, zones and public keys of the nodes"
    )


@dataclass(slots=True)
class _Wanted:
    """Whose answers are waited for."""

    names: list[str]
    count: int

    def complete(self, roster: Roster) -> bool:
        """Return whether all that are named have answered, and as many as are wanted."""
        enough = len(roster.answers) >= self.count
        return enough and all(name in roster.answers for name in self.names)


def publish_order(options: argparse.Namespace) -> int:
    """Publish the order and print a line per answer; return 1 when not all took the order."""
    _check(options)
    sealed = read_regular(options.order, TEXT_BYTES_MAX)
    order = open_envelope(sealed)
    if isinstance(order, str):
        raise ShellError(f"{options.order}: {order}", exit_status=EXIT_INPUT)
    if options.proof and order.kind not in RECORDED:
        what = order.kind.name.lower().replace("_", "-")
        text = (
            f"--proof {options.proof:g}: must be 0 for a {what}, which leaves no record of its own"
        )
        raise ShellError(text, exit_status=EXIT_INPUT)
    poles = read_poles(options.poles) if options.poles else {}
    roster, outcomes = Roster(order, poles), Outcomes(order, poles)
    config = guest.config_of(options)
    try:
        wanted = asyncio.run(_publish(config, sealed, roster, outcomes, options))
    except LinkLostError as fault:
        raise ShellError(f"broker {config.host}:{config.port}: {fault}") from fault
    status = _verdict(roster, wanted, options)
    if options.proof:
        status = max(status, _verdict_of_proof(roster, outcomes, options.proof))
    return status


def _check(options: argparse.Namespace) -> None:
    """Refuse what can be no topic, and no time to wait."""
    for name in options.node or ():
        NodeConfig(name=name)  # says what would be right
    zone, wait_s, answers = options.zone, options.wait, options.answers
    if zone is not None and (not zone or set(zone) & set("+#/ ")):
        text = f"--zone {zone!r}: must be a name without +, #, / and space"
        raise ShellError(text, exit_status=EXIT_INPUT)
    if not 0 <= wait_s <= WAIT_MAX_S:
        text = f"--wait {wait_s:g}: must be 0 to {WAIT_MAX_S} s"
        raise ShellError(text, exit_status=EXIT_INPUT)
    if not 0 <= options.proof <= WAIT_MAX_S or (options.proof and not options.poles):
        text = f"--proof {options.proof:g}: must be 0 to {WAIT_MAX_S} s, with --poles"
        raise ShellError(text, exit_status=EXIT_INPUT)
    if answers is not None and answers < 1:
        raise ShellError(f"--answers {answers}: must be at least 1", exit_status=EXIT_INPUT)


async def _publish(
    config: MqttConfig,
    sealed: bytes,
    roster: Roster,
    outcomes: Outcomes,
    options: argparse.Namespace,
) -> _Wanted:
    connection = await connect(guest.login(config, "publish"))
    try:
        root = f"pa/v1/{config.village}"
        reports = ["state", "about", "acknowledgement"]
        reports += ["proof", "proof-head"] if options.proof else []
        codes = await connection.subscribe([f"{root}/node/+/{one}" for one in reports])
        if max(codes) >= 128:
            raise ShellError("the broker refuses the subscription of the answers: look at its ACL")
        begin_s = time.monotonic()
        heard = _Heard(connection, roster, outcomes, begin_s)
        await _give(connection, roster.order, sealed, _topics(root, options))
        if options.zone and not roster.poles and options.answers is None:
            await heard.until(begin_s + min(_LOOK_S, options.wait), lambda: False)
        wanted = _wanted(roster, options)
        await heard.until(begin_s + options.wait, lambda: wanted.complete(roster))
        if options.proof:
            end_s = time.monotonic() + options.proof
            await heard.until(end_s, lambda: not _unproven(roster, outcomes))
        return wanted
    finally:
        await connection.close()


def _topics(root: str, options: argparse.Namespace) -> list[str]:
    if options.zone:
        return [f"{root}/zone/{options.zone}/cmd"]
    return [f"{root}/node/{name}/cmd" for name in options.node]


def _wanted(roster: Roster, options: argparse.Namespace) -> _Wanted:
    names = options.node or roster.of_zone(options.zone)
    if options.answers is not None:
        return _Wanted([], options.answers)
    return _Wanted(names, max(len(names), 1))


async def _give(connection: Connection, order: Message, sealed: bytes, topics: list[str]) -> None:
    """Give the order to the broker, which forgets it when its time to live is over."""
    if connection.bytes_max and len(sealed) + 200 > connection.bytes_max:
        raise ShellError(
            f"the order has {len(sealed)} bytes, the broker takes {connection.bytes_max} at most: "
            "raise max_packet_size there"
        )
    left_s = max(order.issued_s + order.ttl_s - int(time.time()), 1)
    for topic in topics:
        sent = connection.publish(topic, sealed, quality=1, retain=False, expires_s=left_s)
        try:
            async with asyncio.timeout(_GIVEN_S):
                code = await sent
        except TimeoutError as fault:
            raise ShellError(f"the broker does not acknowledge {topic}") from fault
        if code >= 128:
            raise ShellError(f"the broker refuses {topic} (reason 0x{code:02x}): look at its ACL")


@dataclass(slots=True)
class _Heard:
    """What the broker tells, taken as it comes."""

    connection: Connection
    roster: Roster
    outcomes: Outcomes
    begin_s: float

    async def until(self, end_s: float, is_enough: Callable[[], bool]) -> None:
        """Take what comes until then, or until it is enough."""
        try:
            async with asyncio.timeout(end_s - time.monotonic()):
                while not is_enough():
                    message = await self.connection.receive()
                    answer = self.roster.take(message.topic, message.payload)
                    lines = self.outcomes.take(message.topic, message.payload)
                    self.connection.acknowledge(message)
                    if answer is not None:
                        _print(answer, time.monotonic() - self.begin_s)
                    for line in lines:
                        print(line, flush=True)
        except TimeoutError:
            return


def _unproven(roster: Roster, outcomes: Outcomes) -> list[str]:
    """Return who took the order, and has no record of it yet."""
    good = (name for name, one in roster.answers.items() if one.good)
    return sorted(name for name in good if name not in outcomes.records)


def _verdict_of_proof(roster: Roster, outcomes: Outcomes, wait_s: float) -> int:
    """Say who has no record, and how many played; return the exit status."""
    unproven, not_played = _unproven(roster, outcomes), outcomes.not_played
    for name in unproven:
        print(f"{name}: no record in {wait_s:g} s: it has not ended there, or did not begin")
    played = len(outcomes.records) - len(not_played)
    print(f"{played} of {len(outcomes.records) + len(unproven)} played")
    return EXIT_FAULT if unproven or not_played else 0


def _print(answer: Answer, took_s: float) -> None:
    note = f" ({answer.remedy})" if answer.remedy and not answer.good else ""
    by = "" if answer.verified else ", by the key that it told itself"
    print(f"{answer.node}: {answer.fate} after {took_s:.3f} s{by}{note}", flush=True)


def _verdict(roster: Roster, wanted: _Wanted, options: argparse.Namespace) -> int:
    """Say who did not answer or refused; return the exit status."""
    refused = [one for one in roster.answers.values() if not one.good]
    for name in wanted.names:
        if name in roster.answers:
            continue
        note = "; somebody without its key answered for it" if name in roster.forged else ""
        if name in roster.unlisted:
            note = f"; what answers is not believed: it is not in {options.poles}"
        print(f"{name}: no answer in {options.wait:g} s, {roster.state_of(name)}{note}")
    strangers = sorted(roster.forged - set(wanted.names))
    if strangers:
        print(f"answers without the key of {', '.join(strangers[:8])} were not believed")
    unlisted = sorted(roster.unlisted - set(wanted.names))
    if unlisted:
        named = ", ".join(unlisted[:8])
        print(f"{len(unlisted)} answered that are not in {options.poles}, not believed: {named}")
    good = len(roster.answers) - len(refused)
    if len(roster.answers) < wanted.count or not wanted.complete(roster):
        count = max(wanted.count, len(wanted.names))
        print(f"{len(roster.answers)} of {count} answers in {options.wait:g} s")
        return EXIT_FAULT
    if wanted.names:
        return EXIT_FAULT if refused else 0
    return 0 if good >= wanted.count else EXIT_FAULT
