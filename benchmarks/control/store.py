"""What a node keeps, under power cuts, cut-off and damaged files, and disks that refuse.

Each cut falls into a random byte of a random history of writes, and half of them spoil up to 4 KiB
before it in that file: what was told to be durable must be there afterwards, and of what was not,
whole batches or nothing. Each truncation of either copy, and
each flipped bit, must cost nothing, and a revocation never; nor may SIGKILL of a process before,
in and after each of its writes to a real disk. Options: --cuts N, --flips N, --seed N;
truncations are tried at every length.
"""

import errno
import logging
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.control.disks.dying import kills
from benchmarks.control.disks.torn import TornDisk
from benchmarks.options import count, parser_of
from node.control.trust.ahead import PREFIX
from node.shell.store.read import copies_of
from node.shell.store.store import Store

_PATH: Final = Path("/kept.db")
_BATCHES: Final = (
    {f"certificate/{n:02}": bytes([n]) * 150 for n in range(3)}
    | {"revocation/ab-7": b"r" * 120, "counters": b"{}", "shell/seed": b"s" * 32},
    {"alerts": b"a" * 300},
    {"counters": b"{1}", "alerts": b"b" * 100},
    {"x": b""},
)
_ALL: Final = {key: value for one in _BATCHES for key, value in one.items()}
_WAIT_S: Final = 10.0
_SLOW_S: Final = 2.0


def run(arguments: list[str]) -> int:
    """Print how many of each were tried and what failed; return 1 when anything did."""
    parser = parser_of("store", __doc__)
    parser.add_argument("--cuts", type=count, default=10_000, help="power cuts")
    parser.add_argument("--flips", type=count, default=10_000, help="bits, in either copy")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.getLogger("loalang.store").setLevel(logging.CRITICAL)
    rng = np.random.default_rng(options.seed)
    files = _written()
    failed = 0
    for name, faults in (
        ("power cuts", [_cut(rng) for _ in range(options.cuts)]),
        ("truncations, every length of either copy", _truncations(files)),
        ("flipped bits", [_flip(files, rng) for _ in range(options.flips)]),
        ("kills of a process at each write to a real disk", kills(_orders())),
        ("full, failing and read-only disks", [_refused(n) for n in _REFUSALS]),
        (f"a disk that takes {_SLOW_S:.0f} s for a write", [_slow()]),
    ):
        bad = [one for one in faults if one is not None]
        failed += len(bad)
        print(f"{len(faults):6} {name}: {len(bad)} failed {bad[0] if bad else ''}")
    print(f"slowest start {1e3 * max(_starts_s):.1f} ms")
    return 1 if failed else 0


_REFUSALS: Final = (errno.ENOSPC, errno.EIO, errno.EROFS)
_starts_s: list[float] = [0.0]


def _opened(files: dict[Path, bytes]) -> tuple[Store, dict[str, bytes]]:
    """Start on a disk that holds `files`, and let the store mend what it mends."""
    begun_s = time.perf_counter()
    store = Store(_PATH, disk=TornDisk(files))
    _starts_s[0] = max(_starts_s[0], time.perf_counter() - begun_s)
    store.close()
    return store, store.kept()


def _settled(store: Store, number: int, disk: TornDisk) -> bool:
    """Wait until a batch is on the disk; return False when the power failed before."""
    end_s = time.monotonic() + _WAIT_S
    while store.durable < number:
        if disk.dark or time.monotonic() > end_s:
            return False
        time.sleep(0)
    return True


def _written() -> dict[Path, bytes]:
    disk = TornDisk()
    store = Store(_PATH, disk=disk)
    for one in _BATCHES:
        _settled(store, store.keep_soon(one), disk)
    store.close()
    return disk.files


def batch(number: int, size_bytes: int, kind: int) -> dict[str, bytes]:
    """Return changes: 0 of no order, 1 an order that has not acted yet, 2 what one did."""
    part = PREFIX if kind == 1 else ""
    changes = {f"{part}k{number % 3}": bytes([number]) * size_bytes, f"{part}last": bytes([number])}
    return changes | ({f"{PREFIX}0": b""} if kind == 2 else {})


def _orders() -> list[dict[str, bytes]]:
    """Return what a node keeps that is certified, ordered and told of a revocation."""
    return [*_BATCHES, *(batch(n, 200, kind) for n, kind in enumerate((1, 2, 1, 1, 2, 2, 0, 1, 2)))]


def _cut(rng: np.random.Generator) -> str | None:
    """Lose the power somewhere in a history of writes; return what is wrong afterwards."""
    sizes = rng.integers(1, 400, rng.integers(1, 13)).tolist()
    batches = []
    for n, size in enumerate(sizes):
        batches.append(batch(n, size, int(rng.integers(0, 3))))
    disk = TornDisk()
    disk.spoils_bytes = int(rng.integers(0, 2) * rng.integers(1, 4096))
    disk.cut_at = int(rng.integers(1, 2 * sum(sizes) + 150 * len(sizes) + 200))
    store = Store(_PATH, disk=disk)
    durable = -1
    for n, one in enumerate(batches):
        if not _settled(store, store.keep_soon(one), disk):
            break
        durable = n
    store.close()
    after, values = _opened(disk.files)
    last = max((value[0] for key, value in values.items() if key.endswith("last")), default=-1)
    whole = {key: value for one in batches[: last + 1] for key, value in one.items()}
    if last < durable or values != whole or after.trust_lost:
        return f"cut at byte {disk.cut_at}: {durable} was durable, {last} is there"
    return None


def _truncations(files: dict[Path, bytes]) -> list[str | None]:
    return [
        _wrong(files | {path: files[path][:size]}, f"{path.name} cut off after {size} bytes")
        for path in copies_of(_PATH)
        for size in range(len(files[path]))
    ]


def _flip(files: dict[Path, bytes], rng: np.random.Generator) -> str | None:
    path = copies_of(_PATH)[int(rng.integers(0, 2))]
    spoiled = bytearray(files[path])
    bit = int(rng.integers(0, 8 * len(spoiled)))
    spoiled[bit // 8] ^= 1 << bit % 8
    return _wrong(files | {path: bytes(spoiled)}, f"bit {bit} of {path.name} flipped")


def _wrong(files: dict[Path, bytes], what: str) -> str | None:
    """Return `what` when one whole copy does not give everything back."""
    store, values = _opened(files)
    return None if values == _ALL and not store.trust_lost else what


def _refused(number: int) -> str | None:
    """Let a disk refuse twenty writes: nobody waits, it is told, and nothing is durable."""
    disk = TornDisk()
    disk.refuse = [number] * 20
    store = Store(_PATH, disk=disk)
    begun_s = time.perf_counter()
    kept = store.keep_soon({"a": b"1"})
    waited_s = time.perf_counter() - begun_s
    end_s = time.monotonic() + _WAIT_S
    while store.fault() is None and time.monotonic() < end_s:
        time.sleep(0.001)
    well = store.fault() is not None and store.durable < kept and store.kept() == {"a": b"1"}
    store.close()
    return None if well and waited_s < 0.5 else errno.errorcode[number]


def _slow() -> str | None:
    """Keep a hundred things while one write takes two seconds: none of them waits for it."""
    disk = TornDisk()
    disk.slow_s = _SLOW_S
    store = Store(_PATH, disk=disk)
    slowest_s = 0.0
    for n in range(100):
        begun_s = time.perf_counter()
        store.keep_soon({f"k{n}": b"1"})
        slowest_s = max(slowest_s, time.perf_counter() - begun_s)
    disk.slow_s = 0.0
    store.close()
    return None if slowest_s < _SLOW_S / 4 else f"waited {slowest_s:.2f} s"
