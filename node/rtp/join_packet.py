"""The packets by which a node joins a station: RTCP APP "LoaJ" (RFC 3550, 6.7), all of one size.

```
 0                   1                   2                   3
|V=2| subtype |  PT = 204   |          length = 15            |   subtype 0 HELLO, 1 CHALLENGE,
|          SSRC of the stream, 0 in a node's: any             |           2 JOIN, 3 WELCOME
|                          "LoaJ"                             |
|                    node, 8 bytes                            |   of its name, the same for ever
|                    nonce, 8 bytes                           |   of the node, new each time
|                    cookie, 16 bytes                         |   of the station, 0 in HELLO
|        lease in s           |             0                 |   0 in a JOIN: it leaves
|                    MAC, 16 bytes                            |
```
MAC: the first 16 bytes of HMAC-SHA-256 (RFC 2104) by the key of the session over `CONTEXT` and all
before it. No packet is answered by a longer one, and none without a right MAC is answered at all.
"""

import hashlib
import hmac
import struct
from enum import IntEnum
from typing import Final

from msgspec import Struct

NAME: Final = b"LoaJ"
KEY_BYTES: Final = 32
NODE_BYTES: Final = 8
NONCE_BYTES: Final = 8
COOKIE_BYTES: Final = 16
MAC_BYTES: Final = 16
CONTEXT: Final = b"loalang-join-v1\0"
LEASE_S_MAX: Final = 600

KEEP: Final = bytes((0x80, 201, 0, 1)) + bytes(4)
"""A receiver report that says nothing: all that a node at rest sends to keep its path open
(RFC 6263, 4.6)."""
STRANGER: Final = bytes((0x81, 203, 0, 1)) + bytes(4)
"""The answer, as short, where nobody has joined from there: a goodbye of nobody's."""

_PACKET: Final = struct.Struct("!BBHI4s8s8s16sHH")
BYTES: Final = _PACKET.size + MAC_BYTES
_APP: Final = 204
_VERSION: Final = 0x80


class Step(IntEnum):
    """What a packet is for."""

    HELLO = 0
    """Node to station: where do I seem to be?"""
    CHALLENGE = 1
    """Station to node: prove it, by this cookie."""
    JOIN = 2
    """Node to station: here is the cookie; send me the stream, or no more of it."""
    WELCOME = 3
    """Station to node: so long, and the cookie for the next time."""


class JoinPacket(Struct, frozen=True):
    """One of them."""

    step: Step
    ssrc: int
    node: bytes
    nonce: bytes
    cookie: bytes = bytes(COOKIE_BYTES)
    lease_s: int = 0


def node_of(name: str) -> bytes:
    """Return what stands for the name of a node."""
    return hashlib.sha256(name.encode()).digest()[:NODE_BYTES]


def build(packet: JoinPacket, key: bytes) -> bytes:
    """Return the datagram, with its MAC."""
    told = _PACKET.pack(
        _VERSION | packet.step, _APP, BYTES // 4 - 1, packet.ssrc, NAME,
        packet.node, packet.nonce, packet.cookie, packet.lease_s, 0,
    )  # fmt: skip
    return told + _mac(told, key)


def is_join(data: bytes) -> bool:
    """Return whether `data` claims to be one of these; never longer or shorter than they are."""
    return len(data) == BYTES and data[1] == _APP and data[8:12] == NAME


def parse(data: bytes, key: bytes) -> JoinPacket | None:
    """Return the packet, or None when it is none, or not by who has the key. Never raises."""
    if not is_join(data) or not hmac.compare_digest(
        data[-MAC_BYTES:], _mac(data[:-MAC_BYTES], key)
    ):
        return None
    first, _, length, ssrc, _, node, nonce, cookie, lease_s, _ = _PACKET.unpack_from(data)
    if first & 0xE0 != _VERSION or first & 0x1F > max(Step) or length != BYTES // 4 - 1:
        return None
    return JoinPacket(Step(first & 0x1F), ssrc, node, nonce, cookie, min(lease_s, LEASE_S_MAX))


def _mac(told: bytes, key: bytes) -> bytes:
    return hmac.digest(key, CONTEXT + told, "sha256")[:MAC_BYTES]
