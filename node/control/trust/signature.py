"""Ed25519: who signed these bytes. The library's keys, wrapped so that bad ones are just "no"."""

import hashlib
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8


class Signer(Protocol):
    """Something that signs for one key: a file on the gateway, a token on a desk."""

    key_id: bytes
    public_key: bytes

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`, 64 bytes."""


class SeedSigner:
    """Sign with a key in memory, made from its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`, 64 bytes. Deterministic (RFC 8032, section 5.1.6)."""
        return self._key.sign(data)


def key_id(public_key: bytes) -> bytes:
    """Return the short name of a key: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def verified(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether `signature` is that of `data` under `public_key`. Never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
