"""What a sender does to each packet so that nodes under orders believe it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pylibsrtp

from node.control.trust.packet_guard import SRTP_KEY_BYTES, sign_packet, srtp_policy
from node.control.trust.passes import Passes
from node.control.trust.signature import SeedSigner
from node.shell.faults import ShellError
from node.shell.files import TEXT_BYTES_MAX, read_regular
from node.shell.store.whole import make_file

Seal = Callable[[bytes], bytes]
"""Packet in, what leaves out."""

USED: Final = ".used"
"""Behind the name of a key that a sender has used."""

_SEED_BYTES: Final = 32
_RTCP_TYPES: Final = range(192, 224)


def signing_seal(path: Path) -> Seal:
    """Return what signs each packet by the key in `path`, counting on from the present in us.

    Raises
    ------
    ValueError
        If the file holds no key.
    """
    signer = SeedSigner(_read(path, _SEED_BYTES, "loalang-node key FILE"))
    counter = time.time_ns() // 1000
    passes = Passes(os.urandom(_SEED_BYTES))

    def seal(packet: bytes) -> bytes:
        nonlocal counter
        counter += 1
        return sign_packet(packet, counter, signer, passes.take())

    return seal


def srtp_seal(path: Path) -> Seal:
    """Return what makes each packet SRTP or SRTCP with the master key in `path`, once.

    Numbers begin anew with each start: under the same key two packets would have one key stream
    (RFC 3711, section 9.1), and what was recorded could be played again.

    Raises
    ------
    ValueError
        If the file holds no key, or one that was used.
    """
    key = _read(path, SRTP_KEY_BYTES, "loalang-node order session ... --srtp-key FILE")
    used = path.with_name(path.name + USED)
    try:
        make_file(used, b"")
    except FileExistsError:
        raise ValueError(
            f"{path}: was used by a sender ({used} says so), and an SRTP key is for one; "
            "announce a session with a new --srtp-key FILE"
        ) from None
    session = pylibsrtp.Session(srtp_policy(key, inbound=False))

    def seal(packet: bytes) -> bytes:
        protect = session.protect_rtcp if packet[1] in _RTCP_TYPES else session.protect
        return bytes(protect(packet))

    return seal


def _read(path: Path, key_bytes: int, made_by: str) -> bytes:
    try:
        key = read_regular(path, TEXT_BYTES_MAX)
    except ShellError as fault:
        raise ValueError(str(fault)) from fault
    if len(key) != key_bytes:
        raise ValueError(f"{path}: {len(key)} bytes: this key has {key_bytes}; `{made_by}`")
    return key
