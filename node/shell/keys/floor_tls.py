"""TLS for a machine whose clock may never have been set: dates are judged by what is surely so.

A board without a clock chip wakes up in 1970. By that clock every certificate lies in the future,
and the broker that brings the time is not let in. So OpenSSL is told to leave the dates to us, and
nothing else: chain, name and purpose of the certificates are its business as before. Before the
first byte of MQTT, which may hold a password, each certificate of the chain is held against the
least that the time can be (the newest of build, kept and signed):

| | its end is over by the floor | it begins after the floor | else |
|---|---|---|---|
| the time is not known | refused | let in: the floor says only that it is later | let in |
| the time is known | refused | refused | let in |
"""

import ssl
from collections.abc import Callable
from typing import Any, Final

from cryptography import x509

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h): Python has no name for it."""

KnownTime = Callable[[], tuple[int, bool]]
"""Returns seconds since 1970, and whether that is the time, not only the least that it can be."""


def judge_by(context: ssl.SSLContext, known: KnownTime) -> None:
    """Let the dates of certificates be judged by `known` in all connections of `context`."""

    class FloorSocket(ssl.SSLSocket):
        """A connection whose other end is judged by `known`."""

        def do_handshake(self, block: bool = False) -> None:
            """Shake hands, and look at the dates before anything is sent."""
            super().do_handshake(block)
            fault = date_fault(_chain_of(self), *known())
            if fault is not None:
                self.close()  # nobody else has it yet
                refused = ssl.SSLCertVerificationError(fault)
                refused.verify_message = fault
                raise refused

    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    context.sslsocket_class = FloorSocket


def date_fault(chain: list[bytes], utc_s: int, is_exact: bool) -> str | None:
    """Return why the dates of a chain of certificates (DER) forbid it at `utc_s`, or None."""
    if not chain:
        return "no certificate"
    for one in map(x509.load_der_x509_certificate, chain):
        if one.not_valid_after_utc.timestamp() < utc_s:
            return "certificate has expired"
        if is_exact and one.not_valid_before_utc.timestamp() > utc_s:
            return "certificate is not yet valid"
    return None


def _chain_of(one: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates (DER) by which the other end was verified, up to the authority."""
    connection: Any = one
    if hasattr(connection, "get_verified_chain"):  # Python 3.13
        return list(connection.get_verified_chain())
    found = connection._sslobj.get_verified_chain()  # until 3.13 it has no name
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in found]
