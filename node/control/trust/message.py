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

Where several keys sign one order, what the others add stands before it, each for itself, so that
they may sign at different machines and in any order:

```
 0    3  4                              4 + 72 n
 ┌────┬──┬─────────────────────────────┬───────────────────┐
 │LL2 │ n│ n times: key id, Ed25519    │ LL1 ... as above  │
 └────┴──┴─────────────────────────────┴───────────────────┘
   signed: another context, and what the first key has signed
```
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

COSIGNED_MAGIC: Final = b"LL2"
COSIGNED_CONTEXT: Final = b"loalang-cosigned-v1\0"
"""Nor does the signature of who signs besides make an order of its own."""

COSIGNATURES_MAX: Final = 7
"""Beside the first."""

COMMAND_BYTES_MAX: Final = 8 * 1024
"""Whole message, all kinds but the two below (docs/why.md)."""

DOCUMENT_BYTES_MAX: Final = 257 * 1024
"""A CAP document of 256 KiB in its envelope; a calendar."""

TTL_MAX_S: Final = 7 * 86_400
AREA_BYTES_MAX: Final = 128

_HEAD: Final = struct.Struct(">3sB8s")
_COSIGNATURE: Final = struct.Struct(f">8s{SIGNATURE_BYTES}s")
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
    ROOT = 12
    """Which root follows the present one, and when that ends (`node.control.trust.roots`)."""
    SELF_TEST = 13
    """Test the horn by a tone: `silent`, or `audible` in the hours that the node allows."""
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
    cosignatures: tuple[tuple[bytes, bytes], ...] = ()
    """Key id and signature of each that signed besides; none of them is checked."""

    @property
    def cosigned(self) -> bytes:
        """The bytes that those are of."""
        return COSIGNED_CONTEXT + self.signed


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


def cosign(sealed: bytes, signer: Signer) -> bytes:
    """Return the order `sealed` with the signature of one more key; one that is there stays once.

    Raises
    ------
    ValueError
        If it is no order, this key signed it first, or no place is left.
    """
    message = open_envelope(sealed)
    if isinstance(message, str):
        raise ValueError(message)
    if message.key_id == signer.key_id:
        raise ValueError("this key has signed it already")
    others = [one for one in message.cosignatures if one[0] != signer.key_id]
    if len(others) >= COSIGNATURES_MAX:
        raise ValueError(f"{COSIGNATURES_MAX} keys have signed it besides the first")
    both = [*others, (signer.key_id, signer.sign(message.cosigned))]
    added = b"".join(_COSIGNATURE.pack(*one) for one in both)
    inner = sealed[_cosignatures_end(sealed) :]
    return COSIGNED_MAGIC + bytes([len(both)]) + added + inner


def _cosignatures_end(data: bytes) -> int:
    """Return where the envelope of the first key begins; 0: nobody else has signed."""
    if len(data) < _HEAD.size or not data.startswith(COSIGNED_MAGIC):
        return 0
    return len(COSIGNED_MAGIC) + 1 + data[len(COSIGNED_MAGIC)] * _COSIGNATURE.size


def open_envelope(data: bytes) -> Message | str:
    """Return what `data` holds, or why it is none of ours. Never raises; checks no signature."""
    at = _cosignatures_end(data)
    if not at:
        return _open(data, len(data), ())
    first = len(COSIGNED_MAGIC) + 1
    if not 1 <= data[first - 1] <= COSIGNATURES_MAX or at > len(data):
        return "no number of signatures that there can be"
    return _open(data[at:], len(data), tuple(_COSIGNATURE.iter_unpack(data[first:at])))


def _open(
    data: bytes, size_bytes: int, cosignatures: tuple[tuple[bytes, bytes], ...]
) -> Message | str:
    if len(data) < _BODY_AT + _BODY.size:
        return "too short"
    magic, kind_number, key = _HEAD.unpack_from(data)
    if magic != MAGIC:
        return "no message of this version"
    try:
        kind = Kind(kind_number)
    except ValueError:
        return "unknown kind"
    if size_bytes > (DOCUMENT_BYTES_MAX if kind in _LARGE else COMMAND_BYTES_MAX):
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
        cosignatures=cosignatures,
    )
