"""The envelope of every command: who orders what, where, how high, once, and for how long.

```
 0    3  4        12                76        84        92      96 97  98
 ┌────┬──┬────────┬─────────────────┬─────────┬─────────┬───────┬──┬──┬──────────┬─────────┐
 │LL1 │ k│ key id │ Ed25519         │ counter │ issued s│ ttl s │ c│ n│ area (n) │ content │
 └────┴──┴────────┴─────────────────┴─────────┴─────────┴───────┴──┴──┴──────────┴─────────┘
   signed: the context below and all bytes but the signature; integers big-endian
```
The exact bytes are signed, there is no canonical form, and nothing is parsed further before the
signature holds.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from node.control.precedence import MessageClass
from node.control.trust.signature import KEY_ID_BYTES, SIGNATURE_BYTES, Signer

MAGIC: Final = b"LL1"
CONTEXT: Final = b"loalang-message-v1\0"
"""Keeps a signature made for one purpose from being one for another."""

COMMAND_BYTES_MAX: Final = 8 * 1024
"""Whole message, all kinds but the two below (docs/why.md)."""

DOCUMENT_BYTES_MAX: Final = 257 * 1024
"""A CAP document of 256 KiB in its envelope; a calendar."""

TTL_MAX_S: Final = 7 * 86_400
AREA_BYTES_MAX: Final = 128

_HEAD: Final = struct.Struct(">3sB8s")
_BODY: Final = struct.Struct(">QQIBB")
_SIGNATURE_AT: Final = _HEAD.size
_BODY_AT: Final = _SIGNATURE_AT + SIGNATURE_BYTES


class Kind(IntEnum):
    """What the content is."""

    CERTIFICATE = 1
    REVOCATION = 2
    BEACON = 3
    """No content: it is at least as late as the message says."""
    CAP = 4
    SHORT_ALERT = 5
    CALENDAR = 6
    VOLUME = 7
    SESSION = 8
    """Announces a live stream: its SSRC, class and level."""
    SESSION_END = 9
    MUTE = 10
    UNMUTE = 11
    ACKNOWLEDGEMENT = 16
    """From a node, as is the next; all others are orders to it."""
    PROOF_HEAD = 17


_LARGE: Final = frozenset({Kind.CAP, Kind.CALENDAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One envelope, opened; `signature` is not yet checked."""

    kind: Kind
    key_id: bytes
    counter: int
    """Rises with each message of an issuer; never used twice."""
    issued_s: int
    ttl_s: int
    message_class: MessageClass
    area: str
    content: bytes
    signature: bytes = b""
    signed: bytes = b""
    """The bytes that the signature is of."""


def seal(message: Message, signer: Signer) -> bytes:
    """Return `message` in its envelope, signed; its `key_id` becomes the signer's."""
    head = _HEAD.pack(MAGIC, message.kind, signer.key_id)
    area = message.area.encode()
    assert len(area) <= AREA_BYTES_MAX and len(signer.key_id) == KEY_ID_BYTES
    body = _BODY.pack(
        message.counter, message.issued_s, message.ttl_s, message.message_class, len(area)
    )
    body += area + message.content
    return head + signer.sign(CONTEXT + head + body) + body


def open_envelope(data: bytes) -> Message | str:
    """Return what `data` holds, or why it is none of ours. Never raises; checks no signature."""
    if len(data) < _BODY_AT + _BODY.size:
        return "too short"
    magic, kind_number, key = _HEAD.unpack_from(data)
    if magic != MAGIC:
        return "no message of this version"
    try:
        kind = Kind(kind_number)
    except ValueError:
        return "unknown kind"
    if len(data) > (DOCUMENT_BYTES_MAX if kind in _LARGE else COMMAND_BYTES_MAX):
        return "too large"
    counter, issued_s, ttl_s, class_number, area_bytes = _BODY.unpack_from(data, _BODY_AT)
    content_at = _BODY_AT + _BODY.size + area_bytes
    if area_bytes > AREA_BYTES_MAX or content_at > len(data):
        return "area too long"
    if class_number > MessageClass.URGENT or not 0 < ttl_s <= TTL_MAX_S:
        return "unknown class or time to live"
    if issued_s >= 1 << 40:
        return "issued beyond any calendar"
    try:
        area = data[_BODY_AT + _BODY.size : content_at].decode("utf-8")
    except UnicodeDecodeError:
        return "area is no text"
    return Message(
        kind=kind,
        key_id=key,
        counter=counter,
        issued_s=issued_s,
        ttl_s=ttl_s,
        message_class=MessageClass(class_number),
        area=area,
        content=data[content_at:],
        signature=data[_SIGNATURE_AT:_BODY_AT],
        signed=CONTEXT + data[:_SIGNATURE_AT] + data[_BODY_AT:],
    )
