"""How often the sequence numbers of an SRTP stream have wrapped, for a node that was not there.

A packet bears 16 bits of its number; who has heard all of them counts the rest (RFC 3711, 3.3.1).
A node that restarts in a stream that has wrapped, or was cut off for more than 32,768 packets, does
not know that count: here it is looked for, with the packet's own seal as the judge, and only ahead
of what was heard: what was recorded earlier stays old.
"""

from typing import Final

import pylibsrtp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

WRAPS_MAX: Final = 128
"""Wraps that are looked for: a stream of two days in packets of 20 ms."""

_KEY_BYTES: Final = 16
_SALT_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = 12
_KEY_LABEL: Final = 0
_SALT_LABEL: Final = 2

_STRIDE: Final = 0x7000
"""Numbers that a step goes ahead: fewer than the half of them by which a wrap is told."""


class Rollover:
    """What finds the count of one session's streams.

    Parameters
    ----------
    key : bytes
        Master key and salt of AEAD_AES_128_GCM (RFC 7714, section 12).
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(_derived(key, _KEY_LABEL, _KEY_BYTES))
        self._salt = int.from_bytes(_derived(key, _SALT_LABEL, _SALT_BYTES), "big")

    def index_of(self, data: bytes, above: int) -> int | None:
        """Return the number of a packet with its wraps, more than `above`; None if none fits."""
        header_bytes = _header_bytes(data)
        if len(data) < header_bytes + _TAG_BYTES:
            return None
        header, sealed = data[:header_bytes], data[header_bytes:]
        sequence, ssrc = int.from_bytes(data[2:4], "big"), int.from_bytes(data[8:12], "big")
        for wraps in range(max(above - sequence, 0) >> 16, WRAPS_MAX):
            index = wraps << 16 | sequence
            if index <= above:
                continue
            nonce = (ssrc << 48 | index) ^ self._salt
            try:
                self._cipher.decrypt(nonce.to_bytes(_SALT_BYTES, "big"), sealed, header)
            except InvalidTag:
                continue
            return index
        return None


def lead(session: pylibsrtp.Session, sender: pylibsrtp.Session, ssrc: int, index: int) -> None:
    """Let `session` count a stream on to `index`, by packets of our own that nobody else sees.

    `sender` seals by the same key, and has sealed nothing yet.
    """
    for at in (*range(_STRIDE, index, _STRIDE), max(index, 0)):
        header = b"\x80\x00" + (at & 0xFFFF).to_bytes(2, "big") + bytes(4)
        sealed = sender.protect(header + ssrc.to_bytes(4, "big"))
        try:
            session.unprotect(sealed)
        except pylibsrtp.Error:
            continue  # it is further already


def _header_bytes(data: bytes) -> int:
    """Return how much of an RTP packet is in the clear (RFC 3550, 5.1 and 5.3.1)."""
    if len(data) < _HEADER_BYTES:
        return _HEADER_BYTES
    end = _HEADER_BYTES + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        end += 4 + 4 * int.from_bytes(data[end + 2 : end + 4], "big")
    return end


def _derived(key: bytes, label: int, count: int) -> bytes:
    """Return a session key (RFC 3711, 4.3.1; the salt of 96 bits is padded: RFC 7714, 11)."""
    block = bytearray(key[_KEY_BYTES:] + bytes(4))
    block[7] ^= label
    stream = Cipher(AES(key[:_KEY_BYTES]), CTR(bytes(block))).encryptor()
    return stream.update(bytes(count))
