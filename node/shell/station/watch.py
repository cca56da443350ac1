"""`loalang-station watch`: tell within 10 s that a node is gone, long before the broker does.

```
 node ── beat each 7.6 s, or another word ─► broker ─► watch
                     nothing for 9.6 s ─► state `lost`, retained, with the node's session
 node that lives yet ◄── its own state ──┘ it says at once how it is
```
A broker waits for one and a half keep-alives, looks for those who are silent now and then
(mosquitto 2.0 each 6 s), and keeps the last will back for a while. This runs beside it, and costs
the link nothing.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.shell.broker.beats import EARLY
from node.shell.broker.connection import Connection
from node.shell.broker.told_state import told_state
from node.shell.faults import ShellError
from node.shell.poles.roster import NODES_MAX, printable
from node.shell.station.folder import Station
from node.shell.station.link import at_broker

WORDS: Final = (
    "state", "beat", "health", "fault", "about", "metric", "path", "time", "acknowledgement",
    "proof", "proof-head", "audit",
)  # fmt: skip
"""Topics under which a node speaks; under the others it is spoken to."""
PATIENCE_S: Final = 2.0
"""So much later than it was due a beat may come: links stand still now and then."""
BEAT_S: Final = 12
"""Of a node that has not said how often it speaks."""
_BEATS_MAX_S: Final = 600
LOOK_S: Final = 0.25
_LATE_S: Final = 1.0
"""Who looks so late has slept himself, and waits anew."""
_AGAIN_S: Final = 2.0
_STATE_BYTES_MAX: Final = 4096


@dataclass(slots=True)
class _Node:
    """One node as the broker tells of it."""

    heard_s: float
    session: int = 0
    beat_s: float = BEAT_S
    is_watched: bool = True
    """It runs, as far as is known: it has not said goodbye, and is not lost."""
    is_lost: bool = False


class Watch:
    """Who is silent for too long.

    Parameters
    ----------
    names : list of str
        Nodes that there are to be; others are watched from their first word on.
    now_s : float
        Now.
    """

    def __init__(self, names: list[str], now_s: float) -> None:
        self._nodes = {name: _Node(now_s) for name in names[:NODES_MAX]}
        self._looked_s = now_s
        self.left = 0
        """Words of nodes that found no place."""

    def receive(self, topic: str, payload: bytes, now_s: float, *, retained: bool) -> str | None:
        """Take a word of a node; return a line for people where it changes how the node is."""
        parts = topic.split("/")
        if len(parts) != 6 or parts[5] not in WORDS:
            return None
        name, what = parts[4], parts[5]
        shown = printable(name, 64)
        node = self._nodes.get(name)
        if node is None:
            if len(self._nodes) >= NODES_MAX:
                self.left += 1
                return None
            node = self._nodes[name] = _Node(now_s)
        word = _take_state(node, payload) if what == "state" else ""
        if word in ("lost", "stopped"):
            was_lost = node.is_lost
            node.is_watched, node.is_lost = False, word == "lost"
            return None if retained or was_lost == node.is_lost else f"{shown}: {word}"
        if retained and what != "state":
            return None
        node.heard_s, node.is_watched = now_s, True
        was_lost, node.is_lost = node.is_lost, False
        return f"{shown}: is back" if was_lost else None

    @property
    def lost(self) -> list[str]:
        """Return who is lost, by name."""
        return sorted(name for name, node in self._nodes.items() if node.is_lost)

    def look(self, now_s: float) -> list[tuple[str, bytes]]:
        """Return who is lost from now on, and the state to be retained of it."""
        slept_s = now_s - self._looked_s
        self._looked_s = now_s
        if slept_s > _LATE_S:
            for node in self._nodes.values():
                node.heard_s += slept_s
        lost = []
        for name, node in self._nodes.items():
            limit_s = EARLY * node.beat_s + PATIENCE_S
            if node.is_watched and now_s - node.heard_s >= limit_s:
                node.is_watched, node.is_lost = False, True
                why = f"nothing heard for {limit_s:.1f} s"
                lost.append((name, told_state("lost", node.session, node.beat_s, [why])))
        return lost


def _take_state(node: _Node, payload: bytes) -> str:
    """Note what a node's state says; return its word."""
    if len(payload) > _STATE_BYTES_MAX:
        return ""
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    session, beat_s = told.get("session"), told.get("beat_s", BEAT_S)
    if isinstance(session, int):
        node.session = session
    if isinstance(beat_s, int | float) and 1 <= beat_s <= _BEATS_MAX_S:
        node.beat_s = beat_s
    word = told.get("state")
    return word if isinstance(word, str) else ""


def watch_nodes(options: argparse.Namespace) -> int:
    """Watch until somebody ends it, or for `--wait`; return 1 where somebody is lost then."""
    station = Station.open(options.folder)
    watch = Watch([one.name for one in station.nodes() if one.public_key], time.monotonic())
    try:
        asyncio.run(_watch(station, watch, options.wait, partial(print, flush=True)))
    except KeyboardInterrupt:
        print()
    return int(bool(watch.lost))


async def _watch(
    station: Station, watch: Watch, wait_s: float | None, tell: Callable[[str], None]
) -> None:
    """Watch, and come back to a broker that went away."""
    root = f"pa/v1/{station.about.village}/node"
    end_s = None if wait_s is None else time.monotonic() + wait_s
    came = False
    while end_s is None or time.monotonic() < end_s:
        try:
            async with at_broker(station) as connection:
                tell("watches the nodes")
                came = True
                await serve(root, connection, watch, end_s=end_s, tell=tell)
        except ShellError as fault:
            if not came:
                raise
            tell(str(fault))
            await asyncio.sleep(_AGAIN_S)


async def serve(
    root: str,
    connection: Connection,
    watch: Watch,
    *,
    end_s: float | None,
    tell: Callable[[str], None],
) -> None:
    """Watch the nodes below the topic `root` by one connection, until `end_s` (monotonic).

    Raises
    ------
    LinkLostError
        When the connection ends.
    ShellError
        If the broker refuses what is asked of it.
    """
    if max(await connection.subscribe([f"{root}/+/{one}" for one in WORDS])) >= 128:
        raise ShellError("the broker refuses the subscription of the nodes' words: look at its ACL")
    watch.look(time.monotonic())  # what was not heard without a connection is nobody's silence
    looked_s = time.monotonic()
    while end_s is None or looked_s < end_s:
        wait_s = looked_s + LOOK_S - time.monotonic()
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    message = await connection.receive()
            except TimeoutError:
                continue
            connection.acknowledge(message)
            now_s = time.monotonic()
            line = watch.receive(message.topic, message.payload, now_s, retained=message.retain)
            if line is not None:
                tell(line)
            continue
        looked_s = time.monotonic()
        for name, state in watch.look(looked_s):
            tell(f"{printable(name, 64)}: lost, {json.loads(state)['why'][0]}")
            await connection.publish(f"{root}/{name}/state", state, quality=1, retain=True)
