"""What an order costs a node, in two trees: `python -m benchmarks order_cost --other TREE`.

A node of each tree runs at one mosquitto, with its own store on this disk. Both get the same
orders, `--turn` of them at a time: warnings that sound and are cancelled, then mutes. Told, with
this tree's share of the other's: the time from an order to its first sample; CPU time of a warning
with its cancel and the 0.4 s that both take, and of a mute less what the node spends at rest; and
what an order does to the disk, which strace counts in a run of its own: batches (a write that
something waits for: fsync, fdatasync), bytes, and blocks of 4 KiB that are written.

Options: --orders N (400), --turn N, --seed N, --only sound,cpu,writes. Ends with 1 where a figure
is more than 1.1 of the other tree's; of the times from order to sound only the longest count.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.options import count, parser_of
from benchmarks.rig.order_pole import Pole, Strokes
from node.config import ConfigError

RATIO_MAX: Final = 1.1
PARTS: Final = ("sound", "cpu", "writes")
_HERE: Final = Path(__file__).resolve().parents[2]
_COUNTED: Final = 20
"""Orders of each kind under strace: what each does to the disk is the same every time."""
_MUTES: Final = 10
_TURNS: Final = 12
_AT_REST_S: Final = 1.0
_WARN_S: Final = 0.25
_EVEN_S: Final = 2.0
"""What a store may put off it has written after so long."""
_REST_S: Final = 0.15

Row = tuple[str, float, float]


def run(arguments: list[str]) -> int:
    """Print the figures of both trees and their ratios; return 1 where one is above the limit."""
    parser = parser_of("order_cost", __doc__)
    parser.add_argument("--other", type=Path, required=True, help="root of the other tree")
    parser.add_argument("--orders", type=count, default=400, help="warnings for each tree")
    parser.add_argument("--turn", type=count, default=50, help="warnings in one turn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args(arguments)
    if not (options.other / "node" / "__init__.py").is_file():
        raise ConfigError(f"order_cost: {options.other}: must be the root of a tree of the project")
    parts = options.only.split(",")
    if not set(parts) <= set(PARTS):
        raise ConfigError(f"order_cost: --only {options.only}: must be of {', '.join(PARTS)}")
    if shutil.which("mosquitto") is None:
        print("order_cost: mosquitto is missing: apt install mosquitto", file=sys.stderr)
        return 2
    rng = np.random.default_rng(options.seed)
    rows: list[Row] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        port = opened.enter_context(broker(folder))

        def poles(traced: bool) -> list[Pole]:
            kind = "traced" if traced else "timed"
            made = [
                Pole(folder / f"{kind}-{number}", tree, port, traced=traced)
                for number, tree in enumerate((_HERE, options.other.resolve()))
            ]
            for one in made:
                opened.callback(one.stop)
                one.start()
            return made

        if {"sound", "cpu"} & set(parts):
            rows += _alternately(poles(traced=False), options.orders, options.turn, rng, parts)
        if "writes" in parts:
            if shutil.which("strace") is None:
                print("order_cost: strace is missing: apt install strace", file=sys.stderr)
                return 2
            rows += _writes(poles(traced=True))
    return int(max(_shown(rows), default=0.0) > RATIO_MAX)


def _shown(rows: list[Row]) -> list[float]:
    """Print the table; return the ratios of what may not be more."""
    print(f"{'':44} {'this':>10} {'other':>10} {'ratio':>7}")
    ratios = [here / there if there else float(here > 0) for _, here, there in rows]
    for (name, here, there), ratio in zip(rows, ratios, strict=True):
        print(f"{name:44} {here:10.4g} {there:10.4g} {ratio:7.3f}")
    return [one for (name, *_), one in zip(rows, ratios, strict=True) if _counts(name)]


def _counts(name: str) -> bool:
    return "p99.9" in name or (name.endswith(("ms", "written")) and "sound" not in name)


def _alternately(
    poles: list[Pole], orders: int, turn: int, rng: np.random.Generator, parts: list[str]
) -> list[Row]:
    """Warn both poles by turns, then mute them by turns."""
    warned_ns: list[list[int]] = [[], []]
    spent: dict[str, list[float]] = {"warning, cancelled": [0.0, 0.0], "mute": [0.0, 0.0]}
    for _ in range(-(-orders // turn)):
        for number, pole in enumerate(poles):
            begin_cpu_s = pole.spent_s()
            for _ in range(turn):
                warned_ns[number].append(pole.warn())
                time.sleep(_WARN_S)
                pole.cancel()
                time.sleep(_REST_S + float(rng.uniform(0, 0.02)))
            spent["warning, cancelled"][number] += pole.spent_s() - begin_cpu_s
    done = len(warned_ns[0])
    spent["mute"] = _muted(poles)
    rows: list[Row] = []
    if "sound" in parts:
        waited = [pole.waited_ms(begun) for pole, begun in zip(poles, warned_ns, strict=True)]
        for name, share in (("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)):
            here, there = (float(np.percentile(one, share)) for one in waited)
            rows.append((f"order to sound {name} of {done}, ms", here, there))
        mine, others = (float(done - len(one)) for one in waited)
        rows.append(("not told apart from the one before", mine, others))
    if "cpu" in parts:
        for name, (here, there) in spent.items():
            each = 1 if name == "mute" else done
            rows.append((f"CPU, {name}, ms", 1e3 * here / each, 1e3 * there / each))
    return rows


def _muted(poles: list[Pole]) -> list[float]:
    """Mute the poles by turns; return the CPU s of a mute above rest, at the median turn."""
    found: list[list[float]] = [[], []]
    for _ in range(_TURNS):
        for number, pole in enumerate(poles):
            begin_cpu_s = pole.spent_s()
            time.sleep(_AT_REST_S)
            idle_share = (pole.spent_s() - begin_cpu_s) / _AT_REST_S
            begin_s, begin_cpu_s = time.monotonic(), pole.spent_s()
            for _ in range(_MUTES):
                pole.mute()
                time.sleep(0.05)
            time.sleep(0.5)
            spent_s = pole.spent_s() - begin_cpu_s
            found[number].append((spent_s - idle_share * (time.monotonic() - begin_s)) / _MUTES)
    return [float(np.median(one)) for one in found]


def _writes(poles: list[Pole]) -> list[Row]:
    """Return what each kind of order does to the disk."""
    rows: list[Row] = []
    series: tuple[tuple[tuple[str, Callable[[Pole], object]], ...], ...] = (
        (("warning", Pole.warn), ("cancel", Pole.cancel)),
        (("mute", Pole.mute),),
    )
    counted: list[dict[str, Strokes]] = [{}, {}]
    for number, pole in enumerate(poles):
        for kinds in series:
            for _ in range(_COUNTED):
                for name, send in kinds:
                    send(pole)
                    time.sleep(0.4)
                    counted[number].setdefault(name, Strokes()).add(pole.strokes())
            time.sleep(_EVEN_S)
            counted[number][name].add(pole.strokes())
    for name in counted[0]:
        here, there = (one[name].each(_COUNTED) for one in counted)
        for what, mine, other in zip(("batches", "bytes", "blocks"), here, there, strict=True):
            rows.append((f"{name}: {what} written", mine, other))
    return rows


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run mosquitto for anybody on loopback; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 5
        while True:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > end_s:
                raise SystemExit("order_cost: mosquitto did not start")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
