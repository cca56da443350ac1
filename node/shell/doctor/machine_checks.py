"""Sound card, priority, clock, kernels, disk and memory of the machine."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.shell.clocks import clock_synchronised, utc_ns
from node.shell.config import ShellConfig
from node.shell.doctor.finding import Finding, fault, good, note
from node.shell.faults import ShellError
from node.shell.network.udp import UdpSocket
from node.units import NS_PER_S

PRIORITY_MIN: Final = 50
"""Of the unit: the thread that feeds the card goes before all else."""

DISK_BYTES_MIN: Final = 64 * 1024 * 1024
MEMORY_BYTES_MIN: Final = 64 * 1024 * 1024
BUILT_S: Final = 1_760_000_000
"""October 2025: a clock that shows less was never set."""

STAMPS_FILE: Final = Path("/proc/sys/net/ipv4/tcp_timestamps")
MEMORY_FILE: Final = Path("/proc/meminfo")
BLOCK_FOLDER: Final = Path("/sys/block")
WORN_TENTHS: Final = 9
"""JESD84-B51, DEVICE_LIFE_TIME_EST: 1 is up to a tenth of the erasures, 11 is more than all."""
SPARE_WARNING: Final = 2
"""JESD84-B51, PRE_EOL_INFO: four fifths of the spare blocks are used; 3 is nine tenths."""


def look_at_machine(node: NodeConfig, shell: ShellConfig) -> Iterator[Finding]:
    """Yield what was found of the machine."""
    yield _port(node)
    yield _card(shell)
    yield from _amplifier(node)
    yield _priority()
    yield _clock(shell)
    yield _kernels()
    yield _disk(shell)
    yield from _wear()
    yield _memory()
    yield _idle_data(shell)


def _port(node: NodeConfig) -> Finding:
    try:
        UdpSocket(node.receive).close()
    except ShellError as wrong:
        if wrong.in_use:
            return note(
                "port", f"{node.receive.listen} is in use", "by the running node? `ss -ulnp` says"
            )
        return fault("port", str(wrong), "mend [receive] in the configuration")
    return good("port", f"{node.receive.listen} can be listened on")


def _card(shell: ShellConfig) -> Finding:
    from node.shell.card.sound_card import list_cards

    if shell.sink.kind == "null":
        return note("sound card", 'sink.kind = "null": nothing sounds', 'set sink.kind = "card"')
    try:
        cards = list_cards()
    except ShellError as wrong:
        return fault("sound card", "none can be opened", str(wrong))
    wanted = shell.sink.device
    if not cards:
        return fault("sound card", "this machine has none", "`aplay -l`; plug one in")
    if wanted is not None and not any(wanted.lower() in one.lower() for one in cards):
        there = "; ".join(cards)
        return fault("sound card", f"none is called {wanted!r}", f"sink.device: one of {there}")
    return good("sound card", wanted or cards[0])


def _amplifier(node: NodeConfig) -> Iterator[Finding]:
    if (switch := node.amplifier.switch) is None:
        return
    if not os.access(switch, os.W_OK):
        there = "cannot be written to" if Path(switch).exists() else "is not there"
        remedy = "amplifier.switch: a file that this user may write to; see node.md"
        yield fault("amplifier", f"{switch} {there}", remedy)
    else:
        yield good("amplifier", f"{switch} can be written to")


def _priority() -> Finding:
    allowed, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if os.geteuid() == 0 or allowed >= PRIORITY_MIN or allowed == resource.RLIM_INFINITY:
        return good("priority", "real-time priority is allowed to who asks here")
    return note(
        "priority",
        f"real-time priority up to {allowed} is allowed to this user",
        "start the node by its unit: CPUSchedulingPolicy=fifo, LimitRTPRIO=60",
    )


def _clock(shell: ShellConfig) -> Finding:
    if utc_ns() // NS_PER_S < BUILT_S:
        return fault(
            "clock",
            "it shows a time before this software was made: only urgent orders act",
            "install chrony, reach a time server, or fit a clock chip",
        )
    if shell.control is not None and shell.control.clock == "trusted":
        return note("clock", "whatever it shows is believed", 'control.clock = "kernel" on a pole')
    if not clock_synchronised():
        return fault(
            "clock",
            "no time server has set it: only urgent orders act",
            "`chronyc sources` says which servers answer",
        )
    return good("clock", "set by a time server")


def _kernels() -> Finding:
    try:
        from node.kernel.shipped import misfit  # finds out what is here: a library, or numba
    except ImportError as wrong:
        return fault("kernels", str(wrong), "install the package for this machine again")
    if not misfit():
        return good("kernels", "a library that fits: nothing to compile")
    chosen = os.environ.get("LOALANG_KERNEL_CACHE")
    folder = Path(chosen) if chosen else Path(__file__).parents[2]
    if not folder.is_dir():
        return fault("kernels", f"{folder}: no such folder", "make it: LOALANG_KERNEL_CACHE")
    if next(folder.rglob("*.nbi"), None) is None and next(folder.rglob("*.so"), None) is None:
        return note(
            "kernels",
            f"none compiled in {folder}: the first start takes minutes",
            "`loalang-node check` with the LOALANG_KERNEL_CACHE of the unit",
        )
    return good("kernels", f"compiled, in {folder}")


def _disk(shell: ShellConfig) -> Finding:
    if shell.store.path is None:
        return fault("disk", "nothing is kept", "set store.path: orders, counters and proofs")
    folder = Path(shell.store.path).parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as wrong:
        return fault("disk", f"{folder}: {wrong.strerror}", "make the folder of store.path")
    if not os.access(folder, os.W_OK):
        return fault(
            "disk",
            f"{folder} cannot be written by this user",
            f"`chown loalang {folder}`; if the disk is read-only `dmesg` says why",
        )
    if free < DISK_BYTES_MIN:
        return fault("disk", f"{folder}: {free // 1_000_000} MB free", "free some space")
    return good("disk", f"{folder}: {free // 1_000_000} MB free")


def _wear() -> Iterator[Finding]:
    """Yield how worn each eMMC is; SD cards and USB sticks do not tell."""
    for one in sorted(BLOCK_FOLDER.glob("mmcblk*[0-9]/device/life_time")):
        name = one.parts[-3]
        try:
            used = max(int(word, 16) for word in one.read_text("ascii").split())
            spare = int(one.with_name("pre_eol_info").read_text("ascii"), 16)
        except (OSError, ValueError):
            continue
        if used >= WORN_TENTHS or spare >= SPARE_WARNING:
            told = "more than all" if used > 10 else f"{10 * max(used - 1, 0)} to {10 * used} %"
            yield fault(
                "wear",
                f"{name}: {told} of its life is used, spare blocks: {spare} of 3 steps to the end",
                "change it before it fails, then `loalang-station replace` and enrol",
            )
        else:
            yield good("wear", f"{name}: at most {10 * used} % of its life is used")


def _memory() -> Finding:
    try:
        lines = MEMORY_FILE.read_text("ascii").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, IndexError, StopIteration):
        return note("memory", "cannot be told here", "`free -m`")
    if kib * 1024 < MEMORY_BYTES_MIN:
        return fault("memory", f"{kib // 1024} MB free", "stop other programs; `top` names them")
    return good("memory", f"{kib // 1024} MB free")


def _idle_data(shell: ShellConfig) -> Finding:
    if shell.mqtt.host is None:
        return good("idle data", "no broker, no beats")
    try:
        stamps = STAMPS_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return good("idle data", "nobody can say here whether TCP's time stamps are on")
    if stamps == "0":
        return good("idle data", "TCP's time stamps are off")
    return note(
        "idle data",
        "TCP's time stamps are on: 10 MB a month of a mobile link, or more",
        "here or at the broker: `sysctl net.ipv4.tcp_timestamps=0`, and a file in /etc/sysctl.d",
    )
