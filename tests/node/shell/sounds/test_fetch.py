"""Spoken words by https: in time, within their size, with their digest, from the host they name."""

import hashlib
import http.server
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.events import FetchFile
from node.shell.config import FetchConfig
from node.shell.sounds.fetch import Fetcher
from tests.node.shell.commands.test_daemon import ogg_tone

WORDS = ogg_tone(440, 2)


class Server:
    """A web server on loopback with a certificate of its own; `answers` is path to what it does."""

    def __init__(self, folder):
        self.ca = folder / "ca.pem"
        key_file = folder / "key.pem"
        make_certificate(self.ca, key_file)
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                try:
                    server.answer(self)
                except OSError:
                    return  # it hung up: that is what some of these tests want

            def log_message(self, *_):
                return

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key_file)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def answer(self, request):
        path = request.path
        if path.startswith("/to/"):
            request.send_response(302)
            request.send_header(
                "Location", path.removeprefix("/to/").replace("PORT", str(self.port))
            )
            request.end_headers()
            return
        request.send_response(404 if path == "/none" else 200)
        request.end_headers()
        if path == "/drip":
            for byte in WORDS:
                request.wfile.write(bytes([byte]))
                time.sleep(0.05)
        elif path == "/endless":
            while True:
                request.wfile.write(bytes(65_536))
        elif path == "/text":
            request.wfile.write(b"no sound at all")
        else:
            request.wfile.write(WORDS)

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def make_certificate(path, key_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def server(tmp_path):
    one = Server(tmp_path)
    yield one
    one.close()


def fetched(server, path, caplog, *, data=WORDS, size_bytes=0, scheme="https", **config):
    """Ask for `path`; return (what is in the library, what the log says, how long it took)."""
    library = {}
    settings = {"ca_file": str(server.ca), "timeout_s": 5} | config
    fetcher = Fetcher(FetchConfig(**settings), library)
    name = f"sha1:{hashlib.sha1(data).hexdigest()}"
    begin_s = time.monotonic()
    with caplog.at_level("INFO"):
        url = f"{scheme}://127.0.0.1:{server.port}{path}"
        fetcher.request(FetchFile(url, name, size_bytes or len(data)))
        while not caplog.text and time.monotonic() - begin_s < 8:
            time.sleep(0.01)
    return library.get(name), caplog.text, time.monotonic() - begin_s


@pytest.mark.parametrize("path", ["/words.ogg", "/to//words.ogg", "/to/https://127.0.0.1:PORT/a"])
def test_words_that_are_what_the_warning_names_come_into_the_library(server, path, caplog):
    recording, told, _ = fetched(server, path, caplog)
    assert recording is not None and recording.packets == 101
    assert "2.0 s of speech fetched" in told


@pytest.mark.parametrize(
    ("path", "more", "why"),
    [
        ("/none", {}, "answer 404"),
        ("/words.ogg", {"data": b"other words"}, "more than 11 bytes"),
        ("/words.ogg", {"data": b"w" * 9000 + WORDS}, "its digest is"),
        ("/text", {"data": b"no sound at all"}, "no Ogg Opus"),
        ("/words.ogg", {"size_bytes": 100}, "more than 100 bytes"),
        ("/endless", {}, "more than"),
        ("/words.ogg", {"scheme": "http"}, "only https"),
        ("/words.ogg", {"scheme": "file"}, "only https"),
        ("/to/http://127.0.0.1:PORT/words.ogg", {}, "only https"),
        ("/to/https://localhost:PORT/words.ogg", {}, "leads to another host"),
        ("/to//to//to//to//to//words.ogg", {}, "leads in circles"),
        ("/words.ogg", {"hosts": ("pctt.example",)}, "not one of fetch.hosts"),
        ("/words.ogg", {"ca_file": None}, "certificate verify failed"),
    ],
)
def test_what_is_not_as_the_warning_says_is_not_taken(server, path, more, why, caplog):
    recording, told, _ = fetched(server, path, caplog, **more)
    assert recording is None and why in told


def test_a_server_that_drips_is_given_up_in_time(server, caplog):
    recording, told, took_s = fetched(server, "/drip", caplog, timeout_s=1)
    assert recording is None and "not in" in told and took_s < 3


def test_the_same_words_are_asked_for_once(server, caplog):
    library = {}
    fetcher = Fetcher(FetchConfig(ca_file=str(server.ca)), library)
    name = f"sha1:{hashlib.sha1(WORDS).hexdigest()}"
    wanted = FetchFile(f"https://127.0.0.1:{server.port}/words.ogg", name, len(WORDS))
    for _ in range(5):
        fetcher.request(wanted)
    while name not in library:
        time.sleep(0.01)
    fetcher.request(wanted)
    assert server.asked == ["/words.ogg"]
