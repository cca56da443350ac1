"""What a node holds in memory and what its start takes, counted and not timed.

Bytes are those of the arrays that a node holds: equal on every machine, unlike what a process
takes. Kernels and packages are what `loalang-node run` has loaded when it can play. How
long that takes is `speed`'s.

Options: --fast (the same: it takes seconds), --row NAME (one row alone).
"""

import gc
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final

import numpy as np

from benchmarks import table
from benchmarks.options import fast_and_row
from node.config import ConfigError, NodeConfig
from node.opus.decoder import OpusDecoder
from node.rtp import packet
from node.stack import SpeakerNode
from node.units import NS_PER_MS
from sim.station import payloads
from sim.village import scenario

STREAMS: Final = {"idle": 0, "one stream": 1, "four streams": 4}
START: Final = "start"

_SECONDS: Final = 5
_PACKET_MS: Final = 20
_PERIOD_SAMPLES: Final = 480
_BEGIN_NS: Final = 3_600_000_000_000
_BEHIND_NS: Final = 40 * NS_PER_MS
_OPAQUE: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, np.dtype)
"""What is held once whatever the number of nodes: nothing behind these is a node's own."""

STARTED: Final = "node.shell.cli, node.shell.govern, node.joined, node.opus.decoder"
"""What `loalang-node run` loads until it can play."""

_START_AND_COUNT: Final = """
import builtins, json, sys
import node.kernel

counted = dict.fromkeys(("kernels", "packages"), 0)

def counting(decorator):
    def decorate(signature):
        counted["kernels"] += 1
        return decorator(signature)
    return decorate

# An inner kernel waits for a caller to be compiled: no start loads it (`node.kernel.inner`).
node.kernel.kernel = counting(node.kernel.kernel)

packages = set()
plain_import = builtins.__import__

def watched_import(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").startswith("node."):
        packages.add(name.partition(".")[0])
    return plain_import(name, globals, locals, fromlist, level)

builtins.__import__ = watched_import
import {started}
counted["packages"] = len(packages - set(sys.stdlib_module_names) - {"node"})
print(json.dumps(counted))
"""
"""Counts what our own modules ask for: what their packages load beside is not ours."""


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the figures of each row.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    if row not in (None, START, *STREAMS):
        raise ConfigError(f"--row {row!r}: must be one of {', '.join([*STREAMS, START])}")
    found: dict[str, dict[str, float | None]] = {
        name: _held(_node(count)) for name, count in STREAMS.items() if row in (None, name)
    }
    if row in (None, START):
        found[START] = _started()
    return found


def run(arguments: list[str]) -> int:
    """Print and write the figures; return 0."""
    fast, row = fast_and_row("footprint", __doc__, arguments)
    table.show(
        "footprint", "What a node holds, and what its start loads", measure(fast=fast, row=row)
    )
    return 0


def _node(streams: int) -> SpeakerNode:
    """Return a node that has heard so many streams at once for some seconds."""
    node = SpeakerNode(NodeConfig(name="footprint"), decoder_factory=OpusDecoder)
    asked = scenario.load("perfect")
    path = scenario.sound_file(asked)
    assert path is not None, "it ships"
    programme = payloads.load(path, asked.sender)
    out = np.zeros((_PERIOD_SAMPLES, 1), np.float32)
    for number in range(_SECONDS * 1000 // _PACKET_MS):
        at_ns = _BEGIN_NS + number * _PACKET_MS * NS_PER_MS
        for ssrc in range(1, streams + 1):
            data = packet.build(
                payload=programme.payloads[number],
                payload_type=96,
                sequence=number,
                timestamp=number * _PACKET_MS * 48,
                ssrc=ssrc,
                marker=number == 0,
            )
            node.receive_datagram(data, ("10.0.0.1", 5000 + 2 * ssrc), at_ns)
        node.handle_deadline(at_ns)
        for half in range(2):
            node.render(out, at_ns + _BEHIND_NS + half * 10 * NS_PER_MS)
        while node.next_event() is not None:
            pass
    return node


def _held(node: SpeakerNode) -> dict[str, float | None]:
    """Return number and bytes of the arrays that only this node holds."""
    others = {id(one) for one in _arrays(_module_values())}
    arrays = [one for one in _arrays([node]) if id(one) not in others]
    return {"arrays": float(len(arrays)), "array_bytes": float(sum(one.nbytes for one in arrays))}


def _module_values() -> list[object]:
    """Return what the modules hold: tables that all nodes share."""
    ours = [m for name, m in sys.modules.items() if name.partition(".")[0] in ("node", "sim")]
    return [value for module in ours for value in vars(module).values()]


def _arrays(roots: Iterable[object]) -> list[np.ndarray]:
    """Return each array that is reached from `roots`, once; of a view, what it is a view of."""
    waiting, seen, found = deque(roots), set[int](), []
    while waiting:
        one = waiting.popleft()
        if id(one) in seen or isinstance(one, _OPAQUE):
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            if isinstance(one.base, np.ndarray):
                waiting.append(one.base)
            else:
                found.append(one)
        waiting.extend(gc.get_referents(one))
    return found


def _started() -> dict[str, float | None]:
    command = [sys.executable, "-P", "-c", _START_AND_COUNT.replace("{started}", STARTED)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return {f"{name}_loaded": float(count) for name, count in told.items()}
