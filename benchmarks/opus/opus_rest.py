"""A node at rest: CPU and memory of the whole process on one mono stream of 24 kbit/s.

Two real nodes, `loalang-node run` with a sound sink that is paced and plays nowhere, hear the
same sender over UDP: one decodes by itself, the other by libopus. A third has no sender: what
the programme costs by itself. CPU is the kernel's account of the process (user and system)
between two instants; memory is what it holds then. The machine's other work does not count.

Options: `--seconds S` (default 60).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of, positive
from benchmarks.rig.rig_network import free_port

SPEECH: Final = Path(__file__).parents[2] / "sim" / "speech" / "announcement_vi.flac"
BITRATE: Final = 24_000
CPU_MAX_OF_LIBOPUS: Final = 2.0
"""Share of the CPU time that the node takes with libopus."""
_NODES: Final = {"own decoder": "own", "libopus": "libopus", "own decoder, no stream": "own"}
_SETTLE_S: Final = 5.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

Process = subprocess.Popen[str]


def run(arguments: list[str]) -> int:
    """Print CPU and memory of each node; return 1 when ours costs too much more."""
    parser = parser_of("opus_rest", __doc__)
    parser.add_argument("--seconds", type=positive, default=60.0)
    seconds = parser.parse_args(arguments).seconds
    rows: dict[str, dict[str, float | None]] = {}
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        ports = [free_port() for _ in _NODES]
        nodes = {
            name: opened.enter_context(_ended(_start_node(folder, port, decoder)))
            for (name, decoder), port in zip(_NODES.items(), ports, strict=True)
        }
        opened.enter_context(_ended(_start_sender(ports[:2])))
        time.sleep(_SETTLE_S)
        before = {name: _cpu_s(node.pid) for name, node in nodes.items()}
        began_s = time.monotonic()
        time.sleep(seconds)
        for name, node in nodes.items():
            spent_s = _cpu_s(node.pid) - before[name]
            rows[name] = {
                "cpu_percent_of_a_core": round(100 * spent_s / (time.monotonic() - began_s), 2),
                "rss_mb": round(_memory_mb(node.pid, "VmRSS"), 1),
                "rss_max_mb": round(_memory_mb(node.pid, "VmHWM"), 1),
            }
    table.show("opus_rest", f"One mono stream of 24 kbit/s for {seconds:g} s", rows)
    ours, theirs = (rows[name]["cpu_percent_of_a_core"] or 0.0 for name in list(_NODES)[:2])
    if ours > CPU_MAX_OF_LIBOPUS * theirs:
        print(f"opus_rest: {ours} % against {theirs} % with libopus")
        return 1
    return 0


@contextmanager
def _ended(process: Process) -> Iterator[Process]:
    """End `process` when the `with` block is left."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def _start_node(folder: Path, port: int, decoder: str) -> Process:
    """Start a node; return when it is ready."""
    config = folder / f"node-{port}.toml"
    config.write_text(
        f'name = "pole-{port}"\n[receive]\nlisten = "127.0.0.1:{port}"\n'
        f'[opus]\ndecoder = "{decoder}"\n[sink]\nkind = "null"\n'
    )
    node = subprocess.Popen(
        [sys.executable, "-P", "-m", "node.shell.cli", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert node.stderr is not None
    for line in node.stderr:
        if "ready" in line:
            return node
    raise SystemExit(f"opus_rest: a node ended before it was ready, status {node.wait()}")


def _start_sender(ports: list[int]) -> Process:
    to = [f"--to=127.0.0.1:{port}" for port in ports]
    options = [f"--bitrate={BITRATE}", "--loop", "--lead=0"]
    command = [sys.executable, "-P", "-m", "sim.sender.cli", *to, *options]
    return subprocess.Popen([*command, str(SPEECH)], stderr=subprocess.PIPE, text=True)


def _cpu_s(pid: int) -> float:
    """Return user and system time of a process so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_mb(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0
