"""The same question to simulators that go from event to event: SimPy and ns-3, where installed.

Each of so many clusters gets a packet every 20 ms over a link of its own (Gilbert-Elliott or random
loss, a queue, jitter, the order kept) and plays it a fixed time after it was sent; counted is what
was played and what was not. That is less than tier T3 does: no clocks, no CPU, no time base, no
journal, no delays by stage. What it costs is CPU time of the run alone.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_PACKET_S: Final = 0.02
_PLAYOUT_S: Final = 0.8
_ONE_WAY_S: Final = 0.03
_JITTER_S: Final = 0.008
_TRANSMIT_S: Final = 0.0002
_ENTER_LOSS: Final = 0.002
_LEAVE_LOSS: Final = 0.5
_SOURCE: Final = Path(__file__).with_name("event_by_event.cc")
_NS3: Final = ("ns3-point-to-point", "ns3-internet", "ns3-applications")

Figures = dict[str, float | None]


def rows(clusters: int, duration_s: float) -> dict[str, Figures]:
    """Return what each of them costs; one that is not installed is named on standard error."""
    found: dict[str, Figures] = {}
    if find_spec("simpy") is None:
        print("SimPy is not installed (pip install simpy): left out", file=sys.stderr)
    else:
        code = f"from benchmarks.village.event_by_event import one; one({clusters}, {duration_s})"
        found["SimPy"] = _figures([sys.executable, "-P", "-c", code], clusters * duration_s)
    if (
        shutil.which("g++") is None
        or subprocess.run(["pkg-config", "--exists", *_NS3], check=False).returncode
    ):
        print(
            "ns-3 is not installed (Debian: libns3-dev, libgsl-dev, g++, pkg-config): left out",
            file=sys.stderr,
        )
        return found
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "ns3")
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", *_NS3], capture_output=True, text=True, check=True
        )
        subprocess.run(
            ["g++", "-O2", "-o", program, str(_SOURCE), *flags.stdout.split()], check=True
        )
        found["ns-3"] = _figures([program, str(clusters), str(duration_s)], clusters * duration_s)
    return found


def one(clusters: int, duration_s: float) -> None:
    """Print what SimPy takes as JSON: the work of a child process."""
    simpy: Any = import_module("simpy")
    began_s = time.process_time()
    environment = simpy.Environment()
    counts = [0, 0]
    for number in range(clusters):
        came: set[int] = set()
        rng = random.Random(number)
        packets = round(duration_s / _PACKET_S)
        environment.process(_link(environment, rng, packets, came))
        environment.process(_playout(environment, packets, came, counts))
    environment.run()
    print(json.dumps({"cpu_s": time.process_time() - began_s, "played": counts[1],
                      "missing": counts[0]}))  # fmt: skip


def _link(environment: Any, rng: random.Random, packets: int, came: set[int]) -> Iterator[Any]:
    """Send each packet on its way."""
    is_bad = False
    free_s = newest_s = 0.0
    for number in range(packets):
        yield environment.timeout(_PACKET_S)
        is_bad = rng.random() >= _LEAVE_LOSS if is_bad else rng.random() < _ENTER_LOSS
        if is_bad:
            continue
        free_s = max(environment.now, free_s) + _TRANSMIT_S
        newest_s = max(newest_s, free_s + _ONE_WAY_S + rng.gammavariate(2.0, _JITTER_S / 2))
        event = environment.timeout(newest_s - environment.now, number)
        event.callbacks.append(lambda event: came.add(event.value))


def _playout(environment: Any, packets: int, came: set[int], counts: list[int]) -> Iterator[Any]:
    """Play each packet in its time."""
    yield environment.timeout(_PLAYOUT_S)
    for number in range(packets):
        yield environment.timeout(_PACKET_S)
        counts[number in came] += 1
        came.discard(number)


def _figures(command: list[str], node_seconds: float) -> Figures:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu_s = float(json.loads(done.stdout.splitlines()[-1])["cpu_s"])
    return {
        "cpu_s": round(cpu_s, 2),
        "node_seconds_per_cpu_s": round(node_seconds / cpu_s, 1),
    }
