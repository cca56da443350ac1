"""`loalang-node key` and `loalang-node order`: make a key, and sign an order with it.

The order is one file of bytes. Whoever carries it, broker or memory stick, cannot change it:

    loalang-node publish ORDER.bin --broker HOST:PORT --village VILLAGE --node NAME
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from node.address import split_host_port
from node.control.names import composed
from node.control.orders import JOIN_KEY_BYTES, Session
from node.control.precedence import CLASSES, MessageClass, PriorityConfig
from node.control.proof.self_tests import TESTS
from node.control.trust.authority import Certificate, Revocation, Together, proper_area
from node.control.trust.certificate import WHAT
from node.control.trust.message import (
    AREA_BYTES_MAX,
    COSIGNATURES_MAX,
    DOCUMENT_BYTES_MAX,
    TTL_MAX_S,
    Kind,
    Message,
    open_envelope,
    seal,
)
from node.control.trust.packet_guard import SRTP_KEY_BYTES
from node.control.trust.signature import PUBLIC_KEY_BYTES, SeedSigner, key_id
from node.control.warning.short_alert import encode_short
from node.shell.commands.cosign import cosigned, told, with_signatures
from node.shell.config import read_config
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.files import read_regular, read_toml_bytes
from node.shell.poles.pole_list import pole_entry
from node.shell.poles.readable import cap_doubts, cap_fault, plan_fault, short_number
from node.shell.store.whole import make_file

SEED_BYTES: Final = 32
LASTS_MAX_S: Final = (1 << 32) - 1
_KEY_FILE_BYTES_MAX: Final = 4096
CERTIFICATE_S: Final = 2 * 365 * 86_400

_FROM_FILE: Final = {"cap": Kind.CAP, "calendar": Kind.CALENDAR, "volume": Kind.VOLUME}
_PLAIN: Final = {"mute": Kind.MUTE, "unmute": Kind.UNMUTE, "beacon": Kind.BEACON}
_KINDS: Final = (*_FROM_FILE, *_PLAIN, "certificate", "revocation", "session", "session-end")
KINDS: Final = (*_KINDS, "self-test", "alert", "cancel", "cosign")


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the two subcommands."""
    key = commands.add_parser("key", help="make an Ed25519 key, or show the public half of one")
    key.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="32 secret bytes; made if missing"
    )
    key.add_argument(
        "--public", action="store_true", help="of the node of --config: its line in a list of poles"
    )
    key.add_argument("--config", type=Path, metavar="NODE.TOML")
    order = commands.add_parser("order", help="sign an order to nodes")
    order.add_argument("kind", choices=KINDS)
    order.add_argument(
        "content",
        nargs="?",
        help="file (cap, calendar, volume, cosign), key, SSRC, silent, audible",
    )
    order.add_argument("--key", type=Path, required=True, metavar="FILE", help="who orders")
    order.add_argument(
        "--sign-with", type=Path, action="append", default=[], metavar="FILE",
        help="who signs it too; repeatable. Elsewhere: `order cosign ORDER.bin --key FILE`",
    )  # fmt: skip
    order.add_argument("--area", type=composed, help="path, for instance vn/lang-son/huu-lien")
    order.add_argument("--out", type=Path, required=True, metavar="FILE")
    order.add_argument("--class", dest="message_class", choices=CLASSES, default="normal")
    order.add_argument("--ttl", type=int, default=600, metavar="S", help="time to live")
    order.add_argument("--tier", choices=PriorityConfig().tiers, help="of a certificate")
    order.add_argument("--name", default="", help="of a certificate: the CAP sender")
    order.add_argument("--event", default="", help="event code of an alert, for instance FFW")
    order.add_argument("--number", default="", help="of an alert, or about which a cancel")
    order.add_argument("--packet-key", type=Path, metavar="FILE", help="signs a session's packets")
    order.add_argument("--srtp-key", type=Path, metavar="FILE", help="SRTP; made if missing")
    order.add_argument(
        "--join", default="", metavar="HOST:PORT", help="of a session: asked for there"
    )
    order.add_argument("--join-key", type=Path, metavar="FILE", help="for that; made if missing")
    order.add_argument("--stream", default="", help="of a session: heard only where relayed")
    order.add_argument("--address", default="", help="of a session: where its packets come from")
    order.add_argument("--counter", type=int, metavar="N", help="in place of the clock's")
    order.add_argument("--list-number", type=int, default=0, metavar="N", help="of a revocation")
    order.add_argument(
        "--no-time", action="store_true", help="of a certificate: its beacons do not count"
    )
    order.add_argument(
        "--signatures", type=int, default=1, metavar="K",
        help="of a certificate: what is urgent acts only with so many, its own one of them",
    )  # fmt: skip
    order.add_argument(
        "--among", default="", metavar="KEY,KEY", help="public keys of whom the others must be"
    )
    order.add_argument(
        "--signatures-from", choices=CLASSES[1:], default="urgent", help="the class from which on"
    )
    order.add_argument(
        "--orders", default="", metavar="KIND,KIND",
        help=f"of a certificate: all that it may order, of {', '.join(sorted({*WHAT.values()}))}",
    )  # fmt: skip
    order.add_argument("--emergency", action="store_true", help="a certificate for a sealed key")
    order.add_argument("--lasts", type=int, default=3600, metavar="S", help="an alert is in force")


def make_key(options: argparse.Namespace) -> int:
    """Make a key file that only its owner reads; print its public half, or that of a node."""
    if options.public or options.file is None:
        if options.file is not None or options.config is None:
            raise _wrong("key: needs FILE, or --public with --config NODE.TOML")
        print(pole_entry(*read_config(options.config)))
        return 0
    path: Path = options.file
    _make(path, SEED_BYTES)
    print(_signer(path).public_key.hex())
    return 0


def sign_order(options: argparse.Namespace) -> int:
    """Write the signed order; print what it is in a line."""
    signer = _signer(options.key)
    others = tuple(_signer(one) for one in options.sign_with)
    if options.kind == "cosign":
        return _cosign(options, (signer, *others))
    if options.area is None:
        raise _wrong("--area: must be given, a path like vn/lang-son")
    if not 0 < options.ttl <= TTL_MAX_S:
        raise _wrong(f"--ttl {options.ttl}: must be 1 to {TTL_MAX_S}")
    if len(options.area.encode()) > AREA_BYTES_MAX:
        raise _wrong(f"--area: must be at most {AREA_BYTES_MAX} bytes")
    if not proper_area(options.area):
        raise _wrong(
            f"--area {options.area!r}: must be a path like vn/lang-son, without slash or blank at "
            "its ends"
        )
    kind, content = _content(options)
    urgent = options.kind in ("alert", "cancel")
    wanted = "urgent" if urgent else options.message_class
    message = Message(
        kind=kind,
        key_id=signer.key_id,
        counter=_counter(options.counter),
        issued_s=int(time.time()),
        ttl_s=options.ttl,
        message_class=MessageClass(CLASSES.index(wanted)),
        area=options.area,
        content=content,
    )
    sealed = with_signatures(seal(message, signer), others, "--sign-with")
    opened = open_envelope(sealed)
    if isinstance(opened, str):
        raise _wrong(f"{options.content}: {opened}")
    _write(options.out, sealed, secret=options.srtp_key is not None)
    number = _number_told(kind, content)
    print(f"{options.out}: {options.kind} for {options.area}, {len(sealed)} bytes{number}")
    return 0


def _cosign(options: argparse.Namespace, signers: tuple[SeedSigner, ...]) -> int:
    """Sign what others have signed; say what it is."""
    if options.content is None:
        raise _wrong("cosign: needs the file of an order after it")
    first, *others = signers
    sealed = with_signatures(cosigned(Path(options.content), first), tuple(others), "--sign-with")
    _write(options.out, sealed, secret=False)
    print(f"{options.out}: {told(sealed)}")
    return 0


def _number_told(kind: Kind, content: bytes) -> str:
    """Return what a person needs to cancel the warning later; nothing for other orders."""
    number = short_number(content) if kind is Kind.SHORT_ALERT else None
    return "" if number is None else f"; its number is {number} (`order cancel --number {number}`)"


def _write(path: Path, sealed: bytes, *, secret: bool) -> None:
    """Write an order; where it holds a key in clear only its owner may read it."""
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o666
        )
        with os.fdopen(descriptor, "wb") as file:
            if secret:
                os.fchmod(file.fileno(), 0o600)
            file.write(sealed)
    except OSError as fault:
        raise file_fault(path, fault) from fault


def _content(options: argparse.Namespace) -> tuple[Kind, bytes]:
    """Return the kind and content that the arguments ask for."""
    what, given = options.kind, options.content
    if what in _PLAIN:
        return _PLAIN[what], b""
    if what in ("alert", "cancel"):
        given_number = _given_number(options.number)
        if what == "cancel" and not given_number:
            raise _wrong("cancel: needs --number, which `order alert` printed for the warning")
        about = given_number if what == "cancel" else 0
        own = time.time_ns() if what == "cancel" else given_number or time.time_ns()
        code = options.event
        if not code.isascii() or not code.isprintable() or len(code) > 8:
            raise _wrong(f"--event {code}: must be up to 8 letters")
        if not 1 <= options.lasts <= LASTS_MAX_S:
            raise _wrong(f"--lasts {options.lasts}: must be 1 to {LASTS_MAX_S} s")
        return Kind.SHORT_ALERT, encode_short(
            what, own, event_code=code, about=about, lasts_s=options.lasts
        )
    if what == "self-test":
        if given not in TESTS:
            raise _wrong("self-test: needs `silent` or `audible` after it")
        return Kind.SELF_TEST, given.encode()
    if given is None:
        raise _wrong(f"{what}: needs a file, a public key or an SSRC after it")
    if what in _FROM_FILE:
        return _FROM_FILE[what], _content_of(what, Path(given))
    if what == "session":
        return Kind.SESSION, msgspec.json.encode(_session(_number(given, "SSRC", 32), options))
    if what == "session-end":
        return Kind.SESSION_END, msgspec.json.encode(Session(_number(given, "SSRC", 32)))
    if what == "revocation":
        keys = tuple(key_id(_public(one)) for one in given.split(","))
        return Kind.REVOCATION, msgspec.json.encode(Revocation(keys, options.list_number))
    public = _public(given)
    if options.tier is None:
        raise _wrong("certificate: needs --tier")
    most = CLASSES.index(options.message_class)
    until_s = int(time.time()) + CERTIFICATE_S
    claim = Certificate(
        options.name,
        public,
        options.tier,
        options.area,
        most,
        until_s,
        gives_time=False if options.no_time else None,
        emergency=options.emergency,
        together=_together(options, public),
        orders=_orders(options.orders),
    )
    return Kind.CERTIFICATE, msgspec.json.encode(claim)


def _orders(text: str) -> tuple[str, ...] | msgspec.UnsetType:
    """Return what alone a certificate allows; unset: everything."""
    named = tuple(one for one in text.split(",") if one)
    if not set(named) <= set(WHAT.values()):
        raise _wrong(f"--orders {text}: must be some of {', '.join(sorted({*WHAT.values()}))}")
    return named or msgspec.UNSET


def _together(options: argparse.Namespace, public: bytes) -> Together | None:
    """Return what a certificate asks for beside the key's own signature, if anything."""
    named = [one for one in options.among.split(",") if one]
    if options.signatures == 1 and not named:
        return None
    among = tuple(key_id(_public(one)) for one in named)
    together = Together(options.signatures, among, CLASSES.index(options.signatures_from))
    if together.fault(key_id(public)) is not None:
        raise _wrong(
            f"--signatures {options.signatures}: must be 2 to {1 + COSIGNATURES_MAX}, and --among "
            "name as many public keys beside its own"
        )
    return together


def _counter(given: int | None) -> int:
    """Return what rises with each order: the clock, without a file to keep it."""
    if given is None:
        return time.time_ns() // 1_000_000
    if not 0 <= given < 1 << 64:
        raise _wrong(f"--counter {given}: must be 0 to {(1 << 64) - 1}")
    return given


def _public(text: str) -> bytes:
    return _number(text, "public key", 8 * PUBLIC_KEY_BYTES).to_bytes(PUBLIC_KEY_BYTES, "big")


def _session(ssrc: int, options: argparse.Namespace) -> Session:
    """Return the session with the keys that the arguments name."""
    public_key = _signer(options.packet_key).public_key if options.packet_key else b""
    srtp_key = b""
    if options.srtp_key is not None:
        used = options.srtp_key.with_name(options.srtp_key.name + ".used")
        if used.exists():
            raise _wrong(
                f"--srtp-key {options.srtp_key}: was used by a sender ({used}), and an SRTP key is "
                "for one session; name a new file"
            )
        _make(options.srtp_key, SRTP_KEY_BYTES)
        srtp_key = _read(options.srtp_key, SRTP_KEY_BYTES)
    join_key = b""
    if options.join_key is not None:
        _make(options.join_key, JOIN_KEY_BYTES)
        join_key = _read(options.join_key, JOIN_KEY_BYTES)
    if bool(options.join) != bool(join_key) or (
        options.join and split_host_port(options.join) is None
    ):
        raise _wrong(f"--join {options.join}: must be HOST:PORT, and --join-key given with it")
    return Session(
        ssrc,
        options.stream,
        public_key,
        time.time_ns() // 1000,  # packets of an earlier session under this key are old
        srtp_key,
        options.address,
        options.join,
        join_key,
    )


def _content_of(what: str, path: Path) -> bytes:
    """Return the content of an order from a file, if a node can read it."""
    if what == "cap":
        content = read_regular(path, DOCUMENT_BYTES_MAX)
        fault = cap_fault(content)
        for doubt in () if fault else cap_doubts(content, int(time.time())):
            print(f"{path}: {doubt}; nodes obey the rest", file=sys.stderr)
    else:
        content = read_toml_bytes(path)
        fault = plan_fault(content, what)
    if fault is not None:
        raise _wrong(f"{path}: {fault}")
    return content


def _given_number(text: str) -> int:
    """Return the number of a warning: decimal, or as nodes and records write it, #hexadecimal."""
    try:
        number = int(text[1:], 16) if text.startswith("#") else int(text or "0")
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise _wrong(
            f"--number {text}: must be 0 to {(1 << 64) - 1}, or # and 16 hexadecimal digits"
        )
    return number


def _number(text: str, what: str, bits: int) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << bits:
        raise _wrong(f"{text}: must be a {what} in hexadecimal digits")
    return number


def _make(path: Path, key_bytes: int) -> None:
    """Make a file of secret bytes that only its owner reads, if there is none."""
    try:
        if not path.exists():
            make_file(path, os.urandom(key_bytes))
    except OSError as fault:
        raise file_fault(path, fault) from fault


def _signer(path: Path) -> SeedSigner:
    return SeedSigner(_read(path, SEED_BYTES))


def _read(path: Path, key_bytes: int) -> bytes:
    key = read_regular(path, _KEY_FILE_BYTES_MAX)
    if path.stat().st_mode & 0o022:
        raise _wrong(f"{path}: others may write it; `chmod 600 {path}`, or make a new key")
    if len(key) != key_bytes:
        raise _wrong(f"{path}: {len(key)} bytes: this key has {key_bytes}; `loalang-node key FILE`")
    return key


def _wrong(text: str) -> ShellError:
    return ShellError(text, exit_status=EXIT_INPUT)
