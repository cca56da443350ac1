"""Broker, certificates, stored sounds, and what the store remembers of orders and of sound."""

import asyncio
import os
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from node.config import ConfigError, NodeConfig
from node.control.controller import Controller
from node.control.proof.proof import Entry, lines_of
from node.shell.broker import guest
from node.shell.broker.connection import LinkLostError, Login
from node.shell.broker.outbox import PREFIX as OUTBOX
from node.shell.broker.paho_connection import connect
from node.shell.clocks import utc_ns
from node.shell.config import MqttConfig, ShellConfig
from node.shell.doctor.finding import Finding, fault, good, note
from node.shell.doctor.loop_checks import look_at_loop
from node.shell.enrol.known_time import clock_of, known_by
from node.shell.faults import ShellError
from node.shell.govern import missing_sounds, stored_sounds
from node.shell.keys.credentials import read_password, tls_context
from node.shell.keys.floor_tls import KnownTime
from node.shell.rule_files import read_rules
from node.shell.store.copies import join
from node.shell.store.one_copy import FILE_BYTES_MAX, FileContent, read_file
from node.shell.store.read import copies_of, read_kept
from node.units import NS_PER_S

SOON_S: Final = 180 * 86_400
"""A certificate that ends within half a year is told of."""

_FILES: Final = ("ca_file", "certificate_file")


def look_at_trust(node: NodeConfig, shell: ShellConfig, *, network: bool) -> Iterator[Finding]:
    """Yield what was found of everything that has to do with others."""
    kept = _kept(shell)
    if shell.mqtt.host is not None:
        # By the floor, as the node judges them: a clock that was never set blames no certificate.
        known = None if shell.control is None else known_by(clock_of(shell.control, kept))
        yield from _credentials(shell.mqtt, known)
        if network:
            yield _broker(shell.mqtt, known)
    else:
        yield note("broker", "none: no orders come", "set [mqtt] host")
    yield from _store(shell)
    yield from _orders(node, shell, kept)
    yield from _past(kept)
    yield from look_at_loop(shell.loop, kept, time.time())


def _credentials(config: MqttConfig, known: KnownTime | None) -> Iterator[Finding]:
    try:
        read_password(config.password_file)
        tls_context(config)
    except ShellError as wrong:
        yield fault("credentials", str(wrong), "mend the file, or its name in [mqtt]")
        return
    if config.ca_file is None:
        yield note("credentials", "no TLS: who sees the network sees all", "set mqtt.ca_file")
    for name in ("password_file", "key_file"):
        path = getattr(config, name)
        if path is not None and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            yield fault("credentials", f"mqtt.{name}: others may read {path}", f"chmod 600 {path}")
    for name in _FILES:
        path = getattr(config, name)
        if path is not None:
            now_s = time.time() if known is None else known()[0]
            yield _certificate(f"mqtt.{name}", Path(path), now_s)


def _certificate(name: str, path: Path, now_s: float) -> Finding:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as wrong:
        return fault("certificate", f"{name} {path}: {wrong}", "must be PEM")
    ends = min(one.not_valid_after_utc for one in found)
    left_s = ends.timestamp() - now_s
    if left_s <= 0:
        return fault("certificate", f"{name} {path} ended on {ends:%Y-%m-%d}", "get a new one")
    if left_s < SOON_S:
        return note(
            "certificate",
            f"{name} {path} ends on {ends:%Y-%m-%d}",
            "`loalang-station send` renews it",
        )
    return good("certificate", f"{name} is good until {ends:%Y-%m-%d}")


def _broker(config: MqttConfig, known: KnownTime | None) -> Finding:
    assert config.host is not None
    where = f"{config.host}:{config.port}"
    login = guest.login(config, "doctor", known=known)
    try:
        asyncio.run(_greet(login))
    except LinkLostError as wrong:
        text = str(wrong)
        if "refused:" in text:
            remedy = "name, password or certificate are not what the broker's list has"
        elif isinstance(wrong.__cause__, socket.gaierror) or "resol" in text or "Name" in text:
            remedy = "is the network up? `resolvectl query` asks for the name"
        elif "certificate" in text:
            remedy = "mqtt.ca_file must be that of the broker, and the clock right"
        else:
            remedy = f"is the network up, the broker running, {config.port} its port?"
        return fault("broker", f"{where}: {text}", remedy)
    return good("broker", f"{where} lets us in")


async def _greet(login: Login) -> None:
    connection = await connect(login)
    await connection.close()


def _store(shell: ShellConfig) -> Iterator[Finding]:
    if shell.store.path is None:
        return
    path = Path(shell.store.path)
    contents: dict[str, FileContent | None] = {}
    for copy in copies_of(path):
        try:
            with copy.open("rb") as file:
                contents[copy.name] = read_file(file.read(FILE_BYTES_MAX))
        except FileNotFoundError:
            contents[copy.name] = None
        except OSError as wrong:
            yield fault("store", f"{copy}: {wrong.strerror}", "run doctor as the node's user")
            return
    if all(one is None for one in contents.values()):
        yield note("store", f"{path}: not there yet", "the first start makes it")
        return
    joined = join(contents)
    if joined.lost:
        yield fault(
            "store",
            f"{path}: damaged in both copies",
            "start the node, publish certificates and plans again; replace the disk",
        )
    elif joined.repaired:
        yield note("store", "; ".join(joined.repaired), "the next start mends it; watch the disk")
    else:
        yield good("store", f"{path}: two whole copies, {len(joined.values)} keys")
    if path.with_name(path.name + ".damaged").exists():
        yield note("store", f"{path}.damaged is there", "both copies were damaged once; delete it")


def _kept(shell: ShellConfig) -> Mapping[str, bytes]:
    if shell.store.path is None:
        return {}
    try:
        return read_kept(Path(shell.store.path))
    except ShellError:
        return {}


def _orders(node: NodeConfig, shell: ShellConfig, kept: Mapping[str, bytes]) -> Iterator[Finding]:
    control = shell.control
    if control is None:
        yield note("orders", "no [control]: it plays whatever comes", "set [control] on a pole")
        return
    sounds = stored_sounds(control)
    missing = missing_sounds(control, sounds.by_name, sounds)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield fault("stored sounds", missing[0] + more, "`loalang-node keep FILE --folder FOLDER`")
    else:
        yield good("stored sounds", f"{len(sounds.by_name) // 2}, and none is missing")
    known = sum(key.startswith("certificate/") and bool(value) for key, value in kept.items())
    if known:
        yield good("authorities", f"{known} beside the root")
    else:
        yield note("authorities", "only the root may order", "publish certificates to this node")
    try:
        controller = Controller(node.name, control, read_rules(control.rules), dict(kept))
    except ConfigError as wrong:
        yield fault("rules", str(wrong), "mend control.rules")
        return
    controller.receive_time(utc_ns(), 0, synchronised=True)
    due_ns = controller.next_deadline_ns()
    if due_ns is None:
        yield good("next", "nothing is planned")
    else:
        at = datetime.fromtimestamp((utc_ns() + due_ns) // NS_PER_S, UTC)
        yield good("next", f"something is due at {at:%Y-%m-%d %H:%M} UTC")


def _past(kept: Mapping[str, bytes]) -> Iterator[Finding]:
    lines = lines_of(kept)
    if not lines:
        yield good("last", "nothing has played yet")
    for line in lines[-3:]:
        record = msgspec.json.decode(line, type=Entry).record
        when = datetime.fromtimestamp(max(record.started_s, record.due_s), UTC)
        text = f"{when:%Y-%m-%d %H:%M} UTC {record.name}: {record.outcome}"
        reason = f", {record.reason}" if record.reason else ""
        played = record.outcome == "played"
        yield good("last", text + reason) if played else note("last", text + reason, "see `proof`")
    waiting = sum(key.startswith(OUTBOX) and bool(value) for key, value in kept.items())
    if waiting:
        yield note("answers", f"{waiting} wait for the broker", "see `broker` above")
