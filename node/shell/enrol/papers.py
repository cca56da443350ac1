"""The three signed papers of an enrolment: the commune's bundle, a node's request, its grant.

```
 root ──signs──► bundle ── by hand ─► node ──signs──► request ─ broker ─► a person types the code
 root ─certifies─► commune's key ──signs──► grant ◄───────── accept ──────────────┘
```
Nothing in them is secret but the key of the bundle, which lets its holder ask and nothing else.
The code is a digest of the whole request, so who types it accepts that request and no other one.
"""

import base64
import hashlib
from typing import Final, Literal, TypeVar

import msgspec

from node.control.trust.certificate import Certificate, read_certificate
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.roots import is_by_next, read_change
from node.control.trust.signature import SeedSigner, key_id, verified

CONTEXT: Final = b"loalang-enrol-v1\0"
PAPER_BYTES_MAX: Final = 256 * 1024
ORDERS_MAX: Final = 64
"""Signed orders in a bundle or grant: certificates, revocations, plans."""

SOUNDS_MAX: Final = 256
_CODE_CHARACTERS: Final = 12
"""60 bits: nobody finds another request with the same code within the hour in which it is good."""

_GROUP: Final = 4
_MISREAD: Final = str.maketrans("018", "OIB")


class Sound(msgspec.Struct, frozen=True):
    """A stored sound that a node is to have."""

    digest: str
    """SHA-256, 64 hexadecimal digits."""
    size_bytes: int


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What every node of a commune is told before it is known: one file, signed by the root."""

    root_public_key: bytes
    area: str
    village: str
    host: str
    port: int
    ca: str
    """Certificate authority of the broker (PEM)."""
    certificate: str
    """Of the identity that may ask, and do nothing else (PEM)."""
    key: str
    """The private key of it (PEM)."""
    orders: tuple[bytes, ...]
    """Certificates by the root, in their envelopes; one is of the key that signs grants."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a node asks, signed by the key that will sign its answers."""

    name: str
    public_key: bytes
    tls_key: str
    """Public half of the key of its identity at the broker (PEM)."""
    nonce: bytes
    """New for each request."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """All that a node gets, signed by the commune's key; a later number replaces it."""

    name: str
    public_key: bytes
    """The node that it is for."""
    nonce: bytes
    """Of its request."""
    number: int
    certificate: str
    """Identity at the broker (PEM)."""
    ca: str
    settings: str
    """The node's configuration file; `FOLDER` in it stands for the folder of its state."""
    orders: tuple[bytes, ...]
    sounds: tuple[Sound, ...]


class _Paper(msgspec.Struct, frozen=True):
    what: Literal["bundle", "request", "grant"]
    body: bytes
    public_key: bytes
    signature: bytes


P = TypeVar("P", Bundle, Request, Grant)
_NAMES: Final = {Bundle: "bundle", Request: "request", Grant: "grant"}


def seal_paper(paper: Bundle | Request | Grant, signer: SeedSigner) -> bytes:
    """Return a paper with its signature, as bytes."""
    what, body = _NAMES[type(paper)], msgspec.json.encode(paper)
    signature = signer.sign(CONTEXT + what.encode() + b"\0" + body)
    return msgspec.json.encode(
        {"what": what, "body": body, "public_key": signer.public_key, "signature": signature}
    )


def open_paper(data: bytes, kind: type[P]) -> tuple[P, bytes] | str:
    """Return a paper and the public key that signed it, or what is wrong with it. Never raises.

    Who may sign such a paper is for the caller to ask.
    """
    if len(data) > PAPER_BYTES_MAX:
        return f"more than {PAPER_BYTES_MAX} bytes"
    try:
        paper = msgspec.json.decode(data, type=_Paper)
        if paper.what != _NAMES[kind]:
            return f"is a {paper.what}, not a {_NAMES[kind]}"
        signed = CONTEXT + paper.what.encode() + b"\0" + paper.body
        if not verified(paper.public_key, paper.signature, signed):
            return "its signature is wrong: it was changed on its way"
        return msgspec.json.decode(paper.body, type=kind), paper.public_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"no {_NAMES[kind]} of this version"


def open_bundle(data: bytes) -> Bundle | str:
    """Return the bundle in `data`, signed by the root that it names, or what is wrong with it."""
    opened = open_paper(data, Bundle)
    if isinstance(opened, str):
        return opened
    bundle, public_key = opened
    return bundle if public_key == bundle.root_public_key else "not signed by the root it names"


def may_grant(bundle: Bundle, public_key: bytes, utc_s: int) -> bool:
    """Return whether the root certified `public_key` for the commune of `bundle`.

    `utc_s` is the least that the time can be: a clock that was never set has no say about the end
    of a certificate.
    """
    roots = roots_of(bundle)
    for sealed in bundle.orders[:ORDERS_MAX]:
        claim = next((one for root in roots if (one := certified(sealed, root))), None)
        if claim is not None and claim.public_key == public_key and not claim.emergency:
            return claim.area == bundle.area and utc_s < claim.until_s
    return False


def roots_of(bundle: Bundle) -> list[bytes]:
    """Return the root of a bundle and those that follow it, by statements that are in it."""
    found = [bundle.root_public_key]
    opened = [open_envelope(one) for one in bundle.orders[:ORDERS_MAX]]
    for message in (one for one in opened if isinstance(one, Message) and one.kind is Kind.ROOT):
        change = read_change(message)
        if isinstance(change, str) or change.public_key != found[-1]:
            continue
        if _signed_by(message, found[-1]) and is_by_next(change, message):
            found.append(change.next_public_key)
    return found


def certified(sealed: bytes, parent: bytes) -> Certificate | None:
    """Return the certificate in an order if the key `parent` signed it, else None."""
    message = open_envelope(sealed)
    if isinstance(message, str) or message.kind is not Kind.CERTIFICATE:
        return None
    return read_certificate(message.content) if _signed_by(message, parent) else None


def code_of(request: bytes) -> str:
    """Return the code by which a person accepts exactly these bytes, as `ABCD-EFGH-IJKL`."""
    letters = base64.b32encode(hashlib.sha256(CONTEXT + b"code\0" + request).digest()).decode()
    return _grouped(letters[:_CODE_CHARACTERS])


def read_code(typed: str) -> str | None:
    """Return a code as a person typed it in its one spelling; None where it cannot be one."""
    letters = "".join(one for one in typed.upper() if one.isalnum()).translate(_MISREAD)
    return _grouped(letters) if len(letters) == _CODE_CHARACTERS else None


def fingerprint(public_key: bytes) -> str:
    """Return what people compare of a key: 32 hexadecimal digits in groups of four."""
    return " ".join(
        digits[i : i + _GROUP]
        for digits in [hashlib.sha256(public_key).hexdigest()[:32]]
        for i in range(0, 32, _GROUP)
    )


def request_topic(village: str, public_key: bytes) -> str:
    """Return where the request of a node is."""
    return f"pa/v1/{village}/enrol/{key_id(public_key).hex()}"


def grant_topic(village: str, public_key: bytes) -> str:
    """Return where the grant of a node is; the broker keeps it."""
    return f"pa/v1/{village}/grant/{key_id(public_key).hex()}"


def _signed_by(message: Message, public_key: bytes) -> bool:
    same = message.key_id == key_id(public_key)
    return same and verified(public_key, message.signature, message.signed)


def _grouped(letters: str) -> str:
    return "-".join(letters[i : i + _GROUP] for i in range(0, len(letters), _GROUP))
