"""Identities at the broker: an authority, the broker's own, one per node, those taken back.

All begin in 2020, since a pole without a clock chip may wake up years back; orders have their own
trust, and a clock that was never set cannot be told from one that was.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.address import is_address

BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
CA_DAYS: Final = 20 * 365
BROKER_DAYS: Final = 10 * 365
NODE_DAYS: Final = 5 * 365
"""A pole that nobody climbs for so long is renewed over the broker half a year before."""

PrivateKey = ec.EllipticCurvePrivateKey
_PEM: Final = serialization.Encoding.PEM


def new_key() -> PrivateKey:
    """Return a new key of an identity."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as a file holds it."""
    plain = serialization.NoEncryption()
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)


def read_private(pem: bytes) -> PrivateKey:
    """Return the private key in a file; ValueError where there is none of ours."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("no key of this kind")
    return key


def read_public(pem: str) -> ec.EllipticCurvePublicKey | None:
    """Return the public key that a node sent, None where it is none of this kind."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnicodeError):
        return None
    fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    return key if isinstance(key, ec.EllipticCurvePublicKey) and fits else None


def authority(name: str, key: PrivateKey) -> bytes:
    """Return the certificate of the commune's authority of identities, by itself (PEM)."""
    usage = _usage(signs=True)
    builder = _builder(name, name, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return _signed(builder, key, key.public_key())


def identity(
    name: str, public: ec.EllipticCurvePublicKey, ca: bytes, ca_key: PrivateKey, *, days: int
) -> bytes:
    """Return a certificate for who comes to the broker under `name` (PEM)."""
    builder = _builder(_name_of(ca), name, public, days)
    return _leaf(builder, ca_key, ExtendedKeyUsageOID.CLIENT_AUTH)


def broker_identity(
    host: str, public: ec.EllipticCurvePublicKey, ca: bytes, ca_key: PrivateKey
) -> bytes:
    """Return the certificate of the broker that is reached as `host` (PEM)."""
    import ipaddress

    known: x509.GeneralName = x509.DNSName(host)
    if is_address(host):
        known = x509.IPAddress(ipaddress.ip_address(host))
    builder = _builder(_name_of(ca), host[:64], public, BROKER_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName([known]), critical=False)
    return _leaf(builder, ca_key, ExtendedKeyUsageOID.SERVER_AUTH)


def taken_back(serials: Iterable[int], ca: bytes, ca_key: PrivateKey) -> bytes:
    """Return the list of identities that the broker lets in no more (PEM, RFC 5280, section 5)."""
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder()
    builder = builder.issuer_name(x509.load_pem_x509_certificate(ca).subject)
    # The broker closes to everybody when the list is over: it never is.
    builder = builder.last_update(BEGIN).next_update(BEGIN + timedelta(days=CA_DAYS))
    for serial in serials:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(_PEM)


def serial_of(pem: str) -> int:
    """Return the serial number of a certificate."""
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _builder(
    issuer: str, name: str, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .issuer_name(_named(issuer))
        .subject_name(_named(name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _leaf(
    builder: x509.CertificateBuilder, ca_key: PrivateKey, use: x509.ObjectIdentifier
) -> bytes:
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    return _signed(builder, ca_key, ca_key.public_key())


def _signed(
    builder: x509.CertificateBuilder, key: PrivateKey, issuer: ec.EllipticCurvePublicKey
) -> bytes:
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
    made = builder.add_extension(known, critical=False).sign(key, hashes.SHA256())
    return made.public_bytes(_PEM)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name_of(ca: bytes) -> str:
    (one,) = x509.load_pem_x509_certificate(ca).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(one.value)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
