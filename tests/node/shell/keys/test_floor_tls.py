"""A machine that wakes up in 1970 comes to its broker, and to nobody else."""

import contextlib
import datetime
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.shell.keys.floor_tls import judge_by

YEAR_S = 365 * 86_400
NOW_S = 1_790_000_000


def at(utc_s: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Made:
    """A key and its certificate; without a parent it is an authority."""

    def __init__(self, begin_s: int, end_s: int, parent: "Made | None" = None, host: str = ""):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(host or "authority")
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name if parent is None else parent.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at(begin_s))
            .not_valid_after(at(end_s))
            .add_extension(x509.BasicConstraints(parent is None, None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        signer = self.key if parent is None else parent.key
        self.pem = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self.key_pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def lets_in(folder, ca: Made, server: Made, known: tuple[int, bool], host: str = "broker") -> bool:
    """Return whether a client that knows so much of the time shakes hands with `server`."""
    (folder / "server.pem").write_bytes(server.pem + server.key_pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem")
    context = ssl.create_default_context(cadata=ca.pem.decode())
    judge_by(context, lambda: known)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with contextlib.suppress(OSError), serving.wrap_socket(theirs, server_side=True) as one:
            one.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(ours, server_hostname=host) as one:
            one.sendall(b"x")
        return True
    except ssl.SSLError:
        return False
    finally:
        ours.close()
        thread.join(5)
        theirs.close()


@pytest.mark.parametrize(
    ("begin_s", "end_s", "known", "expected"),
    [
        pytest.param(-YEAR_S, YEAR_S, (NOW_S, True), True, id="all is well"),
        pytest.param(-YEAR_S, YEAR_S, (NOW_S - 2 * YEAR_S, False), True, id="an old floor"),
        pytest.param(-YEAR_S, YEAR_S, (0, False), True, id="1970, and no floor at all"),
        pytest.param(-YEAR_S, YEAR_S, (0, True), False, id="1970 that is believed"),
        pytest.param(-2 * YEAR_S, -YEAR_S, (NOW_S, False), False, id="over by the floor"),
        pytest.param(-2 * YEAR_S, -YEAR_S, (NOW_S, True), False, id="over by the time"),
        pytest.param(YEAR_S, 2 * YEAR_S, (NOW_S, True), False, id="not yet, by the time"),
        pytest.param(YEAR_S, 2 * YEAR_S, (NOW_S, False), True, id="not yet, by a floor"),
    ],
)
def test_dates_are_judged_by_what_is_surely_so(tmp_path, begin_s, end_s, known, expected):
    ca = Made(0, NOW_S + 10 * YEAR_S)
    server = Made(NOW_S + begin_s, NOW_S + end_s, ca, "broker")
    assert lets_in(tmp_path, ca, server, known) == expected


def test_nothing_but_the_dates_is_left_to_us(tmp_path):
    ca, other = Made(0, NOW_S + YEAR_S), Made(0, NOW_S + YEAR_S)
    server = Made(0, NOW_S + YEAR_S, ca, "broker")
    known = (0, False)
    assert lets_in(tmp_path, ca, server, known)
    assert not lets_in(tmp_path, other, server, known), "of another authority"
    assert not lets_in(tmp_path, ca, server, known, "elsewhere"), "of another name"
    ended = Made(0, NOW_S - YEAR_S)
    assert not lets_in(tmp_path, ended, Made(0, NOW_S + YEAR_S, ended, "broker"), (NOW_S, False))
