"""`loalang-node check`: what the node would run with, and all kernels compiled ahead."""

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import node as root
from node.config import NodeConfig
from node.opus.protocol import Decoder
from node.shell.config import ShellConfig
from node.shell.faults import ShellError
from node.shell.network.udp import UdpSocket

_OWN_DECODER = ("node.opus.decoder", "OpusDecoder")


def check(node: NodeConfig, shell: ShellConfig, path: Path) -> int:
    """Print what `run` would use, compile what it would compile; return the exit status."""
    print(f"configuration  {path}: good")
    print(f"node           {node.name}, listens on {node.receive.listen}", end="")
    print(f", group {node.receive.multicast_group}" if node.receive.multicast_group else "")
    print(f"playout        {node.jitter.mode}, {node.jitter.playout_delay_ms} ms", flush=True)
    _check_rules(node, shell)
    warm_up()
    decoder_factory(node)(48_000, node.audio.channels)
    print(f"decoder        {node.opus.decoder}: good")
    fault = _check_socket(node)
    fault = _check_card(shell) or fault
    store = shell.store.path
    print(f"store          {store}" if store else "store          none: nothing survives a restart")
    broker = f"{shell.mqtt.host}:{shell.mqtt.port}" if shell.mqtt.host else "none"
    print(f"broker         {broker}")
    _check_loop(shell)
    fault = _check_sounds(shell) or fault
    if fault is None:
        return 0
    print(f"loalang-node: {fault}", file=sys.stderr)
    return fault.exit_status


def warm_up() -> None:
    """Import every module of the core, which compiles its kernels or finds them in the cache."""
    from node.kernel.shipped import library

    if library() is not None:
        print("kernels        from the library that was shipped", flush=True)
        return
    from node.kernel.inner import compile_inner  # loads the compiler: only this needs it

    names = list(core_modules())
    begin = time.monotonic()
    for index, name in enumerate(names, 1):
        one = time.monotonic()
        compile_inner(importlib.import_module(name))
        took_s = time.monotonic() - one
        if took_s > 0.5 or index == len(names):
            print(f"kernels        {index:3d}/{len(names)} {name} {took_s:.1f} s", flush=True)
    print(f"kernels        ready after {time.monotonic() - begin:.1f} s", flush=True)


def decoder_factory(node: NodeConfig) -> Callable[[int, int], Decoder]:
    """Return what makes the decoder that table `[opus]` names; see `decoder_of`."""
    return decoder_of(node.opus.decoder)


def decoder_of(name: str) -> Callable[[int, int], Decoder]:
    """Return what makes the decoder `own` or `libopus`.

    Raises
    ------
    ShellError
        If that decoder is not part of this installation.
    """
    if name == "libopus":
        try:
            from node.opus.libopus import LibopusDecoder
        except (ImportError, OSError) as fault:
            raise ShellError(
                f"opus.decoder = 'libopus': {fault}; `pip install opuslib-next-bundled`"
            ) from fault
        return LibopusDecoder
    module, own = _OWN_DECODER
    try:
        made: Callable[[int, int], Decoder] = getattr(importlib.import_module(module), own)
    except (ImportError, AttributeError) as fault:
        raise ShellError("opus.decoder = 'own': not in this version; take 'libopus'") from fault
    return made


def _check_socket(node: NodeConfig) -> ShellError | None:
    """Bind and join as `run` does; return what keeps packets from coming."""
    try:
        UdpSocket(node.receive).close()
    except ShellError as fault:
        if not fault.in_use:
            return fault
        print("socket         the port is in use, by the running node or another program")
    else:
        print("socket         good")
    return None


def _check_rules(node: NodeConfig, shell: ShellConfig) -> None:
    """Read what `run` reads to obey orders: rule files, zones, plans; print which rules hold."""
    from node.control.controller import Controller
    from node.shell.rule_files import read_rules

    if shell.control is not None:
        rules = read_rules(shell.control.rules)
        Controller(node.name, shell.control, rules, {})
        print(f"rules          {', '.join(one.name for one in rules) or 'none'}")


def _check_sounds(shell: ShellConfig) -> ShellError | None:
    """Print what stored sounds are missing; return a fault if there are any."""
    from node.shell.govern import missing_sounds, stored_sounds

    if shell.control is None:
        print("orders         none: it plays whatever comes")
        return None
    sounds = stored_sounds(shell.control)
    missing = missing_sounds(shell.control, sounds.by_name, sounds)
    count = sum(not name.startswith("sha1:") for name in sounds.by_name)
    print(f"orders         of {shell.control.area}, {count} stored sounds")
    for line in missing:
        print(f"               {line}")
    return ShellError(f"{len(missing)} stored sounds are missing") if missing else None


def _check_loop(shell: ShellConfig) -> None:
    """Print what listens to the horn, and what it cannot tell; `doctor` looks at it."""
    from node.shell.doctor.loop_checks import NO_REFERENCE

    loop = shell.loop
    wired = f"{loop.kind}, {loop.device or loop.file}" if loop.is_wired else "none"
    print(f"loop           {wired}")
    if loop.is_wired and loop.kind == "microphone" and loop.reference_db is None:
        print("".join(f"{'':15}{one}\n" for one in NO_REFERENCE), end="")


def core_modules() -> Iterator[str]:
    """Yield the name of every module of the node but its shell's."""
    for info in pkgutil.walk_packages(root.__path__, "node."):
        if not info.name.startswith("node.shell") and not info.ispkg:
            yield info.name


def _check_card(shell: ShellConfig) -> ShellError | None:
    """Print the cards and which one `run` takes; return what is wrong with the wanted one."""
    from node.shell.card.sound_card import list_cards

    try:
        cards = list_cards()
    except ShellError as fault:
        print("sound cards    none")
        return fault if shell.sink.kind == "card" else None
    print("sound cards    " + ("; ".join(cards) or "none"))
    if shell.sink.kind == "null":
        print("sink           null")
        return None
    wanted = shell.sink.device
    if not cards:
        return ShellError("sink.kind = 'card': this machine has none; plug one in or take 'null'")
    if wanted is not None and not any(wanted.lower() in card.lower() for card in cards):
        return ShellError(f"sink.device = {wanted!r}: none of these cards", exit_status=2)
    print(f"sink           card {wanted or '(default)'}")
    return None
