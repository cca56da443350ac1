"""`loalang-station time`: answer nodes that ask for the time, for as long as it runs.

An answer holds for one question alone and for seconds (`node.control.trust.asked_time`), so it
needs no store, and this may run or not: who gets none asks again.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from typing import Final

from node.control.trust.asked_time import NONCE_BYTES, TOPIC, encode_answer
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.shell.clocks import clock_synchronised
from node.shell.faults import ShellError
from node.shell.station.folder import Station
from node.shell.station.init import sign
from node.shell.station.link import at_broker

EACH_S: Final = 5.0
"""A node is answered no more often."""


class Answers:
    """Whom to answer, and when again.

    Parameters
    ----------
    station : Station
        Whose nodes are answered, as the folder names them by then, and nobody else.
    signer : SeedSigner
        A key that may give the time.
    tell : callable
        Told what is wrong with the list: then it holds as it was.
    """

    def __init__(
        self, station: Station, signer: SeedSigner, tell: Callable[[str], None] = print
    ) -> None:
        self._station = station
        self._signer = signer
        self._tell = tell
        self._listed_ns = self._list_ns()  # first: what changes meanwhile is read again
        self._again_s = {one.name: 0.0 for one in station.nodes() if one.public_key}

    def answer(
        self, topic: str, nonce: bytes, *, utc_ns: int, now_s: float
    ) -> tuple[str, bytes] | None:
        """Return where to send which order, None where there is nothing to answer."""
        self._follow_list()
        name = topic.split("/")[4] if topic.count("/") == 5 else ""
        if len(nonce) != NONCE_BYTES or now_s < self._again_s.get(name, float("inf")):
            return None
        self._again_s[name] = now_s + EACH_S
        sealed = sign(self._station, self._signer, Kind.BEACON, encode_answer(nonce, utc_ns))
        return f"{topic.removesuffix(TOPIC)}cmd", sealed

    def _follow_list(self) -> None:
        """Know who was let in or taken back since: each is a file that is put in place whole."""
        listed_ns = self._list_ns()
        if listed_ns == self._listed_ns:
            return
        self._listed_ns = listed_ns
        try:
            names = [one.name for one in self._station.nodes() if one.public_key]
        except (ShellError, OSError) as fault:
            self._tell(f"the list of nodes holds as it was: {fault}")
            return
        self._again_s = {name: self._again_s.get(name, 0.0) for name in names}

    def _list_ns(self) -> int:
        try:
            return self._station.nodes_folder.stat().st_mtime_ns
        except OSError:
            return 0


def answer_nodes(options: argparse.Namespace) -> int:
    """Answer until somebody ends it; return the exit status."""
    station = Station.open(options.folder)
    if not (options.trust_clock or clock_synchronised()):
        raise ShellError(
            "this machine's clock is not synchronised: start NTP here, or say --trust-clock"
        )
    answers = Answers(station, station.signer("commune"))
    try:
        asyncio.run(_serve(station, answers, print))
    except KeyboardInterrupt:
        print()
    return 0


async def _serve(station: Station, answers: Answers, tell: Callable[[str], None]) -> None:
    topic = f"pa/v1/{station.about.village}/node/+/{TOPIC}"
    async with at_broker(station) as connection:
        if max(await connection.subscribe([topic])) >= 128:
            raise ShellError("the broker refuses the questions for the time: look at its ACL")
        tell("answers nodes that ask for the time")
        while True:
            message = await connection.receive()
            connection.acknowledge(message)
            found = answers.answer(
                message.topic, message.payload, utc_ns=time.time_ns(), now_s=time.monotonic()
            )
            if found is not None and not message.retain:
                where, sealed = found
                await connection.publish(where, sealed, quality=1, retain=False, expires_s=10)
                tell(f"{where.split('/')[4]}: told the time")
